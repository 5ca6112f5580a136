#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A runaway ends at its limit, what it did until then comes back, and the record says which limit it
# was (P8).
# shellcheck disable=SC2016 # scripts are for the box's shell to expand
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/p
make_project "$project"
cd "$project"

# runaway CODE SCRIPT FLAG...: what was done before is in the patch.
runaway() {
    local want=$1 script=$2
    shift 2
    expect "$want" tb run -C "$project" --timeout 60s "$@" -- sh -c "echo before >done; sync; $script"
    expect 0 tb diff --name-only @last
    holds "$T/out" '^done$' "what was done before ($script)"
}

say "time, with a command that ignores signals and writes while it is exported"
runaway 124 'trap "" TERM INT HUP; (trap "" TERM INT HUP; while :; do date >>busy; done) &
    while :; do :; done' --timeout 8s
expect 0 tb show @last
holds "$T/out" '^stopped +stopped after its timeout of 8 s' "the record"
holds "$T/out" '^limits +2 cpus, .* of memory, .* of disk, 8\.0 s, log 64' "the record"

say "processes"
bomb='bomb() { bomb | bomb & }; bomb; sleep 20; exit 3'
expect_any() {
    case " $1 " in *" $code "*) ;; *) fail "exit code $code, not one of $1" ;; esac
}
try tb run -C "$project" --timeout 40s --limit processes=100 -- sh -c "echo before >done; $bomb"
expect_any '3 2 124 254'
expect 0 tb diff --name-only @last
holds "$T/out" '^done$' "what was done before a fork bomb"
expect 0 tb run -C "$project" --timeout 60s --limit processes=50 -- sh -c '
    (i=0; while [ $i -lt 80 ]; do sleep 9 & i=$((i + 1)); done) 2>/dev/null
    read -r most </sys/fs/cgroup/taskbox/pids.max; read -r word refused </sys/fs/cgroup/taskbox/pids.events
    echo "$most $word"; [ "$refused" -gt 0 ]'
holds "$T/out" '^50 max$' "the limit in the box"

say "memory, descriptors, disk and inodes of the box"
runaway 0 'python3 -c "x = []
while True: x.append(bytearray(1 << 24))" 2>/dev/null || tail /dev/zero
    bash -c "while exec {fd}<text; do :; done" 2>/dev/null || true
    mkdir /tmp/i; cd /tmp/i; i=0; while [ $i -lt 3000 ] && : >$i; do i=$((i + 1)); done; true' --memory 512M --timeout 200s
runaway 0 'fallocate -l $(df --output=avail -B1 /var/tmp | tail -n 1) /var/tmp/fill
    head -c 90000000 /dev/zero >/var/tmp/more && exit 9; true' --timeout 200s

say "output"
runaway 0 'head -c 30000000 /dev/zero | tr "\0" x' --limit log=1M
[ "$(stat -c %s "$XDG_STATE_HOME/taskbox/tasks/$(last_task)/log")" -lt 1100000 ] || fail "the log grew on"
expect 0 tb show @last
holds "$T/out" "the log is cut" "the record"

say "console"
runaway 0 'sudo sh -c "head -c 9000000 /dev/urandom | base64 >/dev/ttyS0" & sleep 15; sudo kill %1 2>/dev/null; true'

say "changes"
expect 125 tb run -C "$project" --limit changes=1M -- sh -c 'head -c 3000000 /dev/urandom >big'
one_error_line "more than 1.0 MiB of new content \('big' alone is"
expect 125 tb run -C "$project" --limit files=20 -- sh -c 'for i in $(seq 30); do : >f$i; done'
one_error_line 'more than 20 changed (paths|files and directories)'
expect 125 tb run --limit nothing=1 -- true
expect 125 tb run --limit log=0 -- true

say "space on the host: refused at once, and ended in time"
free=$(($(stat -f -c '%a * %S' "$XDG_STATE_HOME")))
expect 125 tb run -C "$project" --limit free-space=$((free + (1 << 30))) -- true
one_error_line "are to stay free \(limit 'free-space'\)"
if [ "$(id -u)" -eq 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=1500m,mode=0755 tmpfs "$T/small" 2>/dev/null; then
    on_exit umount "$T/small"
    old=$XDG_STATE_HOME
    export XDG_STATE_HOME=$T/small/state
    mkdir "$XDG_STATE_HOME"
    runaway 124 'dd if=/dev/zero of=/var/tmp/fill bs=1M count=3000; sleep 100' --timeout 200s --limit free-space=800M
    holds "$XDG_STATE_HOME/taskbox/tasks/$(last_task)/record.json" 'are to stay free' "the record"
    rm -rf "$XDG_STATE_HOME/taskbox/tasks"

    say "and when it is full all the same, the box ends within seconds"
    start=$SECONDS
    expect 125 tb run -C "$project" --timeout 120s --limit free-space=1 -- sh -c \
        'dd if=/dev/zero of=/var/tmp/fill bs=1M count=3000 conv=fsync; sleep 100'
    one_error_line "the host's disk is full|No space left"
    [ $((SECONDS - start)) -lt 110 ] || fail "it took $((SECONDS - start)) s"
    export XDG_STATE_HOME=$old
else
    say "(no small file system can be mounted here: the end on a full disk is not tested)"
fi
