#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: git push through the proxy, in several spellings
# promise: P5
# hole: git-push
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
BOX_SHELL=bash
box "$P" "$(asking)
for path in 'p/info/refs?service=git-receive-pack' p/git-receive-pack p/git%2dreceive%2Dpack 'p/info/refs?service=git%252Dreceive-pack' p/GIT-RECEIVE-PACK; do
    ask \"GET http://ok.invalid/\$path HTTP/1.1\" 'Host: ok.invalid'
    ask \"POST http://ok.invalid/\$path HTTP/1.1\" \"\$(printf 'Host: ok.invalid\\r\\nContent-Length: 0')\"
done
ask \$'POST\\v/p/git-receive-pack\\vHTTP/1.1\\nX: http://ok.invalid/ HTTP/1.1' 'Host: ok.invalid'
git push http://ok.invalid/p HEAD:main >/dev/null 2>&1 && echo pushed
ask 'GET http://ok.invalid/p/info/refs?service=git-upload-pack HTTP/1.1' 'Host: ok.invalid'
echo done" --allow-host ok.invalid
grep -q '^done$' "$out" || broken "the box did not run ($code)"
[ "$(grep -c '^answer HTTP/1.. 403' "$out")" -eq 11 ] || broken "a push was carried: $(grep '^answer' "$out" | sort | uniq -c | tr '\n' ';')"
if grep -q '^pushed$' "$out"; then broken "git push worked"; fi
# A fetch is tried; there is no such host.
[ "$(grep -c '^answer HTTP/1.. 50' "$out")" -eq 1 ] || broken "a fetch was refused, too"
tb logs --net @last >"$out"
grep -q 'git push is never carried' "$out" || broken "the log does not name it"
held
