#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers of test-secret.sh in a small internet (tests/unit/net/place.py), trusted by this
machine's bundle of certificates. What they were asked goes to the file that is named first. They
answer with the head that they got, so that whoever listens could learn a key by that."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "net"))
import place

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
log = open(sys.argv[1], "a", buffering=1, encoding="ascii")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
world = place.Place()
place.run("mount", "--bind", f"{world.dir}/cert", BUNDLE)


def talk(name):
    def one(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            got = connection.recv(65536)
            if not got:
                return
            data += got
        head = data.partition(b"\r\n\r\n")[0]
        log.write(f"{name} asked {head.decode('ascii', 'replace')!r}\n")
        if head.startswith(b"GET /pieces"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(head), 7):
                piece = head[at:at + 7]
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Echo: %s\r\n\r\n%s"
                               % (len(head), head.replace(b"\r\n", b" | "), head))
    return one


world.serve(place.THERE, 80, talk("web"))
world.serve(place.THERE, 443, talk("tls"), tls=True)
print("ready", flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
place.subprocess.run(["umount", BUNDLE], check=False)
world.close()
