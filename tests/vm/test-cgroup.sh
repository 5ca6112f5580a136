#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What bounds all of a box's processes together (src/vm/cgroup.c), against a real kernel with cgroups
# of version 2: that of a box, which has them whatever this machine has. The host's side of a box runs
# there, without the box: its group, under one that systemd has delegated.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

drill=${1:-${TASKBOX%/src/cli/taskbox}/tests/vm/cgroup-drill}
[ -x "$drill" ] || fail "there is no '$drill'"
need_image

say "the drill, in a project"
project=$T/project
make_project "$project"
with_libraries "$drill" "$project/drill"
say "it runs as root in a scope that was delegated, and as nobody's"
# shellcheck disable=SC2016 # the box expands it
expect 0 tb run -C "$project" -- sh -c 'run=$PWD/drill/cgroup-drill
$run; echo alone $?
sudo systemd-run --quiet --scope -p Delegate=yes $run; echo delegated $?'
cat "$T/out"
holds "$T/out" '^alone 1$' "what is not delegated is not taken"
holds "$T/out" '^delegated 0$' "the drill"
[ "$(grep -c ^holds: "$T/out")" -eq 10 ] || fail "not all ten hold"
