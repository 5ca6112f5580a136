# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that nobody may reach: writes its port to PLACE/port and each one it hears to PLACE/reached."""

import os
import socket
import sys

place = sys.argv[1]
try:
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    port = server.getsockname()[1]
    server.close()
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
except OSError:
    server = socket.create_server(("127.0.0.1", 0))
with open(f"{place}/port.new", "w", encoding="ascii") as file:
    file.write(str(server.getsockname()[1]))
os.rename(f"{place}/port.new", f"{place}/port")
while True:
    peer, who = server.accept()
    with open(f"{place}/reached", "a", encoding="ascii") as file:
        file.write(f"{who}\n")
    peer.close()
