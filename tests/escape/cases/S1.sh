#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: the box looks for secrets of the host: environment, home, arguments, disks, memory
# promise: P5
# hole: box-env
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
secret=SECRET-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '%s\n' "$secret" >"$HOME/.netrc"
mkdir "$HOME/.ssh"
printf '%s\n' "$secret" >"$HOME/.ssh/id_rsa"
printf '[user]\n\tname = %s\n' "$secret" >"$HOME/.gitconfig"
git -C "$P" config remote.origin.url "https://user:$secret@example.org/x"
git -C "$P" config http.extraHeader "Authorization: $secret"
printf 'https://user:%s@example.org\n' "$secret" >"$P/.git/credentials"
export AWS_SECRET_ACCESS_KEY=$secret ANTHROPIC_API_KEY=$secret BOUND_KEY=$secret
# The mark itself must not get in with the script: it is put together in the box.
half=${secret#SECRET-}
box "$P" "s=SECRET-; s=\${s}$(printf %s "$half" | cut -c1-12); t=$(printf %s "$half" | cut -c13-)
look() { grep -a -c -F \"\$s\$t\" 2>/dev/null; }
echo env \$(sudo sh -c 'cat /proc/[0-9]*/environ' | tr '\\0' '\\n' | grep -v '^s=' | look)
echo argv \$(sudo sh -c 'cat /proc/1/cmdline /proc/cmdline' | look)
echo project \$(sudo grep -rs -F \"\$s\$t\" . | wc -l)
for d in /dev/vd?; do echo disk-\$d \$(sudo dd if=\$d bs=1M count=600 2>/dev/null | look); done
echo git \$(git config --list 2>/dev/null | look)
echo bound \${BOUND_KEY:+there}; echo done" --secret BOUND_KEY@api.invalid.test
grep -q '^done$' "$out" || broken "the box did not run ($code)"
grep -E '^(env|argv|project|git|disk-[a-z/]*) [1-9]' "$out" >"$PLACE/hits" || :
[ ! -s "$PLACE/hits" ] || broken "found in the box: $(tr '\n' ';' <"$PLACE/hits")"
grep -q '^bound there$' "$out" || broken "there is no placeholder in the box"
kept=$(grep -rlaszF -- "$secret" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR" || :)
[ -z "$kept" ] || broken "kept on the host: $kept"
held
