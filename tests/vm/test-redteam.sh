#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `taskbox redteam`: every promise holds here, and the command says so only when all do.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image

say "what there is"
cases=$(find "$source_dir/tests/escape/cases" -name '*.sh' | wc -l)
expect 0 tb redteam --list
cp "$T/out" "$T/list"
equal "$cases" "$(wc -l <"$T/list")" "cases in the list"
holds "$T/out" '^M4 +P1 +root in the box' "a line of the list"
expect 2 tb redteam X9
one_error_line "no case 'X9'"

say "all cases"
mapfile -t names < <(sed 's/ .*//' "$T/list")
expect 0 tb redteam "${names[@]}"
cat "$T/out"
equal "${#names[@]} held, 0 broken, 0 not tried" "$(tail -n 1 "$T/out")" "the sum"
equal '' "$(find "$XDG_CACHE_HOME/taskbox/redteam" -name 'image-*')" "project images left"

say "what cannot be tried is not called held"
mkdir "$T/empty"
XDG_DATA_HOME=$T/empty try tb redteam P2
[ "$code" -eq 1 ] || fail "exit code $code without an image"
holds "$T/out" '^P2 +not tried' "a case without an image"
