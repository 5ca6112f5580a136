#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the box resets, panics, powers off, sleeps, and writes to ports of its machine at random
# promise: P8 P9
# hole: reset
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# shellcheck disable=SC2016 # the box expands it
for how in 'echo b | sudo tee /proc/sysrq-trigger' 'echo c | sudo tee /proc/sysrq-trigger' 'sudo systemctl poweroff -ff' \
    'sudo sh -c "printf \\\\006 | dd of=/dev/port bs=1 seek=3321 conv=notrunc"' \
    'sudo sh -c "echo mem >/sys/power/state; echo disk >/sys/power/state"; exit 9' \
    'sudo bash -c "for i in \$(seq 300); do dd if=/dev/urandom of=/dev/port bs=1 count=1 seek=\$((RANDOM % 4096 + 45056)) conv=notrunc 2>/dev/null; done"; exit 9'; do
    BOX_SECONDS=200
    box "$P" "$how; sleep 20; exit 9" --timeout 20s
    case $code in
    9 | 124) ;; # it went on, or was stopped in time
    125) tail -n 1 "$err" | grep -q '^taskbox: box .*VM\|not answer in time' || broken "no clear error after: $how" ;;
    *) broken "exit code $code after: $how" ;;
    esac
    case "$how $code" in
    *sysrq-trigger\ 125 | *poweroff*\ 125 | *port*\ * | */sys/power/*) ;;
    *) broken "the end of the box was not noticed after: $how ($code)" ;;
    esac
done
held
