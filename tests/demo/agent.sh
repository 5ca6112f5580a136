#!/bin/sh
# Stands where an AI agent would: reads what the test complains about, finds the faulty line, mends
# it, and tries again. Runs in the box; what it changes there comes back as a patch only.
set -eu
cd "$(dirname "$0")"
operator=$(./test.sh | sed -n 's/^FAILED: [0-9]* \([a-z]*\) .*/\1/p' | head -n 1)
if [ -z "$operator" ]; then
    echo "agent: the test passes, nothing to do"
    exit 0
fi
case $operator in
add) sign='+' ;;
sub) sign='-' ;;
mul) sign='*' ;;
*) echo "agent: do not know operator '$operator'" >&2; exit 1 ;;
esac
echo "agent: '$operator' gives wrong results, it should compute with '$sign'"
sed -i "s/^$operator) echo .*/$operator) echo \$((\$1 $sign \$3)) ;;/" calc
