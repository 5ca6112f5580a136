#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# taskbox init: what it finds and proposes, and that it writes nothing unasked. No box.
set -eu -o pipefail
: "${TASKBOX:?names the program under test}"
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export XDG_STATE_HOME=$T/state XDG_DATA_HOME=$T/data XDG_CACHE_HOME=$T/cache XDG_CONFIG_HOME=$T/config
export HOME=$T/home LC_ALL=C.UTF-8 TERM=dumb
mkdir "$HOME"
cd "$T"

fail() { printf 'FAILED: %s\n' "$*"; [ ! -s "$T/out" ] || cat -v "$T/out"; [ ! -s "$T/err" ] || cat -v "$T/err"; exit 1; }
# try CODE ARG...: taskbox init in the project
try() {
    local want=$1 code=0
    shift
    "$TASKBOX" init -C "$project" "$@" >"$T/out" 2>"$T/err" </dev/null || code=$?
    [ "$code" -eq "$want" ] || fail "taskbox init $*: exit $code, not $want"
}
out() { grep -qF -- "$1" "$T/out" || fail "stdout lacks '$1'"; }
out_not() { ! grep -qF -- "$1" "$T/out" || fail "stdout has '$1'"; }
err() { grep -qF -- "$1" "$T/err" || fail "stderr lacks '$1'"; }
new() { # NAME FILE...
    project=$T/$1
    shift
    mkdir -p "$project"
    local file
    for file; do
        mkdir -p "$(dirname "$project/$file")"
        : >"$project/$file"
    done
}
untouched() {
    [ ! -e "$project/.taskbox.yaml" ] || fail "it was written unasked"
    [ ! -e "$T/config" ] || fail "a recipe was written unasked"
}

# A language that a shipped image is for
new one pyproject.toml tests/test_a.py
try 0
out 'found     python (pyproject.toml)'
out '    image: python'
out '    taskbox run -- python -m pytest'
out_not 'from:'
err 'nothing is written'
untouched
try 0 --yes
grep -qx 'image: python' "$project/.taskbox.yaml" || fail "what was written"
try 0
err 'all of this is there already'
"$TASKBOX" config show -C "$project" >"$T/out" 2>"$T/err" || fail "its own file is not accepted"
grep -Eq '^image +python ' "$T/out" || fail "the setting does not hold"

# What is there already is kept, and shown as it would change
printf 'memory: 1G\nimage: other\n# \033[31mred\n' >"$project/.taskbox.yaml"
try 0
out '-image: other'
out '+image: python'
out ' memory: 1G'
! grep -q $'\033' "$T/out" || fail "an escape came through"
grep -q other "$project/.taskbox.yaml" || fail "it was overwritten unasked"
try 0 --yes
out '+image: python'
[ "$(grep -c '^memory: 1G$\|^image: python$' "$project/.taskbox.yaml")" = 2 ] || fail "what was kept"
rm "$project/.taskbox.yaml"

# By a link nothing is read or written
echo secret >"$T/secret"
ln -s "$T/secret" "$project/.taskbox.yaml"
try 6 --yes
err 'no regular file'
out_not 'secret'
[ "$(cat "$T/secret")" = secret ] || fail "it was written through a link"
rm "$project/.taskbox.yaml"

# Several languages, an agent: a recipe, named after the project whatever that is called
new $'Very\nodd: [name]' Cargo.toml CLAUDE.md $'ev\033[31mil/main.c'
try 0
out 'found     rust (Cargo.toml)'
out 'agent     claude (CLAUDE.md)'
out 'ev\x1B[31mil/main.c'
out '    image: very-odd-name-box'
out '    from: agents'
out '      - cargo'
! grep -q $'\033' "$T/out" || fail "an escape came through"
[ ! -e "$T/config" ] || fail "a recipe was written unasked"
try 0 --yes
recipe=$T/config/taskbox/images/very-odd-name-box.yaml
grep -qx 'from: agents' "$recipe" || fail "the recipe"
"$TASKBOX" image build --check very-odd-name-box >"$T/out" 2>"$T/err" || fail "its own recipe is not accepted"
out "layer on 'agents'"
sed -i 's/agents/debian/' "$recipe"
try 0
out '-from: debian'
out '+from: agents'
grep -qx 'from: debian' "$recipe" || fail "a recipe was overwritten unasked"

# The commands are ours, and nothing of the project is run
new hostile
# shellcheck disable=SC2016 # make's
printf 'check: $(shell touch %s/ran)\n\ttouch %s/ran\n' "$T" "$T" >"$project/Makefile"
printf '{"scripts": {"test": "touch %s/ran"}}' "$T" >"$project/package.json"
: >"$project/"$'a\nb.c'
try 0
out '    taskbox run -- make check'
out '    taskbox run -- npm test'
out_not 'touch'
[ ! -e "$T/ran" ] || fail "something of the project was run"

# Nothing to go by
new empty README.md
try 0
out 'no language'
out '    image: debian'

# At a terminal: only y is a yes
for answer in n y; do
    python3 - "$TASKBOX" "$project" "$answer" <<'PY' || fail "at a terminal, with '$answer'"
import os, pty, sys
taskbox, project, answer = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(taskbox, [taskbox, "init", "-C", project])
seen = b""
try:
    while b"write this? [y/N]" not in seen:
        seen += os.read(fd, 4096)
    assert not os.path.exists(project + "/.taskbox.yaml")
    os.write(fd, answer.encode())
    while data := os.read(fd, 4096):
        seen += data
except OSError:
    pass
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, seen
assert os.path.exists(project + "/.taskbox.yaml") == (answer == "y"), seen
PY
done
