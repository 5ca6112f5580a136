#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a guest program of the attacker's exports .git, .GIT, git~1, .., absolute and other names
# promise: P2 P3
# hole: path-git
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
hostile "$P" names
[ "$code" -eq 0 ] || broken "the run ended with $code, not with a patch and a list of what was refused"
tb diff @last --name-only >"$out" 2>"$err" || broken "there is no patch"
grep -q '^legal$' "$out" || broken "a legal file is missing in the patch"
if grep -aiE 'git[~./: ]|\.g.*it/config|outside|absolute|//|dot$|hooks' "$out"; then broken "the patch has names that must be refused"; fi
tb show @last >"$out" 2>"$err"
for name in hooks/post-checkout outside taskbox-absolute; do
    grep -q "$name" "$out" || broken "'$name' was dropped without a word"
done
tb apply @last --acknowledge all >"$out" 2>"$err" || tb apply @last >"$out" 2>"$err" || :
[ ! -e "$P/.git/hooks/post-checkout" ] || broken "a hook was put into the project"
[ ! -e "$PLACE/outside" ] || broken "a file was put outside of the project"
held
