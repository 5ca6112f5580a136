#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: terminal sequences, bidi and invisible characters in names, content, output and links
# promise: P3
# hole: escape
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs python3
P=$PLACE/project
project "$P"
# shellcheck disable=SC2016 # the box expands it
box "$P" 'n=$(printf "evil\033]52;c;AAAA\007\033[2J\r\342\200\256x"); echo y >"$n"
printf "a\033[31mb\033]0;title\007c\302\233d\342\200\256e\342\200\213f\rg\n" >>text
ln -s "$(printf "to\033[1m\342\200\256")" link
printf "out\033]8;;http://x\007\033[3A\033[Kput\302\2335m\n"; printf "\033P+q\033\\\\" >&2'
cat >"$PLACE/screen.py" <<'PY'
import os, pty, sys
data = b""
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm-256color", PAGER="cat", NO_COLOR="1")
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    data += part
text = data.decode("utf-8", "surrogateescape")
bad = [c for c in text if (ord(c) < 32 and c not in "\r\n\t") or 0x7f <= ord(c) < 0xa0
       or c in "\u202e\u200b" or 0xdc80 <= ord(c) <= 0xdcff]
lone = text.replace("\r\n", "\n").count("\r")
print(sorted({hex(ord(c)) for c in bad}), lone)
sys.exit(1 if bad or lone else 0)
PY
for ask in "diff @last" "show @last" "inspect @last" "logs @last" "ls" "diff @last --stat" "diff @last --name-only" "apply --check @last"; do
    # shellcheck disable=SC2086 # words on purpose
    seen=$(python3 "$PLACE/screen.py" "$TASKBOX" $ask) || broken "taskbox $ask shows raw: $seen"
done
held
