#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A machine that only builds has no check: taskbox is built there without its tests.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/pkg-config" <<'E2'
#!/bin/sh
for argument; do
    [ "$argument" != check ] || exit 1
done
exec pkg-config "$@"
E2
chmod +x "$work/pkg-config"
printf "[binaries]\npkgconfig = '%s'\ncmake = '/nonexistent'\n" "$work/pkg-config" > "$work/native"

meson setup --native-file "$work/native" "$work/build" "$top" > "$work/log" 2>&1 ||
    { cat "$work/log"; echo "meson cannot configure a build without check"; exit 1; }
targets=$(ninja -C "$work/build" -t targets all)
grep -q '^src/cli/taskbox:' <<< "$targets" || { echo "taskbox itself is not built"; exit 1; }
if grep -m 3 'test-.*\.c\.o:' <<< "$targets"; then
    echo "tests are built where check is missing"
    exit 1
fi
