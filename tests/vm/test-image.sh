#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Golden images: built once, immutable, addressed by digest; nothing half-built is ever visible; a
# changed byte is noticed before use (P7); a recipe's errors say where.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

say "the default recipe"
need_image
store=$XDG_DATA_HOME/taskbox
expect 0 tb image ls
holds "$T/out" 'debian' "'image ls'"
expect 0 tb image show debian
holds "$T/out" '[0-9a-f]{64}' "digest in 'image show'"
holds "$T/out" 'git' "packages in 'image show'"
expect 0 tb image verify debian
image_dir=$store/images/$(cat "$store/names/debian")
for part in disk.qcow2 kernel initrd manifest.json; do
    equal 444 "$(stat -c %a "$image_dir/$part")" "mode of the image's $part"
done
equal 555 "$(stat -c %a "$image_dir")" "mode of the image's directory"
disk=$image_dir/disk.qcow2
cp "$image_dir/manifest.json" "$T/manifest"
# Without it a box on a busy host without KVM may panic instead of boot.
[ "$(uname -m)" != x86_64 ] || holds "$T/manifest" 'no_timer_check' "the image's kernel command line"
python3 -m json.tool "$T/manifest" >"$T/out" || fail "the manifest is not JSON"

say "the same recipe is not built twice"
# Everything in the store but locks: a build that fails must leave it just so.
stored() { find "$store" ! -path '*/locks*' ! -type d -printf '%p %i %T@ %C@\n' | sort; }
images_before=$(stored)
started=$SECONDS
need_image
[ $((SECONDS - started)) -lt 15 ] || fail "a second build took $((SECONDS - started)) s"
equal "$images_before" "$(stored)" "the store after a second build"

say "a bad recipe: file, line, column, and what was meant"
recipe() { printf '%s\n' "$@" >"$T/bad.yaml"; }
refused() { # LINE:COLUMN PATTERN
    try tb image build "$T/bad.yaml"
    equal 3 "$code" "exit code of a bad recipe"
    one_error_line "bad\\.yaml:$1: .*$2"
}
recipe 'bootstrap:' '  suite: bookworm' 'cpu: 2'
refused 3:1 "'cpus'"
recipe 'bootstrap: {suite: bookworm}' 'cpus: many'
refused 2:7 "'many'"
recipe 'bootstrap: {suite: bookworm}' 'memory: 3parsecs'
refused 2:9 '3parsecs'
recipe 'bootstrap: {suite: bookworm}' 'cpus: 1' 'cpus: 2'
refused 3:1 'cpus'
recipe 'bootstrap: {suite: bookworm}' 'provision:' '- mode: admin' '  script: "true"'
refused 3:9 'admin'
recipe 'bootstrap: {suite: bookworm' 'cpus: 2'
refused '[0-9]+:[0-9]+' ''

say "a cloud image: a partitioned disk with an operating system on it"
need_cloud_image
digest=$(sha256sum "$cloud" | cut -d' ' -f1)
nothing_new() { # NAME
    expect 0 tb image ls
    holds_not "$T/out" "$1" "an image that failed to build"
    equal "$images_before" "$(stored)" "the store after a build that failed"
}

cloud_recipe mismatch "$(printf '%064d' 0)" true
try tb image build "$T/mismatch.yaml"
differ 0 "$code" "exit code of a digest that does not match"
one_error_line 'digest|sha256'
nothing_new mismatch

cloud_recipe failing "$digest" 'echo "the last words" >&2; exit 7'
try tb image build "$T/failing.yaml"
differ 0 "$code" "exit code of a script that fails"
holds "$T/err" 'the last words' "last lines of the script"
holds "$T/err" '7' "exit code of the script"
nothing_new failing

say "two builds of it at once: one builds, the other waits and uses it"
# shellcheck disable=SC2016 # the script's
cloud_recipe fromcloud "$digest" 'mkdir -p /opt && id -u >/opt/provisioned && echo provisioning now
      echo "$SSL_CERT_FILE" >/opt/trusts; grep -c "BEGIN CERT" "$SSL_CERT_FILE" >>/opt/trusts'
on_exit eval 'tb image rm fromcloud 2>/dev/null'
tb image build "$T/fromcloud.yaml" >"$T/first" 2>&1 &
first=$!
tb image build "$T/fromcloud.yaml" >"$T/second" 2>&1 &
second=$!
wait "$first" || { cp "$T/first" "$T/err"; fail "the first of two builds failed"; }
wait "$second" || { cp "$T/second" "$T/err"; fail "the second of two builds failed"; }
equal 1 "$(cat "$T/first" "$T/second" | grep -c 'provisioning now')" "times the script ran"
expect 0 tb image verify fromcloud
make_project "$T/project"
# shellcheck disable=SC2016 # the box's
expect 0 tb run --image fromcloud -C "$T/project" -- sh -c 'cat /opt/provisioned /opt/user-said; ls /sys/class/net; cat text
    read -r trusted </opt/trusts; [ ! -e "$trusted" ] && [ "$(tail -n 1 /opt/trusts)" -gt 10 ] && echo trusted then'
holds "$T/out" '^0$' "what the system script left"
holds "$T/out" '^user [1-9]' "what the user script left"
equal 1 "$(grep -c '^lo$' "$T/out")" "loopback"
holds_not "$T/out" '^(eth|en)' "a network card in a task's box"
holds "$T/out" '^three$' "the project"
holds "$T/out" '^trusted then$' "that scripts trusted what this machine trusts, and the image does not"
expect 0 tb image rm fromcloud
expect 0 tb image ls
holds_not "$T/out" 'fromcloud' "an image that was removed"

say "a flipped byte is noticed by verify, and by run before use"
cp -a --sparse=always --reflink=auto "$XDG_DATA_HOME" "$T/data"
export XDG_DATA_HOME=$T/data
expect 0 tb image verify debian
copy=$T/data/${disk#"$test_home/data/"}
touch -r "$copy" "$T/times"
chmod u+w "$copy"
at=$(($(stat -c %s "$copy") / 2))
byte=$(od -An -tu1 -j "$at" -N 1 "$copy" | tr -d ' ')
# shellcheck disable=SC2059
printf "\\$(printf %o $((byte ^ 1)))" | dd of="$copy" bs=1 seek="$at" conv=notrunc status=none
chmod 0444 "$copy"
touch -r "$T/times" "$copy"
try tb image verify debian
differ 0 "$code" "exit code of verify on a damaged image"
holds "$T/err" 'debian' "the damaged image's name"
expect 125 tb run -C "$T/project" -- true
one_error_line 'debian'
