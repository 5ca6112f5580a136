#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: .gitattributes that would convert, hide or filter what the box has written
# promise: P2 P3 P9
# hole: git-attributes
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

needs git
P=$PLACE/project
project "$P"
chmod 0755 "$PLACE"
printf '#!/bin/sh\ntouch %s/mark-filter\ntr a-z A-Z\n' "$PLACE" >"$PLACE/filter"
chmod 0755 "$PLACE/filter"
for key in clean smudge; do git config --file "$HOME/.gitconfig" "filter.f.$key" "$PLACE/filter"; done
# One half is there before, so that the base tree is made of such files, too.
attributes='*.crlf text eol=crlf
*.lf text eol=lf
*.id ident
*.u16 text working-tree-encoding=UTF-16LE
*.c -diff
*.h binary
*.f filter=f
*.d diff=f'
printf '%s\n' "$attributes" >"$P/.gitattributes"
# shellcheck disable=SC2016 # $Id$ is git's
write='printf "one\r\ntwo\nthree\r\n" >$1.crlf; printf "one\r\ntwo\n" >$1.lf; printf "%s\n" "\$Id\$" "\$Id: evil payload \$" >$1.id
printf "t\000e\000" >$1.u16; echo "int evil_$1;" >$1.c; echo "int evil_$1;" >$1.h; echo lower >$1.f; echo evil_$1 >$1.d'
(cd "$P" && sh -c "$write" sh before && git add -A 2>/dev/null && git commit -q -m Attributes)
(cd "$P" && sh -c "$write" sh before) # as they are on the disk, not as git has them
rm -f "$PLACE"/mark-*
box "$P" "printf '%s\n' '$attributes' '*.new binary' >.gitattributes; set -- after; $write
for f in before.*; do echo more >>\$f; done; cp after.c after.new; sha256sum before.* after.* .gitattributes"
[ "$code" -eq 0 ] || broken "the run ended with $code"
cp "$out" "$PLACE/sums"
[ "$(wc -l <"$PLACE/sums")" -ge 18 ] || broken "the box did not write its files"
tb show @last | grep -qw verified || broken "the patch is not verified"
tb diff @last >"$out" 2>"$err"
for text in '+int evil_after;' '+evil_after' '+lower'; do
    grep -qF -- "$text" "$out" || broken "an attribute has hidden '$text' from the diff"
done
[ "$(grep -c '^+int evil_after;' "$out")" -eq 3 ] || broken "an attribute has hidden a file from the diff"
tb inspect @last >"$out" 2>"$err"
grep -q '\.gitattributes' "$out" || broken "no finding names .gitattributes"
tb apply @last --acknowledge all >"$out" 2>"$err" || broken "apply ended with $?"
(cd "$P" && sha256sum --quiet -c "$PLACE/sums") >"$out" 2>&1 || broken "other bytes than the box wrote: $(head -n 3 "$out")"
marks=$(find "$PLACE" -maxdepth 1 -name 'mark-*' -printf '%f ')
[ -z "$marks" ] || broken "the host ran a filter"
held
