#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real taskbox-egress with secrets, between a hostile box and a small internet (place.py): the
server gets the value, the box never does, and a placeholder anywhere else is refused."""

import base64
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import place
from box import Egress, policy, secrets

place.enter()
PROGRAM = os.path.abspath(sys.argv[1])
world = place.Place()
failures, checks = [], 0

# The place's certificate is one that this machine trusts now.
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
with open(f"{world.dir}/bundle", "w", encoding="ascii") as file:
    file.write(open(f"{world.dir}/cert", encoding="ascii").read())
if not os.path.exists(BUNDLE):
    place.skip(f"there is no {BUNDLE}")
place.run("mount", "--bind", f"{world.dir}/bundle", BUNDLE)

VALUE = "sk-" + "R3alV/alue+" + base64.b32encode(os.urandom(20)).decode().strip("=")
PLACEHOLDER = "sk-" + base64.b32encode(os.urandom(40)).decode()[: len(VALUE) - 3]
OTHER_VALUE, OTHER = "ghp_" + "V" * 30, "ghp_" + "p" * 30


def check(what, holds):
    global checks
    checks += 1
    if not holds:
        failures.append(what)
        print(f"FAILED: {what}")


# --- servers --------------------------------------------------------------------------------------

heads, bodies = [], []
gate = threading.Event()


def reply(body, more=b"", status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n%s\r\n" % (len(body), more) + body


def chunks(connection, pieces, pause=0.05):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        time.sleep(pause)
    connection.sendall(b"0\r\n\r\n")


def answer(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            return
        data += got
    head, _, rest = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    heads.append(text)
    lower = text.lower()
    if "content-length:" in lower:
        want = int(lower.split("content-length:")[1].split()[0])
        while len(rest) < want:
            got = connection.recv(65536)
            if not got:
                break
            rest += got
    elif "transfer-encoding: chunked" in lower:
        while not rest.endswith(b"0\r\n\r\n"):
            got = connection.recv(65536)
            if not got:
                break
            rest += got
    bodies.append(rest)
    value = VALUE.encode()
    path = text.split(" ")[1].split("?")[0]
    if path.endswith("/echo"):
        connection.sendall(reply(head))
    elif path == "/head":
        connection.sendall(reply(b"ok", b"X-Said: <%s>\r\nX-Coded: %s\r\n%s: x\r\n"
                                 % (value, base64.b64encode(b"ab" + value), value.replace(b"/", b"-"))))
    elif path == "/split":
        chunks(connection, [value[i:i + 1] for i in range(len(value))] + [b"!"], 0.005)
    elif path == "/coded":
        connection.sendall(reply(b"|".join([base64.b64encode(b"x" * n + value) for n in range(4)]
                                           + [value.hex().encode(), value.replace(b"/", b"\\/"),
                                              value.replace(b"/", b"%2F").replace(b"+", b"%2B")])))
    elif path == "/gzip":
        connection.sendall(reply(gzip.compress(value), b"Content-Encoding: gzip\r\n"))
    elif path == "/reason":
        connection.sendall(reply(b"ok", b"", b"200 " + value))
    elif path == "/sse":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"d\r\ndata: first\n\n\r\n")
        gate.wait(20)
        connection.sendall(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")
    elif path == "/heavy":
        connection.sendall(reply(b"ok", b"X-Much: " + b"x" * 3000 + b"\r\n"))
    elif path == "/gson":
        connection.sendall(reply(b'{"key":"' + value.replace(b"+", b"\\u002b").replace(b"/", b"\\u002f") + b'"}'))
    elif path.startswith("/guess/"):
        guess = b"my text " + path[7:].replace("!", "/").encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(guess), guess))
        time.sleep(0.4)
        connection.sendall(b"1\r\n.\r\n0\r\n\r\n")
    elif path == "/until-close":
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + value)
    elif path == "/big":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(64):
            connection.sendall(bytes(1 << 20))
    elif path == "/switch":
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + value)
    elif path == "/early":
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX: " + value + b"\r\n\r\n" + reply(b"fine"))
    else:
        connection.sendall(reply(b"fine"))


web = world.serve(place.THERE, 80, answer)
secure = world.serve(place.THERE, 443, answer, tls=True)
odd = world.serve(place.THERE, 8443, answer, tls=True)

# --- clients --------------------------------------------------------------------------------------


class Tls:
    """TLS over a stream of the box, through CONNECT."""

    def __init__(self, egress, target="good.test:443", name=None, alpn=("http/1.1",), trust=True):
        self.stream = egress.open()
        self.stream.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        self.head = self.stream.head()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if trust:
            context.load_verify_locations(cadata=egress.authority)
        context.set_alpn_protocols(list(alpn))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing,
                                        server_hostname=name or target.split(":")[0])
        self.pump(self.session.do_handshake)

    def pump(self, step):
        while True:
            try:
                result = step()
                if data := self.outgoing.read():
                    self.stream.send(data)
                return result
            except ssl.SSLWantReadError:
                if data := self.outgoing.read():
                    self.stream.send(data)
                got = self.stream.some(20)
                if not got:
                    self.incoming.write_eof()
                else:
                    self.incoming.write(got)
            except ssl.SSLError:
                self.stream.send(self.outgoing.read())  # the alert
                self.stream.end()
                raise

    def send(self, text):
        if isinstance(text, str):
            text = text.encode("latin-1")
        for at in range(0, len(text), 16384):
            self.pump(lambda at=at: self.session.write(text[at:at + 16384]))

    def read(self):
        try:
            return self.pump(lambda: self.session.read(65536))
        except (ssl.SSLError, TimeoutError) as error:
            if not isinstance(error, ssl.SSLEOFError):
                print(f"# {error!r}")
            return b""

    def ask(self, text):
        self.send(text)
        return self.answer()

    def answer(self):
        data = b""
        while b"\r\n\r\n" not in data:
            got = self.read()
            if not got:
                return data
            data += got
        head = data.lower()
        if b"content-length:" in head:
            want = data.index(b"\r\n\r\n") + 4 + int(head.split(b"content-length:")[1].split()[0])
            while len(data) < want and (got := self.read()):
                data += got
        elif b"transfer-encoding: chunked" in head:
            while not data.endswith(b"0\r\n\r\n") and (got := self.read()):
                data += got
        return data


def unchunk(data):
    body, out = data.partition(b"\r\n\r\n")[2], b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        out, body = out + body[:count], body[count + 2:]
    return out


HIDDEN = secrets(("KEY", PLACEHOLDER, VALUE, "good.test:443"), ("TOKEN", OTHER, OTHER_VALUE, "a.below.test:443"))
egress = Egress(PROGRAM, policy("good.test", "other.test", "good.test:8443", "a.below.test"), hidden=HIDDEN)
check("it is ready", egress.ready and egress.authority.startswith("-----BEGIN CERTIFICATE"))
if not egress.ready:
    sys.exit(1)
lines = 0


def told(verdict, host=None, reason=None):
    global lines
    lines += 1
    line = egress.last(lines)
    check(f"told {verdict} {host or ''} {reason or ''}, not {line}",
          line[4] == verdict and (host is None or line[2] == host) and (reason is None or reason in line[5]))


def plain(text):
    stream = egress.open()
    stream.send(text.encode("latin-1"))
    head = stream.head()
    return stream, head


def get(path, *headers, method="GET", host="good.test", body=""):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{line}\r\n" for line in headers) + "\r\n" + body


def ask(text):
    """A request in a CONNECT of its own: each connection carries one."""
    global tls
    tls = Tls(egress)
    told("allowed", "good.test")
    return tls.ask(text)


# --- it works -------------------------------------------------------------------------------------

tls = Tls(egress, alpn=("h2", "http/1.1"))
check(f"CONNECT: {tls.head!r}", " 200 " in tls.head)
check(f"HTTP/1.1 alone: {tls.session.selected_alpn_protocol()}", tls.session.selected_alpn_protocol() == "http/1.1")
told("allowed", "good.test")
got = tls.ask(get("/echo", f"Authorization: Bearer {PLACEHOLDER}"))
check("the server got the value", f"authorization: bearer {VALUE}".lower() in heads[-1].lower())
check("the server got it once", heads[-1].count(VALUE) == 1 and PLACEHOLDER not in heads[-1])
check("Host is the host", "host: good.test" in heads[-1].lower().split("\r\n"))
check("a plain answer was asked for", "accept-encoding: identity" in heads[-1].lower())
check(f"the echo has the placeholder {got[:80]!r}", PLACEHOLDER.encode() in got and VALUE.encode() not in got)
told("allowed", "good.test")
for header in ("x-api-key: {}", "X-Goog-Api-Key: {}", "authorization: token {}", "Private-Token: {}"):
    ask(get("/", header.format(PLACEHOLDER)))
    check(f"{header}", VALUE in heads[-1])
    told("allowed")
basic = base64.b64encode(f"user:{PLACEHOLDER}".encode()).decode()
got = ask(get("/echo", f"Authorization: Basic {basic}"))
wanted = base64.b64encode(f"user:{VALUE}".encode()).decode()
check("Basic", f"Basic {wanted}" in heads[-1])
check("Basic comes back as it was", basic.encode() in got and wanted.encode() not in got)
told("allowed")
got = ask(get(f"/echo?a=1&key={PLACEHOLDER}&b=2"))
check("a parameter", f"key={VALUE.replace('/', '%2F').replace('+', '%2B')}&b=2" in heads[-1])
check("a parameter does not come back", VALUE.encode() not in got and b"%2Falue" not in got)
told("allowed")
ask(get("/", f"Authorization: Bearer {PLACEHOLDER}", "Cookie: mine=1", "Range: bytes=0-3", "X-Mine: yes"))
check("no cookie and no range", "cookie" not in heads[-1].lower() and "range:" not in heads[-1].lower())
check("other headers", "X-Mine: yes" in heads[-1])
told("allowed")
body = os.urandom(300000)
got = ask(get("/", f"Authorization: Bearer {PLACEHOLDER}", f"Content-Length: {len(body)}", method="POST").encode() + body)
check("an upload", got.endswith(b"fine") and bodies[-1] == body)
told("allowed")
body = f"my environment: {PLACEHOLDER}"
ask(get("/", f"Authorization: Bearer {PLACEHOLDER}", f"Content-Length: {len(body)}", method="POST", body=body))
check("a placeholder in a body stays one", bodies[-1] == body.encode())
told("allowed")

stream, head = plain(f"GET /good.test/v1/echo HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n")
check(f"the gateway {head[:40]!r}", " 200 " in head)
check("its path", heads[-1].startswith("GET /v1/echo HTTP/1.1\r\n") and VALUE in heads[-1])
check("its Host", "host: good.test" in heads[-1].lower().split("\r\n"))
told("allowed", "good.test")
stream, head = plain(f"GET http://127.0.0.1:3128/good.test:443/?key={PLACEHOLDER} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n")
check("the gateway by a client that uses a proxy", " 200 " in head and heads[-1].startswith("GET /?key=sk-"))
told("allowed", "good.test")
stream, head = plain("GET /good.test HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n")
check("the gateway without a path", " 200 " in head and heads[-1].startswith("GET / "))
told("allowed", "good.test")

# --- it streams -----------------------------------------------------------------------------------

tls = Tls(egress)
told("allowed")
tls.send(get("/sse", f"Authorization: Bearer {PLACEHOLDER}"))
data = b""
while b"first" not in data and (piece := tls.read()):
    data += piece
check("an event comes at once", b"data: first" in data and b"second" not in data)
gate.set()
while b"0\r\n\r\n" not in data and (piece := tls.read()):
    data += piece
check("and the next", b"data: second" in data)
told("allowed")
memory = egress.memory()
tls = Tls(egress)
told("allowed")
tls.send(get("/big"))
time.sleep(1.5)
grown = egress.memory() - memory
check(f"nobody reads: memory grew by {grown} kB", grown < 20000)
count = 0
while count < (64 << 20) and (piece := tls.read()):
    count += len(piece)
check(f"all of it came: {count} {tls.stream.closed} {len(tls.stream.data)}", count >= 64 << 20)
told("allowed")

# --- nothing comes back ---------------------------------------------------------------------------

got = ask(get("/head"))
check("a header", f"X-Said: <{PLACEHOLDER}>".encode() in got)
check("a header in base64", base64.b64encode(b"ab" + PLACEHOLDER.encode()) in got)
check("no value in a head", VALUE.encode() not in got)
told("allowed")
got = unchunk(ask(get("/split")))
check(f"over chunks {got!r}", got == PLACEHOLDER.encode() + b"!")
told("allowed")
got = ask(get("/coded"))
for n in range(4):
    check(f"base64 after {n}", base64.b64encode(b"x" * n + VALUE.encode())[6:-6] not in got)
check("hexadecimal", VALUE.encode().hex().encode() not in got)
check("as JSON", VALUE.encode().replace(b"/", b"\\/") not in got)
check("as a URL", b"R3alV" not in got)
told("allowed")
got = ask(get("/gson"))
check(f"as other JSON {got[-80:]!r}", VALUE.rpartition("+")[2].encode() not in got)
told("allowed")
# A server that sends what the box chooses: how much comes at once must not tell whether it is right.
for right in (4, 7, len(VALUE) - 1):
    comes = []
    for guess in (VALUE[:right], VALUE[:right - 1] + "~"):
        tls = Tls(egress)
        told("allowed")
        tls.send(get("/guess/" + guess.replace("/", "!")))
        data = b""
        while b"my text " not in data and (piece := tls.read()):
            data += piece
        comes.append(len(data.rpartition(b"my text ")[2]))
        while not data.endswith(b"0\r\n\r\n") and (piece := tls.read()):
            data += piece
        told("allowed")
    check(f"a right guess of {right} looks like a wrong one: {comes}", comes[0] == comes[1])
got = ask(get("/gzip"))
check("a compressed answer is refused", b" 502 " in got and b"compressed" in got)
told("failed", "good.test", "compressed")
got = ask(get("/reason"))
check("a reason phrase", b"200 OK" in got)
told("allowed")
got = ask(get("/until-close"))
check("a body that ends with its connection", VALUE.encode() not in got and PLACEHOLDER.encode() in unchunk(got))
told("allowed")
for path in ("/switch", "/early"):
    got = ask(get(path, "Upgrade: x", "Connection: Upgrade"))
    check(f"{path}: {got[:60]!r}", VALUE.encode() not in got)
    check(f"{path}: no upgrade goes out", "upgrade" not in heads[-1].lower())
    lines += 1
    egress.last(lines)

# --- a placeholder elsewhere ----------------------------------------------------------------------

served = len(heads)


def refused(what, text, host=None, name="KEY", how=plain):
    stream, head = how(text)
    check(f"{what}: {head[:40]!r}", head[9:12] == "403")
    told("refused", host, f"the placeholder of {name}")
    stream.end()


half = len(PLACEHOLDER) // 2
for what, text in (
        ("plain HTTP to its own host", get("http://good.test/", f"Authorization: Bearer {PLACEHOLDER}")),
        ("plain HTTP to another", get("http://other.test/", f"X: {PLACEHOLDER}", host="other.test")),
        ("a host not allowed", get("http://evil.test/", f"X: {PLACEHOLDER}", host="evil.test")),
        ("a path", get(f"http://other.test/{PLACEHOLDER}", host="other.test")),
        ("a query", get(f"http://other.test/?x={PLACEHOLDER}", host="other.test")),
        ("an escaped query", get("http://other.test/?x=" + "".join(f"%{ord(c):02x}" for c in PLACEHOLDER), host="other.test")),
        ("base64", get("http://other.test/", "X: " + base64.b64encode(b"q" + PLACEHOLDER.encode()).decode(), host="other.test")),
        ("hexadecimal", get(f"http://other.test/{PLACEHOLDER.encode().hex()}", host="other.test")),
        ("two headers", get("http://other.test/", f"X: {PLACEHOLDER[:half]}", f"Y: {PLACEHOLDER[half:]}", host="other.test")),
        ("small letters", get(f"http://other.test/{PLACEHOLDER.lower()}", host="other.test")),
        ("a name of a header", get("http://other.test/", f"{PLACEHOLDER}: x", host="other.test")),
        ("CONNECT to a name of it", f"CONNECT {PLACEHOLDER}.evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("CONNECT with it", f"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\nProxy-Authorization: Bearer {PLACEHOLDER}\r\n\r\n"),
        ("the gateway to another host", f"GET /other.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n"),
        ("the gateway to another port", f"GET /good.test:8443/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n"),
        ("the gateway to another secret's host", f"GET /a.below.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n"),
        ("a body", get("http://other.test/", f"Content-Length: {len(PLACEHOLDER)}", method="POST", host="other.test", body=PLACEHOLDER)),
        ("a chunked body", get("http://other.test/", "Transfer-Encoding: chunked", method="POST", host="other.test",
                               body=f"{half:x}\r\n{PLACEHOLDER[:half]}\r\n{len(PLACEHOLDER) - half:x}\r\n{PLACEHOLDER[half:]}\r\n0\r\n\r\n")),
        ("a path of the gateway", f"GET /good.test/{PLACEHOLDER} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n"),
        ("another parameter", f"GET /good.test/?keys={PLACEHOLDER} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n"),
        ("a header of no key", f"GET /good.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nX-Other: {PLACEHOLDER}\r\n\r\n"),
        ("a header for one hop", f"GET /good.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nConnection: Authorization\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n")):
    refused(what, text)
refused("the other one's", f"GET /good.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nAuthorization: Bearer {OTHER}\r\n\r\n", name="TOKEN")
time.sleep(0.3)
check(f"nothing of these has arrived: {heads[served:]}", all(PLACEHOLDER not in head and VALUE not in head for head in heads[served:]))
check("nor in a body", all(PLACEHOLDER.encode() not in body or b"environment" in body for body in bodies))
stream, head = plain("POST http://other.test/ HTTP/1.1\r\nHost: other.test\r\nContent-Length: 6\r\n\r\nsk-abc")
check("a body that begins like one", " 200 " in head and bodies[-1] == b"sk-abc")
told("allowed")
near = PLACEHOLDER[:-1].encode()
stream, head = plain(f"POST http://other.test/ HTTP/1.1\r\nHost: other.test\r\nContent-Length: {len(near)}\r\n\r\n{near.decode()}")
check("a body that ends within one", " 200 " in head and bodies[-1] == near)
told("allowed")

# --- keys of others -------------------------------------------------------------------------------

for key in ("Authorization: Bearer sk-of-the-attacker", "x-api-key: sk-of-the-attacker", "Authorization: Basic YTpi"):
    stream, head = plain(f"GET /good.test/ HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n{key}\r\n\r\n")
    check(f"{key}: {head[:40]!r}", head[9:12] == "403")
    told("refused", "good.test", "a key that is not the host's")

# --- inside of ended TLS --------------------------------------------------------------------------


def inside(text):
    tls = Tls(egress)
    told("allowed", "good.test")
    got = tls.ask(text)
    return tls.stream, got.decode("latin-1")


served = len(heads)
for what, text in (("another Host", get("/", f"Authorization: Bearer {PLACEHOLDER}", host="other.test")),
                   ("another port", get("/", host="good.test:8443")),
                   ("an address of another", get("https://other.test/", host="good.test")),
                   ("a CONNECT", "CONNECT good.test:443 HTTP/1.1\r\nHost: good.test\r\n\r\n"),
                   ("a push", get("/a.git/info/refs?service=git-receive-pack"))):
    stream, head = inside(text)
    check(f"{what}: {head[:40]!r}", head[9:12] in ("403", "400"))
    if head[9:12] == "403":
        lines += 1
        egress.last(lines)
for what, text in (("two Hosts", "GET / HTTP/1.1\r\nHost: good.test\r\nHost: other.test\r\n\r\n"),
                   ("no Host", "GET / HTTP/1.1\r\n\r\n"), ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"),
                   ("two lengths", get("/", "Content-Length: 4", "Transfer-Encoding: chunked", method="POST", body="0\r\n\r\n")),
                   ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("no HTTP", "\0\1\2\3\r\n\r\n")):
    stream, head = inside(text)
    check(f"{what}: {head[:40]!r}", head == "" or head[9:12] in ("400", "403", "505"))
    time.sleep(0.1)
    lines = len(egress.told)
check(f"nothing of these has arrived: {heads[served:]}", len(heads) == served)
stream, head = inside("GET / HTTP/1.1\r\nHost: good.test\r\nX-Folded: a\r\n b\r\nAuthorization: Bearer\r\n " + PLACEHOLDER + "\r\n\r\n")
check(f"a folded header: {head[:30]!r}", VALUE not in head)
if " 200 " in head:
    check("a folded header is one line", "\r\n " not in heads[-1])
time.sleep(0.1)
lines = len(egress.told)
served = len(heads)
tls = Tls(egress)
tls.send(get("/one", f"Authorization: Bearer {PLACEHOLDER}") + get("/two", f"Authorization: Bearer {PLACEHOLDER}", host="other.test"))
first = tls.answer()
check("the first of two at once", b" 200 " in first and VALUE in heads[served])
second = tls.answer()
check(f"the second, to another host: {second[:30]!r}", b" 403 " in second or second == b"")
check("it did not arrive", all("/two" not in head for head in heads))
time.sleep(0.2)
lines = len(egress.told)

# --- certificates ---------------------------------------------------------------------------------

with open(f"{world.dir}/authority", "w", encoding="ascii") as file:
    file.write(egress.authority)
shown = subprocess.run(["openssl", "x509", "-in", f"{world.dir}/authority", "-noout", "-text"], check=True,
                       capture_output=True, text=True).stdout
for part in ("Name Constraints: critical", "DNS:good.test", "DNS:a.below.test", "IP:0.0.0.0/0.0.0.0", "CA:TRUE, pathlen:0",
             "Certificate Sign"):
    check(f"the authority's certificate has '{part}'", part in shown)
check("it does not vouch for others", "DNS:other.test" not in shown)
try:
    Tls(egress, name="other.test")
    check("TLS for another name", False)
except ssl.SSLError as error:
    check(f"TLS for another name: {error}", "mismatch" in str(error) or "match" in str(error))
lines += 1
line = egress.last(lines)
try:
    Tls(egress, trust=False)
    check("a client that does not trust it", False)
except ssl.SSLError:
    pass
lines += 1
line = egress.last(lines)
tls = Tls(egress, target="a.below.test:443")
told("allowed", "a.below.test")
got = tls.ask(get("/", f"Authorization: Bearer {OTHER}", host="a.below.test"))
check(f"a server whose certificate is another's: {got[:40]!r}", b" 502 " in got)
check("it has not got the value", all(OTHER_VALUE not in head for head in heads))
lines += 1
line = egress.last(lines)
for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes(200)):
    stream, head = plain("CONNECT good.test:443 HTTP/1.1\r\nHost: good.test\r\n\r\n")
    stream.send(junk)
    stream.rest()
    told("failed", "good.test")
stream, head = plain("CONNECT good.test:443 HTTP/1.1\r\nHost: good.test\r\n\r\n")
stream.end()
stream.rest()
told("failed", "good.test")
stream, head = plain("CONNECT good.test:8443 HTTP/1.1\r\nHost: good.test\r\n\r\n")
check("another port of its host is passed through", " 200 " in head)
stream.end()
stream.rest()
lines = len(egress.told)

# --- the process ----------------------------------------------------------------------------------

pid = egress.process.pid


def opened():
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:  # of a connection that has ended meanwhile
            pass


check("it holds no descriptor of the secrets", "secrets" not in " ".join(opened()))
check("its environment and arguments are clean",
      all(VALUE.encode() not in open(f"/proc/{pid}/{name}", "rb").read() for name in ("environ", "cmdline")))
with open(f"/proc/{pid}/limits", encoding="ascii") as file:
    check("no core", any(line.startswith("Max core file size        0") for line in file))
check("nothing told has a value", all(VALUE not in " ".join(line) for line in egress.told))
threads = []
good = []


def one():
    stream, head = plain(f"GET /good.test/many HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nx-api-key: {PLACEHOLDER}\r\n\r\n")
    good.append(" 200 " in head)


for _ in range(40):
    threads.append(threading.Thread(target=one))
    threads[-1].start()
for thread in threads:
    thread.join()
check("forty at once", good == [True] * 40)
egress.stop()
check("it ends well", egress.process.returncode == 0)
egress.close()

# --- budgets --------------------------------------------------------------------------------------

egress = Egress(PROGRAM, policy("good.test", more=("requests 2",)), hidden=HIDDEN)
results = [Tls(egress).ask(get("/", f"Authorization: Bearer {PLACEHOLDER}"))[9:12] for _ in range(3)]
check(f"two requests and no third: {results}", results == [b"200", b"200", b"403"])
egress.last(6)
check(f"told so: {egress.told}", any("budget of requests" in line[5] for line in egress.told))
egress.close()
egress = Egress(PROGRAM, policy("good.test", more=("bytes 1000000",)), hidden=HIDDEN)
stream, head = plain("GET http://good.test/big HTTP/1.1\r\nHost: good.test\r\n\r\n")
got = len(stream.rest())
check(f"a million bytes and little more: {got}", got < 1200000)
check(f"told so: {egress.told}", "budget of bytes" in egress.last(1)[5])
stream, head = plain("GET http://good.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n")
check("and nothing after that", " 403 " in head)
egress.close()
for what, path, more in (("an address", "/" + "x" * 3000, ""), ("a header", "/", "X-Much: " + "x" * 3000 + "\r\n"),
                         ("a query", "/?" + "x" * 3000, ""), ("a header of the answer", "/heavy", "")):
    egress = Egress(PROGRAM, policy("good.test", more=("bytes 10000",)), hidden=HIDDEN)
    served = len(heads)
    said = [plain(f"GET http://good.test{path} HTTP/1.1\r\nHost: good.test\r\n{more}\r\n")[1][9:12] for _ in range(5)]
    check(f"much in {what}: {said}", said == ["200"] * 3 + ["403"] * 2)
    egress.close()
for what, text in (("cut", HIDDEN[:-4]), ("empty", ""), ("newer", HIDDEN.replace("secrets 1", "secrets 2")),
                   ("of a host that is none", HIDDEN.replace("good.test", "127.0.0.1")),
                   ("of another length", HIDDEN.replace(PLACEHOLDER, PLACEHOLDER + "x"))):
    closed = Egress(PROGRAM, policy("good.test"), hidden=text or "\n")
    check(f"secrets that are {what}", not closed.ready and closed.process.wait(10) != 0)
    closed.close()

subprocess.run(["umount", BUNDLE], check=False)
world.close()
print(f"{checks} checks, {len(failures)} failed")
sys.exit(1 if failures else 0)
