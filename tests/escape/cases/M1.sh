#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: root in the box drives the device of a shared project itself: names that lead out, writes, nonsense
# promise: P1
# hole: share-open
# hole: share-git
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
shared_project "$P"
mkfifo "$P/ignored.pipe"
cp "$lib/rawshare" "$P/ignored.raw"
before=$(tree_hash "$P")
box "$P" "cp ignored.raw /tmp/raw; cd /; sudo /tmp/raw $mark" --mount virtiofs --timeout 120s
# A machine or an image that cannot share has nothing to attack.
if grep -q 'cannot share the project by virtiofs' "$err"; then held; fi
grep -q '^spoke$' "$out" || cannot "the file server does not answer: $(tail -n 1 "$out")"
grep -q '^found$' "$out" || cannot "the file server does not show the project"
! grep '^READ' "$out" || broken "what is not shared was read"
! grep '^WROTE' "$out" || broken "a change was acknowledged"
grep -q '^asked$' "$out" || broken "the attack did not come to its end ($code)"
[ "$before" = "$(tree_hash "$P")" ] || broken "the project is not what it was"
[ "$(cat "$PLACE/outside")" = "$mark" ] || broken "what lies outside was changed"
beside=$(find "$PLACE" -maxdepth 1 -name 'm*' -newer "$P/text")
[ -z "$beside" ] || broken "something was written beside the project: $beside"
[ "$code" -eq 0 ] || [ "$code" -eq 125 ] || broken "the run ended with $code"
held
