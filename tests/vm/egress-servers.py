#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers of test-egress.sh in a small internet (tests/unit/net/place.py). Writes a line for
each connection to the file that is named first, and says "ready" when all listen."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "net"))
import place

# Before any thread: all of them leave these to sigwait.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
log = open(sys.argv[1], "a", buffering=1, encoding="ascii")
BIG = int(sys.argv[2])
world = place.Place()
piece = bytes(1 << 20)


def talk(name):
    def one(connection):
        log.write(f"{name}\n")
        data = b""
        while b"\r\n\r\n" not in data:
            got = connection.recv(65536)
            if not got:
                return
            data += got
        log.write(f"{name} asked {data.split(b' ')[1].decode('ascii', 'replace')}\n")
        if data.startswith(b"GET /big"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
            for _ in range(BIG // len(piece)):
                connection.sendall(piece)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved")
    return one


world.serve(place.THERE, 80, talk("web"))
world.serve(place.THERE, 443, talk("tls"), tls=True)
world.serve(place.THERE, 8000, talk("TRAP port"))
world.serve("127.0.0.1", 8080, talk("TRAP loopback"))
world.serve(place.HERE, 8081, talk("TRAP own"))
print("ready", flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
world.close()
