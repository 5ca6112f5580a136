#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the box resets, panics, powers off, sleeps, and writes to ports of its machine at random
# promise: P8 P9
# hole: reset
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# Side by side, since what a box does after it takes most of the time: to wait whether anything comes.
# The first three end the machine, which must be known at once, by more than that nothing comes.
# shellcheck disable=SC2016 # the box expands it
ends=3 ways=(
    'echo b | sudo tee /proc/sysrq-trigger'
    'echo c | sudo tee /proc/sysrq-trigger'
    'sudo systemctl poweroff -ff'
    'sudo sh -c "printf \\\\006 | dd of=/dev/port bs=1 seek=3321 conv=notrunc"'
    'sudo sh -c "echo mem >/sys/power/state; echo disk >/sys/power/state"; exit 9'
    'sudo bash -c "for i in \$(seq 300); do dd if=/dev/urandom of=/dev/port bs=1 count=1 seek=\$((RANDOM % 4096 + 45056)) conv=notrunc 2>/dev/null; done"; exit 9'
)
try tb run "${start_flags[@]}" -C "$P" -- true # a template, if there is to be one
[ "$code" -eq 0 ] || broken "a box that does nothing ended with $code"
attack() {
    local code=0 limit=20s
    [ "$1" -ge "$ends" ] || limit=40s
    timeout --foreground -k 20 200 "$TASKBOX" run "${start_flags[@]}" -C "$P" --timeout "$limit" -- \
        sh -c "${ways[$1]}; sleep 15; exit 9" >"$out.$1" 2>"$err.$1" </dev/null || code=$?
    echo "$code" >"$PLACE/code.$1"
}
for i in "${!ways[@]}"; do attack "$i" & done
wait
for i in "${!ways[@]}"; do
    how=${ways[i]} code=$(cat "$PLACE/code.$i")
    cp "$err.$i" "$err"
    case $code in
    9 | 124) ;; # it went on, or was stopped in time
    125) tail -n 1 "$err" | grep -q '^taskbox: box .*the VM\|not answer in time' || broken "no clear error after: $how" ;;
    *) broken "exit code $code after: $how" ;;
    esac
    [ "$i" -ge "$ends" ] || { [ "$code" -eq 125 ] && tail -n 1 "$err" | grep -q '^taskbox: box .*the VM has switched itself off'; } ||
        broken "the end of the box was not noticed after: $how ($code)"
done
held
