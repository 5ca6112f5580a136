#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a list of changes without end, links that go round, and a box that lays its own file system in ruins
# promise: P2 P8 P9
# hole: export-limit
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
cp "$lib/hostile" "$P/ignored.hostile"
live_box "$P" "sudo systemd-run --quiet --collect \$PWD/ignored.hostile endless; sleep 60" --limit files=1000
wait_box 40 || broken "a list without end is taken without end"
[ "$code" -eq 125 ] || broken "endless: exit code $code, not 125"
tail -n 1 "$err.live" | grep -q '^taskbox: .*more than 1000' || broken "endless: no clear error: $(tail -n 1 "$err.live")"

# shellcheck disable=SC2016 # the box expands it
box "$P" 'ln -s . here; ln -s .. up; ln -s loop loop; mkdir a b; ln -s ../b a/b; ln -s ../a b/a; mkdir deep; cd deep
for i in $(seq 15); do mkdir d; ln -s . l; cd d; done; echo bottom >file'
[ "$code" -eq 0 ] || broken "links that go round: exit code $code"
tb show @last | grep -qw verified || broken "links that go round: no patch"
[ "$(tb diff @last --name-only | grep -c '/file$\|^here$\|^loop$\|^up$')" -eq 4 ] || broken "links that go round: not all of them came"

# The root of the box over its own disk. What becomes of the box is its own business: an honest patch or a clear end.
# shellcheck disable=SC2016 # the box expands it
ruin='echo before >before; sync; disk=$(findmnt -no SOURCE / | head -n 1)
sudo sh -c "for i in \$(seq 0 40 800); do dd if=/dev/urandom of=$disk bs=1M count=2 seek=\$i conv=notrunc 2>/dev/null; done
sync; echo 3 >/proc/sys/vm/drop_caches; echo after >after"; exit 0'
box "$P" "$ruin" --timeout 60s
if [ "$code" -eq 125 ]; then
    tail -n 1 "$err" | grep -q '^taskbox: ' || broken "ruins: no clear error"
    if tb show @last | grep -qw verified; then broken "ruins: called verified"; fi
else
    tb show @last | grep -qw verified || broken "ruins: ended with $code, and there is no patch"
    if tb diff @last --name-only | grep -vx 'before\|after'; then broken "ruins: the patch has files that the box did not write"; fi
fi
[ "$code" -ne 137 ] || broken "ruins: it had to be killed"
tb ls >"$out" 2>"$err" || broken "ruins: 'ls' does not work any more"
held
