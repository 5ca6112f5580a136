#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# More tasks at once than there is room for: as many as fit run, the others say that they wait, get
# their turn in the order they came, and all succeed; one that is killed or stopped while it waits
# keeps nobody back.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/crowded
make_project "$project"
mkdir -p "$XDG_CONFIG_HOME/taskbox"
printf 'cpus: 1\nmemory: 512MiB\ncapacity: {cpus: 2, memory: 2GiB}\n' >"$XDG_CONFIG_HOME/taskbox/config.yaml"
# Names of tickets: NUMBER-w-... while the run waits, NUMBER-r-... while it has a box.
queue=$XDG_STATE_HOME/taskbox/admission

tickets() { { find "$queue" -type f -name "$1" 2>/dev/null || true; } | wc -l; }
tickets_are() { [ "$(tickets '*')" -eq "$1" ]; }
says_that_it_waits() { grep -qs '^taskbox: waiting for room: ' "$T/$1.err"; }
# end_of SIGNAL PID: its exit code.
end_of() { kill "-$1" "$2" 2>/dev/null && wait "$2" 2>/dev/null; }

declare -A pids gates
# start NAME [OPTION...]: taskbox itself in the background, once all before it are in the queue. Its
# command goes on when its stdin ends: when the gate is killed.
start() {
    local name=$1 before
    shift
    before=$(tickets '*')
    mkfifo "$T/$name.in"
    sleep 900 >"$T/$name.in" &
    gates[$name]=$!
    on_exit open_gate "$name"
    "$TASKBOX" run --json -C "$project" "$@" -- sh -c "cat; echo $name >by-$name" \
        <"$T/$name.in" >"$T/$name.json" 2>"$T/$name.err" &
    pids[$name]=$!
    wait_for 60 tickets_are $((before + 1)) || fail "run $name takes no ticket"
}
open_gate() { end_of TERM "${gates[$1]}" || true; }
ends_well() {
    wait "${pids[$1]}" || { cp "$T/$1.err" "$T/err" && fail "run $1 of the crowd failed"; }
    equal ready "$(json "$T/$1.json" status)" "state of run $1"
    equal 0 "$(json "$T/$1.json" exit_code)" "exit code of run $1"
    equal 1 "$(json "$T/$1.json" files)" "files that run $1 changed"
}

say "room for two, and eight at once"
for name in 1 2; do start "$name"; done
start 3 --cpus 2
wait_for 30 says_that_it_waits 3 || fail "run 3 does not say that it waits"
holds "$T/3.err" '2 boxes use 2 of 2 cpus and 1\.0 GiB of 2\.0 GiB of memory$' "what 3 waits for"
start killed
for name in 4 5 6 7 8; do start "$name"; done
wait_for 30 says_that_it_waits 8 || fail "run 8 does not say that it waits"
holds "$T/8.err" ' of memory; 6 waiting before this one$' "what 8 waits for"

say "one that waits is killed, another interrupted"
end_of KILL "${pids[killed]}" || true
open_gate killed
wait_for 10 tickets_are 8 || fail "the ticket of a killed run is still there"
start interrupted
wait_for 30 says_that_it_waits interrupted || fail "the run to interrupt does not wait"
code=0
end_of TERM "${pids[interrupted]}" || code=$?
equal 143 "$code" "exit code of an interrupted wait"
open_gate interrupted
tickets_are 8 || fail "an interrupted run keeps its ticket"

say "in order: the others would find room now, but it is not their turn"
open_gate 1
ends_well 1
sleep 1
equal 6 "$(tickets '*-w-*')" "tickets that wait when one of two cpus is free and 3 wants both"

say "all of the others succeed"
for name in 2 3 4 5 6 7 8; do open_gate "$name"; done
for name in 2 3 4 5 6 7 8; do ends_well "$name"; done
for name in 1 2; do
    holds_not "$T/$name.err" 'waiting for room' "a run that there was room for"
done
for name in 3 4 5 6 7 8; do
    equal 1 "$(grep -c 'waiting for room' "$T/$name.err")" "lines on waiting of run $name"
    [ "$(json "$T/$name.json" milliseconds admission)" -gt 1000 ] || fail "run $name did not wait"
done
equal 0 "$(tickets '*')" "tickets left"

say "a box that is larger than all the room is refused at once"
expect 125 tb run --cpus 3 -C "$project" -- true
one_error_line 'no room for a box with 3 cpus.*2 cpus and 2\.0 GiB'
expect 125 tb run --memory 3G -C "$project" -- true
one_error_line 'give --memory a smaller value'
