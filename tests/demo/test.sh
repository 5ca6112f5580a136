#!/bin/sh
# The calculator's test: says what is wrong, ends with 1 when anything is.
set -eu
cd "$(dirname "$0")"
failed=0
check() {
    got=$(./calc "$1" "$2" "$3")
    if [ "$got" = "$4" ]; then
        echo "ok: $1 $2 $3 = $4"
    else
        echo "FAILED: $1 $2 $3 = $got, should be $4"
        failed=1
    fi
}
check 2 add 3 5
check 7 sub 2 5
check 4 mul 5 20
exit $failed
