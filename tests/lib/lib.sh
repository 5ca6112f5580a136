# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the tests with real boxes share. A test sources this file first, then says what must hold.
#
#   $TASKBOX   the program under test          tb ARG...   runs it
#   $T         a directory of the test's own, removed at the end
#   $code      exit code of the last `try`; $T/out and $T/err what it wrote
#
# Each test has a state, configuration, home and runtime directory of its own; golden images and
# caches are shared between tests (TASKBOX_TEST_HOME, by default ~/.cache/taskbox-tests), because
# an image takes minutes to build and is addressed by its digest. At the end of every test, passed
# or failed, nothing of its boxes may be left on the machine.

set -eu -o pipefail
umask 022

test_name=$(basename "$0" .sh)
source_dir=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
must_run=0
if [ "${TASKBOX_TESTS_MUST_RUN:-0}" = 1 ] || [ "${CI:-false}" = true ]; then
    must_run=1
fi

say() { printf '# %4d s  %s\n' "$SECONDS" "$*"; }

fail() {
    local stream
    printf 'FAILED: %s\n' "$*" | cut -c1-2000
    for stream in out err; do
        [ -s "${T:-/nonexistent}/$stream" ] || continue
        printf -- '--- last lines of std%s of the last command\n' "$stream"
        tail -n 25 "$T/$stream" | cut -c1-400 | cat -v
    done
    exit 1
}

# Leaves out this test, with a reason; where tests must run, that is a failure.
skip() {
    if [ "$must_run" = 1 ]; then
        printf 'FAILED: may not be skipped here: %s\n' "$*"
        exit 1
    fi
    printf 'SKIP: %s\n' "$*"
    exit 77
}

requires_program() {
    local program
    for program; do
        command -v "$program" >/dev/null || skip "needs the program '$program'"
    done
}

requires_root() { [ "$(id -u)" -eq 0 ] || skip "needs to run as root"; }

# --- the end ------------------------------------------------------------------------------------

cleanup_hooks=()
# on_exit COMMAND...: run at the end, the last one first.
on_exit() { cleanup_hooks+=("$(printf '%q ' "$@")"); }

finish() {
    local status=$? index pid rest
    trap - EXIT
    set +e
    for ((index = ${#cleanup_hooks[@]} - 1; index >= 0; index--)); do
        eval "${cleanup_hooks[index]}"
    done
    if [ "$status" -eq 0 ]; then
        (check_nothing_left) || status=1
    elif [ "$status" -ne 77 ]; then
        show_records
    fi
    processes_of_test | while read -r pid rest; do
        printf 'left over, killed: %s %s\n' "$pid" "$rest"
        kill -9 "$pid" 2>/dev/null
    done
    chmod -R u+rwX "$T" "$TMPDIR" 2>/dev/null
    rm -rf "$T" "$TMPDIR"
    [ "$status" -ne 0 ] || say "all of $test_name holds"
    exit "$status"
}

show_records() {
    local record
    for record in "$XDG_STATE_HOME"/taskbox/tasks/*/record.json; do
        [ -e "$record" ] || continue
        printf -- '--- %s\n' "$record"
        tr -s ' \n' ' ' <"$record" | head -c 4000 | cat -v
        printf '\n'
    done
}

# --- the place ----------------------------------------------------------------------------------

: "${TASKBOX:=$source_dir/build/taskbox}"
[ -x "$TASKBOX" ] || fail "no program to test at '$TASKBOX' (./bootstrap build makes it)"
TASKBOX=$(readlink -f "$TASKBOX")

test_home=${TASKBOX_TEST_HOME:-${HOME:-/nonexistent}/.cache/taskbox-tests}
mkdir -p "$test_home"
test_home=$(readlink -f "$test_home")
T=$(readlink -f "$(mktemp -d "${TMPDIR:-/tmp}/tb-${test_name#test-}.XXXXXX")")
test_tag=${T##*/}
# Temporary files of all that runs, where they can be seen; for anybody, as /tmp is.
export TMPDIR=$T-tmp
mkdir -m 1777 "$TMPDIR"
trap finish EXIT
trap 'exit 130' INT TERM

# Nothing of the developer's own settings, git's least of all.
for name in "${!TASKBOX_@}" "${!GIT_@}" "${!LIBGUESTFS_@}" "${!LIBVIRT_@}"; do
    unset "$name"
done
export LC_ALL=C.UTF-8 NO_COLOR=1 PAGER=cat
export HOME=$T/home
export XDG_DATA_HOME=$test_home/data XDG_CACHE_HOME=$test_home/cache
export XDG_STATE_HOME=$T/state XDG_CONFIG_HOME=$T/config XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$XDG_STATE_HOME" "$XDG_CONFIG_HOME"
mkdir -m 0700 "$XDG_RUNTIME_DIR"
# The test's own git commands are somebody, and need nothing of a home.
export GIT_AUTHOR_NAME=Tester GIT_AUTHOR_EMAIL=tester@example.org
export GIT_COMMITTER_NAME=Tester GIT_COMMITTER_EMAIL=tester@example.org
export GIT_CONFIG_NOSYSTEM=1

tb() { "$TASKBOX" "$@"; }

# The default image, built when no test has built it yet.
need_image() {
    tb image build >"$T/out" 2>"$T/err" || fail "cannot build the default image"
}

# From here on the test's project images are nobody else's: for one that looks for them, while
# another test runs beside it. After need_image, whose downloads are shared.
own_cache() {
    export XDG_CACHE_HOME=$T/cache
    mkdir "$XDG_CACHE_HOME"
}

# A cloud image as $cloud: a partitioned disk with an operating system on it, made of the default
# image (which is a file system without a partition table) and kept beside it.
need_cloud_image() {
    local disk
    need_image
    requires_program guestfish qemu-img
    disk=$XDG_DATA_HOME/taskbox/images/$(cat "$XDG_DATA_HOME/taskbox/names/debian")/disk.qcow2
    cloud=$test_home/cloud-$(basename "$(dirname "$disk")" | cut -c1-20).qcow2
    [ ! -e "$cloud" ] || return 0
    qemu-img create -q -f qcow2 "$T/cloud.qcow2" 3G
    # Without KVM, for one that only seems to work makes the appliance crash. Its appliance is kept
    # in TMPDIR, so that must be one of its own.
    mkdir "$T/guestfish"
    TMPDIR=$T/guestfish LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg guestfish >"$T/out" 2>"$T/err" <<FISH ||
add "$disk" readonly:true format:qcow2
add "$T/cloud.qcow2" format:qcow2
run
part-init /dev/sdb gpt
part-add /dev/sdb p 2048 -2048
mkfs ext4 /dev/sdb1
mkmountpoint /from
mkmountpoint /to
mount-ro /dev/sda /from
mount /dev/sdb1 /to
cp-a /from/. /to
FISH
        fail "cannot make a cloud image"
    rm -rf "$T/guestfish"
    mv "$T/cloud.qcow2" "$cloud.new"
    mv "$cloud.new" "$cloud"
}

# cloud_recipe NAME DIGEST SCRIPT: $T/NAME.yaml, the cloud image with SCRIPT run in it as root.
cloud_recipe() {
    cat >"$T/$1.yaml" <<YAML
images:
- location: $cloud
  arch: x86_64
  digest: sha256:$2
memory: 1GiB
provision:
- mode: system
  script: |
    #!/bin/sh
$(printf '%s\n' "$3" | sed 's/^/    /')
- mode: user
  script: |
    #!/bin/sh
    echo "user \$(id -u)" >>/tmp/said && cat /tmp/said && sudo cp /tmp/said /opt/user-said
YAML
}

# --- asking -------------------------------------------------------------------------------------

# try COMMAND...: exit code into $code, output into $T/out and $T/err.
try() {
    code=0
    "$@" >"$T/out" 2>"$T/err" || code=$?
}

# expect CODE COMMAND...: the command ends with just this code.
expect() {
    local want=$1
    shift
    try "$@"
    [ "$code" -eq "$want" ] || fail "exit code $code, not $want, of: $*"
}

equal() { # WANTED GOT WHAT
    [ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"
}

differ() { # ONE OTHER WHAT
    [ "$1" != "$2" ] || fail "$3: both are '$1'"
}

# holds FILE PATTERN WHAT: a line of the file matches the extended expression.
holds() { grep -Eq -e "$2" "$1" || fail "$3: no line matches '$2' in: $(head -c 2000 "$1" | cat -v)"; }
holds_not() { ! grep -Eq -e "$2" "$1" || fail "$3: a line matches '$2': $(grep -E -e "$2" "$1" | head -n 3 | cat -v)"; }

# The error is the last line on stderr, one line, after what was said of progress.
one_error_line() {
    tail -n 1 "$T/err" >"$T/last"
    holds "$T/last" '^taskbox: ' "last line on stderr"
    holds "$T/last" "$1" "error message"
}

# json FILE KEY [KEY...]: a value out of a JSON object; strings bare, the rest as JSON, null is empty.
json() {
    python3 - "$@" <<'PYTHON'
import json, sys
value = json.load(open(sys.argv[1], encoding="utf-8", errors="surrogateescape"))
for key in sys.argv[2:]:
    value = value[key]
print("" if value is None else value if isinstance(value, str) else json.dumps(value))
PYTHON
}

# Everything that can be known of a tree: kinds, modes, owners, times (change time, too), links,
# names, contents. Reading does not change any of it.
tree_hash() {
    (
        cd "$1"
        find . -printf '%y %m %U:%G %T@ %C@ %n %s %l %p\0' | LC_ALL=C sort -z
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
    ) | sha256sum | cut -d' ' -f1
}

# What git would commit of a work tree now, as a tree id. Done on a copy: git writes even when asked.
git_tree_of() {
    rm -rf "$T/tree-of"
    cp -a "$1" "$T/tree-of"
    git -C "$T/tree-of" add -A .
    git -C "$T/tree-of" write-tree
    rm -rf "$T/tree-of"
}

# start_servers SCRIPT ARG...: servers on loopback of the test's own; they end with it, and what they
# have mounted goes with them.
start_servers() {
    local word
    mkfifo "$T/ready"
    python3 "$@" >"$T/ready" 2>"$T/servers.err" &
    servers=$!
    on_exit stop_servers
    read -r word <"$T/ready" || fail "the servers did not start: $(cat "$T/servers.err")"
    equal ready "$word" "the servers"
}
stop_servers() { kill "$servers" && wait "$servers"; }

# with_libraries PROGRAM DIR: copies it to DIR with all that it is linked with, its loader too: a box
# may have another libc. DIR/NAME runs it there.
with_libraries() {
    local name=${1##*/} library
    mkdir -p "$2/lib"
    cp "$1" "$2/lib/$name"
    ldd "$1" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' | while read -r library; do
        cp -L "$library" "$2/lib/"
    done
    # shellcheck disable=SC2016 # the box expands it
    printf '#!/bin/sh\nlib=${0%%/*}/lib\nexec "$lib"/ld-* --library-path "$lib" "$lib/%s" "$@"\n' "$name" >"$2/$name"
    chmod 0755 "$2/$name"
}

# bring_curl DIR: a real curl into DIR/ignored.curl of a project, for the box's image has none.
bring_curl() { with_libraries "$(command -v curl)" "$1/ignored.curl"; }

# A small repository at DIR with one commit.
make_project() {
    mkdir -p "$1"
    (
        cd "$1"
        git init -q -b main .
        printf 'one\ntwo\nthree\n' >text
        printf 'ignored.*\n' >.gitignore
        mkdir -p src/deep
        printf 'int main(void) { return 0; }\n' >src/deep/main.c
        printf '#!/bin/sh\necho tool\n' >tool
        chmod 0755 tool
        ln -s text link
        git add -A
        git commit -q -m 'First'
    )
}

record_of() { printf '%s/taskbox/tasks/%s/record.json\n' "$XDG_STATE_HOME" "$1"; }

# last_task: id of the newest task, by its directory.
last_task() {
    local newest
    newest=$(find "$XDG_STATE_HOME/taskbox/tasks" -mindepth 1 -maxdepth 1 -type d \
        -exec test -e '{}/record.json' ';' -printf '%T@ %f\n' | sort -n | tail -n 1)
    [ -n "$newest" ] || fail "there is no task"
    printf '%s\n' "${newest#* }"
}

# Longer than taskbox itself waits for a box (300 s) or for an image's first boot.
# shellcheck disable=SC2034  # tests use them
boot_limit=400
# shellcheck disable=SC2034
build_limit=900

# wait_for SECONDS COMMAND...: until the command says yes.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# qemu_below PID...: writes the number of the QEMU that they have started.
qemu_below() {
    local below="$*"
    while [ -n "$below" ]; do
        pgrep -f '^[^ ]*qemu-system' -P "${below// /,}" && return
        below=$(pgrep -P "${below// /,}" | tr '\n' ' ' | sed 's/ $//')
    done
    return 1
}
# Whether this QEMU has had two seconds of processor time: then it runs the guest.
runs_a_guest() { [ "$(ps -o cputimes= -p "$1" 2>/dev/null || echo 0)" -ge 2 ]; }

# --- what must not be left ----------------------------------------------------------------------

# "PID NAME" of each process that has to do with this test: its directory is in the command line,
# in the environment, or mounted in its jail. The test's own shells are not counted.
# One grep for all: on a busy machine a few hundred programs more would take longer than a box boots.
processes_of_test() {
    local path pid name parent key value me=$BASHPID
    local -A seen=()
    while IFS= read -r path; do
        pid=${path#/proc/}
        pid=${pid%%/*}
        [ -z "${seen[$pid]:-}" ] || continue
        seen[$pid]=1
        case $pid in "$$" | "$me") continue ;; esac
        { read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
        case $name in cat | grep | tr | bash | sleep | timeout | meson) continue ;; esac
        parent=
        { while read -r key value; do
            if [ "$key" = PPid: ]; then parent=$value; fi
        done <"/proc/$pid/status"; } 2>/dev/null || continue
        [ "$parent" != "$me" ] || continue
        printf '%s %s\n' "$pid" "$name"
    done < <(grep -alsF "$test_tag" /proc/[0-9]*/{cmdline,environ,mountinfo})
}

no_processes() { [ -z "$(processes_of_test)" ]; }
boxes_left() { find "$XDG_STATE_HOME/taskbox" -path '*/tasks/*/box' -prune -print 2>/dev/null; }
sockets_left() {
    find "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME" "$HOME" "$TMPDIR" -type s 2>/dev/null
    grep -F "$test_tag" /proc/net/unix 2>/dev/null || true
}

# Processes are given five seconds to go by themselves; box directories, sockets and mounts must be
# gone when taskbox has ended, or, after SIGKILL, when the next command has.
check_nothing_left() {
    wait_for 5 no_processes || fail "processes are left: $(processes_of_test | tr '\n' ';')"
    equal '' "$(grep -F "$test_tag" /proc/self/mountinfo || true)" "mounts left"
    equal '' "$(boxes_left)" "boxes left"
    equal '' "$(sockets_left)" "sockets left"
    equal '' "$(find "$TMPDIR" -mindepth 1 -maxdepth 1)" "temporary files left"
}
