#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Words are spelt right, as far as codespell knows.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v codespell >/dev/null; then
    echo "SKIP: no codespell"
    exit 77
fi
# tests/unit and tests/fuzz misspell on purpose: what the parsers make of it is tested there.
files=(README.md NEWS.md SECURITY.md bootstrap docs src include images tests/lib tests/vm tests/demo)
for index in "${!files[@]}"; do
    [ -e "${files[index]}" ] || unset "files[index]"
done
codespell "${files[@]}"
