#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: raw TCP, UDP and ICMP from the box to a server on the host
# promise: P5
# hole: network
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs python3
P=$PLACE/project
project "$P"
python3 - "$PLACE" <<'PY' &
import os, select, socket, sys
place = sys.argv[1]
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(("127.0.0.1", tcp.getsockname()[1]))
with open(f"{place}/port.new", "w") as file:
    file.write(str(tcp.getsockname()[1]))
os.rename(f"{place}/port.new", f"{place}/port")
while True:
    for ready in select.select([tcp, udp], [], [])[0]:
        if ready is tcp:
            ready.accept()[0].close()
        else:
            ready.recv(100)
        open(f"{place}/reached", "w").close()
PY
trap 'kill %1 2>/dev/null' EXIT
for _ in $(seq 100); do [ -e "$PLACE/port" ] || sleep 0.05; done
port=$(cat "$PLACE/port")
(exec 3<>"/dev/tcp/127.0.0.1/$port") || cannot "the server does not answer the host"
sleep 0.2
[ -e "$PLACE/reached" ] || cannot "the server does not notice"
rm "$PLACE/reached"
box "$P" "command -v bash >/dev/null || { echo no bash; exit; }
for a in 127.0.0.1 10.0.2.2 10.0.2.3 169.254.169.254 192.168.122.1 localhost; do
    timeout 3 bash -c \"exec 3<>/dev/tcp/\$a/$port\" 2>/dev/null && echo reached \$a
    timeout 3 bash -c \"echo x >/dev/udp/\$a/$port\" 2>/dev/null; done
ls /sys/class/net; ls /dev/vsock 2>&1; echo done" ${TASKBOX_HOLE:+--cold}
if grep -q '^no bash$' "$out"; then cannot "the image has no bash"; fi
grep -q '^done$' "$out" || broken "the box did not run ($code)"
sleep 0.5
[ ! -e "$PLACE/reached" ] || broken "the server on the host was reached from the box"
if grep -q '^reached' "$out"; then broken "a connection was made: $(grep '^reached' "$out" | tr '\n' ' ')"; fi
[ "$(grep -cE '^(eth|en|wl)' "$out")" -eq 0 ] || broken "the box has a network card"
held
