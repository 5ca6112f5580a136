#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: an export that contradicts itself: a path twice, a file that is a directory, a file below a link
# promise: P2
# hole: entry-shape
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
for how in twice clash through-link; do
    hostile "$P" "$how"
    [ "$code" -ne 0 ] || broken "$how: taken for a good export"
    grep -q 'contradicts itself' "$err" || broken "$how: no clear error"
    if tb show @last 2>/dev/null | grep -qw verified; then broken "$how: called verified"; fi
    rm -rf "$XDG_STATE_HOME/taskbox/tasks"
done
held
