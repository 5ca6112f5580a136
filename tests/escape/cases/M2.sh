#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: root in the box looks for masked secrets by path, other names, git objects and the blocks of its disks
# promise: P6
# hole: masks
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
secret=MASKED-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
mkdir -p "$P/.aws" "$P/deep"
printf '%s\n' "$secret" | tee "$P/.env" "$P/deep/.ENV" "$P/server.pem" "$P/.aws/credentials" "$P/.env~" >/dev/null
ln "$P/.env" "$P/notes.txt"
ln -s .env "$P/soft"
printf '%s\n' "$secret" >"$P/tracked"
git -C "$P" add tracked
git -C "$P" commit -q -m 'A secret is tracked'
printf 'tracked\n' >"$P/.taskboxignore"
half=${secret#MASKED-}
# The mark itself must not get in with the script: it is put together in the box.
look="s=MASKED-; s=\${s}$(printf %s "$half" | cut -c1-12); t=$(printf %s "$half" | cut -c13-)
echo path \$(cat .env deep/.ENV server.pem .aws/credentials .env~ notes.txt soft tracked | grep -c -F \"\$s\$t\")
echo names \$(sudo grep -rs -F \"\$s\$t\" . | wc -l)
echo git \$(git cat-file --batch-all-objects --batch 2>/dev/null | grep -a -c -F \"\$s\$t\")
for d in /dev/vd?; do echo disk-\$d \$(sudo dd if=\$d bs=1M count=600 2>/dev/null | grep -a -c -F \"\$s\$t\"); done
echo done"
box "$P" "$look"
grep -q '^done$' "$out" || broken "the box did not run ($code)"
if grep -qE '^(path|names|git|disk-[a-z/]*) [1-9]' "$out"; then broken "read in the box: $(grep -E ' [1-9]' "$out" | tr '\n' ';')"; fi

# What comes back cannot empty or remove what was masked.
box "$P" 'rm -rf .env .aws deep tracked; git rm -q --cached tracked 2>/dev/null; echo more >>text'
[ "$code" -eq 0 ] || broken "the second run ended with $code"
tb apply @last >"$out" 2>"$err" || broken "apply failed"
for name in .env deep/.ENV .aws/credentials tracked; do
    [ "$(cat "$P/$name" 2>/dev/null)" = "$secret" ] || broken "apply changed '$name', which the box never saw"
done
held
