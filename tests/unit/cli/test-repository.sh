#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# apply to index, commit and branch, and undo, by the commands; on a task that is put into the store
# by hand (no box).
set -eu -o pipefail
: "${TASKBOX:?names the program under test}"
here=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export XDG_STATE_HOME=$T/state XDG_DATA_HOME=$T/data XDG_CACHE_HOME=$T/cache LC_ALL=C.UTF-8
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=Tester GIT_AUTHOR_EMAIL=tester@example.org
unset XDG_CONFIG_HOME COLUMNS GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
export HOME=$T

fail() { printf 'FAILED: %s\n' "$*"; [ ! -s "$T/out" ] || cat -v "$T/out"; [ ! -s "$T/err" ] || cat -v "$T/err"; exit 1; }
# try CODE ARG...
try() {
    local want=$1 code=0
    shift
    "$TASKBOX" "$@" >"$T/out" 2>"$T/err" || code=$?
    [ "$code" -eq "$want" ] || fail "taskbox $*: exit $code, not $want"
}
out() { grep -qF -- "$1" "$T/out" || fail "stdout lacks '$1'"; }
err() { grep -qF -- "$1" "$T/err" || fail "stderr lacks '$1'"; }
equal() { [ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"; }

base=$T/base
mkdir -p "$base/src"
seq 1 20 >"$base/src/a.txt"
echo keep >"$base/keep"
git -C "$base" init -q -b main
git -C "$base" add -A
git -C "$base" -c user.name=T -c user.email=t@example.org commit -q -m First
head=$(git -C "$base" rev-parse HEAD)
mkdir "$T/result"
cp -a "$base/src" "$base/keep" "$T/result"
sed -i 's/^5$/five/' "$T/result/src/a.txt"
echo new >"$T/result/new"
BASE_COMMIT=$head PROMPT='make it better' \
    python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" brave-otter-k3 "$base" "$T/result"

try 2 apply @last --index --commit
err 'do not go together'
try 2 apply @last --3way --branch x
err '--3way is for the files only'
try 2 apply @last --branch
try 2 apply @last --branch 'a..b'
err "'a..b' cannot be the name of a branch"

try 3 apply @last --commit
err 'git config --global user.name'
git config --global user.name Human
git config --global user.email human@example.org

try 0 apply --index --check @last
out 'would apply: 2 files, +2 -1'
equal '' "$(git -C "$base" status --porcelain)" "status after --check"
try 0 apply --index @last
out 'applied: 2 files, +2 -1; index'
equal $'A  new\nM  src/a.txt' "$(git -C "$base" status --porcelain)" "status after --index"
try 0 apply --index @last
out 'already applied'
try 11 apply --commit @last
err 'undo it first'
try 0 undo @last
equal '' "$(git -C "$base" status --porcelain)" "status after undo"

try 0 apply --commit @last
out "commit $(git -C "$base" rev-parse HEAD) on main"
equal 'AI Agent, Human: make it better' "$(git -C "$base" log -1 --format='%an, %cn: %s')" "commit"
equal "$head" "$(git -C "$base" rev-parse HEAD^)" "parent"
equal '' "$(git -C "$base" status --porcelain)" "status after --commit"
try 0 show @last --json
out '"applied_to":"commit '
git -C "$base" commit -q --allow-empty -m more
try 11 undo @last
err 'no longer at'
git -C "$base" reset -q --hard HEAD^
try 0 undo @last
equal "$head" "$(git -C "$base" rev-parse HEAD)" "HEAD after undo"

echo mine >>"$base/src/a.txt"
try 11 apply --commit @last
err "src/a.txt"
try 0 apply --branch fix/it @last
out 'branch fix/it'
equal ' M src/a.txt' "$(git -C "$base" status --porcelain)" "status after --branch"
git -C "$base" show fix/it:src/a.txt | cmp -s - "$T/result/src/a.txt" || fail "the branch's file"
try 0 undo @last
! git -C "$base" rev-parse -q --verify fix/it || fail "the branch is still there"

# Findings are asked for here, too.
echo 'obey me' >"$T/result/CLAUDE.md"
git -C "$base" checkout -q src/a.txt
BASE_COMMIT=$head python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" calm-crane-a1 "$base" "$T/result"
for place in --index --commit '--branch other'; do
    # shellcheck disable=SC2086
    try 8 apply calm $place
    err 'agent-instructions'
done
equal "$head" "$(git -C "$base" rev-parse HEAD)" "HEAD after refusals"
try 0 apply calm --branch other --acknowledge agent-instructions

# Commits of the box: shown safely, oldest first, and applied as such.
rm "$T/result/CLAUDE.md"
mkdir "$T/step1"
cp -a "$base/src" "$base/keep" "$T/step1"
sed -i 's/^5$/fünf/' "$T/step1/src/a.txt"
cp -a "$T/step1" "$T/step2"
echo new >"$T/step2/new"
BASE_COMMIT=$head STEPS=$T/step1:$T/step2 PROMPT='in steps' \
    python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" eager-elm-c3 "$base" "$T/result"
try 0 diff --log eager
equal 'commit 0000000000000000000000000000000000000001
Author: Agent \x1B[7m <agent@box>
Date:   2023-11-14 23:13:20 +0100

    Step 1

    With \x1B[31m in it.

 M +1     -1     src/a.txt
 1 file, +1 -1

commit 0000000000000000000000000000000000000002
Author: Agent \x1B[7m <agent@box>
Date:   2023-11-14 23:13:20 +0100

    Step 2

    With \x1B[31m in it.

 A +1     -0     new
 1 file, +1 -0

not committed

 M +1     -1     src/a.txt
 1 file, +1 -1' "$(cat "$T/out")" "log"
try 0 diff --log -p eager
out '+fünf'
try 2 diff --log --stat eager
try 2 diff -p eager
err '--patch is for --log'
try 0 diff --log calm
out 'no commits came along'
try 0 show eager
out "2 (see 'taskbox diff --log')"
try 8 apply eager --check --branch steps
err 'terminal-escape'
try 0 apply eager --check --branch steps --acknowledge terminal-escape
sed -i 's/\x1b\[7m //g' "$XDG_STATE_HOME/taskbox/tasks/eager-elm-c3/series"
try 0 apply eager --branch steps --acknowledge all
equal $'What was not committed\nStep 2\nStep 1\nFirst' "$(git -C "$base" log --format=%s steps)" "subjects"
equal 'Agent <agent@box> 1700000000 +0100, Human' \
    "$(git -C "$base" log -1 --format='%an <%ae> %ad, %cn' --date=raw steps^)" "author and committer"
git -C "$base" show steps:src/a.txt | cmp -s - "$T/result/src/a.txt" || fail "the sum of the steps"
try 0 undo eager
try 0 apply eager --branch part --files new
equal $'in steps\nFirst' "$(git -C "$base" log --format=%s part)" "subjects of a part"
try 0 undo eager

# No repository: said so.
mkdir "$T/plain"
cp -a "$base/src" "$base/keep" "$T/plain"
python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" dark-dune-b2 "$T/plain" "$T/result"
try 6 apply dark --commit --acknowledge all
err 'has no git repository'
