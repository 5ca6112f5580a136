#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: root in the box writes to the project's disk, remounts it, changes modes and times below
# promise: P1
# hole: project-disk
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
before=$(tree_hash "$P")
box "$P" 'echo warm >ignored.x' ${TASKBOX_HOLE:+--cold}
image=$(find "$XDG_CACHE_HOME/taskbox/projects" -name 'image-*' -newer "$P/text" | head -n 1)
disk=$(head -c 4194304 "$image" | sha256sum)
# shellcheck disable=SC2016 # the box expands it
box "$P" 'for d in /dev/vd?; do sudo blockdev --setrw $d; case $(cat /sys/block/${d#/dev/}/serial) in
    tbproject) echo attacked; sudo dd if=/dev/urandom of=$d bs=4k count=64 conv=notrunc oflag=direct; sudo blkdiscard -f $d;; esac; done
sudo mount -o remount,rw /var/lib/taskbox/image
sudo touch /var/lib/taskbox/image/new; sudo chmod 777 /var/lib/taskbox/image/text
echo mine >text; chmod 600 tool; touch -d 2001-01-01 tool; rm .gitignore; sudo rm -rf .git; echo done' ${TASKBOX_HOLE:+--cold}
grep -q '^attacked$' "$out" || cannot "the box does not find the project's disk"
grep -q '^done$' "$out" || broken "the box did not run ($code)"
[ "$before" = "$(tree_hash "$P")" ] || broken "the project is not what it was"
[ "$disk" = "$(head -c 4194304 "$image" | sha256sum)" ] || broken "the project image was written to"
held
