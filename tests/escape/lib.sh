# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the cases of `taskbox redteam` share. The head of a case says what it attacks:
#
#   # attack: in one line          # promise: P1 ...
#   # hole: the switch of a build with holes that this case must notice
#
# $TASKBOX is the program under attack, $PLACE a directory of the case's own (its home, its state and
# $TMPDIR are in it). `held` ends a case whose promise held; `broken WHAT` one whose did not, `cannot
# WHY` one that could not be tried here.
set -eu -o pipefail
umask 022
lib=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
export GIT_AUTHOR_NAME=Tester GIT_AUTHOR_EMAIL=tester@example.org
export GIT_COMMITTER_NAME=Tester GIT_COMMITTER_EMAIL=tester@example.org
out=$PLACE/out err=$PLACE/err

held() { exit 0; }
broken() {
    printf '%s\n' "$*"
    if [ -s "$err" ]; then tail -n 5 "$err" | cut -c1-300; fi
    exit 1
}
cannot() {
    printf 'cannot be tried: %s\n' "$*"
    exit 77
}
needs() {
    local program
    for program; do command -v "$program" >/dev/null || cannot "there is no program '$program'"; done
}

# A small repository at DIR with one commit.
project() {
    mkdir -p "$1"
    git -C "$1" init -q -b main .
    printf 'one\ntwo\nthree\n' >"$1/text"
    printf '#!/bin/sh\necho tool\n' >"$1/tool"
    chmod 0755 "$1/tool"
    printf 'ignored.*\n' >"$1/.gitignore"
    git -C "$1" add -A
    git -C "$1" commit -q -m First
}

# shared_project DIR: one for a share, with links that lead out of it; $mark is beside it, in $PLACE/outside, and in
# its .git/config, as a password.
# shellcheck disable=SC2034 # cases use it
shared_project() {
    mark=OUTSIDE-$RANDOM$RANDOM$RANDOM
    project "$1"
    mkdir "$1/dir" "$1/empty"
    echo inner >"$1/dir/inner"
    echo "$mark" >"$PLACE/outside"
    ln -s ../outside "$1/out"
    ln -s "$PLACE/outside" "$1/absolute"
    git -C "$1" config remote.origin.url "https://user:$mark@example.org/project"
}

# The flags that boxes are started with in all cases (taskbox redteam --cold).
start_flags=()
[ -z "${COLD:-}" ] || start_flags=(--cold)

# try COMMAND...: its exit code in $code, what it wrote in $out and $err.
# shellcheck disable=SC2034 # cases use it
try() {
    code=0
    "$@" >"$out" 2>"$err" </dev/null || code=$?
}

# box DIR SCRIPT [FLAG...]: runs SCRIPT by sh in a box on the project at DIR. A box that could not be
# started at all shows nothing about a promise.
box() {
    local dir=$1 script=$2
    shift 2
    try timeout --foreground -k 20 "${BOX_SECONDS:-300}" "$TASKBOX" run "${start_flags[@]}" -C "$dir" "$@" -- "${BOX_SHELL:-sh}" -c "$script"
    if grep -q 'cannot find.*image\|no image' "$err"; then cannot "there is no golden image (taskbox image build)"; fi
}

# live_box DIR SCRIPT [FLAG...]: the same, and comes back as soon as SCRIPT runs: $box_pid is its taskbox.
# end_box stops it and waits: $code.
live_box() {
    local dir=$1 script=$2
    shift 2
    end_box
    : >"$out.live" # the last box's word: the job below empties it only once it runs
    "$TASKBOX" run "${start_flags[@]}" -C "$dir" "$@" -- "${BOX_SHELL:-sh}" -c "echo up; $script" >"$out.live" 2>"$err.live" </dev/null &
    box_pid=$!
    for _ in $(seq 3000); do
        if grep -q '^up$' "$out.live"; then return; fi
        kill -0 "$box_pid" 2>/dev/null || break
        sleep 0.1
    done
    cp "$err.live" "$err"
    broken "the box did not run"
}
end_box() {
    code=0
    [ -n "${box_pid:-}" ] || return 0
    kill "$box_pid" 2>/dev/null || :
    wait "$box_pid" || code=$?
    box_pid=
}
# wait_box SECONDS: false when it has not ended by itself till then: $code.
# shellcheck disable=SC2034 # cases use it
wait_box() {
    local i
    code=0
    for ((i = 0; i < $1 * 10; i++)); do
        if ! kill -0 "$box_pid" 2>/dev/null; then
            wait "$box_pid" || code=$?
            box_pid=
            return
        fi
        sleep 0.1
    done
    return 1
}
# await WORD: until the live box says it.
await() {
    for _ in $(seq 300); do
        if grep -q "^$1\$" "$out.live"; then return; fi
        sleep 0.1
    done
    broken "the box does not say '$1': $(tail -n 3 "$out.live")"
}
# of_box PROGRAM: its numbers, of those below the live box's taskbox.
of_box() {
    local below=$box_pid
    for _ in 1 2 3 4 5 6; do
        below=$(pgrep -d, -P "$below" || :)
        [ -n "$below" ] || break
        pgrep -x "${1:0:15}" -P "$below" || :
    done
    pgrep -x "${1:0:15}" -P "$box_pid" || :
}
# opened FILE start; opened FILE stop: false when anybody has opened the file in between.
opened() {
    if [ "$2" = start ]; then
        "$lib/opened" "$1" >"$PLACE/opened" 2>&1 &
        opened_pid=$!
        for _ in $(seq 100); do
            if grep -q watching "$PLACE/opened"; then return; fi
            sleep 0.05
        done
        cannot "nobody may watch a file here: $(cat "$PLACE/opened")"
    fi
    kill "$opened_pid" 2>/dev/null || :
    wait "$opened_pid" 2>/dev/null || :
    opened_pid=
    [ "$(cat "$PLACE/opened")" = watching ]
}
# A server on the host that notes in $PLACE/reached whom it hears; its $port.
trap_server() {
    needs python3
    python3 "$lib/trap-server.py" "$PLACE" &
    trap_pid=$!
    for _ in $(seq 100); do [ -e "$PLACE/port" ] || sleep 0.05; done
    port=$(cat "$PLACE/port")
    (exec 3<>"/dev/tcp/127.0.0.1/$port") || cannot "the server does not answer the host"
    for _ in $(seq 100); do [ -s "$PLACE/reached" ] || sleep 0.05; done
    rm "$PLACE/reached" || cannot "the server does not notice"
}
# A function for the box (of BOX_SHELL=bash): ask REQUEST HEADERS says what the proxy answers, "answer "
# before its first line. Nothing is started for it: that takes long in a box that is emulated.
asking() {
    cat <<'BOX'
ask() {
    if exec 3<>/dev/tcp/127.0.0.1/3128; then
        printf '%s\r\n%s\r\n\r\n' "$1" "$2" >&3
        if IFS= read -r -t 20 line <&3; then echo "answer $line"; else echo nothing; fi
        exec 3>&-
    else
        echo nothing
    fi 2>/dev/null
}
BOX
}
trap 'kill -9 ${box_pid:-} ${trap_pid:-} ${opened_pid:-} 2>/dev/null || :' EXIT

tb() { "$TASKBOX" "$@"; }
# Whether the newest box was forked from a template.
is_forked() { tb show @last --json | grep -qE '"start" *: *"fork"'; }
# Of the newest task.
task_dir_last() { printf '%s/taskbox/tasks/%s' "$XDG_STATE_HOME" "$(tb show @last --json | grep -o '"id" *: *"[^"]*"' | head -n 1 | cut -d'"' -f4)"; }
task_dir() { find "$XDG_STATE_HOME/taskbox/tasks" -mindepth 1 -maxdepth 1 -type d | head -n 1; }

# Everything that can be known of a tree but access times.
tree_hash() {
    (
        cd "$1"
        find . -printf '%y %m %U:%G %T@ %C@ %n %s %l %p\0' | LC_ALL=C sort -z
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
    ) | sha256sum
}

# hostile DIR HOW [ARG...]: a box in which a program of the attacker's takes the guest program's place
# on the channel, once the host has started a command, and answers HOW (hostile.c).
hostile() {
    local dir=$1
    shift
    cp "$lib/hostile" "$dir/ignored.hostile"
    box "$dir" "sudo systemd-run --quiet --collect \$PWD/ignored.hostile $* && sleep 60"
}
