#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: markup and scripts in names, content, links and output, on the review page
# promise: P3
# hole: page-escape
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs python3
P=$PLACE/project
project "$P"
box "$P" 'echo "<script>alert(1)</script></pre><img src=x onerror=alert(2)>" >>text
echo x >"<svg onload=alert(3)>"; ln -s "javascript:alert(4)" "a\"onmouseover=alert(5) b"
echo "</pre></details><script src=//evil.example></script>"'
[ "$code" -eq 0 ] || broken "the run ended with $code"
tb review @last --html "$PLACE/page.html" >"$out" 2>"$err" || broken "there is no page"
python3 - "$PLACE/page.html" <<'PY' || broken "the page carries what the box wrote as markup"
import html.parser, sys
bad = []
class Look(html.parser.HTMLParser):
    def handle_starttag(self, tag, attributes):
        if tag in ("script", "img", "svg", "iframe", "object", "embed", "link", "base", "form"):
            bad.append(tag)
        for name, value in attributes:
            if name.startswith("on") or (name in ("href", "src") and not (value or "").startswith("#")):
                bad.append(name)
page = open(sys.argv[1], encoding="utf-8").read()
Look().feed(page)
print(bad)
sys.exit(1 if bad or "alert(1)" not in page else 0)
PY
held
