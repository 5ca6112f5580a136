#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a guest program that lies about hashes, counts and sizes of what it exports
# promise: P2
# hole: export-hash
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
for how in lie-list lie-count lie-file lie-size; do
    hostile "$P" "$how"
    [ "$code" -eq 125 ] || broken "$how: exit code $code, not 125"
    if tb show @last 2>/dev/null | grep -qw verified; then broken "$how: called verified"; fi
done
held
