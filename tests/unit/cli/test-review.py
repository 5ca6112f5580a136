#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""taskbox review on a real (pseudo) terminal: keys, colours, widths, and what becomes of a patch."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

TASKBOX = os.environ["TASKBOX"]
HERE = os.path.dirname(os.path.abspath(__file__))
PLANT = os.path.join(HERE, "..", "..", "lib", "plant-task.py")


def write(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


class Place:
    """A project, what a task made of it, and a store that holds the task."""

    def __init__(self):
        self.dir = tempfile.mkdtemp()
        self.base, self.result = self.dir + "/base", self.dir + "/result"
        lines = [b"line %d\n" % i for i in range(1, 61)]
        write(self.base + "/a.txt", b"".join(lines))
        write(self.base + "/z.txt", b"z\n")
        shutil.copytree(self.base, self.result)
        lines[4], lines[29], lines[54] = b"FIVE\n", b"THIRTY \x1b[2J\xe2\x80\xae\n", b"x" * 5000 + b"\n"
        write(self.result + "/a.txt", b"".join(lines))
        write(self.result + "/new.txt", b"new\n")
        write(self.result + "/z.txt", b"zz\n")
        subprocess.run([sys.executable, PLANT, self.dir + "/state", "calm-crane-a1", self.base,
                        self.result], check=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "TERM": "xterm",
                    "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": self.dir + "/state",
                    "XDG_DATA_HOME": self.dir + "/data", "XDG_CACHE_HOME": self.dir + "/cache"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def read(self, name):
        with open(os.path.join(self.base, name), "rb") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)


def review(place, keys, columns=80, rows=100, interrupt=False, **env):
    """Runs `taskbox review` on a terminal, a key at each question; gives exit code and screen."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(TASKBOX, [TASKBOX, "review"], dict(place.env, **env))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen, sent, deadline = b"", 0, time.monotonic() + 120
    prompt = re.compile(rb"(\]\? |ends --)$")
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.5)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            screen += data
        if prompt.search(screen) and len(prompt.findall(screen)) and not select.select(
                [fd], [], [], 0.1)[0]:
            asked = len(re.findall(rb"\]\? |ends --", screen))
            if asked > sent:
                if sent < len(keys):
                    os.write(fd, keys[sent:sent + 1].encode())
                elif interrupt:
                    mode = termios.tcgetattr(fd)
                    assert not mode[3] & termios.ICANON, "keys are not read singly"
                    os.write(fd, b"\x03")
                else:
                    raise AssertionError("asked once too often: %r" % screen[-300:])
                sent += 1
    mode = None
    status = os.waitpid(pid, 0)[1]
    os.close(fd)
    code = os.waitstatus_to_exitcode(status)
    return code, screen


def check(condition, screen, what):
    if not condition:
        sys.stdout.buffer.write(repr(screen.decode(errors="replace")).encode() + b"\n")
        raise SystemExit("FAILED: " + what)


def harmless(screen):
    """Only our own sequences: colours, and the line of a page that is wiped."""
    rest = re.sub(rb"\x1b\[[0-9;]*m|\r\x1b\[K", b"", screen)
    return b"\x1b" not in rest and "\u202e".encode() not in rest and b"\x9b" not in rest


# the first hunk and the new file; the rest stays out
with Place() as place:
    code, screen = review(place, "ynnysyy")
    check(code == 0, screen, "exit code %d" % code)
    check(screen.index(b"findings: 2 high") < screen.index(b"change 1 of 3"), screen, "findings first")
    check(harmless(screen), screen, "an escape came through")
    check(rb"\x1B[2J\u{202E}" in screen, screen, "what is hostile is written out")
    check(re.search(rb"\+x+ \(\+49\d\d bytes\)", screen), screen, "a long line is cut")
    check(b"\x1b[32m+FIVE" in screen, screen, "colour")
    check(b"accepted 2, rejected 2, not decided 1" in screen, screen, "counts")
    check(b"applied" in screen, screen, "applied")
    check(place.read("a.txt").startswith(b"line 1\nline 2\nline 3\nline 4\nFIVE\n"), screen, "hunk 1")
    check(b"THIRTY" not in place.read("a.txt"), screen, "hunk 2 stays out")
    check(place.read("new.txt") == b"new\n" and place.read("z.txt") == b"z\n", screen, "files")

# all of a.txt (with its high findings: asked about), nothing else; then refused at the last question
with Place() as place:
    code, screen = review(place, "aqyn")
    check(code == 0 and b"severity high: bidi, terminal-escape" in screen, screen, "high is asked")
    check(b"nothing was applied" in screen and b"FIVE" not in place.read("a.txt"), screen, "refused")
    code, screen = review(place, "aqyy")
    check(code == 0 and b"THIRTY \x1b[2J" in place.read("a.txt"), screen, "all of a file")

# back, help, view, findings, reject all of a file
with Place() as place:
    code, screen = review(place, "?jkvfdddn", NO_COLOR="1", columns=40)
    check(code == 0, screen, "exit code %d" % code)
    check(b"\x1b" not in screen, screen, "NO_COLOR")
    check(b"y  accept this change" in screen and b"a.txt, all of it" in screen, screen, "help, view")
    check(screen.count(b"findings: 2 high") == 2, screen, "findings again")
    check(b"accepted 0" in screen and b"applied" not in screen, screen, "nothing accepted")
    lines = re.sub(rb"\r\n", b"\n", screen).split(b"\n")
    long = [line for line in lines if line[:1] in b"+- " and line[:1] and len(line) > 40 + 14
            and not line.startswith(b"  ")]
    check(not long, screen, "width 40: %r" % long[:1])

# a small screen: findings and files by pages
with Place() as place:
    code, screen = review(place, "  q" + "q", rows=6)
    check(code == 0 and b"-- more" in screen, screen, "pages")

# Ctrl-C: nothing is applied, the terminal is as it was
with Place() as place:
    code, screen = review(place, "y", interrupt=True)
    check(code == 130, screen, "exit code of Ctrl-C: %d" % code)
    check(b"FIVE" not in place.read("a.txt"), screen, "nothing applied")

# the project has moved on: refused
with Place() as place:
    write(place.base + "/a.txt", b"mine\n")
    code, screen = review(place, "yqy")
    check(code == 11 and place.read("a.txt") == b"mine\n", screen, "drift: %d" % code)

# no terminal
with Place() as place:
    done = subprocess.run([TASKBOX, "review"], env=place.env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(done.returncode == 2 and b"taskbox inspect calm-crane-a1" in done.stderr, done.stderr,
          "without a terminal")


def on_terminal(place, words, **env):
    """What a terminal shows of a command that asks nothing."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(TASKBOX, [TASKBOX, *words], dict(place.env, **env))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    screen = b""
    while select.select([fd], [], [], 60)[0]:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        screen += data
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return code, screen


# long results: in colour, escaped, and through the pager that the user has chosen
with Place() as place:
    code, screen = on_terminal(place, ["diff", "@last"], PAGER="sed 's/^/paged:/'")
    check(code == 0 and harmless(screen), screen, "an escape came through the pager")
    check(b"paged:\x1b[32m+FIVE\x1b[0m" in screen, screen, "colour through the pager")
    check(rb"\x1B[2J\u{202E}" in screen, screen, "what is hostile is written out for the pager")
    code, screen = on_terminal(place, ["diff", "--stat", "@last"], PAGER="false",
                               TASKBOX_PAGER="sed s/^/ours:/")
    check(code == 0 and screen.startswith(b"ours:"), screen, "TASKBOX_PAGER goes before PAGER")
    code, screen = on_terminal(place, ["diff", "@last"], PAGER="true")
    check(code == 0 and screen == b"", screen, "a pager that reads nothing is no error")
    code, screen = on_terminal(place, ["inspect", "@last"], PAGER="cat", NO_COLOR="1")
    check(code == 0 and b"\x1b" not in screen and b"findings" in screen, screen, "no pager, no colour")
    code, screen = on_terminal(place, ["diff", "@last"], PAGER="sed s/^/paged:/", TERM="dumb")
    check(code == 0 and b"paged:" not in screen and b"\x1b" not in screen, screen, "a dumb terminal")
    done = subprocess.run([TASKBOX, "diff", "@last"], env=dict(place.env, PAGER="false"),
                          stdout=subprocess.PIPE, check=True)
    check(b"\x1b[2J" in done.stdout and b"\x1b[32m" not in done.stdout, done.stdout, "bytes elsewhere")
