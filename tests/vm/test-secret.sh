#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A credential is used by a box that never has it: its host gets the value, the box a placeholder,
# other hosts neither; and on this machine it is in no file, argument or environment of anybody's.
if [ -z "${TASKBOX_TEST_PLACE:-}" ]; then
    # shellcheck source=tests/lib/lib.sh
    . "$(dirname "$0")/../lib/lib.sh"
    requires_root
    requires_program unshare nsenter ip openssl setpriv curl
    [ -e /etc/ssl/certs/ca-certificates.crt ] || skip "there is no bundle of certificates"
    unshare -nm ip link add tb0 type veth peer name tb1 2>/dev/null || skip "cannot make network namespaces here"
    need_image # has the real network, for its packages
    TASKBOX_TEST_HOME=$test_home TASKBOX=$TASKBOX TASKBOX_TEST_PLACE=1 unshare -nm bash "$0"
    exit 0
fi
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

start_servers "$(dirname "$0")/secret-servers.py" "$T/seen"
project=$T/secret
make_project "$project"
bring_curl "$project"

random=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
value=sk-$random
# What is tried in the box. It knows the two halves of the value apart, to look for the whole.
cat >"$project/try.sh" <<'BOX'
curl() { ./ignored.curl/curl -s -m 20 "$@"; }
px() { curl --noproxy '' -x http://127.0.0.1:3128 "$@" 2>/dev/null; }
say() { printf '%s %s\n' "$1" "${2:-nothing}"; }
a=$1 b=$2
look() { tr '\0' '\n' | grep -a -c "$pattern" 2>/dev/null; }
say key "$KEY"
say shape "$(printf %s "$KEY" | sed 's/^sk-[0-9a-f]\{48\}$/right/')"
say status "$(curl -o answer -D head -w '%{http_code}' -H "Authorization: Bearer $KEY" https://good.test/pieces)"
say echoed "$(grep -a -c -F "Bearer $KEY" answer)"
cat answer head >answers
say verified "$(curl -o /dev/null -w '%{ssl_verify_result}' -H "x-api-key: $KEY" https://good.test/)"
say by-bundle "$(env -u SSL_CERT_FILE -u CURL_CA_BUNDLE ./ignored.curl/curl -s -m 20 --cacert /run/taskbox/ca-bundle.pem -o /dev/null -w '%{http_code}' https://good.test/plain)"
say basic "$(curl -u "user:$KEY" -o answer -w '%{http_code}' https://good.test/basic) $(grep -a -c "$(printf %s "user:$KEY" | base64 -w0 | cut -c1-72)" answer)"
say gateway "$(curl -o answer -w '%{http_code}' -H "x-goog-api-key: $KEY" "$GATEWAY/models?x=1")"
cat answer >>answers
say env "$GATEWAY $NODE_EXTRA_CA_CERTS $GIT_SSL_CAINFO"
# Elsewhere.
say other-plain "$(px -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $KEY" http://other.test/)"
say own-plain "$(px -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $KEY" http://good.test/)"
say in-path "$(px -o /dev/null -w '%{http_code}' "http://other.test/$KEY")"
say in-base64 "$(px -o /dev/null -w '%{http_code}' -H "X: $(printf %s "$KEY" | base64 -w0)" http://other.test/)"
say in-body "$(px -o /dev/null -w '%{http_code}' -d "key=$KEY" http://other.test/)"
say gateway-other "$(curl --noproxy '*' -o /dev/null -w '%{http_code}' -H "x-api-key: $KEY" http://127.0.0.1:3128/other.test/)"
say foreign "$(curl -o /dev/null -w '%{http_code}' -H "x-api-key: sk-0123456789abcdef" https://good.test/)"
say tunnelled "$(curl -k -o answer -w '%{http_code}' -H "x-api-key: $KEY" https://other.test/)"
grep -c -F "$KEY" answer | sed 's/^/tunnel-placeholder /'
cat answer >>answers
say used yes
[ -n "${pause:-}" ] || return 0
sleep "$pause"
# A pattern that does not find itself; until here nothing in the box could know the value.
pattern="[${a%"${a#?}"}]${a#?}$b"
say value-in-answer "$(look <answers)"
# Nowhere in the box: environments, arguments, files that can be new. Its disks are searched as the
# files that they are on this machine.
rm -f answer head answers
say env-hits "$(sudo sh -c 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline' | look)"
say file-hits "$(sudo grep -rasl "$pattern" /etc /home /root /run /tmp /var /workspace /usr/local 2>/dev/null | wc -l)"
say port-hits "$(sudo dmesg 2>/dev/null | look)"
say done yes
echo more >>text
BOX
(cd "$project" && git add try.sh && git commit -q -m 'What is tried')
mkdir -p "$XDG_CONFIG_HOME/taskbox"
(umask 077 && printf '%s\n' "$value" >"$T/key")
cat >"$XDG_CONFIG_HOME/taskbox/config.yaml" <<YAML
agents:
  mine:
    command: [sh, -c, '. ./try.sh; true', "{prompt}"]
    secrets:
      KEY: {hosts: [good.test], file: $T/key, base_url: {env: GATEWAY, path: /v1}}
YAML
half_a=${value:0:20} half_b=${value:20}
cat >"$project/run.sh" <<RUN
set -- $half_a $half_b
. ./try.sh
RUN
result() { sed -n "s|^$1 ||p" "$T/out"; }
check_box() {
    equal right "$(result shape)" "the placeholder's shape"
    equal 200 "$(result status)" "its host through CONNECT"
    equal 1 "$(result echoed)" "the placeholder in the echo"
    equal 0 "$(result verified)" "curl's verdict on the certificate"
    equal 200 "$(result by-bundle)" "the bundle"
    equal '200 1' "$(result basic)" "Basic"
    for what in other-plain own-plain in-path in-base64 in-body gateway-other foreign; do
        equal 403 "$(result "$what")" "$what"
    done
}
seen() { [ "$(grep -c -F -- "$1" "$T/seen")" -ge 1 ] || fail "the server has not seen $2: $(cut -c1-300 "$T/seen")"; }
# How often a text is in all the memory of a process.
in_memory() {
    python3 - "$1" "$2" <<'PYTHON'
import sys
pid, wanted, hits = sys.argv[1], sys.argv[2].encode(), 0
with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        fields = line.split()
        start, end = (int(word, 16) for word in fields[0].split("-"))
        tail = b""
        while "r" in fields[1] and start < end:
            try:
                memory.seek(start)
                data = memory.read(min(1 << 24, end - start))
            except (OSError, ValueError, OverflowError):
                break
            if not data:
                break
            hits += (tail + data).count(wanted)
            tail = data[-len(wanted) + 1:]
            start += len(data)
print(hits)
PYTHON
}
nothing_kept() {
    local kept
    kept=$(find "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR" "$XDG_CACHE_HOME" "$XDG_DATA_HOME" "$TMPDIR" "$project" \
        -type f -newer "$T/key" -exec grep -lazsF -- "$value" {} + || :)
    equal '' "$kept" "files of this machine that have the value"
}

say "a command with --secret"
# While it runs, others are looked at.
KEY=$value "$TASKBOX" run --secret KEY@good.test --allow-host other.test --keep always --json -v -v -C "$project" -- \
    sh -c 'export pause=60 GATEWAY=http://127.0.0.1:3128/good.test/v1; . ./run.sh' </dev/null >"$T/record" 2>"$T/out" &
run=$!
wait_for "$boot_limit" grep -qs '^used' "$T/out" || fail "the box did not come to its end: $(tail -n 5 "$T/out")"
found=$(grep -alF -- "$value" /proc/[0-9]*/{environ,cmdline} 2>/dev/null || :)
equal '' "$found" "processes whose environment or arguments have the value"
core=0
for process in $(pgrep -x taskbox-egress) "$run"; do
    core=$((core + 1))
    # Not dumpable: what /proc has of it belongs to root, whoever it is.
    equal 0 "$(stat -c %u "/proc/$process/environ")" "who owns a process with the value"
    equal 0 "$(awk '/^Max core file size/ {print $5}' "/proc/$process/limits")" "its largest core"
done
[ "$core" -ge 2 ] || fail "there is no egress process"
machine=$(processes_of_test | sed -n 's/ qemu-system.*//p' | head -n 1)
[ -n "$machine" ] || fail "there is no virtual machine"
placeholder=$(sed -n 's/^key //p' "$T/out")
[ "$(in_memory "$machine" "$placeholder")" -ge 1 ] || fail "the placeholder is not in the machine's memory"
equal 0 "$(in_memory "$machine" "$value")" "how often the value is in the machine's memory"
wait "$run" || fail "the run failed: $(tail -n 5 "$T/out")"
check_box
for what in value-in-answer env-hits file-hits port-hits; do equal 0 "$(result "$what")" "$what"; done
equal 200 "$(result gateway)" "the gateway"
equal 200 "$(result tunnelled)" "the placeholder inside of another's TLS"
seen "Bearer $value" "the value through CONNECT"
seen "x-goog-api-key: $value" "the value through the gateway"
seen "GET /v1/models?x=1" "the gateway's path"
seen "Basic $(printf %s "user:$value" | base64 -w0)" "the value in Basic"
equal 0 "$(grep -c "web asked.*$value" "$T/seen" || :)" "the value by plain HTTP"
nothing_kept
rm -r "$(boxes_left)" # it was kept to be looked at
equal 0 "$(grep -c -F -- "$value" "$T/out" "$T/record" | awk -F: '{sum += $2} END {print sum}')" "the value in what taskbox wrote"
holds "$T/record" '"high": ?[2-9]' "findings in the record"
expect 0 tb inspect @last
holds "$T/out" 'placeholder .*' "findings"
holds "$T/out" 'other.test:80' "where the placeholder went"
holds "$T/out" 'foreign-key' "a key of another's"
expect 8 tb apply @last
expect 0 tb logs --net @last
holds "$T/out" 'GET +good.test:443 +allowed' "the log"
holds "$T/out" 'other.test:80 +refused .*placeholder of KEY' "the log"
holds_not "$T/out" "$value" "the log"

say "an agent with a key in a file and the gateway in a variable"
: >"$T/seen"
expect 0 tb policy explain --agent mine -C "$project"
holds "$T/out" '^secrets +KEY for good.test alone \(from the file' "policy explain"
holds_not "$T/out" "$random" "policy explain"
expect 0 tb run --allow-host other.test -C "$project" 'use it'
check_box
equal 200 "$(result gateway)" "the gateway"
holds "$T/out" '^env http://127.0.0.1:3128/good.test/v1 /run/taskbox/ca.pem /run/taskbox/ca-bundle.pem' "variables"
nothing_kept

say "budgets: an end of their own"
# shellcheck disable=SC2016
KEY=$value try tb run --secret KEY@good.test --limit requests=2 --json -C "$project" -- sh -c 'echo kept >new-file
for n in 1 2 3; do ./ignored.curl/curl -s -o /dev/null -w "%{http_code}\n" -H "x-api-key: $KEY" https://good.test/; done; sleep 60' </dev/null
equal 124 "$code" "exit code"
equal "200 200 403" "$(grep -E '^[0-9]{3}$' "$T/err" | tr '\n' ' ' | sed 's/ $//')" "answers"
holds "$T/out" 'budget of requests is used up' "the record"
expect 0 tb diff --name-only @last
holds "$T/out" '^new-file$' "its work"

say "what cannot be a secret"
expect 125 tb run --secret KEY@good.test -C "$project" -- true
one_error_line "the variable 'KEY' is not set"
for wrong in KEY KEY@ @good.test 'KEY@*.good.test' KEY@127.0.0.1 'K EY@good.test' KEY@good.test:0; do
    KEY=$value try tb run --secret "$wrong" -C "$project" -- true
    equal 125 "$code" "--secret '$wrong'"
    one_error_line "secret"
done
KEY=Qw3rt try tb run --secret KEY@good.test -C "$project" -- true
equal 125 "$code" "a short one"
one_error_line 'shorter than 12 bytes'
holds_not "$T/err" 'Qw3rt' "the error"
