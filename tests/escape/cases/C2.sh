#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: a guest program that lies about hashes, counts, sizes and paths of what it exports, its exit status and its end
# promise: P2
# hole: export-hash
# hole: export-files
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
for how in lie-list lie-count lie-file lie-size lie-path lie-fewer lie-exit lie-end; do
    hostile "$P" "$how"
    [ "$code" -eq 125 ] || broken "$how: exit code $code, not 125"
    if tb show @last 2>/dev/null | grep -qw verified; then broken "$how: called verified"; fi
done
held
