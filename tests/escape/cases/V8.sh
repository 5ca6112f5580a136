#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a box looks for what an earlier box and one beside it have written: disk blocks, shared memory, sockets
# promise: P7
# hole: box-left
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
mark=MARK-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
half=${mark#MARK-}
# Where on the disk it came to lie is told, too: that is where the next box looks.
write="m=MARK-; m=\${m}$half; for i in \$(seq 2000); do echo \$m \$i; done >/tmp/m; sudo cp /tmp/m /var/tmp/mark; cp /tmp/m /dev/shm/mark; sync"
# shellcheck disable=SC2016 # the box expands it
where='echo disk $(findmnt -no SOURCE / | head -n 1); sudo filefrag -v -b1 /var/tmp/mark | sed -n "s/^ *[0-9]*: *[0-9]*\.\. *[0-9]*: *\([0-9]*\)\.\. *[0-9]*: *\([0-9]*\):.*/block \1 \2/p"'
box "$P" "$write; echo wrote \$(grep -c $mark /var/tmp/mark); $where"
[ "$code" -eq 0 ] || broken "the first box ended with $code"
grep -q '^wrote 2000$' "$out" || cannot "the first box has not written its mark: $(tr '\n' ' ' <"$out")$(tail -n 1 "$err")"
disk=$(sed -n 's/^disk //p' "$out")
blocks=$(grep '^block ' "$out" || :)
[ -n "$blocks" ] || cannot "the image cannot say where on its disk a file lies"
live_box "$P" "$write; echo written; sleep 300"
await written
look=$(printf '%s\n' "$blocks" | while read -r _ at length; do
    printf 'sudo dd if=%s bs=512 skip=%s count=%s iflag=direct 2>/dev/null; ' "$disk" "$((at / 512))" "$((length / 512))"
done)
# The mark itself must not get in with the script: it is put together in the box.
box "$P" "s=MARK-; s=\${s}$(printf %s "$half" | cut -c1-12); t=$(printf %s "$half" | cut -c13-)
find_it() { grep -a -c -F \"\$s\$t\" 2>/dev/null; }
echo blocks \$({ $look } | find_it)
for d in /dev/vd?; do echo disk-\$d \$(sudo dd if=\$d bs=4M count=64 iflag=direct 2>/dev/null | find_it); done
echo \"\$s\$t\" >~/mark # sudo writes down what it is asked for
echo files \$(sudo find /dev/shm /var/tmp /run /tmp -xdev -type f -exec grep -lsF -f ~/mark {} + 2>/dev/null | wc -l)
echo sockets \$(sudo grep -c mark /proc/net/unix); echo done"
grep -q '^done$' "$out" || broken "the box did not run ($code)"
if grep -qE '^(blocks|disk-[a-z/]*|files|sockets) [1-9]' "$out"; then broken "found of another box: $(grep -E ' [1-9]' "$out" | tr '\n' ';')"; fi
held
