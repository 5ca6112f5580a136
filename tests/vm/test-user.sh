#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A run as an ordinary user with a fresh home works; and in a run as root nothing in the jail is
# uid 0 of the host.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
    say "not root: every test here runs as an ordinary user"
    need_image
    make_project "$T/mine"
    expect 0 tb run -C "$T/mine" -- id -u
    equal "$(id -u)" "$(tail -n 1 "$T/out")" "uid in the box"
    exit 0
fi

need_image
say "as root: who runs what in the jail"
make_project "$T/of-root"
tb run -C "$T/of-root" -- sh -c 'id -u; echo started; sleep 8' >"$T/out" 2>"$T/err" &
pid=$!
wait_for "$boot_limit" grep -qs started "$T/out" || fail "the run did not start"
processes_of_test >"$T/processes"
# What only waits outside, as root of a user namespace and without any right.
waits_outside() {
    [ "$2" = bwrap ] && [ "$(readlink "/proc/$1/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] &&
        [ "$(readlink "/proc/$1/ns/user")" != "$(readlink /proc/self/ns/user)" ] &&
        grep -q '^CapPrm:	0*$' "/proc/$1/status"
}
jailed=0
while read -r process name; do
    case $name in taskbox) continue ;; esac
    uids=$(sed -n 's/^Uid:\t//p' "/proc/$process/status" 2>/dev/null) || continue
    case "	$uids	" in
    *"	0	"*) waits_outside "$process" "$name" || fail "process $process ($name) of the box runs as uid 0 of the host" ;;
    esac
    case $name in
    qemu* | CPU*) equal 1 "$(grep -c '^Seccomp:	2' "/proc/$process/status")" "seccomp filter of QEMU" ;;
    esac
    jailed=$((jailed + 1))
done <"$T/processes"
[ "$jailed" -ge 2 ] || fail "only $jailed processes seen in the jail: $(tr '\n' ';' <"$T/processes")"
grep -q ' qemu' "$T/processes" || fail "QEMU not seen: $(tr '\n' ';' <"$T/processes")"
code=0
wait "$pid" || code=$?
equal 0 "$code" "exit code of the run as root"
differ 0 "$(head -n 1 "$T/out")" "uid in the box of a project that is root's"

# An account every Debian and Ubuntu has; nothing is added to the machine.
user=${TEST_USER:-games}
uid=$(id -u "$user") || skip "no account '$user'"
gid=$(id -g "$user")
say "as an ordinary user ($user), with a home that was empty a moment ago"
chmod 0711 "$T"
mkdir "$T/u"
mkdir "$T/u/home" "$T/u/data" "$T/u/run"
chmod 0700 "$T/u/run"
# That image alone: other tests are at work in the store.
store=$XDG_DATA_HOME/taskbox
mkdir -m 0700 "$T/u/data/taskbox" "$T/u/data/taskbox/images" "$T/u/data/taskbox/names"
cp -a --reflink=auto --sparse=always "$store/images/$(cat "$store/names/debian")" "$T/u/data/taskbox/images/"
cp -a "$store/names/debian" "$T/u/data/taskbox/names/"
make_project "$T/u/project"
printf 'secret\n' >"$T/u/project/unreadable"
chown -R "$uid:$gid" "$T/u"
chown root:root "$T/u/project/unreadable"
chmod 0600 "$T/u/project/unreadable"
# A checkout below somebody's private home is shown to the user at its place, in a mount namespace.
closed=
for directory in "$TASKBOX" "$source_dir"; do
    while [ "$directory" != / ]; do
        directory=$(dirname "$directory")
        setpriv --reuid "$uid" --regid "$gid" --clear-groups test -x "$directory" || closed=$directory
    done
done
open_up() { # runs in the namespace: $closed is covered, only what the test needs shows through
    local keep
    mkdir -p "$T/u/keep-build" "$T/u/keep-source"
    mount --bind "${TASKBOX%/src/cli/taskbox}" "$T/u/keep-build"
    mount --bind "$source_dir" "$T/u/keep-source"
    mount -t tmpfs -o mode=0755 tmpfs "$closed"
    for keep in "$source_dir:keep-source" "${TASKBOX%/src/cli/taskbox}:keep-build"; do
        mkdir -p "${keep%:*}"
        mount --bind "$T/u/${keep##*:}" "${keep%:*}"
    done
}
as_user() {
    env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME="$T/u/home" XDG_DATA_HOME="$T/u/data" \
        XDG_STATE_HOME="$T/u/state" XDG_CACHE_HOME="$T/u/cache" XDG_RUNTIME_DIR="$T/u/run" \
        TMPDIR="$TMPDIR" \
        setpriv --reuid "$uid" --regid "$gid" --clear-groups "$@"
}
if [ -n "$closed" ] && [ "${T#"$closed"/}" = "$T" ]; then
    say "'$closed' is closed to $user: opened in a mount namespace"
    export -f open_up as_user
    export closed source_dir T TASKBOX TMPDIR uid gid
    # shellcheck disable=SC2016
    tb_as_user() { unshare -m bash -c 'open_up && as_user "$TASKBOX" "$@"' tb "$@"; }
else
    tb_as_user() { as_user "$TASKBOX" "$@"; }
fi

before=$(tree_hash "$T/u/project")
expect 0 tb_as_user run -C "$T/u/project" -- sh -c 'id -u; sudo -n id -u; ls; echo user >>text'
equal "$uid" "$(head -n 1 "$T/out")" "uid in the box"
holds "$T/out" '^0$' "sudo in the box"
holds_not "$T/out" '^unreadable$' "an unreadable file in the box"
equal "$before" "$(tree_hash "$T/u/project")" "the project after a user's run"
expect 0 tb_as_user show @last
holds "$T/out" 'unreadable' "the unreadable file, named"
expect 0 tb_as_user diff @last --name-only
equal text "$(cat "$T/out")" "files changed by a user's run"
expect 0 tb_as_user apply @last
equal user "$(tail -n 1 "$T/u/project/text")" "the project after apply"
equal "$uid" "$(stat -c %u "$T/u/project/text")" "owner of an applied file"

say "its boxes are forked from a template of its own, which its jail cannot write either"
expect 0 tb_as_user run --json -C "$T/u/project" -- true
equal fork "$(json "$T/out" start)" "how the user's second box started"
equal "$uid 444" "$(find "$T/u/data/taskbox/templates" -name memory -uid "$uid" -printf '%U %m\n' | sort -u)" \
    "owner and mode of the user's templates"
expect 0 tb_as_user template ls
key=$(sed -n '2s/ .*//p' "$T/out")
expect 0 tb_as_user template rm "$key"
equal '' "$(find "$T/u/data/taskbox/templates" -name "$key*")" "a template that was removed"

say "calls made in its own QEMU are refused as for root"
expect 0 tb_as_user redteam V4
holds "$T/out" '^V4 +held' "the drill"

say "what it keeps is nobody else's"
equal '' "$(find "$T/u/state" "$T/u/cache" -maxdepth 1 -mindepth 1 -type d -perm /077)" \
    "directories that others can enter"
equal '' "$(find "$T/u/state" -path '*/box' -print)" "boxes of the user left"
