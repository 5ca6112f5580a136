#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every shell script passes shellcheck.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v shellcheck >/dev/null; then
    echo "SKIP: no shellcheck"
    exit 77
fi
{
    printf '%s\0' bootstrap .ci/run
    find src images tests -type f \( -name '*.sh' -o -perm -u+x \) -print0
} | while IFS= read -r -d '' file; do
    # A script is what says so in its first line, or a library of functions by its name.
    case $file in
    *.sh) printf '%s\0' "$file" ;;
    *) if head -c 20 "$file" | grep -aqE '^#!/bin/(ba)?sh'; then printf '%s\0' "$file"; fi ;;
    esac
done | xargs -0 shellcheck -x
