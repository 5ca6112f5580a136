#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The project directory is byte for byte the same after a run, whatever the command does in the
# box: contents, modes, owners, times, links, .git with it (P1).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/victim
make_project "$project"
printf 'changed, not committed\n' >>"$project/text"
printf 'untracked\n' >"$project/new file"
printf 'ignored\n' >"$project/ignored.log"
mkdir -p "$project/empty/directory"
ln "$project/tool" "$project/src/tool-again"
chmod 0444 "$project/src/deep/main.c"
chmod 0750 "$project/src/deep"
find "$project" -exec touch -h -d '2020-02-02 02:02:02.123456789' {} +
before=$(tree_hash "$project")

say "the hash of a tree sees what it has to see"
chmod 0640 "$project/new file"
chmod 0644 "$project/new file"
differ "$before" "$(tree_hash "$project")" "hash after a mode was changed and put back"
before=$(tree_hash "$project")

say "writes, modes, owners, times, git, a full disk"
cat >"$T/rampage" <<'BOX'
set -e
echo written >text
echo more >another
rm -r src
mv tool moved
chmod -R 0777 .
sudo chown -R root:root .
sudo touch -h -d '1999-01-01' text link .git/HEAD .
sudo chown -R "$(id -u):$(id -g)" .
git add -A
git commit -q -m 'From the box'
git branch other
git gc -q --prune=now --aggressive
git config core.editor true
echo junk >.git/description
rm -f .git/HEAD.lock
set +e
free=$(df --output=avail -k /var/tmp | tail -n 1)
fallocate -l "$((free - 20000))K" /var/tmp/most || exit 90
says=$(dd if=/dev/zero of=/var/tmp/fill bs=1M 2>&1)
case $says in *'No space left'*) ;; *) echo "$says"; exit 91 ;; esac
head -c 4000000 /dev/zero >too-much 2>/dev/null && exit 92
rm -f too-much
rm -f /var/tmp/fill /var/tmp/most
echo survived
BOX
expect 0 tb run -C "$project" -- sh -c "$(cat "$T/rampage")"
holds "$T/out" '^survived$' "the command's own output"
equal "$before" "$(tree_hash "$project")" "the project after writes, chmod, chown, git and a full disk"

say "rm -rf / by the box's root"
# What is left of the box afterwards is its own affair; that the run ends, and how, is ours.
try tb run -C "$project" --timeout 3m -- sh -c 'sudo rm -rf --no-preserve-root / 2>/dev/null; exit 0'
case $code in
0 | 124 | 125) ;;
*) fail "exit code $code of a run that removed everything in its box" ;;
esac
equal "$before" "$(tree_hash "$project")" "the project after rm -rf /"
