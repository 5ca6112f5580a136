#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the proxy dies in the middle of a task; settings with a wrong key
# promise: P5
# hole: config-unknown
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
needs pgrep
BOX_SHELL=bash
live_box "$P" "$(asking)
ask 'GET http://ok.invalid/ HTTP/1.1' 'Host: ok.invalid'; echo asked; sleep 4
ask 'GET http://ok.invalid/ HTTP/1.1' 'Host: ok.invalid'
ls /sys/class/net; echo done" --allow-host ok.invalid
await asked
grep -q '^answer HTTP/1.. 50' "$out.live" || broken "there was no proxy: $(tail -n 3 "$out.live")"
proxy=$(of_box taskbox-egress)
[ -n "$proxy" ] || broken "there is no proxy process"
# shellcheck disable=SC2086 # one or two numbers
kill -9 $proxy
wait_box 60 || broken "the box did not end"
grep -q '^done$' "$out.live" || broken "the box did not go on ($code)"
[ "$(grep -c '^answer HTTP' "$out.live")" -eq 1 ] || broken "something answered when the proxy was dead"
if grep -qE '^(eth|en|wl)' "$out.live"; then broken "the box has a network card"; fi
tb show @last >"$out"
grep -q 'its proxy had died' "$out" || broken "the record does not say that the network was gone"
mkdir -p "$XDG_CONFIG_HOME/taskbox"
for settings in 'nett: open' 'net: anything' 'net: [open' 'net: {open: yes}'; do
    printf '%s\n' "$settings" >"$XDG_CONFIG_HOME/taskbox/config.yaml"
    try tb run -C "$P" -- true
    [ "$code" -eq 125 ] || [ "$code" -eq 2 ] || broken "'$settings' was taken ($code)"
    grep -q 'config.yaml' "$err" || broken "the error does not name the file"
done
held
