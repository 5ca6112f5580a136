#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# SIGINT, SIGTERM and SIGKILL of taskbox at each stage (build, start, run, export) leave no
# process, mount, socket or box; the next command cleans what is left; no work is lost silently (P4).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/killed
make_project "$project"
before=$(tree_hash "$project")

newest_state_is() { # STATE
    local record
    record=$(find "$XDG_STATE_HOME/taskbox/tasks" -name record.json -newer "$T/mark" 2>/dev/null | head -n 1)
    [ -n "$record" ] && [ "$(json "$record" state 2>/dev/null)" = "$1" ]
}
said() { grep -aqs -e "$1" "$T/out"; }
ended() { ! kill -0 "$pid" 2>/dev/null; }
box_processes() { processes_of_test | grep -v ' taskbox$'; }

# background ARG...: taskbox itself (no shell in between) as $pid, in a process group of its own, for
# what a shell starts in the background without job control has SIGINT ignored.
background() {
    rm -f "$T/out" "$T/err" # what the last one said must not be taken for this one's
    set -m
    "$TASKBOX" "$@" >"$T/out" 2>"$T/err" &
    pid=$!
    set +m
}

# run_and_signal SIGNAL WHEN...: starts a run, waits until WHEN is true, sends the signal, waits.
# The command prints a line, leaves a file, and then makes the export long.
run_and_signal() {
    local signal=$1
    shift
    touch "$T/mark"
    # A fork is through its start before a signal could be sure to meet it there.
    local start=()
    [ "$stage" != start ] || start=(--cold)
    background run "${start[@]}" -C "$project" -- sh -c "$command"
    wait_for "$boot_limit" "$@" || fail "the run did not come to: $*"
    wait_for 20 box_processes >"$T/seen" || fail "no process of a box could be seen at stage $stage"
    kill "-$signal" "$pid"
    ended_with=0
    wait "$pid" || ended_with=$?
}

for stage in start run export; do
    for signal in INT TERM KILL; do
        say "SIG$signal at stage $stage"
        command='echo work >work; echo "the command runs"; sleep 600'
        case $stage in
        start) ready=(newest_state_is starting) ;;
        run) ready=(said 'the command runs') ;;
        export)
            command='echo work >work; head -c 150000000 /dev/urandom >big; echo "the command runs"'
            ready=(newest_state_is exporting)
            ;;
        esac
        run_and_signal "$signal" "${ready[@]}"
        wait_for 5 no_processes ||
            fail "processes left by SIG$signal at $stage: $(processes_of_test | tr '\n' ';')"
        expect 0 tb ls
        check_nothing_left
        equal "$before" "$(tree_hash "$project")" "the project after SIG$signal at $stage"

        id=$(last_task)
        state=$(json "$(record_of "$id")" state)
        case $stage-$signal in
        *-KILL)
            equal 137 "$ended_with" "exit code after SIGKILL"
            equal failed "$state" "state after SIGKILL at $stage"
            ;;
        start-*)
            equal failed "$state" "state after SIG$signal at $stage"
            ;;
        run-*)
            # Stopped, not failed: what it did until then is kept.
            equal ready "$state" "state after SIG$signal at $stage"
            ;;
        export-*)
            case $state in
            ready | failed) ;;
            *) fail "state '$state' after SIG$signal at $stage" ;;
            esac
            ;;
        esac
        case $signal-$ended_with in
        INT-130 | TERM-143 | KILL-137) ;;
        *) [ "$stage-$state" = export-ready ] || fail "exit code $ended_with after SIG$signal at $stage" ;;
        esac
        if [ "$stage" != start ]; then
            tb logs "$id" >"$T/log"
            holds "$T/log" '^the command runs$' "the log after SIG$signal at $stage"
        fi
        if [ "$state" = ready ]; then
            tb diff "$id" --name-only >"$T/names"
            holds "$T/names" '^work$' "the work kept after SIG$signal at $stage"
        fi
    done
done

say "a build: whenever it is stopped, nothing half-built can be seen"
need_cloud_image
cloud_recipe stopped "$(sha256sum "$cloud" | cut -d' ' -f1)" 'echo "the script runs"; sleep 600'
export XDG_DATA_HOME=$T/data
a_little_later() { sleep "$delay"; }
# libguestfs has its sockets in directories of /tmp; those of builds that go on elsewhere are alive.
dead_sockets() {
    local directory
    for directory in /tmp/libguestfs??????; do
        [ -d "$directory" ] && ! grep -qF "$directory/" /proc/net/unix && printf '%s\n' "$directory"
    done
    true
}
dead_before=$(dead_sockets)
sockets_of_builds() { comm -13 <(printf '%s\n' "$dead_before") <(dead_sockets); }
no_sockets_left() { [ -z "$(sockets_of_builds)" ]; }
script_runs() { grep -aqs 'the script runs' "$T/err"; }
for signal in INT TERM KILL; do
    for moment in a_little_later script_runs; do
        case $signal in INT) delay=2 ;; TERM) delay=6 ;; KILL) delay=12 ;; esac
        say "SIG$signal when a build has come to: $moment ($delay s)"
        background image build "$T/stopped.yaml"
        wait_for "$build_limit" "$moment" || fail "the build did not come to: $moment"
        kill -0 "$pid" 2>/dev/null || fail "the build ended before it could be stopped"
        kill "-$signal" "$pid"
        stopped=$SECONDS
        code=0
        wait "$pid" || code=$?
        case $signal-$code in
        INT-130 | TERM-143 | KILL-137) ;;
        *) fail "exit code $code after SIG$signal during a build" ;;
        esac
        [ $((SECONDS - stopped)) -le 10 ] || fail "it took $((SECONDS - stopped)) s to stop a build"
        wait_for 10 no_processes ||
            fail "processes left by SIG$signal at build: $(processes_of_test | tr '\n' ';')"
        wait_for 2 no_sockets_left || fail "sockets left by SIG$signal at build: $(sockets_of_builds)"
        expect 0 tb image ls
        holds_not "$T/out" 'stopped' "images after SIG$signal during a build"
        equal '' "$(find "$XDG_DATA_HOME" -type f -size +64k)" "files left in the store by SIG$signal"
        check_nothing_left
    done
done
