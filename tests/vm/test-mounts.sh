#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A project that is shared instead of imaged: the box forks all the same, leaves the same patch, and
# can write nothing; its file server is nobody; what must be hidden is not shared. 'auto' says what
# it takes, and why.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
[ -x /usr/lib/qemu/virtiofsd ] || [ -x /usr/libexec/virtiofsd ] || skip "there is no virtiofsd"
project=$T/shared
make_project "$project"
printf 'changed, not committed\n' >>"$project/text"
printf 'untracked\n' >"$project/new file"
printf 'outside\n' >"$T/outside"
ln -s ../outside "$project/out"
ln -s /etc/hostname "$project/absolute"
make_project "$project/inner"
for repository in "$project" "$project/inner"; do
    git -C "$repository" config remote.origin.url https://user:very-secret@example.org/it
done
before=$(tree_hash "$project")

say "what this image's kernel has not is refused, with the way to it"
expect 125 tb run --mount 9p -C "$project" -- true
one_error_line "kernel of image 'debian' has no 9p \\(.*linux-image-amd64"

say "a box with a share forks, and leaves the patch that one with an image leaves"
cat >"$T/work" <<'BOX'
set -e
echo more >>text
rm src/deep/main.c
mv tool moved
printf 'a\0b' >binary
chmod 0755 'new file'
git add -A
git commit -q -m 'From the box'
BOX
for mount in image virtiofs; do
    expect 0 tb run --json --mount "$mount" -C "$project" -- sh -c "$(cat "$T/work")"
    equal fork "$(json "$T/out" start)" "how the box with $mount came to run"
    json "$T/out" result_tree >"$T/tree-$mount"
done
equal "$(cat "$T/tree-image")" "$(cat "$T/tree-virtiofs")" "the result of the share"
equal "$before" "$(tree_hash "$project")" "the project after both"

say "the box's root cannot write through it, nor read beyond it"
# shellcheck disable=SC2016
attempts='cd /mnt; i=/var/lib/taskbox/image; findmnt -no FSTYPE $i 2>/dev/null || mount | grep " $i "
mount -o remount,rw $i; mkdir s; mount -t virtiofs project s && echo mounted; cd s
for c in "touch made" "mkdir dir" "sh -c \">text\"" "sh -c \"echo x>>text\"" "rm text" "mv tool moved" "chmod 777 text" \
    "chown 0 text" "ln text hard" "ln -s text soft" "mknod dev b 8 0" "mkfifo pipe" "truncate -s 0 tool" "touch -d 1999-01-01 text"; do
    eval "$c" 2>/dev/null && echo "WROTE: $c"
done
for p in out ../outside ../../outside absolute; do
    case $(cat "$p" 2>/dev/null) in *outside*) echo "READ: $p";; esac
done
for g in .git inner/.git; do [ -d $g ] && echo "there: $g"; find $g -mindepth 1 | sed "s/^/READ: /"; done; echo tried'
expect 0 tb run --mount virtiofs -C "$project" -- sudo sh -c "$attempts"
holds "$T/out" virtiofs "the kind of mount"
holds "$T/out" '^tried$' "the end of the attempts"
holds "$T/out" '^mounted$' "a mount of the box's own"
holds "$T/out" '^there: inner/\.git$' "where a git directory was"
holds_not "$T/out" 'WROTE|READ' "what the box could do"
equal "$before" "$(tree_hash "$project")" "the project after the attempts"

say "what is in the git directories comes to the box without credentials"
expect 0 tb run --mount virtiofs -C "$project" -- sh -c 'git log --format=%s -n 1; git -C inner log --format=%s -n 1
git status --short | wc -l; cat .git/config inner/.git/config'
equal 2 "$(grep -c '^First$' "$T/out")" "repositories with their commits"
holds_not "$T/out" very-secret "the configuration in the box"

say "its file server has no rights; when it dies the command ends, and what it did is kept"
# What it goes on with waits for the file server for ever then, and cannot be killed.
cat >"$T/work" <<'BOX'
echo kept >>text
mkdir new
echo made >new/file
rm tool
mv src elsewhere
echo here
while :; do
    find inner -type f -exec cat {} + >/dev/null
    sudo sh -c 'echo 3 >/proc/sys/vm/drop_caches'
done
BOX
"$TASKBOX" run --mount virtiofs -C "$project" -- sh -c "$(cat "$T/work")" >"$T/out" 2>"$T/err" &
run=$!
wait_for "$boot_limit" grep -qx here "$T/out" || fail "the box does not come up"
server=$(processes_of_test | awk '$2 ~ /virtiofsd/ { print $1 }' | tail -n 1)
[ -n "$server" ] || server=$(pgrep -n -x virtiofsd)
status() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$server/status"; }
for capability in CapInh CapPrm CapEff CapAmb; do
    equal 0000000000000000 "$(status $capability)" "$capability of virtiofsd"
done
equal 1 "$(status NoNewPrivs)" "virtiofsd may gain rights"
equal 2 "$(status Seccomp)" "virtiofsd's filter"
differ 0 "$(status Uid)" "virtiofsd's user"
for namespace in user mnt net pid ipc; do
    differ "$(readlink "/proc/self/ns/$namespace")" "$(readlink "/proc/$server/ns/$namespace")" "virtiofsd's $namespace"
done
awk '$5 != "/proc" && $6 !~ /(^|,)ro(,|$)/ && $9 != "tmpfs" && $8 != "tmpfs" { print $5 }' "/proc/$server/mountinfo" |
    grep -Ev '^/(dev|proc|tmp|run|var)(/|$)' >"$T/writable" && fail "virtiofsd could write: $(cat "$T/writable")"
kill -9 "$server"
code=0
wait "$run" || code=$?
equal 125 "$code" "exit code of a run whose file server was killed"
holds "$T/err" '^taskbox: the command was stopped: .*file server \(virtiofsd\) ended by itself' "what run says"
holds "$T/err" "a directory that was moved in it held of the project" "what run says is missing"
equal "$before" "$(tree_hash "$project")" "the project after all"
tb diff --name-only @last >"$T/names"
equal 'new/file src/deep/main.c text tool' "$(sort "$T/names" | xargs)" "files of the patch"
expect 0 tb diff @last
holds "$T/out" '^\+kept$' "the patch"
holds "$T/out" '^\+made$' "the patch"

say "auto takes an image of a small project, and says so; what must be hidden is not shared"
expect 0 tb run --mount auto -C "$project" -- true
holds "$T/err" '^taskbox: mount: image, since ' "what auto says"
make_project "$T/large"
truncate -s 9G "$T/large/ignored.big"
expect 0 tb run --json --mount auto -C "$T/large" -- stat -c 'seen %s' ignored.big
holds "$T/err" '^taskbox: mount: virtiofs, since an image of more than 8 GiB takes long$' "what auto says of a large one"
holds "$T/err" "^seen $((9 << 30))\$" "what the box sees of it"
holds "$(record_of "$(json "$T/out" id)")" '"virtiofs, since an image of more than 8 GiB takes long"' "the record"
printf 'ignored.big\n' >"$T/large/.taskboxignore"
expect 0 tb run --mount auto -C "$T/large" -- stat -c 'seen %s' ignored.big
holds "$T/err" '^taskbox: mount: image, since virtiofs cannot hide ignored\.big' "what auto says of what is masked"
holds "$T/out" '^seen 0$' "what the box sees of what is masked"
make_project "$T/many"
mkdir "$T/many/files"
(cd "$T/many/files" && seq 1500 | xargs touch)
(
    ulimit -n 1024
    expect 125 tb run --mount virtiofs -C "$T/many" -- true
    one_error_line "it has more than 960 files, and virtiofsd may keep no more open"
)
printf 'TOKEN=very-secret\n' >"$project/.env"
expect 125 tb run --keep always --mount virtiofs -C "$project" -- cat .env
equal '' "$(find "$XDG_STATE_HOME/taskbox/tasks" -name console.log)" "boxes that were begun in spite of it"
one_error_line "shares the project by virtiofs would see what must be hidden: \\.env: "
holds_not "$T/out" very-secret "what the box said"
