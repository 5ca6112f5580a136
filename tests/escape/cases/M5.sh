#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a kernel that does nothing else speaks raw 9p to the QEMU that shares the project: names, links, writes, fids, nonsense
# promise: P1
# hole: share-9p
# hole: share-git
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

# No kernel of a golden image need know 9p for that: the box's is the default image's own, the attack its init,
# and this image says of itself that it can mount 9p. It has a store of its own.
needs tar zstd qemu-img
debian=$("$TASKBOX" image show debian 2>/dev/null) || cannot "there is no golden image (taskbox image build)"
digest=$(printf '%s' "$debian" | sed -n 's/^ *"digest" *: *"\([0-9a-f]*\)".*/\1/p' | head -n 1)
kernel=$XDG_DATA_HOME/taskbox/images/$digest/kernel
[ -r "$kernel" ] || cannot "the golden image has no kernel that can be read"
P=$PLACE/project
shared_project "$P"

# An initramfs of one file (cpio, "newc"), and an empty disk.
entry() { # NAME MODE SIZE, then the bytes
    printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' 1 "$2" 0 0 1 0 "$3" 0 0 0 0 "$((${#1} + 1))" 0 "$1"
    head -c "$(((4 - (110 + ${#1} + 1) % 4) % 4))" /dev/zero
}
I=$PLACE/image
mkdir "$I"
cp "$kernel" "$I/kernel"
size=$(stat -c %s "$lib/raw9p")
{
    entry init 0100755 "$size"
    cat "$lib/raw9p"
    head -c "$(((4 - size % 4) % 4))" /dev/zero
    entry 'TRAILER!!!' 0 0
} >"$I/initrd"
qemu-img create -q -f qcow2 "$I/disk.qcow2" 1G
cat >"$I/manifest.json" <<JSON
{"format": 1, "name": "raw", "digest": "$(printf '%064d' 0)", "arch": "$(uname -m)", "kernel": "raw",
 "cmdline": "console=ttyS0 quiet loglevel=4 panic=-1 -- $mark", "filesystems": "9p", "cpus": 1,
 "memory": 268435456, "disk": 1073741824, "mountType": "9p"}
JSON
(cd "$I" && sha256sum disk.qcow2 kernel initrd manifest.json >SHA256SUMS &&
    tar --format=ustar -c manifest.json SHA256SUMS kernel initrd disk.qcow2 | zstd -q -1 >"$PLACE/raw.image")
export XDG_DATA_HOME=$PLACE/data
mkdir "$XDG_DATA_HOME"
try "$TASKBOX" image import "$PLACE/raw.image"
[ "$code" -eq 0 ] || cannot "the image is not taken: $(tail -n 1 "$err")"

ln -s .. "$P/up"
ln -s /image "$P/jail"
ln -s /etc/passwd "$P/passwd"
ln -s /proc/self/root "$P/self"
ln -s dir "$P/inward"
git init -q "$P/nested"
git -C "$P/nested" config remote.origin.url "https://user:$mark@example.org/nested"
printf '#!/bin/sh\n' >"$P/.git/hooks/post-commit"
before=$(tree_hash "$P")
# What it says is on its console; it never takes a command, so no run of it goes well.
try timeout --foreground -k 20 "${BOX_SECONDS:-300}" "$TASKBOX" run --cold --image raw --mount 9p --keep always -C "$P" -- true
at=$(task_dir_last)/box
console=$at/console.log
[ -r "$console" ] || cannot "there is no console: $(tail -n 1 "$err")"
tr -d '\r' <"$console" >"$out"
grep -q '^spoke$' "$out" || cannot "QEMU does not answer: $(tail -n 1 "$out")"
grep -q '^found$' "$out" || cannot "QEMU does not show the project"
! grep '^READ' "$out" || broken "what is not shared was read"
! grep '^LEFT' "$out" || broken "a name led out of what is shared"
! grep '^WROTE' "$out" || broken "a change was acknowledged"
grep -q '^asked$' "$out" || broken "the attack did not come to its end: $(tail -n 1 "$out")"
[ "$before" = "$(tree_hash "$P")" ] || broken "the project is not what it was"
[ "$(cat "$PLACE/outside")" = "$mark" ] || broken "what lies outside was changed"
beside=$(find "$PLACE" "$at" -maxdepth 1 -name 'm*' -newer "$P/text" ! -name memory)
[ -z "$beside" ] || broken "something was written beside the project: $beside"
[ "$code" -eq 125 ] || broken "the run ended with $code"
held
