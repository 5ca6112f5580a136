#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a directory of the project becomes a link out of it between review and apply
# promise: P1
# hole: apply-beneath
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
mkdir "$P/dir"
printf 'inside\n' >"$P/dir/file"
git -C "$P" add -A
git -C "$P" commit -q -m dir
box "$P" 'echo changed >dir/file; echo new >dir/new'
[ "$code" -eq 0 ] || broken "the run ended with $code"
mv "$P/dir" "$PLACE/outside"
ln -s "$PLACE/outside" "$P/dir"
try tb apply @last
[ "$(cat "$PLACE/outside/file")" = inside ] || broken "a file outside of the project was overwritten"
[ ! -e "$PLACE/outside/new" ] || broken "a file was made outside of the project"
[ "$code" -ne 0 ] || broken "apply says that it worked"
held
