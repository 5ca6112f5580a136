#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a patch whose attributes name filters that the user has, and a .git full of programs
# promise: P3
# hole: apply-git
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
needs git
chmod 0755 "$PLACE"
printf '#!/bin/sh\ntouch %s/mark-filter\ncat\n' "$PLACE" >"$PLACE/filter"
chmod 0755 "$PLACE/filter"
for key in filter.mine.clean filter.mine.smudge diff.mine.textconv diff.mine.command core.pager hook.mine.command; do
    git config --file "$HOME/.gitconfig" "$key" "$PLACE/filter"
done
git config --file "$HOME/.gitconfig" hook.mine.event post-index-change
# In the box it does no harm: there is no such place.
printf '#!/bin/sh\ntouch %s/mark-program\n' "$PLACE" >"$P/ignored.program"
# shellcheck disable=SC2016 # the box expands it
box "$P" 'echo changed >>text; echo new >new; mkdir -p hooks bare/objects bare/refs
tee hooks/post-checkout .git/hooks/post-index-change evil <ignored.program >/dev/null; chmod +x hooks/* .git/hooks/* evil
echo "ref: refs/heads/main" >bare/HEAD; printf "[core]\n\tfsmonitor = ./evil\n" >bare/config
git add -A; git commit -q -m evil
printf "* filter=mine diff=mine\n" >.gitattributes
printf "[core]\n\tfsmonitor = ./evil\n\thooksPath = hooks\n[diff]\n\texternal = ./evil\n" >>.git/config; true'
[ "$code" -eq 0 ] || broken "the run ended with $code"
for ask in "show @last" "diff @last" "diff @last --stat" "inspect @last" "review @last --html $PLACE/page.html" "apply @last --check" \
    "apply @last --acknowledge all" "apply @last --undo" gc; do
    # shellcheck disable=SC2086 # words on purpose
    "$TASKBOX" $ask >>"$PLACE/said" 2>&1 </dev/null || printf 'failed: %s\n' "$ask" >>"$PLACE/said"
done
marks=$(find "$PLACE" -name 'mark-*' -printf '%f ')
[ -z "$marks" ] || broken "the host ran what the patch named: $marks"
if grep '^failed: \(show\|diff\|inspect\|apply @last --ack\)' "$PLACE/said" >"$out"; then broken "$(cat "$out"): $(tail -n 3 "$PLACE/said")"; fi
[ ! -e "$P/.git/hooks/post-index-change" ] || broken "a hook came into the project"
held
