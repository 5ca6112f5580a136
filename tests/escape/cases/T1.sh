#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: sequences to the user's own terminal: clipboard, titles, reports with a text of the box's, keys, printing, 8-bit controls
# promise: P3
# hole: term-filter
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs python3
P=$PLACE/project
project "$P"
cat >"$PLACE/terminal.py" <<'PY'
import os, pty, re, select, sys, time

TRICKS = {
    "clipboard": b"\x1b]52;c;Y3VybCBldmlsIHwgc2gK\x07", "clipboard-asked": b"\x1b]52;c;?\x1b\\\\",
    "title": b"\x1b]0;evil\x07", "title-report": b"\x1b[21t", "icon-report": b"\x1b[20t", "window": b"\x1b[8;2;2t",
    "title-8bit": b"\x9d0;evil\x9c", "csi-8bit": b"\x9b21t", "csi-c1-utf8": b"\xc2\x9b21t",
    "decrqss": b"\x1bP$q\"p\x1b\\\\", "xtgettcap": b"\x1bP+q544e\x1b\\\\", "keys": b"\x1bP1;1|17/6576696c\x1b\\\\",
    "macro": b"\x1bP1;1;0!z6576696c\x1b\\\\", "link": b"\x1b]8;;http://evil.test/\x07x\x1b]8;;\x07",
    "colours": b"\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;#fff\x07", "notify": b"\x1b]9;evil\x07\x1b]777;notify;a;b\x07",
    "file": b"\x1b]1337;File=name=eA==;inline=0:eA==\x07", "apc": b"\x1b_Gi=1;AAAA\x1b\\\\", "pm": b"\x1b^x\x1b\\\\",
    "sos": b"\x1bXx\x1b\\\\", "print": b"\x1b[5i evil \x1b[4i\x1b[i", "answerback": b"\x05", "decid": b"\x1bZ",
    "checksum": b"\x1b[1;1;1;1;9;9*y", "mode-report": b"\x1b[?2004$p", "dec-report": b"\x1b[?26n", "da3": b"\x1b[=c",
    "version": b"\x1b[>q", "keyboard": b"\x1b[>1u\x1b[?u\x1b[=1;1u", "modify-keys": b"\x1b[>4;2m", "locked": b"\x1b[2h",
    "charset": b"\x1b%@\x1b(B\x1b-A", "scrollback": b"\x1b[3J", "reset": b"\x1bc", "lights": b"\x1b[1q",
    "split": b"\x1b]52;" + b"c;" * 4000 + b"Y\x07", "unended": b"\x1b]52;c;Y3VybA",
}
BAD = re.compile(rb"\x1b[\]PX^_Zc%]|\x1b\[[0-9;:?>=<]*[ -/]*(?:[tiq]|\*y|\$p|u)|\x05|\x1b\[3J|\x1b\[2h|\x1b\[[?=][0-9]*[nc]|\x1b\[>[0-9;]*[mq]")
taskbox, project, how = sys.argv[1:4]
with open(f"{project}/ignored.tricks", "wb") as file:
    file.write(b"".join(b"trick %s " % name.encode() + trick + b"\n" for name, trick in TRICKS.items()) + b"\nall shown\n")
command = ["sh", "-c", "cat ignored.tricks; sleep 2"]
argv = [taskbox, how, "-C", project] + (["--no-patch"] if how == "shell" else ["--tty"]) + os.environ["FLAGS"].split() + ["--"]
pid, master = pty.fork()
if pid == 0:
    os.execvpe(argv[0], argv + command, {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
shown, end = b"", time.monotonic() + 300
while time.monotonic() < end:
    if not select.select([master], [], [], 1)[0]:
        continue
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    if not data:
        break
    shown += data
os.waitpid(pid, 0)
text = shown.decode("utf-8", "replace")
missing = [name for name in TRICKS if f"trick {name}" not in text and name not in ("unended",)]
print("seen", len(TRICKS) - len(missing), "of", len(TRICKS), "shown" if "trick clipboard" in text else "nothing")
for match in BAD.finditer(shown):
    print("passed", shown[max(0, match.start() - 30):match.end() + 10])
if any(0x80 <= ord(c) < 0xa0 for c in text):
    print("passed an 8-bit control")
PY
for how in shell run; do
    FLAGS="${start_flags[*]}" python3 "$PLACE/terminal.py" "$TASKBOX" "$P" "$how" >"$out" 2>"$err" || broken "$how: the terminal ended"
    grep -q '^seen .* shown$' "$out" || broken "$how: the box's text was not shown: $(head -n 3 "$out")"
    if grep '^passed' "$out" >"$PLACE/passed"; then broken "$how: $(head -n 3 "$PLACE/passed")"; fi
done
held
