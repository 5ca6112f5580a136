#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a bomb of processes, of memory, of files and of output, all at once, beside another box
# promise: P8
# hole: log-cap
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# shellcheck disable=SC2016 # the box expands it
live_box "$P" 'echo before >done; sync
head -c 3000000 /dev/zero | tr "\0" x; echo
bash -c "while exec {fd}<text; do :; done" 2>/dev/null
sudo sh -c "base64 </dev/urandom >/dev/ttyS0 &"; tail /dev/zero 2>/dev/null &
(fallocate -l 90G /var/tmp/f || head -c 90000000000 /dev/zero >/var/tmp/f) 2>/dev/null &
mkdir /tmp/i; (cd /tmp/i; i=0; while :; do : >$i; i=$((i + 1)); done) 2>/dev/null &
b() { b | b & }; b; sleep 300' --timeout 12s --limit log=1M
SECONDS=0
box "$P" 'echo beside'
[ "$code" -eq 0 ] || broken "the box beside it ended with $code"
[ "$SECONDS" -lt 60 ] || broken "the box beside it took $SECONDS s"
console=$(find "$XDG_STATE_HOME/taskbox/tasks" -name console.log -printf '%s\n' 2>/dev/null | sort -n | tail -n 1)
[ "${console:-0}" -lt 4000000 ] || broken "the console has $console bytes"
wait_box 150 || broken "the runaway was not stopped"
case $code in 124 | 125 | 2 | 254) ;; *) broken "exit code $code" ;; esac
kept=$(find "$XDG_STATE_HOME/taskbox/tasks" -name log -printf '%s\n' | sort -n | tail -n 1)
[ "$kept" -gt 1000000 ] || broken "the runaway wrote no log ($kept bytes)"
[ "$kept" -lt 1200000 ] || broken "a log of $kept bytes is kept, though its limit is 1 MiB"
held
