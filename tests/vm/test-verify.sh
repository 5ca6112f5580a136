#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A patch is tried in a box of its own, and a task done again begins with what the old one began
# with, or has left, whatever has become of the project.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/tried
make_project "$project"
mkdir "$project/old"
echo one >"$project/old/file"
echo gone >"$project/leaves"
git -C "$project" add -A
git -C "$project" commit -qm 'more'
echo kept >"$project/ignored.mine"
before=$(tree_hash "$project")
verdict() { json "$T/out" verify verdict; }

say "--verify sees the patch, and neither the first box nor the network"
# shellcheck disable=SC2016
expect 0 tb run --json --net open -C "$project" --verify '
    set -e; test "$(cat new)" = made; test ! -e leaves; test -f old; test -x "$PWD/run me"
    test ! -e /tmp/of-the-first; test ! -e ignored.first
    test "$(cat ignored.mine)" = kept; git log --format=%s | grep -qx more
    if env | grep -i _proxy=; then exit 9; fi
    if bash -c "exec 3<>/dev/tcp/127.0.0.1/3128" 2>/dev/null; then exit 8; fi
    echo not in the patch >afterwards; echo "it holds"' \
    -- sh -ec 'env | grep -q -i _proxy=; bash -c "exec 3<>/dev/tcp/127.0.0.1/3128"; echo made >new; rm -r leaves old; echo now >old; echo x >"run me"; chmod +x "run me"
        touch /tmp/of-the-first ignored.first'
equal passed "$(verdict)" "the verdict"
id=$(json "$T/out" id)
equal ready "$(json "$T/out" status)" "state of the task"
holds "$T/err" '^it holds$' "what the command said"
holds "$T/err" 'verify: passed in .*; see: taskbox logs --verify' "the summary"
expect 0 tb logs --verify "$id"
equal 'it holds' "$(cat "$T/out")" "the log of the verification"
expect 0 tb logs "$id"
holds_not "$T/out" 'it holds' "the log of the task"
expect 0 tb diff --name-only "$id"
holds_not "$T/out" afterwards "the files of the patch"
expect 0 tb show "$id"
holds "$T/out" '^verify +passed in ' "'show'"
equal "$before" "$(tree_hash "$project")" "the project after a verified run"
equal '' "$(find "$XDG_STATE_HOME/taskbox/tasks/$id/verify" -mindepth 1 ! -name log ! -name record.json)" "what is left of its box"

say "a patch that does not hold, and none at all"
expect 14 tb run --verify 'echo "no good"; exit 3' -C "$project" -- sh -c 'echo bad >new'
holds "$T/err" 'verify: failed with exit code 3 in ' "the summary"
bad=$(last_task)
expect 0 tb compare "$id" "$bad"
holds "$T/out" '^verify +passed +failed$' "'compare'"
expect 5 tb run --verify false -C "$project" -- sh -c 'echo bad >new; exit 5'
expect 0 tb run --json --verify false -C "$project" -- true
equal 'not verified' "$(verdict)" "the verdict on no changes"
printf 'verify: test -e new\n' >"$project/.taskbox.yaml"
expect 14 tb run -C "$project" -- sh -c 'echo x >other'
expect 0 tb run --no-verify -C "$project" -- sh -c 'echo x >other'
TASKBOX_VERIFY='test -e other' expect 0 tb run -C "$project" -- sh -c 'echo x >other'
rm "$project/.taskbox.yaml"

say "killed while it verifies: the patch is there, its verdict is not"
: >"$T/killed"
"$TASKBOX" run -C "$project" --verify 'echo begun; sleep 600' -- sh -c 'echo kept >new' >"$T/killed" 2>&1 &
pid=$!
wait_for "$boot_limit" grep -q '^begun' "$T/killed" || { cp "$T/killed" "$T/err"; fail "it does not verify"; }
killed=$(last_task)
try tb apply "$killed"
equal 9 "$code" "exit code of an apply while it is verified"
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
expect 0 tb show --json "$killed"
equal ready "$(json "$T/out" status)" "state of the killed task"
equal 'not verified' "$(verdict)" "its verdict"
[ ! -e "$XDG_STATE_HOME/taskbox/tasks/$killed/verify/box" ] || fail "its box is still there"
expect 0 tb apply --check "$killed"

say "retry: from the same base, though the project has moved on"
rm -r "$project/old"
mkdir "$project/new"
echo later >"$project/new/file"
echo later >"$project/text"
git -C "$project" add -A
git -C "$project" commit -qm 'moved on'
now=$(tree_hash "$project")
expect 0 tb retry --json "$id"
retried=$(json "$T/out" id)
equal passed "$(verdict)" "the verdict, with the old task's command"
equal "$(json "$(record_of "$id")" base_tree)" "$(json "$T/out" base_tree)" "base of the new task"
equal "$(json "$(record_of "$id")" result_tree)" "$(json "$T/out" result_tree)" "result of the same command"
equal "$id" "$(json "$T/out" from)" "what the record says of its beginning"
expect 0 tb retry --no-verify "$id" -- sh -c 'cat old/file text; ls; echo again >again'
holds "$T/out" '^one$' "a file of the base"
holds_not "$T/out" '^later$' "what the box sees of later"
expect 0 tb diff --name-only "$(last_task)"
equal again "$(cat "$T/out")" "files of the new patch"

say "retry --on-top: both have done it"
expect 0 tb retry --no-verify --on-top --json "$id" -- sh -c 'cat new; cat old; test -x "run me"; echo more >>new; rm old'
equal "$(json "$(record_of "$id")" base_tree)" "$(json "$T/out" base_tree)" "base of the patch on top"
top=$(json "$T/out" id)
expect 0 tb diff "$top"
holds "$T/out" '^\+made$' "what the first has done"
holds "$T/out" '^\+more$' "what the second has done"
equal "$now" "$(tree_hash "$project")" "the project after all that"
git clone -q "$project" "$T/clone"
git -C "$T/clone" reset -q --hard HEAD~1
expect 0 tb patch "$top" -o "$T/top.patch"
expect 0 tb patch verify -C "$T/clone" "$T/top.patch"

say "the base is still there when the old task is gone"
expect 0 tb discard "$id"
expect 0 tb gc --apply
expect 1 tb show "$id"
expect 0 tb diff "$retried"
expect 0 tb retry --no-verify "$retried" -- sh -c 'cat old/file'
holds "$T/out" '^one$' "a file of the base"

say "what cannot be done again"
expect 0 tb discard "$retried"
expect 1 tb retry "$retried"
one_error_line 'was discarded'
expect 2 tb retry --agent x "$top"
expect 125 tb run --verify '' -C "$project" -- true
expect 125 tb run --verify true --no-verify -C "$project" -- true
