#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Arrows between folders go down only: each `#include "FOLDER/...` line of src is checked against
# the table in docs/architecture.md (| `src/FOLDER` | what it is for | may include |).
set -eu
cd "$(dirname "$0")/../.."
table=docs/architecture.md
failed=0

# "patch util channel patch": the folder, then what it may include, itself at the end. The
# backticks are Markdown's.
# shellcheck disable=SC2016
allowed=$(sed -n 's/^| `src\/\([a-z]*\)` |.*| *\(.*[^ ]\) *|$/\1 \2 \1/p' "$table" | tr -d ',`')

declare -A arrow # "FROM TO": FROM may include TO, a folder or a file
while read -r from words; do
    for word in $words; do arrow["$from $word"]=1; done
done <<<"$allowed"
may() { # FROM FILE
    [ "${arrow["$1 ${2%%/*}"]-}" ] || [ "${arrow["$1 $2"]-}" ]
}

complain() {
    echo "$*"
    failed=1
}

checked=0
for folder in src/*/; do
    folder=$(basename "$folder")
    grep -q "^$folder " <<<"$allowed" || complain "src/$folder has no row in the table of $table"
done
while IFS=: read -r file line text; do
    from=${file#src/}
    from=${from%%/*}
    included=${text#*\"}
    included=${included%%\"*}
    case $included in
    */*) ;;
    *) complain "$file:$line: \"$included\" does not name its folder (write it from src)" && continue ;;
    esac
    may "$from" "$included" || complain "$file:$line: src/$from may not include \"$included\" ($table)"
    checked=$((checked + 1))
done < <(grep -rnE '^ *# *include +"' --include='*.[ch]' src)

[ "$checked" -gt 0 ] || complain "not one include line was found"
echo "$checked include lines checked"
exit $failed
