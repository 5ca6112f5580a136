#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a project whose git configuration, hooks, filters and submodule name programs to run
# promise: P3
# hole: git-trust
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs git
P=$PLACE/project
project "$P"
# Each vector runs a program that leaves a mark.
# shellcheck disable=SC2016 # the vector expands it
vector() {
    printf '#!/bin/sh\ntouch %s/mark-%s\n[ "$1" = -n ] || cat\n' "$PLACE" "$1" >"$PLACE/$1"
    chmod 0755 "$PLACE/$1"
    printf '%s/%s' "$PLACE" "$1"
}
chmod 0755 "$PLACE"
mkdir "$P/sub"
git -C "$P/sub" init -q
printf 'in the submodule\n' >"$P/sub/file"
git -C "$P/sub" add file
git -C "$P/sub" commit -q -m Sub
git -C "$P" -c advice.addEmbeddedRepo=false add sub
git -C "$P" commit -q -m 'With a submodule'
git -C "$P/sub" config filter.x.clean "$(vector sub-filter)"
printf '* filter=x\n' >"$P/sub/.gitattributes"
printf '* filter=x diff=x\n' >"$P/.gitattributes"
git -C "$P" config core.fsmonitor "$(vector fsmonitor)"
git -C "$P" config filter.x.clean "$(vector clean)"
git -C "$P" config filter.x.smudge "$(vector smudge)"
git -C "$P" config diff.x.textconv "$(vector textconv)"
git -C "$P" config diff.external "$(vector external)"
git -C "$P" config core.pager "$(vector pager)"
git -C "$P" config core.sshCommand "$(vector ssh)"
git -C "$P" config core.hooksPath "$PLACE/hooks"
mkdir "$PLACE/hooks"
for hook in post-index-change pre-commit post-checkout; do
    vector "hook-$hook" >/dev/null
    cp "$PLACE/hook-$hook" "$PLACE/hooks/$hook"
done
printf 'changed\n' >>"$P/text"
printf 'Changed\n' >"$P/sub/file"
rm -f "$PLACE"/mark-*

# The attack is alive: git itself falls for it.
cp -a "$P" "$PLACE/copy"
(cd "$PLACE/copy" && git status && git diff && git add -A) >/dev/null 2>&1 </dev/null || :
ls "$PLACE"/mark-* >/dev/null 2>&1 || cannot "git runs none of the programs here"
rm -rf "$PLACE/copy" "$PLACE"/mark-*

box "$P" 'echo more >>text'
tb show @last >/dev/null 2>&1 || :
tb diff @last >/dev/null 2>&1 || :
tb apply --check @last >/dev/null 2>&1 || :
marks=$(find "$PLACE" -maxdepth 1 -name 'mark-*' -printf '%f ')
[ -z "$marks" ] || broken "the host ran what the project names: $marks"
[ "$code" -eq 0 ] || broken "the run ended with $code"
held
