#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: programs of the project in a relative PATH; git's, libguestfs's and libvirt's variables set by an .envrc
# promise: P3 P5
# hole: path-relative
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
for name in git bwrap qemu-img taskbox-vmm taskbox-git sh env; do
    printf '#!/bin/sh\ntouch %s/mark-%s\nexit 1\n' "$PLACE/marks" "$name" >"$P/$name"
    chmod 0755 "$P/$name"
done
chmod 0755 "$PLACE"
mkdir -m 1777 "$PLACE/marks" # for whoever runs one
mkdir "$PLACE/elsewhere"
cd "$P"
# shellcheck disable=SC2317 # by `try`
hostile_env() {
    env GIT_DIR="$PLACE/elsewhere" GIT_WORK_TREE="$PLACE/elsewhere" GIT_INDEX_FILE="$PLACE/elsewhere/index" \
        GIT_OBJECT_DIRECTORY="$PLACE/elsewhere" GIT_EXTERNAL_DIFF="$P/sh" GIT_SSH_COMMAND="$P/sh" GIT_CONFIG_COUNT=1 \
        GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0="$P/sh" LIBGUESTFS_HV="$P/sh" LIBGUESTFS_PATH="$P" \
        LIBVIRT_DRIVER_DIR="$P" LIBVIRT_DEFAULT_URI=test:///default XDG_CONFIG_DIRS="$P" SHELL="$P/sh" PAGER="$P/sh" \
        GIT_PAGER="$P/sh" PATH=".:$PATH" "$@"
}
no_marks() {
    marks=$(find "$PLACE/marks" -name 'mark-*' -printf '%f ')
    [ -z "$marks" ] || broken "programs of the project were run: $marks"
}
try hostile_env timeout 120 "$TASKBOX" doctor # starts most of what there is, outside of any jail
no_marks
try hostile_env timeout 120 "$TASKBOX" run -- sh -c 'echo more >>text; echo new >new; env'
no_marks
[ "$code" -eq 0 ] || broken "the run ended with $code"
if grep -q "$PLACE/elsewhere\|LIBGUESTFS" "$out"; then broken "the box sees the variables"; fi
[ -z "$(ls -A "$PLACE/elsewhere")" ] || broken "git's variables said where to write"
try hostile_env "$TASKBOX" diff @last --name-only
[ "$code" -eq 0 ] || broken "diff ended with $code"
[ "$(sort "$out" | tr '\n' ' ')" = 'new text ' ] || broken "the patch is not what the box did: $(tr '\n' ' ' <"$out")"
no_marks
held
