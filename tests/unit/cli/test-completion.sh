#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is completed, by taskbox itself and through each shell; and the manual pages, which come from
# the same table.
# TASKBOX names the program.
set -euo pipefail
taskbox=$(realpath "${TASKBOX:?names the program}")
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T XDG_CONFIG_HOME=$T/config XDG_DATA_HOME=$T/data XDG_STATE_HOME=$T/state XDG_CACHE_HOME=$T/cache
fail() {
    echo "FAILED: $*"
    exit 1
}

# words WANTED WORD...: the first column of what the last word can become.
words() {
    local wanted=$1 got
    shift
    got=$("$taskbox" completion words -- "$@" | cut -f1 | paste -sd' ')
    [ "$got" = "$wanted" ] || fail "'$*' completes to '$got', not '$wanted'"
}
mkdir -p "$XDG_CONFIG_HOME/taskbox"
printf 'agents: {one: {command: [a, "{prompt}"]}, only: {command: [b, "{prompt}"]}}\n' >"$XDG_CONFIG_HOME/taskbox/config.yaml"
words run ru
words 'image' im
words 'build ls show verify rm export import' image ''
words 'none agent open' run --net ''
words 'open' run --net = o
words 'one only opencode' run --agent o
words ':directories' run -C ''
words '--net' run --ne
words ':files' run -- ls ''
words '@last' show @
words '@last verify' patch ''
words ':files' patch verify ''
words 'bash zsh fish' completion ''
words 'ci' apply --acknowledge ci
words '' version ''
words '' nonsense ''
words '' run --timeout ''
[ -z "$("$taskbox" completion words -- show '' 2>&1 >/dev/null)" ] || fail "completion complains"
"$taskbox" completion words | grep -q '^run' || fail "no words at all are not completed"

# As bash asks.
cat >"$T/ask.bash" <<'E2'
eval "$("$1" completion bash)"
compopt() { printf 'compopt %s ' "$@"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_taskbox
echo "${COMPREPLY[@]}"
E2
[ "$(bash "$T/ask.bash" "$taskbox" run --net = o)" = open ] || fail "bash does not complete a value"
[ "$(bash "$T/ask.bash" "$taskbox" discard @)" = @last ] || fail "bash does not complete a task"
bash "$T/ask.bash" "$taskbox" patch -o '' | grep -q 'compopt default' || fail "bash is not told of files"
bash -n <("$taskbox" completion bash)
if command -v fish >/dev/null; then
    got=$(PATH=$(dirname "$taskbox"):$PATH fish -c \
        "$("$taskbox" completion fish); complete -C 'taskbox run --net o'" | cut -f1)
    [ "$got" = open ] || fail "fish completes to '$got'"
else
    echo "fish is not here, so it is not asked"
fi
if command -v zsh >/dev/null; then
    zsh -n <("$taskbox" completion zsh)
    cat >"$T/ask.zsh" <<'E2'
compdef() { :; }
_describe() { print -rl -- "${found[@]%%:*}"; }
eval "$($1 completion zsh)"
words=($@) CURRENT=$#
_taskbox
E2
    got=$(zsh -f "$T/ask.zsh" "$taskbox" run --net o)
    [ "$got" = open ] || fail "zsh completes to '$got'"
else
    echo "zsh is not here, so it is not asked"
fi

# One page for each command and no other, all of them good man(7).
pages=$(dirname "$taskbox")
"$taskbox" help --man | sed -n 's/^.fB\(taskbox.*\).fR(1)$/\1/p' | tr -d '\134' | sort >"$T/told"
find "$pages" -maxdepth 1 -name 'taskbox-*.1' -printf '%f\n' | sed 's/\.1$//' | sort >"$T/made"
diff "$T/told" "$T/made" || fail "the pages that are made (src/cli/meson.build) are not those of the commands"
if command -v groff >/dev/null; then
    for page in "$pages"/taskbox*.1; do
        said=$(groff -man -ww -z "$page" 2>&1)
        [ -z "$said" ] || fail "$(basename "$page"): $said"
    done
fi
echo "completion and pages hold"
