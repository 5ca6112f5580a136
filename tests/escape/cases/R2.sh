#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: an agent that ignores every signal and goes on writing while it is exported
# promise: P8
# hole: timeout
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
BOX_SECONDS=60
box "$P" 'trap "" TERM INT HUP; (trap "" TERM INT HUP; while :; do echo x >>text; done) &
echo work >done; while :; do sleep 1; done' --timeout 5s
tb show @last | grep -q 'stopped after its timeout' || broken "the box went on past its timeout"
[ "$code" -eq 124 ] || broken "exit code $code, not 124"
tb diff @last --name-only >"$out" || broken "its work was not exported"
grep -q '^done$' "$out" || broken "its work is not in the patch"
tb show @last | grep -qw verified || broken "the patch is not verified"
held
