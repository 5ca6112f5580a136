#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With `-- CMD` the exit code is the command's; what taskbox itself has to say has codes of its own
# (docs/exit-codes.md), one line on stderr, and with --json one object on stdout.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/codes
make_project "$project"

say "the command's own code, output and input"
code=0
printf 'from the host' | tb run -C "$project" -- sh -c 'cat; echo; echo out; echo err >&2; exit 42' \
    >"$T/out" 2>"$T/err" || code=$?
equal 42 "$code" "exit code of 'exit 42'"
holds "$T/out" '^out$' "the command's stdout on stdout"
holds "$T/out" '^from the host$' "stdin of the command"
holds_not "$T/out" '^err$' "the command's stderr on stdout"
holds "$T/err" '^err$' "the command's stderr on stderr"
id=$(last_task)
tb logs "$id" >"$T/log"
holds "$T/log" '^out$' "stdout in the log"
holds "$T/log" '^err$' "stderr in the log"
expect 0 tb show "$id"
holds "$T/out" '42' "exit code in 'show'"
expect 0 tb ls
holds "$T/out" "$id" "the task in 'ls'"

say "where KVM is asked for, nothing runs without it"
if [ "$(json "$(record_of "$id")" accel)" != kvm ]; then
    before=$(find "$XDG_STATE_HOME/taskbox/tasks" | wc -l)
    expect 125 tb run --require-kvm -C "$project" -- true
    one_error_line 'cannot run the box by KVM, which --require-kvm asks for: .*doctor'
    mkdir -p "$XDG_CONFIG_HOME/taskbox"
    printf 'require_kvm: true\n' >"$XDG_CONFIG_HOME/taskbox/config.yaml"
    expect 125 tb run -C "$project" -- true
    one_error_line "which 'require_kvm' asks for"
    rm "$XDG_CONFIG_HOME/taskbox/config.yaml"
    equal "$before" "$(find "$XDG_STATE_HOME/taskbox/tasks" | wc -l)" "records of what was refused"
fi

say "--json is one object"
try tb run --json -C "$project" -- sh -c 'echo noise; printf "a\nb\n" >added; rm text; exit 3'
equal 3 "$code" "exit code with --json"
equal 1 "$(wc -l <"$T/out" | tr -d ' ')" "lines on stdout with --json"
id=$(last_task)
equal "$id" "$(json "$T/out" id)" "id"
equal ready "$(json "$T/out" status)" "status"
equal 3 "$(json "$T/out" exit_code)" "exit code in the object"
equal "$XDG_STATE_HOME/taskbox/tasks/$id/patch" "$(json "$T/out" patch)" "patch path"
equal "$(git -C "$project" rev-parse 'HEAD^{tree}')" "$(json "$T/out" base_tree)" "base tree"
equal 40 "$(json "$T/out" result_tree | tr -d '\n' | wc -c)" "length of the result tree's id"
equal 2 "$(json "$T/out" files)" "files changed"
equal 2 "$(json "$T/out" lines_added)" "lines added"
equal 3 "$(json "$T/out" lines_removed)" "lines removed"
json "$T/out" image_digest >"$T/digest"
holds "$T/digest" '^(sha256:)?[0-9a-f]{64}$' "image digest"
json "$T/out" accelerator >"$T/accelerator"
holds "$T/accelerator" '^(kvm|tcg)$' "accelerator"
json "$T/out" milliseconds >"$T/timings"
for phase in "(boot|fork)" command export; do
    holds "$T/timings" "\"$phase\": [0-9]" "time of phase $phase"
done

say "not there, not executable, killed"
expect 127 tb run -C "$project" -- /no/such/program
expect 126 tb run -C "$project" -- /etc/passwd
# shellcheck disable=SC2016
expect 143 tb run -C "$project" -- sh -c 'kill -TERM $$'

say "a timeout: 124, and what was done until then is kept"
try tb run --timeout 5s -C "$project" -- sh -c 'echo early >early; echo said; trap "" TERM; sleep 1000'
equal 124 "$code" "exit code of a timeout"
expect 0 tb diff @last --name-only
equal early "$(cat "$T/out")" "files of a task that ran into its timeout"
tb logs @last >"$T/log"
holds "$T/log" '^said$' "log of a task that ran into its timeout"

say "taskbox's own failures cannot be taken for the command's"
before=$(boxes_left)
tasks=$(tb ls --json)
expect 125 tb run -C "$project" --image no-such-image -- true
one_error_line "no-such-image"
expect 125 tb run -C "$T/not/there" -- true
one_error_line "not/there"
expect 125 tb run -C "$project/text" -- true
one_error_line "text"
try tb run --json -C "$project" --image no-such-image -- true
equal 125 "$code" "exit code with --json and no image"
equal failed "$(json "$T/out" status)" "status when there is no image"
json "$T/out" error >"$T/error"
holds "$T/error" 'no-such-image' "error in the object"
expect 125 tb run -C "$project" --memory 12parsecs -- true
one_error_line "12parsecs"
expect 125 tb run -C / -- true
equal "$tasks" "$(tb ls --json)" "tasks after refusals"
equal "$before" "$(boxes_left)" "boxes after failures"

say "and the other commands'"
expect 2 tb no-such-command
expect 2 tb run
expect 2 tb ls --no-such-flag
expect 1 tb show no-such-task
expect 1 tb image show no-such-image

say "--keep, gc and doctor"
expect 9 tb run --keep failed -C "$project" -- sh -c 'exit 9'
differ '' "$(boxes_left)" "box kept on purpose"
expect 0 tb gc --apply
expect 0 tb discard @last
equal '' "$(boxes_left)" "kept box after discard"
try tb doctor --json
python3 -m json.tool "$T/out" >"$T/doctor" || fail "doctor --json is not JSON"
holds "$T/doctor" '(kvm|KVM)' "doctor's findings"
