#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: links, pipes and huge files that a QEMU taken over leaves in the directory of its box
# promise: P5 P8
# hole: box-follow
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
printf 'SECRET-OF-THE-HOST\n' >"$PLACE/secret"
mkdir "$PLACE/outside"
printf 'mine\n' >"$PLACE/outside/file"
for plant in link pipe device huge; do
    live_box "$P" 'sleep 3; sudo systemctl poweroff -ff; sleep 60'
    dir=$(find "$XDG_STATE_HOME/taskbox/tasks" -path '*/box' -prune -print)
    [ -n "$dir" ] || broken "the box has no directory"
    for name in console.log log record.json template.qcow2 patch; do
        rm -f "$dir/$name"
        case $plant in
        link) ln -s "$PLACE/secret" "$dir/$name" ;;
        pipe) mkfifo "$dir/$name" ;;
        device) ln -s /dev/zero "$dir/$name" ;;
        huge) truncate -s 1T "$dir/$name" ;;
        esac
    done
    ln -s "$PLACE/outside" "$dir/folder"
    wait_box 60 || broken "$plant: the end of the box was not noticed"
    [ "$code" -eq 125 ] || broken "$plant: the run ended with $code"
    tail -n 1 "$err.live" | grep -q '^taskbox: box .*VM' || broken "$plant: no clear error: $(tail -n 1 "$err.live")"
    if grep -q SECRET-OF-THE-HOST "$err.live"; then broken "$plant: what a planted link names was read and shown"; fi
    if [ -e "$dir" ] || [ -L "$dir" ]; then broken "$plant: the directory of the box is left"; fi
    [ "$(cat "$PLACE/outside/file")" = mine ] || broken "$plant: a file behind a planted link was removed"
done
held
