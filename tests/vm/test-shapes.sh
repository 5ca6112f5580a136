#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Projects of every shape, and what a box looks like from inside: identity, sudo, no remotes, no
# network, the owner's uid, the same path in every box; a second run brings what changed.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
own_cache

say "dirty, untracked and ignored files are there; the box as the task sees it"
project=$T/shaped
make_project "$project"
git -C "$project" remote add origin https://user:secret@example.org/repo.git
git -C "$project" config user.name 'The Host'
git -C "$project" config credential.helper store
printf '#!/bin/sh\nexit 1\n' >"$project/.git/hooks/pre-commit"
chmod 0755 "$project/.git/hooks/pre-commit"
printf 'dirty\n' >>"$project/text"
printf 'untracked\n' >"$project/untracked file"
printf 'ignored\n' >"$project/ignored.log"
mkfifo "$project/fifo"
if [ "$(id -u)" -eq 0 ]; then
    chown -R 4321:4321 "$project"
    owner=4321
else
    owner=$(id -u)
fi
before=$(tree_hash "$project")
cat >"$T/inside" <<'BOX'
echo "pwd=$(pwd)"
echo "uid=$(id -u)"
echo "owner=$(stat -c %u text)"
echo "root=$(sudo -n id -u)"
echo "name=$(git config user.name) <$(git config user.email)>"
echo "remotes=$(git remote | wc -l)"
echo "secret=$(grep -rs secret .git/config | wc -l)"
echo "helper=$(git config credential.helper)"
echo "hooks=$(ls .git/hooks 2>/dev/null | grep -cv '\.sample$')"
echo "log=$(git log --format=%s)"
echo "nics=$(ls /sys/class/net | tr '\n' ' ')"
echo "dirty=$(tail -n 1 text)"
echo "untracked=$(cat 'untracked file')"
echo "ignored=$(cat ignored.log)"
echo "fifo=$(ls fifo 2>/dev/null)"
echo "status=$(git status --porcelain | tr '\n' ';')"
echo "tool=$(./tool)"
echo "year=$(date +%Y)"
echo second >>text
git commit -q -m 'In the box' text && echo "commits=$(git rev-list --count HEAD)"
BOX
expect 0 tb run -C "$project" -- sh -c "$(cat "$T/inside")"
inside() { equal "$1=$2" "$(grep "^$1=" "$T/out")" "in the box, $1"; }
inside pwd /workspace/shaped
inside uid "$owner"
inside owner "$owner"
inside root 0
inside name 'AI Agent <agent@internal.sandbox>'
inside remotes 0
inside secret 0
inside helper ''
inside hooks 0
inside log First
inside nics 'lo '
inside dirty dirty
inside untracked untracked
inside ignored ignored
inside fifo ''
inside status ' M text;?? "untracked file";'
inside tool tool
inside year "$(date +%Y)"
inside commits 2
equal "$before" "$(tree_hash "$project")" "the project after a run"
tb show @last >"$T/shown"
holds "$T/shown" 'fifo' "what was left out of the box, in 'show'"
tb diff @last --name-only >"$T/names"
equal text "$(cat "$T/names")" "files changed in the box"

say "a second run brings what changed, on the image made for the first"
images_of() { find "$XDG_CACHE_HOME/taskbox" -type f -size +64k -newer "$T/shown" 2>/dev/null | sort; }
printf 'changed later\n' >"$project/text"
printf 'added later\n' >"$project/src/added"
rm "$project/tool" "$project/fifo"
mkdir "$project/new-dir"
printf 'deep\n' >"$project/new-dir/file"
expect 0 tb run -C "$project" -- sh -c 'cat text src/added new-dir/file; ls tool 2>&1; echo done; git status --porcelain'
holds "$T/out" '^changed later$' "changed file in the second box"
holds "$T/out" '^added later$' "added file in the second box"
holds "$T/out" '^deep$' "new directory in the second box"
holds "$T/out" "tool.*No such file" "deleted file in the second box"
holds "$T/out" '^ D tool$' "git's view of the deleted file"
equal '' "$(images_of)" "project images written by the second run"
tb diff @last --name-only >"$T/names"
equal '' "$(cat "$T/names")" "files changed by a run that changed nothing"

say "a subdirectory of a repository"
expect 0 tb run -C "$project/src/deep" -- sh -c 'pwd; echo x >here; git rev-parse --show-toplevel'
holds "$T/out" '^/workspace/shaped/src/deep$' "working directory"
holds "$T/out" '^/workspace/shaped$' "top of the work tree"
tb diff @last --name-only >"$T/names"
equal src/deep/here "$(cat "$T/names")" "path of a file made in a subdirectory"
expect 0 tb apply @last
equal x "$(cat "$project/src/deep/here")" "file after apply"

say "a linked worktree"
make_project "$T/main-tree"
git -C "$T/main-tree" worktree add -q -b side "$T/linked"
printf 'only here\n' >"$T/linked/side-file"
git -C "$T/linked" add -A
git -C "$T/linked" commit -q -m 'Second'
before=$(tree_hash "$T/linked")$(tree_hash "$T/main-tree")
expect 0 tb run -C "$T/linked" -- sh -c \
    'git log --format=%s; git status --porcelain; git branch --show-current; echo more >>side-file'
holds "$T/out" '^Second$' "history of a linked worktree"
holds "$T/out" '^First$' "history of a linked worktree"
holds "$T/out" '^side$' "branch of a linked worktree"
equal "$before" "$(tree_hash "$T/linked")$(tree_hash "$T/main-tree")" "both work trees after a run"
expect 0 tb apply @last
holds "$T/linked/side-file" '^more$' "file of a linked worktree after apply"
[ ! -e "$T/main-tree/side-file" ] || fail "apply wrote into the other work tree"

say "no repository at all"
mkdir -p "$T/plain/sub"
printf 'just a file\n' >"$T/plain/file"
printf 'x\n' >"$T/plain/sub/other"
expect 0 tb run -C "$T/plain" -- sh -c 'cat file; echo changed >file; rm -r sub; echo new >new'
holds "$T/out" '^just a file$' "file of a plain directory"
tb diff @last --name-only | sort >"$T/names"
equal 'file new sub/other ' "$(tr '\n' ' ' <"$T/names")" "files changed in a plain directory"
expect 0 tb apply @last
equal 'changed new' "$(cat "$T/plain/file") $(cat "$T/plain/new")" "plain directory after apply"
[ ! -e "$T/plain/sub/other" ] || fail "a deleted file is still there after apply"
[ ! -e "$T/plain/.git" ] || fail "a repository appeared in a plain directory"
