# SPDX-License-Identifier: LGPL-2.1-or-later
"""A user at a terminal: a program on a pseudo terminal, driven by what it shows."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


class Terminal:
    def __init__(self, argv, rows=30, columns=100, env=None):
        self.master, self.slave = pty.openpty()
        self.shown = bytearray()
        self.taken = 0  # of what was shown, by `until`
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.closerange(3, 64)
            os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm-256color", **(env or {})})

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            os.kill(self.pid, signal.SIGWINCH)

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.shown += data
        return bool(data)

    def until(self, pattern, seconds=400):
        """Waits until what was shown since the last call matches; the match."""
        end = time.monotonic() + seconds
        start = self.taken
        while True:
            match = re.compile(pattern.encode()).search(self.shown, start)
            if match:
                self.taken = match.end()
                return match.group()
            start = max(start, len(self.shown) - 4096)  # what matches is shorter
            if time.monotonic() > end:
                self.fail(f"{pattern!r} was not shown")
            self.read(min(1, max(0, end - time.monotonic())))

    def send(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            _, ready, _ = select.select([], [self.master], [], 0.1)
            if ready:
                data = data[os.write(self.master, data[:512]):]
            self.read(0)

    def line(self, text):
        self.send(text + "\r")

    def ended(self, seconds=60):
        """Waits for the program's end; its exit code as a shell has it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0.2):
                    pass
                return os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) \
                    else 128 + os.WTERMSIG(status)
            self.read(0.1)
        self.fail("it does not end")

    def is_restored(self):
        end = time.monotonic() + 5
        while termios.tcgetattr(self.slave) != self.before:
            if time.monotonic() > end:
                self.fail("the terminal's settings are not as they were")
            time.sleep(0.05)

    def close(self):
        os.close(self.master)
        os.close(self.slave)

    def fail(self, why):
        sys.exit(f"FAILED: {why}; shown last: {self.shown[-1500:]!r}")


def check(condition, what, seen=b""):
    if not condition:
        sys.exit(f"FAILED: {what}: {seen[-1500:]!r}")
