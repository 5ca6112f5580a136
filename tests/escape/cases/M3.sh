#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: links in the project that lead to /, the home directory and /proc
# promise: P5
# hole: scan-follow
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
printf 'SECRET-OF-THE-HOST\n' >"$HOME/secret"
mkdir "$HOME/folder"
cp "$HOME/secret" "$HOME/folder/secret"
ln -s / "$P/root"
ln -s "$HOME/secret" "$P/secret"
ln -s "$HOME/folder" "$P/folder"
ln -s "../home/secret" "$P/relative"
ln -s /proc/self/root "$P/proc"
ln "$HOME/secret" "$P/hard" # a hard link is a file of the project
rm "$P/hard"
box "$P" "cat secret relative folder/secret root$HOME/secret proc$HOME/secret 2>/dev/null; grep -rs SECRET-OF-THE-HOST . 2>/dev/null; echo done"
grep -q '^done$' "$out" || broken "the box did not run ($code)"
if grep -q SECRET-OF-THE-HOST "$out"; then broken "the box read a file of the host's"; fi
held
