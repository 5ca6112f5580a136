#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every C file is as clang-format writes it. Versions differ in taste, so only the one that the
# tree was formatted with counts.
set -eu
cd "$(dirname "$0")/../.."
version=14
formatter=
for candidate in clang-format-$version clang-format; do
    if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q "version $version\."; then
        formatter=$candidate
        break
    fi
done
if [ -z "$formatter" ]; then
    echo "SKIP: no clang-format $version"
    exit 77
fi
find src include tests \( -name '*.c' -o -name '*.h' \) -print0 |
    xargs -0 "$formatter" --dry-run -Werror --style=file
