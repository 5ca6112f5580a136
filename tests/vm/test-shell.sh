#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `taskbox shell`: a full terminal in a throwaway box. The window's size, Ctrl-C, large pastes and much
# output get through; what could reach beyond the screen does not; the terminal is as it was after
# every way of ending; nothing is left unless it is wanted.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
requires_program python3
project=$T/tried
make_project "$project"
before=$(tree_hash "$project")
export PYTHONPATH=$source_dir/tests/lib PYTHONDONTWRITEBYTECODE=1 TASKBOX project

tasks() { tb ls --json 2>/dev/null | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }
user() { # what a user does, in Python
    say "$1"
    { printf 'import os, signal, sys, time\nfrom terminal import Terminal, check\n'
        printf 'TB, project = os.environ["TASKBOX"], os.environ["project"]\n'
        cat; } >"$T/user.py"
    python3 "$T/user.py" "${@:2}" || fail "$1"
    equal "$before" "$(tree_hash "$project")" "the project after: $1"
}
prompt='@[a-z]+-[a-z]+-[a-z0-9]+:/workspace/tried[$] '
export prompt

user "size, keys, UTF-8, exit code; thrown away by default" <<'PYTHON'
t = Terminal([TB, "shell", "-C", project], 31, 97)
P = os.environ["prompt"]
t.until(P)
t.line("stty size; echo $TERM-$LANG")
t.until("31 97\r\nxterm-256color-C.UTF-8")
t.resize(42, 120)
t.until(P)
t.line("sleep 0.3; stty size")
t.until("42 120")
t.line("sh -c 'echo S''LEEPS; exec sleep 600'")
t.until("SLEEPS\r\n")
t.send("\x03")
t.until(P)
t.line("sh -c 'echo S''LEEPS; exec sleep 601'")
t.until("SLEEPS\r\n")
t.send("\x1a")
t.until("Stopped")
t.line("kill %1; echo grüße | cat")
t.until("grüße\r\n")
t.line("echo $((1200 + 34)) >tried; touch ignored.x; exit 7")
t.until(r"1 file, \+1 -0: keep as a patch\? \[y/N/d\(iff\)\] ")
t.send("xd")
t.until(r"\+1234")
t.until(r"keep as a patch\? \[y/n/d\(iff\)\] ")
t.send("\r")  # may belong to the 'd'
t.send("n")
t.until("thrown away")
code = t.ended()
check(code == 7, f"exit code {code}")
t.is_restored()
PYTHON
equal 0 "$(tasks)" "tasks after a shell whose changes were thrown away"

user "large paste, much output, the answer yes" <<'PYTHON'
t = Terminal([TB, "shell", "-C", project])
P = os.environ["prompt"]
t.until(P)
t.line("stty -echo; cat >pasted; sha256sum <pasted")
time.sleep(1)
import hashlib
text = b"".join(b"%06d the quick brown fox\n" % i for i in range(12000))
t.send(text.replace(b"\n", b"\r"))
t.send("\x04")
t.until(hashlib.sha256(text).hexdigest())
t.line("stty echo")
t.until(P)
before = len(t.shown)
t.line("yes 0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456 | head -c 8388608; echo; echo END-$((1 + 1))")
t.until("END-2", 300)
check(len(t.shown) - before > 8388608, "much output", t.shown)
t.until(P)  # the terminal of a shell that does not read yet takes an end of input away
t.line("\x04")
t.until("keep as a patch")
t.send("y")
t.until("patch ready")
check(t.ended() == 0, "exit code")
t.is_restored()
PYTHON
equal 1 "$(tasks)" "tasks after a shell whose changes were kept"
expect 0 tb diff @last --name-only
holds "$T/out" '^pasted$' "the patch of a shell"
expect 0 tb ls
holds "$T/out" 'ready .*taskbox shell' "the list of tasks"

user "what a box writes cannot reach beyond the screen" <<'PYTHON'
t = Terminal([TB, "shell", "--no-patch", "-C", project])
t.until(os.environ["prompt"])
t.line(r"printf '\033]52;c;cm0gLXJm\007\033]0;title\007\033P$qm\033\\\033[21t\033[3J\033[5i\005\302\233x'; "
       r"printf '\033[31mred\033[0m\033[?1049h\033[?25l\033[?1000h\033[?2004h'; exit")
t.until(r"\x1b\[31mred\x1b\[0m\x1b\[\?1049h\x1b\[\?25l")
check(t.ended() == 0, "exit code")
for bad in (b"\x1b]", b"\x1bP", b"\x1b[21t", b"\x1b[3J", b"\x1b[5i", b"\x05", b"\xc2\x9b"):
    check(bad not in t.shown, f"{bad!r} was passed", t.shown)
end = t.shown[t.taken:]
for good in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?2004l"):
    check(good in end, f"{good!r} did not come at the end", end)
t.is_restored()
PYTHON
equal 1 "$(tasks)" "tasks after a shell with --no-patch"

user "the keys that leave in any case" <<'PYTHON'
t = Terminal([TB, "shell", "-C", project, "--", "sh", "-c", "stty raw -echo; echo hung; exec sleep 1000"])
t.until("hung")
t.send("~~x\r~.")
check(t.ended() == 137, "exit code")
t.is_restored()
PYTHON

for how in TERM HUP KILL; do
    user "SIG$how of taskbox" "$how" <<'PYTHON'
t = Terminal([TB, "shell", "-C", project])
t.until(os.environ["prompt"])
t.line(r"echo work >work; printf '\033[?1049h\033[?25l'; echo D''ONE")
t.until("DONE")
number = getattr(signal, "SIG" + sys.argv[1])
os.kill(t.pid, number)
code = t.ended()
check(code == 128 + number, f"exit code {code}")
t.is_restored()
while t.read(0.3):
    pass
check(b"\x1b[?1049l" in t.shown and b"\x1b[?25h" in t.shown, "the screen", t.shown)
PYTHON
    wait_for 5 no_processes || fail "processes left by SIG$how: $(processes_of_test | tr '\n' ';')"
    expect 0 tb ls
    check_nothing_left
    case $how in
    KILL) holds "$T/out" 'failed .*taskbox shell' "a shell that was killed" ;;
    *)
        expect 0 tb diff @last --name-only
        holds "$T/out" '^work$' "what SIG$how has interrupted is kept"
        ;;
    esac
    expect 0 tb discard @last
done

user "the terminal goes away" <<'PYTHON'
t = Terminal([TB, "shell", "-C", project])
t.until(os.environ["prompt"])
t.line("echo work >alone; echo D''ONE")
t.until("DONE")
t.close()
end = time.monotonic() + 60
while os.waitpid(t.pid, os.WNOHANG)[0] == 0:
    check(time.monotonic() < end, "it goes on without a terminal")
    time.sleep(0.1)
PYTHON
expect 0 tb diff @last --name-only
holds "$T/out" '^alone$' "what was done before the terminal went away"

user "the box dies" <<'PYTHON'
t = Terminal([TB, "shell", "-C", project])
t.until(os.environ["prompt"])
t.line("sudo sh -c 'echo o >/proc/sysrq-trigger'; sleep 60")
check(t.ended(120) == 125, "exit code")
t.is_restored()
PYTHON
check_nothing_left

say "as a pipe"
n=$(tasks)
printf 'pwd\necho changed >text\ntest -t 0 || echo "no terminal"\nexit 5\n' >"$T/in"
code=0
tb shell -C "$project" <"$T/in" >"$T/out" 2>"$T/err" || code=$?
equal 5 "$code" "exit code of a shell in a pipe"
holds "$T/out" '^/workspace/tried$' "a shell in a pipe"
holds "$T/out" '^no terminal$' "a shell in a pipe"
holds "$T/err" '1 file, \+1 -3: thrown away' "what became of the changes"
equal "$n" "$(tasks)" "tasks after a shell in a pipe"
tb shell --patch -C "$project" <"$T/in" >"$T/out" 2>"$T/err" || true
holds "$T/err" 'patch ready' "--patch"
equal $((n + 1)) "$(tasks)" "tasks after a shell with --patch"
try tb shell --patch --no-patch
equal 125 "$code" "exit code of a wrong command line"
one_error_line 'contradict'

say "run --tty"
expect 0 tb run --tty -C "$project" -- sh -c 'test -t 0 && test -t 2 && stty size' </dev/null
holds "$T/out" '^24 80' "the size of a terminal without one"
expect 0 tb run -C "$project" -- sh -c '! test -t 0 && ! test -t 1'
equal "$before" "$(tree_hash "$project")" "the project at the end"
