#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Commits made in a box come along as a series whose sum is the patch, and become commits of the
# project; a box that has broken its repository, or lies about it, loses its commits and nothing else.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/series
make_project "$project"
head=$(git -C "$project" rev-parse HEAD)
cat >"$T/agent" <<'BOX'
set -e
git config user.name 'Agent Smith'
git config user.email smith@example.org
printf 'one\nTWO\nthree\n' >text
printf 'ghp_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3f\n' >key
git add key
git commit -q -a -m 'Second line'
git rm -q key
printf 'new\n' >new
git add new
git commit -q -m 'Add new'
printf 'newer\n' >new
git commit -q -a --amend -m "$(printf 'Add new, better\n\nEscape: \033[31m.')"
rm link
printf 'not committed\n' >late
BOX

say "an agent that commits, amends and leaves work"
expect 0 tb run -C "$project" -- sh -c "$(cat "$T/agent")"
task=$(last_task)
tb show --json "$task" >"$T/shown"
equal 2 "$(json "$T/shown" commits)" "commits in the record"
equal "$head" "$(json "$T/shown" base_commit)" "commit of the base"
say "looking for commits took $(json "$T/shown" milliseconds commits) ms"
expect 0 tb diff --log "$task"
holds "$T/out" '^Author: Agent Smith <smith@example.org>$' "author"
holds "$T/out" '^    Second line$' "message"
holds "$T/out" '^    Escape: \\x1B\[31m\.$' "escaped message"
holds "$T/out" '^not committed$' "the rest"
holds "$T/out" '^ D .* link$' "the rest's files"
equal 2 "$(grep -c '^commit ' "$T/out")" "commits in the log"
expect 0 tb diff --log -p "$task"
holds "$T/out" '^\+TWO$' "diff in the log"

say "as commits of the project"
result=$(json "$T/shown" result_tree)
expect 0 tb inspect "$task"
holds "$T/out" 'credential  key:1 in commit ' "what one commit adds and the next removes"
holds "$T/out" 'terminal-escape  message of commit .*, line 3' "what a message has"
expect 8 tb apply --commit "$task"
holds "$T/err" 'terminal-escape' "rule to acknowledge"
expect 0 tb apply --check "$task"
expect 0 tb apply --commit "$task" --acknowledge terminal-escape --acknowledge credential
equal "$result" "$(git -C "$project" rev-parse 'HEAD^{tree}')" "tree of the last commit"
equal $'What was not committed\nAdd new, better\nSecond line\nFirst' \
    "$(git -C "$project" log --format=%s)" "subjects"
git -C "$project" log -1 --format=%B HEAD^ >"$T/out"
holds "$T/out" '^Escape: \\x1B\[31m\.$' "message that was committed"
equal 'Agent Smith Tester' "$(git -C "$project" log -1 --format='%an %cn' HEAD^)" "who"
equal '' "$(git -C "$project" status --porcelain)" "status"
git -C "$project" fsck --strict >"$T/out" 2>&1 || fail "fsck"
expect 0 tb undo "$task"
equal "$head" "$(git -C "$project" rev-parse HEAD)" "HEAD after undo"
equal '' "$(git -C "$project" status --porcelain)" "status after undo"

say "as mails"
expect 0 tb patch --series -o "$T/mbox" "$task"
git clone -q "$project" "$T/clone"
git -C "$T/clone" am -q --keep-cr "$T/mbox" >"$T/out" 2>&1 || fail "git am: $(cat "$T/out")"
equal "$result" "$(git -C "$T/clone" rev-parse 'HEAD^{tree}')" "tree after git am"
equal $'What was not committed\nAdd new, better\nSecond line\nFirst' \
    "$(git -C "$T/clone" log --format=%s)" "subjects after git am"

say "as a branch"
expect 0 tb apply --branch agent/work --acknowledge all "$task"
equal "$head" "$(git -C "$project" rev-parse HEAD agent/work~3 | uniq)" "below the branch"
equal "$result" "$(git -C "$project" rev-parse 'agent/work^{tree}')" "tree of the branch"
equal '' "$(git -C "$project" status --porcelain)" "status beside the branch"
expect 0 tb undo "$task"
equal main "$(git -C "$project" branch --format='%(refname:short)')" "branches after undo"

# lost TASK REASON: the patch is there, the commits are not, and a note says why.
lost() {
    tb show --json "$(last_task)" >"$T/shown"
    equal 0 "$(json "$T/shown" commits)" "commits"
    equal true "$(json "$T/shown" verified)" "verified"
    json "$T/shown" notes >"$T/notes"
    holds "$T/notes" "$1" "note"
    expect 0 tb diff --name-only @last
    holds "$T/out" '^text$' "the patch"
}

say "no commit: not asked"
expect 0 tb run -C "$project" -- sh -c 'git status >/dev/null; echo x >text'
tb show --json "$(last_task)" >"$T/shown"
equal 0 "$(json "$T/shown" commits)" "commits"
holds_not "$T/shown" 'commits made in the box' "note"
say "looking for none took $(json "$T/shown" milliseconds commits || true) ms"
expect 0 tb run -C "$project" -- sh -c 'echo x >text'
tb show --json "$(last_task)" >"$T/shown"
holds_not "$T/shown" '"commits": ?[1-9]' "phase of a box that let .git alone"

say "a broken repository"
expect 0 tb run -C "$project" -- sh -c 'echo x >text; echo nonsense >.git/HEAD'
lost 'the repository in the box cannot be read'

say "a repository that lies"
expect 0 tb run -C "$project" -- sh -c "
    echo x >text
    echo 0123456789012345678901234567890123456789 >.git/refs/heads/main
    sudo sh -c 'cat >/usr/local/bin/git' <<'GIT'
#!/bin/sh
case \$1 in
rev-parse) echo 0123456789012345678901234567890123456789 ;;
rev-list) echo 0123456789012345678901234567890123456789 ;;
pack-objects) head -c 100000 /dev/urandom ;;
esac
GIT
    sudo chmod 755 /usr/local/bin/git"
lost 'did not come along'

say "a repository without end"
expect 0 tb run -C "$project" -- sh -c "
    echo x >text
    echo 0123456789012345678901234567890123456789 >.git/refs/heads/main
    printf '#!/bin/sh\nyes 0123456789012345678901234567890123456789\n' | sudo tee /usr/local/bin/git >/dev/null
    sudo chmod 755 /usr/local/bin/git"
lost 'did not come along'
