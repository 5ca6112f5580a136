#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: addresses and names without a dot, in every spelling, where any public name may be reached
# promise: P5
# hole: net-names
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
trap_server
BOX_SHELL=bash
box "$P" "$(asking)
for host in 127.0.0.1 127.1 2130706433 0x7f.1 0177.0.0.1 0 localhost localhost. [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] \\
    169.254.169.254 2852039166 [64:ff9b::7f00:1] [2002:7f00:1::] 127.0.0.1%00.example.com; do
    ask \"GET http://\$host:$port/ HTTP/1.1\" \"Host: \$host:$port\"; ask \"CONNECT \$host:$port HTTP/1.1\" \"Host: \$host:$port\"
done; echo done" --net open
grep -q '^done$' "$out" || broken "the box did not run ($code)"
[ ! -s "$PLACE/reached" ] || broken "the server on the host was reached"
if grep -qE '^answer HTTP/1.. [23]' "$out"; then broken "answered: $(grep -E '^answer HTTP/1.. [23]' "$out" | head -n 1)"; fi
[ "$(grep -cE '^answer HTTP/1.. [45]' "$out")" -ge 20 ] || broken "not all were refused: $(sort "$out" | uniq -c | head -n 5 | tr '\n' ';')"
tb logs --net @last >"$out"
[ "$(grep -c refused "$out")" -ge 16 ] || broken "the log names $(grep -c refused "$out") refusals"
held
