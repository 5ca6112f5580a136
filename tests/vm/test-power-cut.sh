#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# When taskbox says that the patch is there, a power cut does not take it (K14): by then the patch, its
# record and the directories that name them have been written to disk, in an order of which each moment
# is whole. Seen from the system calls of the process that writes them.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

requires_program strace python3
need_image
project=$T/p
make_project "$project"
strace -o "$T/can" true 2>"$T/err" || skip "strace cannot look at a process here"
expect 0 strace -y -qq -s 400 -o "$T/trace" -e trace=openat,mkdir,mkdirat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2 \
    "$TASKBOX" run -C "$project" -- sh -c 'echo more >>text'
id=$(last_task)
python3 - "$T/trace" "$XDG_STATE_HOME/taskbox/tasks" "$id" <<'PYTHON' || fail "the order of what is written to disk"
import re, sys
trace, tasks, ident = sys.argv[1:]
task = f"{tasks}/{ident}"
lines = open(trace, encoding="utf-8", errors="replace").read().splitlines()

def last(pattern, before=len(lines)):
    found = [i for i in range(before) if re.search(pattern, lines[i])]
    return found[-1] if found else -1

def must(what, holds):
    print("holds:" if holds else "DOES NOT HOLD:", what)
    return holds

said = last(r'^write\(2<.*patch ready')
there = re.escape(task)
patch = last(rf'^write\(\d+<{there}/[^>]*patch[^>]*>', said)
patch_synced = [i for i in range(patch + 1, said) if re.search(rf'^f(data)?sync\(\d+<{there}/[^>]*patch[^>]*>\) += 0', lines[i])]
named = last(rf'^rename.*<{there}>.*"patch"', said)
dir_synced = [i for i in range(max(named, patch), said) if re.search(rf'^fsync\(\d+<{there}>\) += 0', lines[i])]
record = [i for i in range(said) if re.search(rf'^rename.*"record\.json"', lines[i])]
ready = record[-1] if record else -1
record_synced = [i for i in range(max(ready - 2, 0), ready) if re.search(rf'^fsync\(\d+<{there}/\.tb-[^>]*>\) += 0', lines[i])]
after_record = [i for i in range(ready, said) if re.search(rf'^fsync\(\d+<{there}>\) += 0', lines[i])]
made = next((i for i, line in enumerate(lines) if re.search(rf'^rename.*"{re.escape(ident)}"', line)), len(lines))
entry = [i for i in range(made, said) if re.search(rf'^fsync\(\d+<{re.escape(tasks)}>\) += 0', lines[i])]
ok = [must("it says that there is a patch", said >= 0),
      must("the patch is written before that", patch >= 0),
      must("and synced after its last write", bool(patch_synced)),
      must("and its directory after it has its name", bool(dir_synced)),
      must("the last record is renamed into place after the patch is safe",
           bool(patch_synced and dir_synced) and ready > patch_synced[0] and ready > dir_synced[0]),
      must("the record was synced before its rename, and its directory after it", bool(record_synced and after_record)),
      must("the name of the task's directory is on disk", bool(entry))]
if not all(ok):
    print("\n".join(line[:200] for line in lines if task in line or "taskbox diff" in line)[-6000:])
sys.exit(0 if all(ok) else 1)
PYTHON
