#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# attack: an image recipe whose disk is not the one its digest names
# promise: P7
# hole: image-digest
# shellcheck source=tests/escape/lib.sh
. "$(dirname "$0")/../lib.sh"

head -c 1000000 /dev/zero >"$PLACE/cloud.img"
cat >"$PLACE/recipe.yaml" <<YAML
images:
- location: $PLACE/cloud.img
  arch: $(uname -m)
  digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
YAML
try timeout --foreground 120 "$TASKBOX" image build "$PLACE/recipe.yaml"
[ "$code" -ne 0 ] || broken "an image was built of it"
grep -q 'but the recipe says\|its digest is\|has another digest' "$err" || broken "the disk was opened before its digest was compared"
held
