#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: another user of this machine, and the box itself, speak to the control socket of a task that runs
# promise: P3 P5
# hole: control-socket
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs python3
P=$PLACE/project
project "$P"
umask 0
live_box "$P" 'sleep 300'
umask 022
task=$(task_dir_last)
[ -S "$task/control" ] || broken "there is no control socket"
# As whoever it is, from a directory that somebody opened for him: what he is refused by is the task's own.
cat >"$PLACE/speak.py" <<'PY'
import os, socket, sys
os.chdir(sys.argv[1])
os.setgroups([])
os.setresgid(23456, 23456, 23456)
os.setresuid(23456, 23456, 23456)
try:
    socket.socket(socket.AF_UNIX).connect("control")
    print("connected")
except PermissionError:
    print("refused")
PY
if [ "$(id -u)" -eq 0 ]; then
    python3 "$PLACE/speak.py" "$task" >"$out" 2>"$err" || broken "the other user could not try"
    grep -qx refused "$out" || broken "another user can connect to the control socket"
fi
bad=$(find "$task" \( -type s -o -type d \) -perm /0077 -printf '%p %m ')
[ -z "$bad" ] || broken "others have rights to $bad"
# A box has no way there but its channel, where what a client would say breaks the protocol.
end_box
BOX_SECONDS=60
hostile "$P" as-host
[ "$code" -eq 125 ] || broken "a box that spoke as a client ended with $code"
tail -n 1 "$err" | grep -q 'broke the protocol' || broken "a box that spoke as a client: $(tail -n 1 "$err")"
held
