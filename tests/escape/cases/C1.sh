#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a guest program that sends frames of 4 GiB, garbage, the host's own frames, its hello or its end twice, or floods
# promise: P8 P9
# hole: protocol
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
BOX_SECONDS=60
for how in unknown-type exit-and-more huge-length garbage two-hellos as-host replay interleaved; do
    hostile "$P" "$how"
    [ "$code" -eq 125 ] || broken "$how: exit code $code, not 125"
    tail -n 1 "$err" | grep -q '^taskbox: ' || broken "$how: no clear error"
    if tb show @last 2>/dev/null | grep -qw verified; then broken "$how: called verified"; fi
done
# 128 MiB of output, without asking whether there is room: nobody keeps it, and the honest rest counts.
cp "$lib/hostile" "$P/ignored.hostile"
live_box "$P" "sudo systemd-run --quiet --collect \$PWD/ignored.hostile flood; sleep 60" --limit log=1M
most=0
while kill -0 "$box_pid" 2>/dev/null; do
    now=$(sed -n 's/^VmRSS: *\([0-9]*\) .*/\1/p' "/proc/$box_pid/status" 2>/dev/null || :)
    [ "${now:-0}" -le "$most" ] || most=$now
    sleep 0.2
done
wait_box 1 || broken "flood: it does not end"
[ "$code" -eq 0 ] || broken "flood: exit code $code: $(tail -n 1 "$err.live")"
[ "$most" -lt 200000 ] || broken "flood: taskbox grew to $most KiB"
kept=$(stat -c %s "$(task_dir_last)/log")
[ "$kept" -le 1200000 ] || broken "flood: $kept bytes of it are kept"
[ "$(tb diff @last --name-only)" = legal ] || broken "flood: the patch is not what came after it"
held
