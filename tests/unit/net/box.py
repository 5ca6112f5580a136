# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real taskbox-egress, started as taskbox starts it but for its jail, and the box's end of its
port (docs/protocol.md), as a hostile guest may speak it."""

import array
import fcntl
import os
import socket
import struct
import subprocess
import threading

OPEN, DATA, CREDIT, CLOSE, DONE = 0x41, 0x42, 0x43, 0x44, 0x45
WINDOW = 256 * 1024
HEADER = struct.Struct("<BBHI")
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def policy(*allowed, is_open=False, more=()):
    lines = ["taskbox-policy 1"] + (["open"] if is_open else []) + [f"allow {rule}" for rule in allowed]
    return "\n".join([*lines, *more, "end", ""])


def secrets(*lines):
    """(name, placeholder, value, hosts) each."""
    return "\n".join(["taskbox-secrets 1", *("\t".join(line) for line in lines), "end", ""])


def sealed(name, text, seals):
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    os.write(fd, text.encode())
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Egress:
    """One process with its port. `told` are the lines it has reported."""

    def __init__(self, program, text, seals=SEALS, hidden=None):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        config = sealed("policy", text, seals)
        fds = {3: theirs.fileno(), 4: config}
        if hidden:
            fds[7] = sealed("secrets", hidden, SEALS)

        def place():
            far = {to: fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for to, fd in fds.items()}
            for fd in range(3, 20):
                if fd not in far:
                    try:
                        os.close(fd)
                    except OSError:
                        pass
            for to, fd in far.items():
                os.dup2(fd, to)
                os.close(fd)

        self.process = subprocess.Popen([program], close_fds=False, preexec_fn=place,
                                        # Else a sanitizer keeps what was freed, and it seems to grow.
                                        env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=4"})
        theirs.close()
        os.close(config)
        self.told, self.streams, self.lock = [], {}, threading.Condition()
        self.gone = False
        if hidden:
            os.close(fds[7])
        first = self.control.recv(16384)
        self.authority = first[10:].decode() if first.startswith(b"authority\n") else None
        self.ready = (self.control.recv(1024) if self.authority else first) == b"ready"
        if not self.ready:
            return
        self.port, far = socket.socketpair()
        self.control.sendmsg([b"p"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [far.fileno()]))])
        far.close()
        self.next = 1
        for target in (self._listen, self._read):
            threading.Thread(target=target, daemon=True).start()

    def _listen(self):
        while packet := self.control.recv(2048):
            with self.lock:
                self.told.append(packet.decode().split("\t"))
                self.lock.notify_all()

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            got = self.port.recv(size - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def _read(self):
        try:
            while True:
                kind, flags, number, length = HEADER.unpack(self._exactly(8))
                payload = self._exactly(length)
                assert flags == 0 and length <= 65536
                with self.lock:
                    self.streams[number].take(kind, payload)
                    self.lock.notify_all()
        except (EOFError, OSError):
            with self.lock:
                self.gone = True
                self.lock.notify_all()

    def send(self, kind, number, payload=b""):
        self.port.sendall(HEADER.pack(kind, 0, number, len(payload)) + payload)

    def open(self):
        with self.lock:
            number, self.next = self.next, self.next + 1
            stream = self.streams[number] = Stream(self, number)
        self.send(OPEN, number)
        return stream

    def wait(self, condition, seconds=10):
        with self.lock:
            if not self.lock.wait_for(condition, seconds):
                raise TimeoutError("nothing came")

    def last(self, count):
        """The count-th line told, when it has come."""
        self.wait(lambda: len(self.told) >= count)
        return self.told[count - 1]

    def memory(self):
        """Kilobytes it has had in memory at most."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def stop(self):
        self.control.shutdown(socket.SHUT_WR)
        self.process.wait(10)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.control.close()
        if self.ready:
            self.port.close()


class Stream:
    """One connection of the box."""

    def __init__(self, egress, number):
        self.egress, self.number = egress, number
        self.data, self.closed, self.done = bytearray(), False, False
        self.credit, self.owed, self.count = WINDOW, 0, 0
        self.keep, self.ended = True, False

    def take(self, kind, payload):
        if kind == DATA:
            self.count += len(payload)
            if self.keep:
                self.data += payload
            self.owed += len(payload)
            if self.owed >= WINDOW // 4:
                self.egress.send(CREDIT, self.number, struct.pack("<I", self.owed))
                self.owed = 0
        elif kind == CREDIT:
            self.credit += struct.unpack("<I", payload)[0]
        elif kind == CLOSE:
            self.closed = True
            self.egress.send(DONE, self.number)
            self.end()
        elif kind == DONE:
            self.done = True
            self.end()

    def send(self, data):
        data = memoryview(bytes(data))
        while data:
            self.egress.wait(lambda: self.credit > 0 or self.done or self.egress.gone)
            if self.done or self.egress.gone:
                raise BrokenPipeError
            size = min(len(data), self.credit, 65536)
            self.credit -= size
            self.egress.send(DATA, self.number, bytes(data[:size]))
            data = data[size:]

    def end(self):
        if not self.ended:
            self.ended = True
            self.egress.send(CLOSE, self.number)

    def head(self, seconds=10):
        """What came up to the empty line, or to the end."""
        self.egress.wait(lambda: b"\r\n\r\n" in self.data or self.closed or self.egress.gone, seconds)
        with self.egress.lock:  # the other thread appends
            head, found, rest = bytes(self.data).partition(b"\r\n\r\n")
            self.data[:] = rest
        return (head + found).decode("latin-1")

    def rest(self, seconds=60):
        self.egress.wait(lambda: self.closed or self.egress.gone, seconds)
        return bytes(self.data)

    def some(self, seconds=10):
        self.egress.wait(lambda: self.data or self.closed or self.egress.gone, seconds)
        with self.egress.lock:
            data = bytes(self.data)
            del self.data[:]
        return data
