#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the project's own .taskbox.yaml and the variables of an .envrc widen network, masks, limits and agents
# promise: P5 P6 P8
# hole: project-settings
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
printf 'SECRET-OF-S2\n' >"$P/.env"
printf '%s\n' 'net: open' 'limits: {free-space: 1M, files: 100000000}' 'history: full' 'memory: 64G' >"$P/.taskbox.yaml"
export TASKBOX_NET=open TASKBOX_ALLOW_HOSTS=evil.test TASKBOX_INCLUDE='*'
# shellcheck disable=SC2016 # the box expands
box "$P" 'cat .env; env | grep -i _proxy; [ "$(awk "/MemTotal/ {print \$2}" /proc/meminfo)" -lt 8000000 ] && echo small'
grep -q '^small$' "$out" || broken "the box did not run ($code), or has the memory that the project asked for"
tb show --json @last >"$PLACE/record"
grep -q '"net_policy" *: *"none"' "$PLACE/record" ||
    broken "the box had a network: $(grep net_policy "$PLACE/record")"
if grep -qi proxy "$out"; then broken "the box was told of a proxy: $(grep -i proxy "$out")"; fi

# What a project may never say ends the run, and names the line.
for line in 'allow_hosts: [evil.test]' "include: ['*']" 'agents: {a: {command: [sh, "{prompt}"]}}' \
    'keep: always' 'agent: other' "exclude: ['!.env']" 'capacity: {cpus: 99}' 'run: rm -rf /'; do
    printf '%s\n' 'cpus: 1' "$line" >"$P/.taskbox.yaml"
    box "$P" 'cat .env; echo ran'
    [ "$code" -eq 125 ] || broken "with '$line' the run ended with $code"
    grep -q '\.taskbox\.yaml:2:' "$err" || broken "with '$line' no line is named"
    if grep -q 'ran\|SECRET' "$out"; then broken "with '$line' the box ran"; fi
done
ln -sf /etc/passwd "$P/.taskbox.yaml"
box "$P" true
[ "$code" -eq 125 ] || broken "a link was taken for the project's settings ($code)"
if grep -q 'root:' "$err"; then broken "what the link names was shown"; fi
held
