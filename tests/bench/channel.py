# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's end of the channel to taskbox-guest (docs/protocol.md), as far as running one command.

The smallest client there can be: what plain QEMU needs to answer as a box does.
"""

import os
import socket
import struct
import time

HELLO, SETUP, EXEC, SHUTDOWN = 0x01, 0x02, 0x09, 0x10
GUEST_HELLO, OK, ERROR, STARTED, OUTPUT, CREDIT, EXIT, BOOT = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x8D
PADDING = bytes(65544)
HEADER = struct.Struct("<BBHI")


class ChannelError(Exception):
    """The guest said no, nothing, or something that makes no sense."""


def _string(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


class Channel:
    """One conversation, over a connected Unix socket."""

    def __init__(self, connection, deadline):
        self.connection = connection
        self.deadline = time.monotonic() + deadline
        self.data = b""

    @classmethod
    def connect(cls, path, deadline=120):
        """Connects to a socket that QEMU listens on, and may not have made yet."""
        end = time.monotonic() + deadline
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(path)
                return cls(connection, deadline)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise ChannelError(f"nobody listens on '{path}'") from None
                time.sleep(0.002)

    def close(self):
        self.connection.close()

    def _read(self):
        self.connection.settimeout(max(0.001, self.deadline - time.monotonic()))
        try:
            got = self.connection.recv(1 << 16)
        except socket.timeout:
            raise ChannelError("the guest says nothing") from None
        if not got:
            raise ChannelError("the channel was closed")
        self.data += got

    def _take(self, length):
        while len(self.data) < length:
            self._read()
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def send(self, kind, payload=b"", before=b""):
        self.connection.settimeout(max(0.001, self.deadline - time.monotonic()))
        self.connection.sendall(before + HEADER.pack(kind, 0, 0, len(payload)) + payload)

    def frame(self):
        kind, flags, _, length = HEADER.unpack(self._take(HEADER.size))
        if flags or length > 65536:
            raise ChannelError("the stream is bad")
        payload = self._take(length)
        if kind == ERROR:
            raise ChannelError(payload.decode(errors="replace"))
        return kind, payload

    def expect(self, wanted):
        while True:
            kind, payload = self.frame()
            if kind == wanted:
                return payload
            # An EXIT nobody asked for is an earlier host's, sent again.
            if kind not in (OUTPUT, CREDIT, STARTED, EXIT):
                raise ChannelError(f"frame {kind:#x} where {wanted:#x} should be")

    def hello(self):
        """Says hello and waits until the guest program answers."""
        nonce = os.urandom(16)
        self.send(HELLO, b"TASKBOX1" + struct.pack("<H", 2) + nonce, before=PADDING)
        while nonce not in self.data:
            self._read()
        self.data = self.data.partition(nonce)[2]
        if self.expect(GUEST_HELLO)[:16] != nonce:
            raise ChannelError("the guest repeats another nonce")

    def setup(self, hostname="bench", uid=1000, gid=1000):
        now = time.time_ns()
        self.send(SETUP, struct.pack("<QI", now // 10**9, now % 10**9) + os.urandom(64)
                  + struct.pack("<IIB", uid, gid, 0) + _string(hostname))
        self.expect(OK)

    def run(self, argv, as_root=False):
        """Runs a command to its end; returns its exit code."""
        self.send(EXEC, struct.pack("<BBBHH", as_root, 0, 0, 0, 0) + _string("/")
                  + struct.pack("<I", len(argv)) + b"".join(map(_string, argv)) + struct.pack("<I", 0))
        return struct.unpack("<II", self.expect(EXIT))[0]

    def shutdown(self):
        """Asks the guest to power off; there is no answer."""
        self.send(SHUTDOWN)
