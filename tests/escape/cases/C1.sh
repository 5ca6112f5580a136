#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a guest program that sends a frame of 4 GiB, garbage, unknown frames, its end twice
# promise: P8 P9
# hole: protocol
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
BOX_SECONDS=60
for how in unknown-type exit-and-more huge-length garbage; do
    hostile "$P" "$how"
    [ "$code" -eq 125 ] || broken "$how: exit code $code, not 125"
    tail -n 1 "$err" | grep -q '^taskbox: ' || broken "$how: no clear error"
    if tb show @last 2>/dev/null | grep -qw verified; then broken "$how: called verified"; fi
done
held
