#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: two boxes of one template look for what they have in common: random numbers, identities, keys
# promise: P7
# hole: fork-identity
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# shellcheck disable=SC2016 # the box expands it
look='head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid /etc/machine-id /proc/sys/kernel/random/boot_id; hostname
mktemp -u XXXXXXXXXXXX; bash -c "echo \$RANDOM\$RANDOM\$RANDOM"; sudo sh -c "head -c 16 /dev/urandom" | od -An -tx1
if command -v ssh-keygen >/dev/null; then ssh-keygen -q -t ed25519 -N "" -f /tmp/k && cut -d" " -f2 /tmp/k.pub; fi
if command -v openssl >/dev/null; then openssl rand -hex 16; fi; true'
box "$P" "$look"
[ "$code" -eq 0 ] || broken "the run ended with $code"
grep . "$out" | sort >"$PLACE/first"
box "$P" "$look"
grep . "$out" | sort >"$PLACE/second"
[ "$(wc -l <"$PLACE/second")" -ge 7 ] || broken "the second box did not answer"
both=$(comm -12 "$PLACE/first" "$PLACE/second" | tr '\n' ' ')
[ -z "$both" ] || broken "two boxes have in common: $both"
held
