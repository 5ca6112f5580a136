#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: root of a box writes to everything it can reach: disks, memory, firmware, devices
# promise: P7
# hole: template-write
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# All that more than one box is made of. Nobody can write to a file and leave its ctime alone; reading gigabytes besides
# would tell no more, so what is small is read.
shared() {
    local dir
    for dir in images templates; do
        # Not what is being made just now; a manifest's times say when it was last used.
        (cd "$XDG_DATA_HOME/taskbox/$dir" 2>/dev/null &&
            find "$PWD" -mindepth 2 -type f ! -path "$PWD/.*" ! -name manifest.json -printf '%p %i %s %m %U %C@ %T@\n') || : # one may be dropped meanwhile
    done 2>/dev/null | sort
}
# shellcheck disable=SC2016 # the box expands it
live_box "$P" 'sleep 4; sudo bash -c '\''
exec 2>/dev/null
head -c 100M /dev/zero | tr "\0" X >/dev/shm/memory; rm /dev/shm/memory
head -c 30M /dev/urandom >/var/tmp/disk; sync
modprobe -a msr brd nvram mtdblock
for f in /dev/mem /dev/kmem /dev/port /dev/nvram /dev/fw_cfg /dev/pmem* /dev/mtd* /dev/sr* /dev/cpu/*/msr; do
    [ -e $f ] && timeout 3 dd if=/dev/urandom of=$f bs=4096 count=4 conv=notrunc
done
for f in /sys/bus/pci/devices/*/rom; do echo 1 >$f; dd if=/dev/urandom of=$f bs=512 count=1 conv=notrunc; done
for f in /sys/bus/pci/devices/*/resource[0-9]; do dd if=/dev/urandom of=$f bs=64 count=1 conv=notrunc; done
for f in /sys/firmware/efi/vars/* /sys/firmware/qemu_fw_cfg/by_key/*/raw; do dd if=/dev/urandom of=$f bs=64 count=1; done
for d in /sys/block/*; do
    d=/dev/${d##*/}; blockdev --setrw $d; size=$(blockdev --getsz $d)
    for at in 0 $((size * 256)) $((size * 512 - 262144)); do dd if=/dev/urandom of=$d bs=64k count=4 seek=$at oflag=seek_bytes,direct conv=notrunc; done
    timeout 5 blkdiscard -f $d
done
sync; echo wrote'\''; exit 0' --timeout 60s
shared >"$PLACE/before"
[ -s "$PLACE/before" ] || cannot "there are no images"
awk '$3 < 67108864 {print $1}' "$PLACE/before" | xargs sha256sum >"$PLACE/sums"
wait_box 200 || broken "the box does not end"
case $code in
0 | 124 | 125) ;; # what became of the box is its own business
*) broken "the box ended with $code" ;;
esac
shared >"$PLACE/after"
# Another taskbox may have made a template anew, or dropped it: then it is another file. A box could only write to this one.
changed=$(comm -23 "$PLACE/before" "$PLACE/after" | while read -r file inode _; do
    if [ "$(stat -c %i "$file" 2>/dev/null)" = "$inode" ]; then printf '%s ' "$file"; fi
done)
[ -z "$changed" ] || broken "the box has changed what others are made of: $changed"
sha256sum --quiet --ignore-missing -c "$PLACE/sums" >"$out" 2>&1 || broken "other bytes: $(head -n 3 "$out")"
held
