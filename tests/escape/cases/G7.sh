#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a path 2000 directories deep, which makes git crash
# promise: P8
# hole: path-depth
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
hostile "$P" deep
[ "$code" -eq 0 ] || broken "the run ended with $code"
tb diff @last --name-only >"$out" 2>"$err" || broken "there is no patch"
[ "$(cat "$out")" = legal ] || broken "the patch has other files than the legal one"
tb show @last >"$out" 2>"$err"
grep -q 'd/d/d' "$out" || broken "the deep path was dropped without a word"
held
