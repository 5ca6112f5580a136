#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Boxes that are forked from one template share nothing that should be theirs alone; a template that
# has changed in any way is never used, and the task runs all the same.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/forked
make_project "$project"
templates=$XDG_DATA_HOME/taskbox/templates
expect 0 tb template build
key=$(cat "$T/out")
state_of() { (cd "$templates/$key" && stat -c '%n %a %i %s %Z.%z' memory state disk.qcow2 overlay.qcow2); }
before=$(state_of)

# A boot that stands still, while all else goes on: looked at when it has been ended, see below.
"$TASKBOX" template build --memory 768MiB >"$T/still" 2>"$T/still.said" &
still=$!
still_starts() { qemu_below "$still" >"$T/still.qemu"; }
wait_for 60 still_starts || fail "the template's VM does not start"
xargs kill -STOP <"$T/still.qemu" || fail "the template's VM does not start"

say "two forks at once: what must differ differs, and the time is right"
# shellcheck disable=SC2016
ask='date +%s; cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id /etc/machine-id
head -c 32 /dev/urandom | od -An -tx1 | tr -d " \n"; echo; mktemp -u; hostname; bash -c "echo r\$RANDOM\$RANDOM"
ssh-keygen -q -t ed25519 -N "" -f /tmp/key && cut -d" " -f2 /tmp/key.pub; test ! -e /dev/shm/mark && touch /dev/shm/mark'
for name in one two; do
    tb run --json -C "$project" -- sh -c "$ask" >"$T/$name.json" 2>"$T/$name.said" &
    eval "pid_$name=$!"
done
started=$(date +%s)
# shellcheck disable=SC2154
for pid in "$pid_one" "$pid_two"; do
    wait "$pid" || { cp "$T/one.said" "$T/err" && fail "a fork failed"; }
done
ended=$(date +%s)
for name in one two; do
    equal fork "$(json "$T/$name.json" start)" "how box $name came to run"
    grep -v '^taskbox: ' "$T/$name.said" >"$T/$name"
    equal 9 "$(wc -l <"$T/$name")" "answers of box $name"
    time=$(head -n 1 "$T/$name")
    if [ "$time" -lt $((started - 1)) ] || [ "$time" -gt $((ended + 1)) ]; then
        fail "the time in box $name is $time, not between $started and $ended"
    fi
done
for line in 2 3 4 5 6 7 8 9; do
    differ "$(sed -n "${line}p" "$T/one")" "$(sed -n "${line}p" "$T/two")" "answer $line of two forks"
done
equal "$before" "$(state_of)" "the template after two forks"

say "--cold boots; the command begins when what a boot does to /tmp is done"
# shellcheck disable=SC2016 # the box's
expect 0 tb run --cold -C "$project" -- sh -c 'when() { sudo systemctl show -P "ExecMain$1TimestampMonotonic" "$2"; }
emptied=$(when Exit systemd-tmpfiles-setup) begun=$(when Start taskbox-guest); echo "$emptied $begun"
[ "$emptied" -gt 0 ] && [ "$emptied" -le "$begun" ]'
expect 0 tb run --cold --json -C "$project" -- true
equal boot "$(json "$T/out" start)" "how the box came to run"

# refused WHAT: the template was changed; the run says so in one line, and goes on without it.
refused() {
    expect 7 tb run -C "$project" -- sh -c 'exit 7'
    equal 1 "$(grep -c "has changed since it was made: $1; it is dropped" "$T/err")" "lines on a changed $1"
}
say "a changed template is dropped, and another made"
chmod u+w "$templates/$key/memory"
refused memory
at=$((1024 * 1024))
printf 'x' | dd of="$templates/$key/state" bs=1 seek=1000 conv=notrunc status=none
refused state
chmod u+w "$templates/$key" && rm -f "$templates/$key/overlay.qcow2"
refused overlay.qcow2
chmod u+w "$templates/$key/memory" && truncate -s "$at" "$templates/$key/memory" && chmod a-w "$templates/$key/memory"
refused memory
expect 0 tb run --json -C "$project" -- true
equal fork "$(json "$T/out" start)" "the start after all that"

say "template ls, show, rm"
expect 0 tb template ls
holds "$T/out" "^${key:0:12} +debian " "'template ls'"
expect 0 tb template show "${key:0:12}"
holds "$T/out" '"imageDigest"' "'template show'"
expect 0 tb template rm "${key:0:12}"
expect 1 tb template show "${key:0:12}"

say "SIGKILL while it freezes; then two runs that both want the template, and QEMU dies of its boot"
for delay in 1 0.3 0; do
    : >"$T/killed.said"
    "$TASKBOX" template build >"$T/killed" 2>"$T/killed.said" &
    pid=$!
    wait_for "$boot_limit" grep -q ': freezing' "$T/killed.said" || fail "the template does not come to be frozen"
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    [ -s "$T/killed" ] || break # else it was done already
    expect 0 tb template rm "${key:0:12}"
done
equal '' "$(cat "$T/killed")" "key of a template that was never finished"
for name in one two; do
    tb run --json -C "$project" -- true >"$T/$name.json" 2>"$T/$name.said" &
    eval "pid_$name=$!"
done
emulates() { runs_a_guest "$(pgrep -f "$1")"; }
wait_for "$boot_limit" emulates "qemu.*guest=template-${key:0:12}" || fail "no QEMU boots the template"
pkill -ABRT -f "qemu.*guest=template-${key:0:12}"
for name in one two; do
    pid=pid_$name
    wait "${!pid}" || { cp "$T/$name.said" "$T/err" && fail "run $name failed after a killed freeze"; }
    equal fork "$(json "$T/$name.json" start)" "how box $name came to run"
done
equal 1 "$(cat "$T/one.said" "$T/two.said" | grep -c ': booting (once')" "times the template was made"
equal 1 "$(cat "$T/one.said" "$T/two.said" | grep -c 'the VM died.*; booting it once more')" "boots that QEMU died of"
[ -e "$templates/$key/manifest.json" ] || fail "the template has no manifest"

say "a boot that stood still was ended, and done once more"
wait_for 300 grep -q ': freezing' "$T/still.said" || { cp "$T/still.said" "$T/err" && fail "no second boot"; }
holds "$T/still.said" 'has not answered in time .*; booting it once more' "what is said of a boot that stands still"
wait "$still" || { cp "$T/still.said" "$T/err" && fail "the template of the second boot"; }
expect 0 tb template rm "$(cut -c 1-12 "$T/still")"
[ ! -e "$templates/.failed-$key" ] || fail "the template is said to have failed"
# Another test's image may have one that fails on purpose.
equal '' "$(find "$templates" -mindepth 1 -maxdepth 1 | grep -vE '/(\.failed-)?[0-9a-f]{64}$' || true)" \
    "what lies among the templates and is none"
