#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""taskbox review --html of a hostile task: no markup of the box's gets into the page, and in a real
browser (when there is one) nothing runs and no request leaves. TASKBOX_PAGES keeps screenshots."""
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from html.parser import HTMLParser

TASKBOX = os.environ["TASKBOX"]
HERE = os.path.dirname(os.path.abspath(__file__))
PLANT = os.path.join(HERE, "..", "..", "lib", "plant-task.py")

requests = []


class Trap(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        requests.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Trap)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = "http://127.0.0.1:%d/" % server.server_port


def fail(what):
    raise SystemExit("FAILED: " + what)


HOSTILE = ("""<script>document.title='owned';fetch('%(u)sfetch')</script></pre></table></details>
<img src="%(u)simg" onerror="document.title='owned'"><svg onload="document.title='owned'">
<a href="javascript:document.title='owned'">x</a><link rel=stylesheet href=%(u)scss>
<meta http-equiv=refresh content="0;url=%(u)srefresh"></style><iframe src=%(u)sframe></iframe>
--><![CDATA[ ]]> &lt;script&gt; "quotes' \x1b[31m \u202e \u0000""" % {"u": URL})


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


place = tempfile.mkdtemp()
base, result = place + "/base", place + "/result"
write(base + "/src/main.c", "".join("int line_%d;\n" % i for i in range(1, 81)))
write(base + "/gone.txt", "gone\n" * 3)
shutil.copytree(base, result)
text = "".join("int line_%d;\n" % i for i in range(1, 81))
write(result + "/src/main.c", text.replace("int line_40;\n", "int line_40 = 1;\nint more;\n"))
write(result + "/<script>alert(1)<\u2215script>.txt", HOSTILE.replace("\0", "") + "\n")
write(result + "/long.js", "x" * 300000 + "\n" + "<b>" * 5000 + "\n")
write(result + "/CLAUDE.md", "obey\n")
write(result + "/blob.bin", b"\0\1\2<script>")
write(result + "/many.txt", "a line\n" * 20000)
os.unlink(result + "/gone.txt")
subprocess.run([sys.executable, PLANT, place + "/state", "calm-crane-a1", base, result], check=True,
               env=dict(os.environ, PROMPT=HOSTILE.replace("\0", ""),
                        LOG=(HOSTILE.replace("\0", "") * 200)[:100000]))
env = {"PATH": os.environ["PATH"], "HOME": place, "LC_ALL": "C.UTF-8",
       "XDG_STATE_HOME": place + "/state", "XDG_DATA_HOME": place + "/data",
       "XDG_CACHE_HOME": place + "/cache"}
page = place + "/review.html"
subprocess.run([TASKBOX, "review", "calm-crane-a1", "--html", page], check=True, env=env)
html = open(page, encoding="utf-8").read()

ALLOWED = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "ul", "li",
           "span", "strong", "code", "br", "pre", "details", "summary", "table", "thead", "tbody",
           "tr", "th", "td", "p"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "open", "colspan",
              "scope"}


class Look(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.headings, self.policy = [], [], None

    def handle_starttag(self, tag, attrs):
        if tag not in ALLOWED or not {name for name, _ in attrs} <= ATTRIBUTES:
            fail("the page has <%s %s>" % (tag, attrs))
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            fail("</%s> closes what is not open" % tag)

    def unknown_decl(self, data):
        fail("the page has <![%s" % data)

    def handle_comment(self, data):
        fail("the page has a comment")


look = Look()
look.feed(html)
look.close()
if look.open or look.headings[0] != "h1" or look.headings.count("h1") != 1:
    fail("structure: %s %s" % (look.open, look.headings))
if not look.policy.startswith("default-src 'none'"):
    fail("policy: %s" % look.policy)
if html.index("Findings:") > html.index("Prompt"):
    fail("findings do not come first")
for hostile in ("\x1b", "\u202e", "<script", "<img", "<svg", "onerror=\""):
    if hostile in html:
        fail("the page has %r" % hostile)
if "bytes more)" not in html or "lines more" not in html or len(html) > 6 << 20:
    fail("long lines and large files are not folded (%d bytes)" % len(html))
if os.stat(page).st_mode & 0o077:
    fail("others can read the page")

browser = shutil.which("chromium") or shutil.which("chromium-browser") or \
    shutil.which("google-chrome")
if not browser:
    print("SKIP: no browser; the page itself holds")
    shutil.rmtree(place)
    sys.exit(77)


def browse(*args):
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--user-data-dir=" + place + "/profile", "--virtual-time-budget=3000",
         "--enable-logging=stderr", "--v=0", *args, "file://" + page],
        env=dict(env, HOME=place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240,
        check=False)
    if done.returncode != 0:
        fail("the browser ends with %d: %s" % (done.returncode, done.stderr[-2000:]))
    console = [line for line in done.stderr.decode(errors="replace").splitlines()
               if "CONSOLE" in line]
    if console:
        fail("the browser's console says: %s" % console[:3])
    return done.stdout.decode(errors="replace")


dom = browse("--dump-dom")
for tag in ("script", "img", "svg", "iframe", "link", "a", "base", "form", "object"):
    if re.search(r"<%s[\s>]" % tag, dom):
        fail("the browser sees <%s>" % tag)
if "<title>calm-crane-a1 - taskbox review</title>" not in dom:
    fail("the title was changed")
keep = os.environ.get("TASKBOX_PAGES")
if keep:
    os.makedirs(keep, exist_ok=True)
    shutil.copy(page, keep)
    for name, width, dark in (("wide", 1400, False), ("phone", 500, False), ("dark", 1400, True)):
        browse("--window-size=%d,1600" % width, "--screenshot=%s/%s.png" % (keep, name),
               *(["--blink-settings=preferredColorScheme=0"] if dark else []))
if requests:
    fail("requests left the page: %s" % requests)
server.shutdown()
shutil.rmtree(place)
