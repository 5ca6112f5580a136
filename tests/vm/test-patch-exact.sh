#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# apply(patch, base) is exactly the tree the box had, for every kind of file git knows and any name
# (P2); git's own commands take the patch; what has moved on since is refused and named.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/exact
make_project "$project"
(
    cd "$project"
    mkdir -p gone/a/b old swap-dir
    printf 'x\n' >gone/a/b/c
    printf 'y\n' >gone/d
    seq 1 200 >old/renamed-later
    printf 'inside\n' >swap-dir/inside
    printf 'a file\n' >swap-file
    head -c 70000 /dev/urandom >binary
    printf 'no newline at end' >no-newline
    printf 'dos\r\nline\r\n' >crlf
    : >was-empty
    printf 'to be emptied\n' >emptied
    printf '#!/bin/sh\n' >loses-x
    chmod 0755 loses-x
    printf 'plain\n' >"$(printf 'bytes \377\376 in a name')"
    printf 'space\n' >' leading and trailing '
    git add -A
    git commit -q -m 'Everything a patch can meet'
)
git clone -q "$project" "$T/for-am"
git clone -q "$project" "$T/for-apply"
base_of_git=$(git -C "$project" rev-parse 'HEAD^{tree}')

cat >"$T/changes" <<'BOX'
set -e
printf 'one\nTWO\nthree\nfour\n' >text
head -c 90000 /dev/urandom >binary
head -c 3000000 /dev/urandom >new-binary
printf '\000\001\002' >small-binary
: >new-empty
: >emptied
printf 'no longer empty\n' >was-empty
printf 'still no newline' >no-newline
printf 'dos\r\nchanged\r\n' >crlf
chmod 0755 text
chmod 0644 loses-x
printf '#!/bin/sh\necho new\n' >new-tool
chmod 0711 new-tool
rm link
ln -s 'somewhere else/not there' link
ln -s ../outside link-out
ln -s /etc/passwd link-absolute
ln -s "$(printf 'target \377\nwith bytes')" link-bytes
rm -r gone
mkdir -p new/place
mv old/renamed-later new/place/renamed
rmdir old
rm -r swap-dir && printf 'now a file\n' >swap-dir
rm swap-file && mkdir swap-file && printf 'now in a directory\n' >swap-file/inside
deep=. && for i in $(seq 1 40); do deep=$deep/level$i; done
mkdir -p "$deep" && printf 'deep\n' >"$deep/file"
printf '1\n' >'with space'
printf '2\n' >"$(printf 'with\nnewline')"
printf '3\n' >"$(printf 'with\ttab')"
printf '4\n' >'with "double" quotes'
printf '5\n' >"with 'single' quotes"
printf '6\n' >'back\slash'
printf '7\n' >'grüße-日本-😀'
printf '8\n' >"$(printf 'bad \377\300\200 utf8')"
printf '9\n' >"$(printf 'bytes \377\376 in a name')"
printf '10\n' >'-leading-dash'
printf '11\n' >':(glob)*'
printf '12\n' >'*?[x]'
printf '13\n' >'a => b'
printf '14\n' >'#hash'
printf '15\n' >"$(printf '\033[31mred\033[0m')"
printf '16\n' >"$(head -c 250 /dev/zero | tr '\0' n)"
rm ' leading and trailing '
printf 'ignored in the box\n' >ignored.log
mkdir -p empty/directory
cp .git/index /tmp/index
export GIT_INDEX_FILE=/tmp/index
git add -A .
git write-tree
BOX

say "a box makes every kind of change"
expect 0 tb run -C "$project" -- sh -c "$(cat "$T/changes")"
in_box=$(tail -n 1 "$T/out")
id=$(last_task)
record=$(record_of "$id")
patch=$XDG_STATE_HOME/taskbox/tasks/$id/patch
equal "$base_of_git" "$(json "$record" base_tree)" "base tree of a clean work tree"
equal "$in_box" "$(json "$record" result_tree)" "result tree and what git said in the box"
expect 0 tb diff "$id" --name-only
holds "$T/out" 'new/place/renamed' "changed names"
python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' "$TASKBOX" diff "$id" >"$T/on-terminal" </dev/null
holds "$T/on-terminal" 'level40' "the patch on a terminal"
! LC_ALL=C grep -aq "$(printf '[\001-\010\016-\037\177]')" "$T/on-terminal" ||
    fail "control characters of the box reached a terminal"

say "git am and git apply give the same tree"
# --keep-cr: without it git am takes the carriage returns out of any patch to a file with CRLF lines.
git -C "$T/for-am" am -q --keep-cr "$patch" >"$T/err" 2>&1 || fail "git am does not take the patch"
equal "$in_box" "$(git -C "$T/for-am" rev-parse 'HEAD^{tree}')" "tree after git am"
equal 'AI Agent <agent@internal.sandbox>' "$(git -C "$T/for-am" log -1 --format='%an <%ae>')" "author"
git -C "$T/for-am" log -1 --format=%B >"$T/message"
holds "$T/message" "$id" "the task's id in the message"
holds "$T/message" "$base_of_git" "the base tree in the message"
holds "$T/message" "$(json "$record" image_digest)" "the image's digest in the message"
git -C "$T/for-apply" apply "$patch" >"$T/err" 2>&1 || fail "git apply does not take the patch"
equal "$in_box" "$(git_tree_of "$T/for-apply")" "tree after git apply"

say "drift is named and refused, all of it or nothing"
cp -a "$project/crlf" "$T/crlf"
printf 'edited meanwhile\n' >>"$project/crlf"
printf 'in the way\n' >"$project/with space"
before=$(tree_hash "$project")
expect 8 tb apply "$id"
holds "$T/err" "acknowledge" "what an apply with findings asks for"
try tb apply "$id" --check --acknowledge all
equal 11 "$code" "exit code of apply --check after drift"
try tb apply "$id" --acknowledge all
equal 11 "$code" "exit code of apply after drift"
cat "$T/out" "$T/err" >"$T/said"
holds "$T/said" "crlf" "the drifted file's name"
holds "$T/said" "with space" "the name of the file in the way"
holds_not "$T/said" "no-newline" "a file that has not drifted"
equal "$before" "$(tree_hash "$project")" "the project after a refused apply"
cp -a "$T/crlf" "$project/crlf"
rm "$project/with space"

say "apply gives exactly the tree the box had"
before=$(tree_hash "$project")
expect 0 tb apply "$id" --check --acknowledge all
equal "$before" "$(tree_hash "$project")" "the project after apply --check"
git_before=$(tree_hash "$project/.git")
expect 0 tb apply "$id" --acknowledge all
equal "$git_before" "$(tree_hash "$project/.git")" "the project's git directory after apply"
equal "$in_box" "$(git_tree_of "$project")" "tree of the project after apply"
[ -x "$project/text" ] || fail "a file that became executable is not after apply"
[ ! -x "$project/loses-x" ] || fail "a file that lost its executable bit has it after apply"
equal 'somewhere else/not there' "$(readlink "$project/link")" "target of a changed link"
[ ! -e "$project/gone" ] || fail "a deleted directory is still there after apply"
[ ! -e "$project/ignored.log" ] || fail "an ignored file came out of the box"

say "a second apply changes nothing and says so"
before=$(tree_hash "$project")
expect 0 tb apply "$id" --acknowledge all
cat "$T/out" "$T/err" >"$T/said"
holds "$T/said" 'already' "the answer to a second apply"
equal "$before" "$(tree_hash "$project")" "the project after a second apply"
equal applied "$(json "$record" state)" "state of the task"

say "an empty change is an empty patch, and a discarded task cannot be applied"
printf 'a\n' >"$project/text"
expect 0 tb run -C "$project" -- true
empty=$(last_task)
equal "$(json "$(record_of "$empty")" base_tree)" "$(json "$(record_of "$empty")" result_tree)" \
    "base and result of a task that changed nothing"
expect 0 tb discard "$empty"
try tb apply "$empty"
differ 0 "$code" "exit code of apply after discard"
