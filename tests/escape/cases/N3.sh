#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: an allowed name whose address is the host's, headers that name two hosts or two lengths
# promise: P5
# hole: net-rebind
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
trap_server
BOX_SHELL=bash
box "$P" "$(asking)
ask \"GET http://trap.localhost:$port/ HTTP/1.1\" \"Host: trap.localhost:$port\"
ask \"CONNECT trap.localhost:$port HTTP/1.1\" \"Host: trap.localhost:$port\"
ask 'GET http://ok.invalid/ HTTP/1.1' 'Host: other.invalid'
ask 'GET http://user:word@ok.invalid/ HTTP/1.1' 'Host: ok.invalid'
ask 'POST http://ok.invalid/ HTTP/1.1' \"\$(printf 'Host: ok.invalid\\r\\nContent-Length: 4\\r\\nTransfer-Encoding: chunked')\"
echo done" --allow-host "trap.localhost:$port" --allow-host ok.invalid
grep -q '^done$' "$out" || broken "the box did not run ($code)"
[ ! -s "$PLACE/reached" ] || broken "an allowed name led to the host itself"
refused=$(grep -c '^answer HTTP/1.. 40' "$out" || :)
[ "$refused" -ge 4 ] || broken "only $refused were refused: $(grep '^answer' "$out" | tr '\n' ';')"
tb logs --net @last >"$out"
grep -q loopback "$out" || broken "the log does not say that the name meant this machine"
held
