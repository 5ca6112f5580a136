#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real taskbox-egress between a hostile box and a small internet (place.py): what is allowed
gets through, byte for byte and in little memory; nothing else does, and each refusal says why."""

import gzip
import hashlib
import os
import socket
import ssl
import sys
import threading
import time

import place
from box import CLOSE, DATA, OPEN, Egress, policy

place.enter()
PROGRAM = os.path.abspath(sys.argv[1])
world = place.Place()
failures, checks = [], 0


def check(what, holds):
    global checks
    checks += 1
    if not holds:
        failures.append(what)
        print(f"FAILED: {what}")


# --- servers --------------------------------------------------------------------------------------

requests = []
BIG = 256 * 1024 * 1024
PACKED = gzip.compress(b"packed " * 100)


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            return data, b""
        data += got
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def answer(connection):
    head, rest = read_head(connection)
    text = head.decode("latin-1")
    requests.append(text)
    line = text.split(" ")
    if len(line) < 2:
        return
    lower = text.lower()
    if "content-length:" in lower:
        want = int(lower.split("content-length:")[1].split()[0])
        digest, have = hashlib.sha256(rest), len(rest)
        while have < want:
            got = connection.recv(1 << 16)
            if not got:
                return
            digest.update(got)
            have += len(got)
        body = digest.hexdigest().encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    elif "transfer-encoding: chunked" in lower:
        while not rest.endswith(b"0\r\n\r\n"):
            rest += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(rest), rest))
    elif line[1] == "/big":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        piece = bytes(range(256)) * 4096
        for _ in range(BIG // len(piece)):
            connection.sendall(piece)
    elif line[1] == "/chunked":
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    elif line[1] == "/redirect":
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://trap.test:8080/\r\nContent-Length: 0\r\n\r\n")
    elif line[1] == "/short":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    elif line[1] == "/gzip":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
                           % (len(PACKED), PACKED))
    else:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Kept: yes\r\nProxy-Authenticate: no\r\n"
                           b"Connection: X-Hop\r\nX-Hop: no\r\n\r\nfine")


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def pour(connection):
    """TLS is not needed to count bytes: what the tunnel carries after the hello is not looked at."""
    connection.recv(65536)
    piece = bytes(65536)
    for _ in range(BIG // len(piece)):
        connection.sendall(piece)


trap_plain = world.serve("127.0.0.1", 8080, answer)
trap_own = world.serve(place.HERE, 8081, answer)
web = world.serve(place.THERE, 80, answer)
secure = world.serve(place.THERE, 443, echo, tls=True)
pourer = world.serve(place.THERE, 8443, pour)
odd = world.serve(place.THERE, 8000, answer)
silent = world.serve(place.THERE, 8001, lambda connection: time.sleep(100))


# --- clients --------------------------------------------------------------------------------------


def ask(egress, text):
    stream = egress.open()
    stream.send(text.encode("latin-1"))
    return stream


def get(egress, target, host=None, more=""):
    host = host if host is not None else target.split("/")[2]
    stream = ask(egress, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
    return stream, stream.head()


def connect(egress, target):
    stream = ask(egress, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
    return stream, stream.head()


def hello_for(name, **more):
    """A ClientHello as a real client sends it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read(), session, incoming, outgoing


def speak_tls(stream, name, text):
    first, session, incoming, outgoing = hello_for(name)
    stream.send(first)
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            if data := outgoing.read():
                stream.send(data)
            got = stream.some()
            if not got:
                return None
            incoming.write(got)
        except ssl.SSLError:
            return None
    session.write(text)
    stream.send(outgoing.read())
    while True:
        try:
            return session.read(100)
        except ssl.SSLWantReadError:
            got = stream.some()
            if not got:
                return None
            incoming.write(got)


def with_ech(hello):
    """The same hello with an encrypted_client_hello extension (0xfe0d) put at its end."""
    extension = b"\xfe\x0d\x00\x04\x00\x01\x00\x01"
    body = bytearray(hello[9:])
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    size = int.from_bytes(body[at:at + 2], "big") + len(extension)
    body[at:at + 2] = size.to_bytes(2, "big")
    body += extension
    return b"\x16\x03\x01" + (len(body) + 4).to_bytes(2, "big") + b"\x01" + len(body).to_bytes(3, "big") + bytes(body)


# --- what is allowed ------------------------------------------------------------------------------

# Who hangs up while a server says nothing leaves nothing behind: looked at in the end.
left = Egress(PROGRAM, policy("good.test:8001", "good.test:8002"))


def files(egress):
    return len(os.listdir(f"/proc/{egress.process.pid}/fd"))


files_before = files(left)
stream, head = connect(left, "good.test:8001")
stream.send(hello_for("good.test")[0])
stream.end()
ask(left, "GET http://good.test:8001/ HTTP/1.1\r\nHost: good.test:8001\r\n\r\n").end()
stream = ask(left, "POST http://good.test:8001/ HTTP/1.1\r\nHost: good.test:8001\r\nContent-Length: 99999999\r\n\r\n")
stream.send(bytes(200000))
stream.end()

egress = Egress(PROGRAM, policy("good.test", "*.below.test", "good.test:8443", "mixed.test", "trap.test:8080",
                                "meta.test", "own.test:8081", "six.test:8080", "mapped.test:8080",
                                "private.test", "gone.test"))
check("it is ready", egress.ready)
lines = 0


def told(verdict, host=None, reason=None):
    global lines
    lines += 1
    line = egress.last(lines)
    good = line[4] == verdict and (host is None or line[2] == host) and (reason is None or reason in line[5])
    check(f"told {verdict} {host or ''} {reason or ''}, not {line}", good)
    return line


stream, head = get(egress, "http://good.test/path?q=1", more="X-Mine: kept\r\nProxy-Authorization: Basic eA==\r\n"
                   "Connection: close, X-Hop\r\nX-Hop: gone\r\nTE: trailers\r\n")
check(f"a plain request {head!r} {egress.told}", head.startswith("HTTP/1.1 200") and stream.rest().endswith(b"fine"))
check("a header of the answer", "X-Kept: yes" in head)
check("hop-by-hop headers of the answer", "X-Hop" not in head and "Proxy-Auth" not in head)
check("the request line", requests[-1].startswith("GET /path?q=1 HTTP/1.1\r\n"))
check("Host", "Host: good.test\r\n" in requests[-1])
check("a header of ours", "X-Mine: kept" in requests[-1])
check("headers for one hop", not any(word in requests[-1] for word in ("Proxy-", "X-Hop", "TE:")))
line = told("allowed", "good.test")
check(f"bytes: {line}", 4 + 80 < int(line[7]) < 4 + 200 and 30 < int(line[6]) < 200)

stream, head = get(egress, "http://GOOD.Test./x", host="good.test.")
check("case and a dot at the end", head.startswith("HTTP/1.1 200"))
check("its Host", "Host: good.test" in requests[-1].replace("GOOD.Test.", "good.test"))
told("allowed", "good.test")
for target in ("http://a.below.test/", "http://a.below.test:80/"):
    stream, head = get(egress, target)
    check(target, head.startswith("HTTP/1.1 200"))
    told("allowed", "a.below.test")
stream, head = get(egress, "http://good.test/chunked")
check("a chunked answer", b"hello" in stream.rest())
told("allowed")
stream, head = get(egress, "http://good.test/gzip")
check("an encoding is left as it is", stream.rest().endswith(PACKED))
told("allowed")
body = os.urandom(3_000_000)
stream = ask(egress, f"POST http://good.test/up HTTP/1.1\r\nHost: good.test\r\nContent-Length: {len(body)}\r\n\r\n")
stream.send(body)
check("an upload", stream.head(30).startswith("HTTP/1.1 200") and
      stream.rest().endswith(hashlib.sha256(body).hexdigest().encode()))
check(f"its bytes: {told('allowed')}", 0 < int(egress.told[lines - 1][6]) - len(body) < 200)
stream = ask(egress, "POST http://good.test/up HTTP/1.1\r\nHost: good.test\r\nTransfer-Encoding: chunked\r\n\r\n"
             "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
check("a chunked upload", stream.head().startswith("HTTP/1.1 200"))
told("allowed")
stream, head = get(egress, "http://good.test/short")
stream.rest()
check("an answer that was cut is no whole one", len(stream.data) < 100 and stream.closed)
told("failed")

stream, head = connect(egress, "good.test:443")
check("CONNECT", head.startswith("HTTP/1.1 200") or head.startswith("HTTP/1.0 200"))
check("TLS through it", speak_tls(stream, "good.test", b"to and fro") == b"to and fro")
stream.end()
stream.rest()
line = told("allowed", "good.test")
check(f"bytes of a tunnel: {line}", int(line[6]) > 300 and int(line[7]) > 800)
stream = egress.open()
first, session, incoming, outgoing = hello_for("good.test")
stream.send(b"CONNECT good.test:443 HTTP/1.1\r\nHost: good.test:443\r\n\r\n" + first)
stream.head()
check("a hello that comes with its CONNECT", stream.some().startswith(b"\x16\x03"))
stream.end()
stream.rest()
told("allowed", "good.test")

# --- what is not ----------------------------------------------------------------------------------

before = (len(trap_plain), len(trap_own), len(web), len(secure), len(odd))
FORMS = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "0", "2852039166",
         "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
         "[fe80::1%25lo]", "11.0.0.2", "localhost", "localhost.", "good.test..", ".good.test", "good..test",
         "xgood.test", "good.test.evil.test", "below.test", "xbelow.test", "xxbelow.test", "other.test", "a_b.below.test",
         "-a.below.test", "a-.below.test", "evil.test%00.below.test", "evil.test%2egood.test", "1.2.3.0x4",
         "good.test.1", "a" * 64 + ".below.test"]
for form in FORMS:
    for target in (f"http://{form}/", f"http://{form}:8080/", f"CONNECT {form}:443"):
        if target.startswith("CONNECT"):
            stream, head = connect(egress, target[8:])
        else:
            stream, head = get(egress, target)
        check(f"{target}: {head[:40]!r}", head[9:12] in ("400", "403") or (head == "" and stream.closed))
        if head[9:12] == "403":
            told("refused")
        stream.end()
for raw in ("evil.test\0.below.test", "good.test\0", "good.test\r\nX: y", "good.test\t", "g\x1b[2Jd.below.test",
            "\xe9.below.test"):
    stream = ask(egress, f"CONNECT {raw}:443 HTTP/1.1\r\nHost: good.test\r\n\r\n")
    stream.end()
    head = stream.head()
    check(f"CONNECT {raw!r}: {head[:40]!r}", head[9:12] in ("400", "403", ""))
    lines = max(lines, len(egress.told))
time.sleep(0.3)
lines = len(egress.told)
check("nothing told of these was allowed", all(line[4] == "refused" or line[2] in ("good.test", "a.below.test")
                                               for line in egress.told))
check("what is told is printable", all(c.isprintable() for line in egress.told for c in line[2]))
for name, reason in (("trap.test:8080", "loopback"), ("meta.test", "link-local"), ("own.test:8081", "own"),
                     ("six.test:8080", "loopback"), ("mapped.test:8080", ""), ("private.test", "private"),
                     ("mixed.test", "loopback")):
    stream, head = get(egress, f"http://{name}/")
    check(f"{name} is refused: {head[:40]!r}", head.startswith("HTTP/1.1 403"))
    told("refused", name.split(":")[0], reason)
stream, head = connect(egress, "meta.test:443")
check("CONNECT to a name of a refused address", " 403 " in head)
told("refused", "meta.test", "link-local")
stream, head = get(egress, "http://gone.test/")
check("a name that is not known", " 502 " in head)
told("failed", "gone.test")
stream, head = get(egress, "http://good.test:8000/")
check("another port", " 403 " in head)
told("refused", "good.test", "not allowed")

for host in ("other.test", "good.test:8000", "", "good.test, other.test"):
    stream, head = get(egress, "http://good.test/", host=host)
    check(f"Host: {host}", " 403 " in head or " 400 " in head)
    time.sleep(0.05)
    lines = len(egress.told)
stream = ask(egress, "GET http://good.test/ HTTP/1.1\r\nHost: good.test\r\nHost: other.test\r\n\r\n")
check("two Hosts", stream.head()[9:12] in ("400", "403"))
stream = ask(egress, "POST http://good.test/ HTTP/1.1\r\nHost: good.test\r\nContent-Length: 5\r\n"
             "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://trap.test:8080/ HTTP/1.1\r\nHost: x\r\n\r\n")
check("two lengths", stream.head()[9:12] in ("400", "403"))
for target in ("ftp://good.test/", "https://good.test/", "http://user:pw@good.test/"):
    stream, head = get(egress, target, host="good.test")
    check(f"{target}: {head[:30]!r}", head[9:12] in ("400", "403"))
seen = len(requests)
for method in ("POST\x0b/p.git/git-receive-pack\x0bHTTP/1.1\nX:", "GET\nHost:other.test\nX:", "GE\rT", "GE\x01T"):
    stream = ask(egress, f"{method} http://good.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n")
    check(f"method {method!r}", stream.head()[9:12] in ("400", "403"))
for line in ("X-Mine\x0b: a", "X-Mine: a\x0bb"):
    stream, head = get(egress, "http://good.test/", more=line + "\r\n")
    check(f"header {line!r}", head[9:12] in ("400", "403"))
check(f"none of these was carried: {requests[seen:]}", len(requests) == seen)
for target in ("http://good.test/p.git/git-receive-pack", "http://good.test/p.git/info/refs?service=git-receive-pack",
               "http://good.test/p.git/info/refs?service=git%2dreceive-pack", "http://good.test/p.git/git%252Dreceive-pack",
               "http://good.test/p.git/GIT-receive-pack"):
    stream, head = get(egress, target)
    check(f"a push: {target}", head.startswith("HTTP/1.1 403") and b"push" in stream.rest())
time.sleep(0.3)
lines = len(egress.told)
stream, head = get(egress, "http://good.test/p.git/info/refs?service=git-upload-pack")
check("a fetch", " 200 " in head)
told("allowed")
stream, head = get(egress, "http://good.test/redirect")
check("a redirect is the client's business", " 302 " in head and "Location: http://trap.test:8080/" in head)
told("allowed")
web_now = len(web)

for name, what in (("other.test", "other.test"), (None, "SNI"), ("good.test.evil.test", "another")):
    stream, head = connect(egress, "good.test:443")
    stream.send(hello_for(name)[0])
    got = stream.some()
    check(f"SNI {name}: an alert", got[:1] == b"\x15" and stream.rest()[:1] in (b"", b"\x15"))
    told("refused", "good.test", what)
stream, head = connect(egress, "good.test:443")
stream.send(with_ech(hello_for("good.test")[0]))
check("an encrypted hello", stream.some()[:1] == b"\x15")
told("refused", "good.test", "ECH")
for junk in (b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n", b"SSH-2.0-x\r\n", bytes(100), b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" * 5000):
    stream, head = connect(egress, "good.test:443")
    stream.send(junk)
    stream.rest()
    told("refused", "good.test")
first = hello_for("good.test")[0]
stream, head = connect(egress, "good.test:443")
for at in range(0, len(first), 7):
    stream.send(first[at:at + 7])
check("a hello in many pieces", stream.some()[:1] == b"\x16")
stream.end()
stream.rest()
told("allowed", "good.test")
check("the servers in the trap saw nobody", (len(trap_plain), len(trap_own), len(odd)) == (before[0], before[1], before[4]))
check("no request of another host arrived", all("Host: good.test" in r or "Host: a.below.test" in r or "GOOD" in r for r in requests))

# --- much, and at once ----------------------------------------------------------------------------

memory = egress.memory()
start = time.monotonic()
stream = egress.open()
stream.keep = False
stream.send(b"GET http://good.test/big HTTP/1.1\r\nHost: good.test\r\n\r\n")
stream.rest(120)
plain = BIG / (time.monotonic() - start) / 1e6
check(f"a big download by plain HTTP: {stream.count}", stream.count >= BIG)
told("allowed")
stream, head = connect(egress, "good.test:8443")
stream.keep = False
start = time.monotonic()
stream.send(hello_for("good.test")[0])
stream.rest(120)
tunnel = BIG / (time.monotonic() - start) / 1e6
check(f"a big download by CONNECT: {stream.count}", stream.count >= BIG)
grown = (egress.memory() - memory) / 1024
check(f"memory grew by {grown:.0f} MiB", grown < 40)
stream.end()
told("allowed")
print(f"256 MiB: {plain:.0f} MB/s plain, {tunnel:.0f} MB/s by CONNECT; memory grew by {grown:.1f} MiB")
good = []


def one():
    stream, head = get(egress, "http://good.test/many")
    good.append(stream.rest().endswith(b"fine"))


threads = [threading.Thread(target=one) for _ in range(60)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check("sixty at once", good == [True] * 60)
egress.last(lines + 60)
stream, head = connect(egress, "good.test:443")
stream.send(hello_for("good.test")[0])
stream.some()
egress_files = files(egress)
for _ in range(20):
    get(egress, "http://good.test/short")[0].rest()
time.sleep(1)
check(f"answers that were cut leave nothing: {files(egress)} {egress_files}", files(egress) < egress_files + 10)
told_before = len(egress.told)
egress.stop()
time.sleep(0.2)
check("what is open at the end is told", len(egress.told) == told_before + 1 and egress.told[-1][2] == "good.test")
check("it ends well", egress.process.returncode == 0)
egress.close()

# --- a name is what was judged, and no longer one -------------------------------------------------

if os.path.exists("/etc/resolv.conf"):
    asked = world.resolve("search corp.test\noptions ndots:3 timeout:1 attempts:1",
                          {"wiki.open.test.corp.test": place.THERE, "real.open.test": place.THERE})
    free = Egress(PROGRAM, policy(is_open=True))
    stream, head = get(free, "http://real.open.test/")
    check(f"a resolver's name: {head[:20]!r} {asked}", " 200 " in head and "real.open.test" in asked)
    stream, head = get(free, "http://wiki.open.test/")
    check(f"a name with the search list's end: {head[:20]!r} {asked}", " 502 " in head and "wiki.open.test.corp.test" not in asked)
    free.close()

# --- it fails closed ------------------------------------------------------------------------------

for text, why in (("", "empty"), ("taskbox-policy 1\nallow good.test\n", "cut"), ("taskbox-policy 2\nend\n", "newer"),
                  (policy() .replace("end", "allow-all\nend"), "unknown line"), (policy("127.0.0.1"), "an address")):
    closed = Egress(PROGRAM, text)
    check(f"a policy that is {why}", not closed.ready and closed.process.wait(10) != 0)
    closed.close()
closed = Egress(PROGRAM, policy("good.test"), seals=0)
check("a policy that is not sealed", not closed.ready and closed.process.wait(10) != 0)
closed.close()
closed = Egress(PROGRAM, policy())
stream, head = get(closed, "http://good.test/")
check("a policy of nothing", " 403 " in head)
closed.close()
free = Egress(PROGRAM, policy(is_open=True))
stream, head = get(free, "http://other.test:8000/")
check("open: any name and port", " 200 " in head)
for name in ("trap.test:8080", "meta.test", "own.test:8081", "private.test", "127.0.0.1:8080", "localhost:8080",
             place.THERE, f"{place.THERE}:8000"):
    stream, head = get(free, f"http://{name}/")
    check(f"open: not {name}", " 403 " in head)
check("nor did the trap see it", (len(trap_plain), len(trap_own)) == (before[0], before[1]))
stream = ask(left, "POST http://good.test:8002/ HTTP/1.1\r\nHost: good.test:8002\r\nContent-Length: 1000000\r\n\r\n")
stream.send(bytes(1000000))
check("no server for a long body", " 502 " in stream.head())
stream.end()
left.wait(lambda: len(left.told) >= 4, 30)
time.sleep(1)
check(f"nothing is left of who has gone: {left.told}", all(line[4] in ("failed", "allowed") for line in left.told))
check(f"nor a descriptor: {files(left)} {files_before}", files(left) < files_before + 4)
left.close()
for kind, number, payload in ((DATA, 999, b"x"), (0x7F, 1, b""), (CLOSE, 555, b""), (OPEN, 0, b"")):
    lying = Egress(PROGRAM, policy("good.test"))
    lying.send(kind, number, payload)
    try:
        lying.process.wait(10)
    except Exception:
        check(f"frame {kind:#x} that breaks the rules ends it", False)
    lying.close()
free.control.shutdown(socket.SHUT_RDWR)
try:
    free.process.wait(10)
except Exception:
    check("it ends when taskbox is gone", False)
free.close()

world.close()
print(f"{checks} checks, {len(failures)} failed")
sys.exit(1 if failures else 0)
