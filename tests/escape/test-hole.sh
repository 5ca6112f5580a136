#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A case of the red-team suite can fail: in a build with holes (meson setup DIR -Dholes=true) each hole
# that it names is opened, and the case must be broken by that.
#
#   tests/escape/test-hole.sh CASE
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

case=${1:?names a case}
mapfile -t holes < <(sed -n 's/^# hole: //p' "$source_dir/tests/escape/cases/$case.sh")
[ "${#holes[@]}" -gt 0 ] || fail "$case names no hole"
need_image
for hole in "${holes[@]}"; do
    say "$case with the hole '$hole' open"
    TASKBOX_HOLE=$hole try tb redteam "$case"
    cat "$T/out"
    [ "$code" -eq 1 ] || fail "exit code $code, not 1, of $case with its hole open"
    holds "$T/out" "^$case +BROKEN" "what the suite says"
done
