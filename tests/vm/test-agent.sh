#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `taskbox run "PROMPT"`: an agent is a command named in the configuration; the prompt reaches it as
# one argument or on stdin, byte for byte, and never by way of a shell.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
project=$T/for-agents
make_project "$project"

say "without an agent the error says what to do"
try tb run -C "$project" "fix it"
differ 0 "$code" "exit code without an agent"
one_error_line 'no agent is the default'
holds "$T/last" "after '--'" "the way that needs no agent"

# What a shell would make something of; byte for byte it must arrive.
# shellcheck disable=SC2016
prompt=$(printf 'fix "the" bug; $(touch /tmp/pwned) `id`\n\x27two\x27 lines -- ünïcode')
mkdir -p "$XDG_CONFIG_HOME/taskbox"
cat >"$XDG_CONFIG_HOME/taskbox/config.yaml" <<'YAML'
agent: by-argument
agents:
  by-argument:
    command: [sh, -c, 'printf %s "$2" >prompt; echo "$1" >fixed', agent, extra, '{prompt}']
  by-stdin:
    command: [sh, -c, 'cat >prompt; echo "$GREETING" >fixed']
    stdin: prompt
    env: {GREETING: hello}
YAML

say "the prompt as one argument"
expect 0 tb run -C "$project" "$prompt"
id=$(last_task)
expect 0 tb apply "$id"
equal "$prompt" "$(cat "$project/prompt")" "the prompt that came as an argument"
equal extra "$(cat "$project/fixed")" "an argument before it"
patch=$XDG_STATE_HOME/taskbox/tasks/$id/patch
holds "$patch" '^Subject: .*fix "the" bug' "subject of the patch"
equal 1 "$(grep -c '^Subject: ' "$patch")" "subjects of the patch"

say "the prompt on stdin"
rm "$project/prompt" "$project/fixed"
expect 0 tb run -C "$project" --agent by-stdin "$prompt"
expect 0 tb apply @last
equal "$prompt" "$(cat "$project/prompt")" "the prompt that came on stdin"
equal hello "$(cat "$project/fixed")" "the agent's environment"

say "an agent that is not there, a configuration that is wrong"
try tb run -C "$project" --agent by-stdni "$prompt"
differ 0 "$code" "exit code with an unknown agent"
one_error_line "by-stdni"
printf 'agnets: {}\n' >"$XDG_CONFIG_HOME/taskbox/config.yaml"
try tb run -C "$project" "fix it"
differ 0 "$code" "exit code with an unknown key"
one_error_line 'config\.yaml:1:1: .*agents'
