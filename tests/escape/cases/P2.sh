#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the project changed since the task, and the patch's context still fits
# promise: P2
# hole: apply-blob-id
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
seq 1 100 >"$P/long"
git -C "$P" add -A
git -C "$P" commit -q -m long
box "$P" 'sed -i s/^5\$/five/ long'
[ "$code" -eq 0 ] || broken "the run ended with $code"
sed -i 's/^95$/ninety-five/' "$P/long"
cp "$P/long" "$PLACE/mine"
try tb apply @last
cmp -s "$P/long" "$PLACE/mine" || broken "newer work of the user was overwritten or mixed"
[ "$code" -ne 0 ] || broken "apply says that it worked"
git -C "$P" checkout -q long
try tb apply @last
[ "$code" -eq 0 ] || broken "apply on the base ended with $code"
try tb apply @last
[ "$code" -eq 0 ] || broken "applying twice ended with $code"
held
