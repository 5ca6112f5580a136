#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: commits made in the box that trick a git which takes them: submodule addresses, objects git must not know
# promise: P2 P3
# hole: pack-strict
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
# shellcheck disable=SC2016 # the box expands it
box "$P" 'printf "[submodule \"a\"]\n\tpath = a\n\turl = -u./payload\n" >.gitmodules; echo one >>text
git add -A; git commit -q -m "an address that is an option"; echo two >>text; git commit -q -am second'
[ "$code" -eq 0 ] || broken "the run ended with $code"
tb show @last >"$out"
grep -q 'commits made in the box did not come along' "$out" || broken "commits were taken that git's check refuses"
grep -qw verified "$out" || broken "the patch is lost with them"
tb inspect @last >"$out" 2>"$err"
grep -q 'gitmodules' "$out" || broken "no finding names .gitmodules"
# Objects that stand for others, and a .git inside of a tree.
# shellcheck disable=SC2016 # the box expands it
box "$P" 'b=$(echo evil | git hash-object -w --stdin); t=$(printf "100755 blob %s\tpost-checkout\n" $b | git mktree)
h=$(printf "040000 tree %s\thooks\n" $t | git mktree); g=$(printf "040000 tree %s\t.git\n100644 blob %s\ttext\n" $h $b | git mktree)
c=$(echo inside | git commit-tree $g -p HEAD); git replace HEAD $c; git update-ref HEAD $c; echo x >>text; true'
[ "$code" -eq 0 ] || broken "the second run ended with $code"
tb apply @last --acknowledge all >"$out" 2>"$err" || :
[ ! -e "$P/.git/hooks/post-checkout" ] || broken "a hook came into the project"
if git -C "$P" for-each-ref refs/replace | grep -q .; then broken "a replaced object came into the project"; fi
held
