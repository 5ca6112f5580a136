#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Two runs at once on one project that no run has seen before: both end well, and neither sees or
# carries what the other did.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/shared-by-two
make_project "$project"
before=$(tree_hash "$project")

start() { # NAME
    tb run --json -C "$project" -- sh -c \
        "echo $1 >by-$1; echo $1 >text; sleep 3; ls; hostname; cat /proc/sys/kernel/random/boot_id" \
        >"$T/$1.json" 2>"$T/$1.err" &
}
start one
first=$!
start two
second=$!
wait "$first" || { cp "$T/one.err" "$T/err"; fail "the first of two runs failed"; }
wait "$second" || { cp "$T/two.err" "$T/err"; fail "the second of two runs failed"; }
equal "$before" "$(tree_hash "$project")" "the project after two runs at once"

one=$(json "$T/one.json" id)
two=$(json "$T/two.json" id)
differ "$one" "$two" "ids of two tasks"
for name in one two; do
    equal ready "$(json "$T/$name.json" status)" "state of run $name"
    expect 0 tb diff "$(json "$T/$name.json" id)" --name-only
    equal "by-$name text" "$(LC_ALL=C sort "$T/out" | tr '\n' ' ' | sed 's/ $//')" "files of run $name"
done
equal "$(json "$T/one.json" base_tree)" "$(json "$T/two.json" base_tree)" "base trees of one project"

tb logs "$one" >"$T/one.log"
tb logs "$two" >"$T/two.log"
differ "$(tail -n 1 "$T/one.log")" "$(tail -n 1 "$T/two.log")" "boot ids of two boxes"
holds_not "$T/one.log" '^by-two$' "files that the first box saw"
holds_not "$T/two.log" '^by-one$' "files that the second box saw"

say "the first is applied, then the second has drifted"
expect 0 tb apply "$one"
equal one "$(cat "$project/text")" "a file after apply"
try tb apply "$two"
equal 11 "$code" "exit code of the second apply"
[ ! -e "$project/by-two" ] || fail "a refused apply left a file"

say "candidates: one task so many times, with the agents in turn"
before=$(tree_hash "$project")
mkdir -p "$XDG_CONFIG_HOME/taskbox"
cat >"$XDG_CONFIG_HOME/taskbox/config.yaml" <<'YAML'
agents:
  good: {command: [sh, -c, 'echo "$0" >by-good', "{prompt}"]}
  bad: {command: [sh, -c, 'echo bad >by-bad; exit 3'], stdin: prompt}
YAML
expect 0 tb run -n 3 --agent good,bad -C "$project" 'mend it'
holds "$T/out" 'outcome +exit 0 +exit 3 +exit 0$' "how the three ended"
holds "$T/out" 'made by +good +bad +good$' "who made them"
holds "$T/out" '^by-good +new \+1 -0 +as ' "what they did"
equal 3 "$(grep -c 'candidate [1-3] of 3: ' "$T/err")" "candidates that were named"
equal "$before" "$(tree_hash "$project")" "the project after three candidates"
expect 3 tb run --agent good,nobody -C "$project" 'mend it'
one_error_line "no agent 'nobody'"
expect 1 tb run --agent bad,bad -C "$project" 'mend it'

say "Ctrl-C asks all of them to stop, and their work is kept"
# shellcheck disable=SC2016 # the box's
"$TASKBOX" run -n 2 -C "$project" -- sh -c 'trap "echo asked >asked; exit 5" INT; echo begun >begun; while :; do sleep 0.2; done' \
    >"$T/both" 2>"$T/both.err" &
both=$!
both_begun() {
    local id
    [ "$(grep -c 'candidate [12] of 2' "$T/both.err")" -eq 2 ] || return 1
    sed -n 's/.*candidate [12] of 2: //p' "$T/both.err" >"$T/ids"
    while read -r id; do
        tb exec "$id" -- test -e begun 2>/dev/null </dev/null || return 1
    done <"$T/ids"
}
wait_for 60 both_begun || fail "two candidates did not begin: $(cat "$T/both.err")"
kill -INT "$both"
code=0
wait "$both" || code=$?
equal 5 "$code" "exit code of candidates that were stopped"
holds "$T/both" '^asked +new \+1 -0 +as ' "what they did when they were asked"
