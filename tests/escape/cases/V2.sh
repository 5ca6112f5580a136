#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: an image to be built whose header reads a file of the host as a part of the disk
# promise: P7
# hole: image-backing
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

P=$PLACE/project
project "$P"
needs python3
printf 'SECRET-OF-THE-HOST\n' >"$PLACE/secret"
truncate -s 1M "$PLACE/secret"
cat >"$PLACE/forge.py" <<'PY'
import struct, sys
place = sys.argv[1]
secret = (place + "/secret").encode()
def qcow2(name, backing, incompatible):
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 512 if backing else 0, len(secret) if backing else 0, 16, 1 << 20,
                       0, 0, 0, 65536, 1, 0, 0, incompatible, 0, 0, 4, 104)
    with open(f"{place}/{name}", "wb") as file:
        file.write((head.ljust(512, b"\0") + secret).ljust(1 << 18, b"\0"))
qcow2("backing", True, 0)
qcow2("data-file", False, 4)
with open(f"{place}/vmdk", "wb") as file:
    file.write((b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "' + secret + b'" 0\n').ljust(65536, b"\0"))
with open(f"{place}/words", "w", encoding="ascii") as file:
    file.write('json:{"driver":"raw","file":{"driver":"file","filename":"%s"}}' % (place + "/secret"))
PY
python3 "$PLACE/forge.py" "$PLACE"
for name in backing data-file vmdk words; do
    cat >"$PLACE/recipe.yaml" <<YAML
images:
- location: $PLACE/$name
  arch: $(uname -m)
  digest: sha256:$(sha256sum "$PLACE/$name" | cut -d' ' -f1)
YAML
    opened "$PLACE/secret" start
    try timeout --foreground -k 5 20 "$TASKBOX" image build "$PLACE/recipe.yaml"
    opened "$PLACE/secret" stop || broken "$name: the file that the header names was opened"
    [ "$code" -ne 0 ] || broken "$name: an image was built of it"
    grep -q "cannot use '.*'" "$err" || broken "$name: it was not refused by its header"
done
held
