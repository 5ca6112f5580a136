#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: configuration that only gits to come obey: no file that the project's names may even be opened
# promise: P3
# hole: git-config
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs git
P=$PLACE/project
project "$P"
chmod 0755 "$PLACE"
# Which keys run programs changes from git to git (2.54 has hooks by configuration). All of them stand in files, and a
# file that nobody opens says nothing: each configuration of the project's includes one that is watched. The user's own,
# which git may be asked about, has them, too.
traps=$P/.git/traps
mkdir "$traps"
printf '#!/bin/sh\ntouch %s/mark-hook\n' "$PLACE" >"$PLACE/hook"
chmod 0755 "$PLACE/hook"
for event in pre-commit post-index-change post-checkout pre-auto-gc reference-transaction post-read; do
    printf '[hook "%s"]\n\tcommand = %s\n\tevent = %s\n' "$event" "$PLACE/hook" "$event"
done >"$traps/config"
printf '* filter=trap diff=trap merge=trap\n' >"$traps/attributes"
git -C "$P" config include.path "$traps/config"
git -C "$P" config includeIf.gitdir:/.path "$traps/config"
git -C "$P" config core.attributesFile "$traps/attributes"
mkdir -p "$XDG_CONFIG_HOME/git"
cp "$traps/config" "$HOME/.gitconfig"
cp "$traps/config" "$XDG_CONFIG_HOME/git/config"
git -C "$P" config extensions.worktreeConfig true
printf '[include]\n\tpath = %s\n' "$traps/config" >"$P/.git/config.worktree"
printf 'changed\n' >>"$P/text"

# The trap is one: git as it is opens it.
opened "$traps/config" start
git -C "$P" status >/dev/null 2>&1 || :
if opened "$traps/config" stop; then cannot "git does not open what a configuration includes"; fi
rm -f "$PLACE"/mark-*

opened "$traps/config" start
# shellcheck disable=SC2016 # the box expands it
box "$P" 'echo more >>text; git add -A; git commit -q -m In; echo "* filter=trap" >.gitattributes
printf "[include]\n\tpath = /evil\n[hook \"x\"]\n\tcommand = ./evil\n\tevent = pre-commit\n" >>.git/config'
ran=$code
for ask in "show @last" "diff @last" "diff @last --log" "inspect @last" "patch --series @last" "apply @last --check" \
    "apply @last --acknowledge all" "undo @last" gc; do
    # shellcheck disable=SC2086 # words on purpose
    "$TASKBOX" $ask >>"$PLACE/said" 2>&1 </dev/null || :
done
opened "$traps/config" stop || broken "git has opened what a configuration of others includes"
marks=$(find "$PLACE" -maxdepth 1 -name 'mark-*' -printf '%f ')
[ -z "$marks" ] || broken "the host ran what a configuration names: $marks"
[ "$ran" -eq 0 ] || broken "the run ended with $ran"
held
