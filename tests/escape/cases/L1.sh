#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a state directory that is a link of somebody else's, or open to all
# promise: P5
# hole: private-dir
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
mkdir "$PLACE/elsewhere"
ln -s "$PLACE/elsewhere" "$XDG_STATE_HOME/taskbox"
try tb run -C "$P" -- true
[ "$code" -ne 0 ] || broken "the state was put where a link leads"
[ -z "$(ls -A "$PLACE/elsewhere")" ] || broken "something was written where the link leads"
rm "$XDG_STATE_HOME/taskbox"
umask 0
box "$P" 'echo more >>text'
[ "$code" -eq 0 ] || broken "a run with umask 0 ended with $code"
open=$(find "$XDG_STATE_HOME/taskbox" -maxdepth 1 -perm /077 ! -type l)
[ -z "$open" ] || broken "others can enter: $open"
held
