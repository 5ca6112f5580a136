#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Layers: an image that lies on another one has all of it and its own, in a box that boots and in a
# fork; what it lies on stays; variables, files and warm commands of a recipe do what they say.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
make_project "$T/project"
recipes=$XDG_CONFIG_HOME/taskbox/images
mkdir -p "$recipes"
# Each run a name of its own: the store is shared, and a layer must be built here.
tag=t$$
# shellcheck disable=SC2016 # for the end
on_exit eval 'for name in top layer; do tb image rm "$name-$tag" 2>/dev/null; done'

say "a layer on the default image"
cat >"$recipes/layer-$tag.yaml" <<YAML
from: debian
cpus: 1
memory: 768MiB
env: {GREETING: hello there, ONLY_BELOW: '1', TAG: $tag}
files:
  - path: /opt/greet
    mode: 755
    content: |
      #!/bin/sh
      echo "\$GREETING from \$(id -un)"
  - path: /home/agent/deep/er/file
    owner: agent
    content: ''
provision:
  - script: |
      id -un >/opt/system; echo "\$GREETING" >/opt/said
      rm /usr/bin/clear
  - mode: user
    script: |
      id -un >~/user; env >~/environment
warm:
  - echo "\$GREETING, \$HOME, \$(id -un)" >~/warmed; sleep 3000 >/dev/null 2>&1 &
YAML
NOT_FOR_THE_IMAGE=1 expect 0 tb image build "layer-$tag"
expect 0 tb image ls
holds "$T/out" "^layer-$tag .* debian " "what the layer lies on, in 'image ls'"
digest=$(cat "$XDG_DATA_HOME/taskbox/names/layer-$tag")
disk=$XDG_DATA_HOME/taskbox/images/$digest/disk.qcow2
[ "$(stat -c %b "$disk")" -lt $((200 * 2048)) ] || fail "the layer takes $(stat -c %b "$disk") blocks"
expect 0 tb image verify "layer-$tag"

say "its box, forked: what is below, what is its own, what is warm"
# shellcheck disable=SC2016 # the box's
look='set -e; /opt/greet; cat /opt/system /opt/said ~/user ~/warmed; git --version
    [ ! -e /usr/bin/clear ]; [ "$ONLY_BELOW" ]; ! grep -q NOT_FOR ~/environment
    stat -c %U ~/deep ~/deep/er ~/deep/er/file | sort -u; pgrep -x sleep >/dev/null && echo still warm'
expect 0 tb run --image "layer-$tag" -C "$T/project" -- sh -c "$look"
holds "$T/err" 'making a template' "the first run"
holds "$T/out" '^hello there from agent$' "its program and its variable"
holds "$T/out" '^root$' "its system script"
holds "$T/out" '^git version' "what is below"
holds "$T/out" '^hello there, /home/agent, agent$' "its warm command"
holds "$T/out" '^still warm$' "what it left running"
expect 0 tb run --image "layer-$tag" -C "$T/project" -- sh -c "$look; ! touch /opt/said 2>/dev/null"
holds_not "$T/err" 'template|boot' "the second run"

say "a layer on the layer, whose QEMU dies in the first boot: its variables win, and a warm command that fails says so; the box boots"
cat >"$recipes/top-$tag.yaml" <<YAML
from: layer-$tag
env: {GREETING: third}
warm: ['true', 'echo the last words >&2; exit 3']
YAML
"$TASKBOX" image build "top-$tag" >"$T/out" 2>"$T/err" &
build=$!
qemu_runs() { qemu_below "$build" >"$T/qemu" && runs_a_guest "$(cat "$T/qemu")"; }
wait_for "$boot_limit" qemu_runs || fail "no QEMU boots the layer"
kill -ABRT "$(cat "$T/qemu")"
wait "$build" || fail "the build does not survive the end of its QEMU"
holds "$T/err" 'the VM died.*; booting it once more' "what the build says"
holds_not "$T/err" "building image 'layer-$tag'" "what is there already"
# shellcheck disable=SC2016 # the box's
expect 0 tb run --image "top-$tag" -C "$T/project" -- sh -c '/opt/greet; echo "below $ONLY_BELOW"; [ ! -e ~/warmed ]'
holds "$T/out" '^third from agent$' "its variable"
holds "$T/out" '^below 1$' "one from below"
holds "$T/err" 'the last words' "what the warm command said"
holds "$T/err" "booting the box: .*warm command 2 of image 'top-$tag'.*failed with exit code 3" "the reason"

say "a layer as a file: it has all it lies on, wherever it is taken to"
expect 0 tb image export -o "$T/sent.tar.zst" "top-$tag"
try tb image export -o "$T/sent.tar.zst" "top-$tag"
equal 1 "$code" "exit code of an export over a file"
(
    export XDG_DATA_HOME=$T/elsewhere
    mkdir "$XDG_DATA_HOME"
    expect 0 tb image import --name "taken" "$T/sent.tar.zst"
    expect 0 tb image ls
    holds "$T/out" '^taken .* import ' "where it is from, in 'image ls'"
    # shellcheck disable=SC2016 # the box's
    expect 0 tb run --cold --image taken -C "$T/project" -- sh -c '/opt/greet; echo "below $ONLY_BELOW"; git --version'
    holds "$T/out" '^third from agent$' "its variable"
    holds "$T/out" '^below 1$' "one from below"
    holds "$T/out" '^git version' "what is below"
)

say "what layers lie on stays"
try tb image rm "layer-$tag"
equal 9 "$code" "exit code of removing what a layer lies on"
one_error_line "layer-$tag.*has layers on it: top-$tag"
sed -i 's/third/fourth/; /^warm/d' "$recipes/top-$tag.yaml"
sed -i 's/hello there/good day/; /^warm/,$d' "$recipes/layer-$tag.yaml"
expect 0 tb image build "layer-$tag"
expect 0 tb image ls
holds "$T/out" "^top-$tag .* layer-$tag, older " "a layer on what its name means no more"
expect 0 tb run --cold --image "top-$tag" -C "$T/project" -- /opt/greet
holds "$T/out" '^third from agent$' "a box of it all the same"
expect 0 tb image build "top-$tag"
holds_not "$T/err" "building image 'layer-$tag'" "what is there already"
[ -e "$disk" ] || fail "the older image is gone while a name may still mean it"
expect 0 tb image rm "top-$tag"
expect 0 tb image rm "layer-$tag"
expect 0 tb gc --apply
[ ! -e "$disk" ] || fail "gc left an image that nothing lies on and no name means"
