#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The commands that look at a patch, on a task that is put into the store by hand (no box).
set -eu -o pipefail
: "${TASKBOX:?names the program under test}"
here=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export XDG_STATE_HOME=$T/state XDG_DATA_HOME=$T/data XDG_CACHE_HOME=$T/cache LC_ALL=C.UTF-8
unset XDG_CONFIG_HOME COLUMNS
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

base=$T/base
mkdir -p "$base/src" "$base/tests"
seq 1 60 >"$base/src/a.txt"
echo 'assert 1' >"$base/tests/test_a.py"
echo keep >"$base/keep"
cp -a "$base" "$T/result"
cp -a "$base" "$T/old"
cd "$T/result"
sed -i 's/^5$/five/; s/^30$/thirty/; 31a added' src/a.txt
rm -r tests
echo 'obey me' >CLAUDE.md
printf 'x\033[2Jy\n' >$'evil\033[31m'
chmod 0755 keep
cd "$T"
python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" brave-otter-k3 "$base" "$T/result"

# inspect: findings first, nothing raw
try 0 inspect @last
[ "$(head -n 1 "$T/out")" = 'findings: 4 high, 1 medium' ] || fail "first line of inspect"
out 'agent-instructions  CLAUDE.md'
out 'evil\x1B[31m:1'
out 'ignored files are not carried'
! grep -q $'\033' "$T/out" || fail "an escape came through inspect"
COLUMNS=40 try 0 inspect @last
awk '/^findings/,/^$/ { if (length($0) > 60) exit 1 }' "$T/out" || fail "inspect at 40 columns"
try 0 inspect --json @last
python3 - "$T/out" <<'PY' || fail "inspect --json"
import json, sys
seen = json.load(open(sys.argv[1]))
assert seen["task"]["id"] == "brave-otter-k3"
assert [f["severity"] for f in seen["findings"]] == ["high"] * 4 + ["medium"]
files = {f["file"]: f for f in seen["files"]}
assert files["src/a.txt"]["lines_added"] == 3 and files["tests/test_a.py"]["bytes"] is None
PY
try 1 inspect nobody

# diff: some files only
try 0 diff @last src tests/test_a.py --name-only
[ "$(cat "$T/out")" = $'src/a.txt\ntests/test_a.py' ] || fail "names of two paths"
try 0 diff @last src/a.txt --stat
out '1 file, +3 -2'
try 0 diff @last ./src/
git -C "$base" apply --check "$T/out" || fail "the diff of a directory does not apply"
[ "$(grep -c '^diff --git' "$T/out")" -eq 1 ] || fail "diff of one directory has other files"
try 1 diff @last sr
err "'sr' names no file of the patch"

# apply: high findings want to be acknowledged
try 8 apply @last
err 'odd-name, terminal-escape, test-deleted'
try 8 apply --check @last
try 8 apply @last --acknowledge agent-instructions --acknowledge odd-name
err 'high: terminal-escape, test-deleted ('
try 2 apply @last --acknowledge odd-nam
err "did you mean 'odd-name'?"
[ ! -e "$base/CLAUDE.md" ] || fail "a refused apply wrote"
try 0 apply @last --check --acknowledge all
try 0 apply @last --acknowledge agent-instructions --acknowledge odd-name \
    --acknowledge terminal-escape --acknowledge test-deleted
diff -r "$base" "$T/result" || fail "the project after apply"
try 0 apply @last

# compare: side by side, equal results named, other bases said
cp -a "$T/result" "$T/third"
echo more >>"$T/third/src/a.txt"
python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" calm-crane-a1 "$T/result" "$T/third"
python3 "$here/../../lib/plant-task.py" "$XDG_STATE_HOME" dark-dune-b2 "$T/old" "$T/third"
try 0 compare brave-otter-k3 dark-dune-b2
grep -Eq '^outcome +exit 0 +exit 0$' "$T/out" || fail "row of outcomes"
grep -Eq '^findings +4 high, 1 medium +4 high, 1 medium$' "$T/out" || fail "row of findings"
grep -Eq '^src/a.txt +\+3 -2 +\+4 -2$' "$T/out" || fail "row of a file"
grep -Eq '^CLAUDE.md +new \+1 -0 +as brave-otter-k3$' "$T/out" || fail "row of a file that is the same"
! grep -q 'different trees' "$T/out" || fail "same base"
! grep -q $'\033' "$T/out" || fail "an escape came through compare"
try 0 compare brave calm dark
out 'different trees'
try 2 compare brave
try 1 compare brave nobody

# policy explain: what holds and what says so, values of variables never
mkdir -p "$T/explained" "$T/.config/taskbox"
git -C "$T/explained" init -q
printf 'x\n' | tee "$T/explained/.env" >"$T/explained/plain"
try 0 policy explain -C "$T/explained"
out 'none (the default for a command)'
out '.env: an environment file'
cat >"$T/.config/taskbox/config.yaml" <<'YAML'
agents:
  helper:
    command: ["true", "{prompt}"]
    env: {API_KEY: not-to-be-seen}
    hosts: [api.example.org]
allow_hosts: [mirror.example.org]
history: none
YAML
try 0 policy explain -C "$T/explained" --agent helper
out "api.example.org, mirror.example.org (the default for a prompt; 'hosts' of agent 'helper'"
out "API_KEY ('env' of agent 'helper'"
out "none ('history' of the settings)"
! grep -q 'not-to-be-seen' "$T/out" || fail "policy explain shows a value"
try 3 policy explain -C "$T/explained" --agent nobody
err "no agent 'nobody'"
printf 'only_hosts: [api.example.org]\n' >"$T/explained/.taskbox.yaml"
try 0 policy explain -C "$T/explained" --agent helper
out "api.example.org (the default for a prompt; 'hosts' of agent 'helper'"
out "no more than 'only_hosts' of the project's .taskbox.yaml"
try 0 config explain -C "$T/explained" only_hosts
out 'api.example.org (.taskbox.yaml)'
printf 'allow_hosts: [apt]\n' >"$T/.config/taskbox/config.yaml"
try 1 policy explain -C "$T/explained"
err "the hosts of 'apt' are the image's, and there is none yet"
