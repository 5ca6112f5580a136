# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small internet for tests: two network namespaces with a cable between them.

The program under test runs on one side, servers on the other, at addresses that are public ones
elsewhere; nothing leaves the two namespaces. Names come from an /etc/hosts of our own. So the very
program that is shipped can be shown to reach a server and nothing else, without a hole for tests.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

HERE, THERE = "11.0.0.1", "11.0.0.2"
HOSTS = f"""127.0.0.1 localhost
{THERE} good.test other.test a.below.test xbelow.test below.test
127.0.0.1 trap.test
169.254.169.254 meta.test
::1 six.test
{HERE} own.test
::ffff:127.0.0.1 mapped.test
{THERE} mixed.test
127.0.0.1 mixed.test
10.0.0.1 private.test
"""


def enter():
    """Runs this program again on one side of the cable; a skip where that is not allowed."""
    if os.environ.get("TASKBOX_TEST_PLACE") == "1":
        return
    flags = "-nm" if os.geteuid() == 0 else "-rnm"
    for tool in ("unshare", "ip", "openssl"):
        if not shutil.which(tool):
            skip(f"needs the program '{tool}'")
    if subprocess.run(["unshare", flags, "ip", "link", "add", "tb0", "type", "veth", "peer", "name", "tb1"],
                      capture_output=True).returncode != 0:
        skip("cannot make network namespaces here")
    os.environ["TASKBOX_TEST_PLACE"] = "1"
    os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(1 if os.environ.get("TASKBOX_TESTS_MUST_RUN") == "1" else 77)


def run(*argv, **more):
    return subprocess.run(argv, check=True, **more)


class Place:
    """The cable, the names, and a process that holds the far namespace."""

    def __init__(self, names=()):
        """`names` are further ones, with a certificate, of the far side."""
        self.dir = tempfile.mkdtemp(prefix="taskbox-test-place-")
        with open(f"{self.dir}/hosts", "w", encoding="ascii") as file:
            file.write(HOSTS + f"{THERE} {' '.join(names)}\n" * bool(names))
        run("mount", "--bind", f"{self.dir}/hosts", "/etc/hosts")
        self.far = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sleep", "600"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while os.readlink(f"/proc/{self.far.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        pid = str(self.far.pid)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", pid)
        run("ip", "addr", "add", f"{HERE}/24", "dev", "near")
        run("ip", "link", "set", "near", "up")
        self.far_run("ip", "addr", "add", f"{THERE}/24", "dev", "far")
        self.far_run("ip", "link", "set", "lo", "up")
        self.far_run("ip", "link", "set", "far", "up")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=good.test",
            "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in ("good.test", "other.test", *names)), "-keyout", f"{self.dir}/key",
            "-out", f"{self.dir}/cert", stderr=subprocess.DEVNULL)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{self.dir}/cert", f"{self.dir}/key")

    def resolve(self, options, answers):
        """Is the resolver of this machine from now on: name -> address. Returns the names that were asked for."""
        with open(f"{self.dir}/resolv", "w", encoding="ascii") as file:
            file.write(f"nameserver {HERE}\n{options}\n")
        run("mount", "--bind", f"{self.dir}/resolv", "/etc/resolv.conf")
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((HERE, 53))
        asked = []

        def loop():
            while True:
                query, client = server.recvfrom(2000)
                at, labels = 12, []
                while query[at]:
                    labels.append(query[at + 1:at + 1 + query[at]].decode())
                    at += 1 + query[at]
                name, kind = ".".join(labels), query[at + 1:at + 3]
                asked.append(name)
                found = answers.get(name) if kind == b"\0\1" else None
                head = query[:2] + (b"\x81\x80" if name in answers else b"\x81\x83") + b"\0\1\0" + bytes([bool(found)]) + bytes(4)
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(found) if found else b""
                server.sendto(head + query[12:at + 5] + record, client)

        threading.Thread(target=loop, daemon=True).start()
        return asked

    def far_run(self, *argv):
        return run("nsenter", "-t", str(self.far.pid), "-n", *argv)

    def listen(self, address, port):
        """A listening socket; one at THERE is made in the far namespace."""
        if address != THERE:
            return socket.create_server((address, port), backlog=64)
        made = []

        def make():  # a thread of its own may be in another namespace
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            fd = os.open(f"/proc/{self.far.pid}/ns/net", os.O_RDONLY)
            if libc.setns(fd, 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            os.close(fd)
            made.append(socket.create_server((address, port), backlog=64))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def serve(self, address, port, talk, tls=False):
        """Calls talk(connection) in a thread for each connection; returns the list of them."""
        listener = self.listen(address, port)
        seen = []

        def one(connection):
            try:
                talk(self.tls.wrap_socket(connection, server_side=True) if tls else connection)
            except OSError:
                pass
            finally:
                connection.close()

        def loop():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                seen.append(connection)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        return seen

    def close(self):
        self.far.kill()
        self.far.wait()
        subprocess.run(["umount", "/etc/hosts"], check=False)
        if os.path.exists(f"{self.dir}/resolv"):
            subprocess.run(["umount", "/etc/resolv.conf"], check=False)
        shutil.rmtree(self.dir)
