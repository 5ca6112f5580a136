#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Tasks that run by themselves: run --detach, attach, exec, cp, stop, wait, alone and two at once; a
# task that is killed leaves nothing, and whoever waits for it gets to know.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
requires_program python3
project=$T/left-alone
make_project "$project"
before=$(tree_hash "$project")
export PYTHONPATH=$source_dir/tests/lib PYTHONDONTWRITEBYTECODE=1 TASKBOX project

user() { # what a user does, in Python
    say "$1"
    { printf 'import os, signal, sys, time\nfrom terminal import Terminal, check\n'
        printf 'TB, project = os.environ["TASKBOX"], os.environ["project"]\n'
        cat; } >"$T/user.py"
    python3 "$T/user.py" "${@:2}" || fail "$1"
}
# detached ARG...: the id of a new task as $id.
detached() {
    expect 0 tb run --detach -C "$project" "$@"
    id=$(cat "$T/out")
    [ -e "$(record_of "$id")" ] || fail "'$id' is no task"
}
state() { json "$(record_of "$id")" state; }
# The process that works on $id holds its lock.
supervisor() {
    local inode
    inode=$(stat -c %i "$XDG_STATE_HOME/taskbox/tasks/$id/lock")
    awk -v inode=":$inode\$" '$6 ~ inode { print $5; exit }' /proc/locks
}

say "it goes on by itself"
# shellcheck disable=SC2016
detached -- sh -c 'echo begun; i=0; while [ ! -e go ]; do sleep 0.2; done; echo gone >text; exit 6'
equal running "$(state)" "state of a detached task"
pid=$(supervisor)
equal "$pid" "$(ps -o sid= -p "$pid" | tr -d ' ')" "its session"
equal '?' "$(ps -o tty= -p "$pid" | tr -d ' ')" "its terminal"
expect 0 tb ls
holds "$T/out" "^$id +running" "the list of tasks"
equal 600 "$(stat -c %a "$XDG_STATE_HOME/taskbox/tasks/$id/control")" "mode of the control socket"

say "exec: output, input, exit code, and what it changes"
expect 5 tb exec "$id" -- sh -c 'pwd; echo err >&2; test -t 1 || exit 5'
equal /workspace/left-alone "$(cat "$T/out")" "where a further command starts"
equal err "$(cat "$T/err")" "stderr of a further command"
printf 'given\n' | tb exec "$id" -- sh -c 'cat >by-exec' || fail "exec with input failed"
head -c 3000000 /dev/urandom >"$T/random"
tb exec "$id" -- cat <"$T/random" >"$T/back" || fail "exec with much input failed"
cmp "$T/random" "$T/back" || fail "what went through exec has changed"
expect 127 tb exec "$id" -- no-such-program
expect 130 tb exec "$id" -- sh -c 'kill -INT $$'
# shellcheck disable=SC2016
printf 'echo from-$((40 + 2))\n' | tb exec "$id" >"$T/out" 2>"$T/err" || fail "exec without a command"
holds "$T/out" '^from-42$' "a shell by exec"
for number in 1 2 3 4 5 6 7 8; do
    tb exec "$id" -- sh -c 'cat; echo end' >"$T/many.$number" <<<"number $number" &
    jobs[number]=$!
done
for number in 1 2 3 4 5 6 7 8; do
    wait "${jobs[number]}" || fail "one of eight commands at once"
    equal "number $number end" "$(tr '\n' ' ' <"$T/many.$number" | sed 's/ $//')" "one of eight at once"
done
user "exec with a terminal" "$id" <<'PYTHON'
t = Terminal([TB, "exec", sys.argv[1]], 20, 70)
t.until(r"[$] ")
t.line("stty size")
t.until("20 70")
t.resize(25, 75)
t.line("sleep 0.3; stty size")
t.until("25 75")
t.line("sh -c 'echo S''LEEPS; exec sleep 600'")
t.until("SLEEPS\r\n")
t.send("\x03")
t.until(r"[$] ")
t.line("exit 9")
check(t.ended() == 9, "exit code")
t.is_restored()
PYTHON

say "one that stops reading holds up nobody"
mkfifo "$T/never-read"
"$TASKBOX" exec "$id" -- yes >"$T/never-read" 2>/dev/null &
stuck=$!
exec 8<>"$T/never-read"
sleep 1
expect 0 tb exec "$id" -- echo fine
kill -9 "$stuck"
wait "$stuck" 2>/dev/null || true
exec 8>&-
expect 0 tb exec "$id" -- sh -c 'sleep 0.3; ! pgrep -x yes'

say "cp"
mkdir "$T/to"
expect 0 tb cp "$id:by-exec" "$T/to"
equal given "$(cat "$T/to/by-exec")" "a file that was copied out"
expect 1 tb cp "$id:by-exec" "$T/to"
one_error_line 'is there already'
expect 0 tb cp --force "$id:/etc/hostname" "$T/to/by-exec"
equal "$id" "$(cat "$T/to/by-exec")" "a file that was replaced"
# shellcheck disable=SC2016
tb exec "$id" -- sh -c 'mkdir -p hostile/.git/hooks hostile/sub && cd hostile && echo bad >.git/config &&
    ln -s ../../../../etc/passwd out && ln -s /etc/passwd root && ln -s sub/../../.. odd && ln -s ../ok sub/in &&
    echo ok >ok && chmod 4755 ok && mkfifo pipe && : >"sub/$(printf "\033[31m")"' </dev/null ||
    fail "cannot make a hostile directory"
expect 0 tb cp "$id:/workspace/left-alone/hostile" "$T/to/tree"
equal "ok sub sub/\\033[31m sub/in" "$(cd "$T/to/tree" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
    sed 's/\x1b/\\033/' | tr '\n' ' ' | sed 's/ $//')" "what of a hostile directory is copied"
equal 755 "$(stat -c %a "$T/to/tree/ok")" "mode of a file that was setuid"
holds "$T/err" '\.git: left out' "what is said of .git"
holds "$T/err" 'out: left out, a link' "what is said of a link"
expect 1 tb cp "$id:no-such" "$T/to"
one_error_line 'No such file'
tb exec "$id" -- sh -c 'head -c 5000000 /dev/zero >large' </dev/null
expect 1 tb cp --max 1M "$id:large" "$T/to"
one_error_line 'larger than'
equal "by-exec tree" "$(cd "$T/to" && printf '%s\n' * .[!.]* 2>/dev/null | grep -v '\*' | tr '\n' ' ' |
    sed 's/ $//')" "what cp left"
tb exec "$id" -- sh -c 'rm -rf hostile large' </dev/null

say "attach and wait give the task's exit code; a watcher that leaves leaves it running"
"$TASKBOX" attach --tail 1 "$id" >"$T/watched" 2>/dev/null &
watcher=$!
set -m
"$TASKBOX" attach "$id" >"$T/left" 2>"$T/left.err" &
leaver=$!
set +m
"$TASKBOX" wait "$id" &
waiter=$!
wait_for 10 grep -qs begun "$T/left" || fail "attach did not show the log"
kill -INT "$leaver"
code=0
wait "$leaver" || code=$?
equal 130 "$code" "exit code of an attach that was left"
holds "$T/left.err" 'goes on' "what attach says when it is left"
equal running "$(state)" "state after an attach was left"
tb exec "$id" -- touch go </dev/null
ended_with() { # CODE PID WHAT
    code=0
    wait "$2" || code=$?
    equal "$1" "$code" "exit code of $3"
}
ended_with 6 "$watcher" "attach"
ended_with 6 "$waiter" "wait"
equal begun "$(cat "$T/watched")" "what was watched"
equal ready "$(state)" "state at the end"
expect 0 tb diff "$id" --name-only
equal "by-exec go text" "$(LC_ALL=C sort "$T/out" | tr '\n' ' ' | sed 's/ $//')" "the patch"
check_nothing_left
say "cp out of a task that has ended"
expect 0 tb cp "$id:text" "$T/to/text"
equal gone "$(cat "$T/to/text")" "a file that the task has changed"
expect 0 tb cp "$id:/workspace/left-alone" "$T/to/all"
files=$(cd "$T/to/all" && find . ! -type d | wc -l)
equal $(($(git -C "$project" ls-files | wc -l) + 2)) "$files" "files of the project as the task left it"
equal 755 "$(stat -c %a "$T/to/all/tool")" "mode of a file of it"
equal text "$(readlink "$T/to/all/link")" "a link in it"
expect 0 tb cp "$id:src" "$T/to"
[ -e "$T/to/src/deep/main.c" ] || fail "a directory of it"
expect 1 tb cp "$id:/etc/passwd" "$T/to"
one_error_line 'is gone'
expect 1 tb cp "$id:nothing" "$T/to"
one_error_line "there is no 'nothing'"
expect 125 tb exec "$id" -- true
one_error_line 'does not run: it is ready'
expect 0 tb stop "$id"
expect 6 tb wait "$id"

say "stop: asked, asked again, at once; two tasks at once"
# shellcheck disable=SC2016
detached -- sh -c 'trap "echo asked; exit 3" INT; touch kept; while :; do sleep 0.2; done'
first=$id
detached -- sh -c 'trap "" INT; touch kept; while :; do sleep 0.2; done'
expect 0 tb stop "$first"
expect 3 tb wait "$first"
expect 0 tb logs "$first"
holds "$T/out" '^asked$' "what a task says that is asked to stop"
equal running "$(state)" "state of the other one"
expect 124 tb stop "$id"
one_error_line 'stop --now'
expect 0 tb stop "$id"
equal ready "$(state)" "state after the second time"
expect 0 tb diff "$id" --name-only
equal kept "$(cat "$T/out")" "the patch of a task that was stopped twice"
detached -- sh -c 'trap "" INT TERM; touch kept; while :; do sleep 0.2; done'
expect 0 tb stop --now "$id"
equal ready "$(state)" "state after stop --now"
expect 143 tb wait "$id"

user "a detached terminal is taken, given back and taken again" <<'PYTHON'
import subprocess
id = subprocess.run([TB, "run", "--detach", "--tty", "-C", project, "--", "bash", "--norc"],
                    check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
t = Terminal([TB, "attach", id], 22, 66)
t.until(r"[$] ")
t.line("PS1='now> '; stty size; X=remembered")
t.until("22 66")
t.line("printf '\\033]52;c;eA==\\aseen'\n")
t.until("seen")
check(b"\x1b]52" not in t.shown, "a filter", t.shown)
t.send("\r")
time.sleep(0.5)
t.send("~.")
check(t.ended() == 0, "exit code of an attach that was left")
t.is_restored()
u = Terminal([TB, "attach", id], 30, 90)
u.until("now> ")
u.line("stty size; echo $X")
u.until("30 90")
u.until("remembered")
u.line("yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 3000000; echo; echo E''ND")
u.until("END", 200)
u.line("exit 8")
check(u.ended() == 8, "exit code of the task")
u.is_restored()
PYTHON

say "killed: nothing is left, and who waits gets to know"
detached -- sh -c 'sleep 600'
"$TASKBOX" exec "$id" -- sleep 600 2>"$T/exec.err" &
further=$!
"$TASKBOX" wait "$id" 2>"$T/wait.err" &
waiter=$!
sleep 1
kill -9 "$(supervisor)"
ended_with 125 "$further" "exec in a task that was killed"
ended_with 125 "$waiter" "wait for a task that was killed"
wait_for 5 no_processes || fail "processes left: $(processes_of_test | tr '\n' ';')"
expect 0 tb ls
equal failed "$(state)" "state of a task that was killed"
check_nothing_left

say "what fails before the box runs is said, and nothing is left behind"
expect 125 tb run --detach --image no-such -C "$project" -- true
one_error_line 'no-such'
expect 2 tb run --detach --json -C "$project" "x"
equal "$before" "$(tree_hash "$project")" "the project at the end"
