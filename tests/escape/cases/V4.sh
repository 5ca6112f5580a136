#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: calls made inside of the box's own QEMU and libvirt helper, as if they had been taken over
# promise: P5 P7
# hole: jail-calls
# hole: jail-landlock
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# What must come of each call: 0 works, and why that is so is in docs/security.md; `killed` by QEMU's
# own filter; none that is not named.
cat >"$PLACE/table" <<'TABLE'
read-shadow        ENOENT
see-home           ENOENT
see-root-home      ENOENT
write-usr          EROFS EACCES
write-image        EROFS EACCES
write-template     EROFS EACCES
write-program      EROFS EACCES
write-sys          EROFS EACCES ENOENT
write-proc-sys     EROFS EACCES ENOENT
device-memory      ENOENT
device-kmsg        ENOENT
chmod-image        EROFS
chmod-template     EROFS
truncate-image     EROFS EACCES
unlink-image       EROFS EBUSY
write-own          0
chmod-setuid       EPERM
grow-file          EFBIG
raise-limit        EPERM
mknod-block        EPERM
symlink-own        0 EEXIST
mount-setattr      EPERM
umount             EPERM
open-tree          EPERM
pivot-root         EPERM
chroot             EPERM
by-handle          EPERM
socket-inet        EAFNOSUPPORT
socket-inet6       EAFNOSUPPORT
socket-vsock       EAFNOSUPPORT
socket-packet      EAFNOSUPPORT
io-uring           EPERM
bpf                EPERM
userfaultfd        EPERM
keyctl             EPERM
perf               EPERM
ptrace             EPERM
process-vm-writev  EPERM
pidfd-getfd        EPERM
init-module        EPERM
tiocsti            EPERM
signal-taskbox     ESRCH
connect-host       ECONNREFUSED ENOENT
TABLE
live_box "$P" 'sleep 600'
# What a box that was booted has no template for.
if ! is_forked; then sed -i -E 's/^([a-z]+-template +).*/\1ENOENT/' "$PLACE/table"; fi
# The mounts leave it writable: there landlock is the only fence, where the kernel has it.
if tb doctor | grep -qE '^ok +landlock +version'; then echo 'write-proc-own EACCES' >>"$PLACE/table"; fi
# Of one that has no second filter; in QEMU these are the end of it (below).
printf '%s EPERM\n' mount reboot unshare-user setns clone-user >"$PLACE/table.helper"

# drill PROGRAM TABLE...: makes the calls and compares.
drill() {
    local program=$1 result=0 name answer wanted
    shift
    cat "$@" >"$PLACE/asked"
    cut -d' ' -f1 <"$PLACE/asked" | xargs timeout -k 5 60 "$lib/drill" "$box_pid" "$program" >"$out" 2>"$err" || result=$?
    if grep -q 'cannot look into\|cannot write into\|no calls are known' "$err"; then
        cannot "nobody may look into a process of his own here ($(cat "$err"))"
    fi
    [ "$result" -eq 0 ] || broken "the drill in $program ended with $result; the box: $(tail -n 1 "$err.live")"
    while read -r name wanted; do
        answer=$(sed -n "s/^$name //p" "$out")
        case " $wanted " in *" ${answer:-nothing} "*) ;; *) broken "$program: '$name' gave ${answer:-no answer}, not $wanted" ;; esac
    done <"$PLACE/asked"
}

drill taskbox-vmm "$PLACE/table" "$PLACE/table.helper"
drill qemu-system-x86 "$PLACE/table"
kill -0 "$box_pid" 2>/dev/null || broken "the box did not live on"
# The link that it left in its own directory is nobody's to follow (V5).
end_box
[ "$code" -eq 143 ] || broken "the run ended with $code"
tb show @last >"$out"
grep -qw verified "$out" || broken "the box's work is not exported after that"
# QEMU's own filter ends the thread that makes one of these; that of QEMU 10 only refuses a program.
for call in mount execve unshare-user; do
    live_box "$P" 'sleep 600'
    printf '%s killed\n' "$call" | sed '/^execve/s/$/ EPERM/' >"$PLACE/table.end"
    drill qemu-system-x86 "$PLACE/table.end"
    kill -9 "$box_pid"
    wait "$box_pid" 2>/dev/null || :
    box_pid=
done
held
