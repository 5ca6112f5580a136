#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: files that run by themselves later: CI, hooks, editors, agents' instructions, package scripts
# promise: P9
# hole: findings
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
box "$P" 'mkdir -p .github/workflows .vscode .husky .devcontainer .claude sub/refs sub/objects
echo "on: push" >.github/workflows/ci.yml; echo "{}" >.vscode/tasks.json; echo x >.husky/pre-commit
echo "{}" >.devcontainer/devcontainer.json; echo "export A=1" >.envrc; echo obey >CLAUDE.md
echo "{}" >.mcp.json; echo "* filter=x" >.gitattributes; echo "all:" >Makefile
echo "{\"scripts\":{\"postinstall\":\"x\"}}" >package.json; ln -s /etc/passwd passwd; chmod +x text
echo "key = AKIA""IOSFODNN7EXAMPLE" >config; echo plain >plain.txt'
[ "$code" -eq 0 ] || broken "the run ended with $code"
tb inspect @last >"$out" 2>"$err"
sed '/^$/q' "$out" >"$PLACE/findings" # they come first, up to the first empty line
for name in .github/workflows/ci.yml .vscode/tasks.json .husky/pre-commit .devcontainer .envrc CLAUDE.md .mcp.json \
    .gitattributes Makefile package.json passwd text config; do
    grep -qF -- "$name" "$out" || broken "no finding names '$name'"
done
grep -qE 'findings: [1-9][0-9]* high' "$out" || broken "there are no high findings"
if tb inspect @last | grep -E '(high|medium).*plain\.txt'; then broken "a plain text is a finding"; fi
try tb apply @last
[ "$code" -ne 0 ] || broken "apply asked for no acknowledgement"
[ ! -e "$P/.envrc" ] || broken "apply wrote without acknowledgement"
held
