#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: headers that name a file of the host: by the box at the start of its disk, by a QEMU taken over in the overlay
# promise: P5
# hole: box-disk
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
needs python3
printf 'SECRET-OF-THE-HOST\n' >"$PLACE/secret"
truncate -s 1M "$PLACE/secret"
cat >"$PLACE/forge.py" <<'PY'
import os, struct, sys
how, path, secret = sys.argv[1], sys.argv[2], sys.argv[3].encode()
if how == "header":
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 512, len(secret), 16, 1 << 20, 0, 0, 0, 65536, 1, 0, 0, 0, 0, 0, 4, 104)
    with open(path, "wb") as file:
        file.write((head.ljust(512, b"\0") + secret).ljust(1024, b"\0"))
else: # another backing file in a header that is there
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        end += -end % 65536
        file.seek(end)
        file.write(secret)
        file.seek(8)
        file.write(struct.pack(">QI", 600, len(secret)))
        file.seek(600)
        file.write(secret)
PY
python3 "$PLACE/forge.py" header "$P/ignored.header" "$PLACE/secret"
live_box "$P" 'sudo dd if=ignored.header of=/dev/vda conv=notrunc,fsync bs=1024 count=1 2>/dev/null; echo written; sleep 600' --keep always
await written
dir=$(find "$XDG_STATE_HOME/taskbox/tasks" -path '*/box' -prune -print)
[ -n "$dir" ] || broken "the box has no directory"
opened "$PLACE/secret" start
python3 "$PLACE/forge.py" overlay "$dir/overlay.qcow2" "$PLACE/secret"
end_box
[ -e "$dir/overlay.qcow2" ] || broken "the box was not kept"
for ask in ls "show @last" "diff @last" "inspect @last" "logs @last" gc "discard @last" ls; do
    # shellcheck disable=SC2086 # words on purpose
    "$TASKBOX" $ask >>"$PLACE/said" 2>&1 </dev/null || :
done
opened "$PLACE/secret" stop || broken "a program of the host opened the file that a header names"
if grep -rqsaz SECRET-OF-THE-HOST "$XDG_STATE_HOME" "$PLACE/said"; then broken "the content of the file came back"; fi
held
