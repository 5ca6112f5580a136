#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A program in the box reaches a server through a name that is allowed, and nothing else by any
# route; with no policy not even that; and when the egress process is gone, nothing any more. The
# shipped programs run in a small internet of two network namespaces (tests/unit/net/place.py).
if [ -z "${TASKBOX_TEST_PLACE:-}" ]; then
    # shellcheck source=tests/lib/lib.sh
    . "$(dirname "$0")/../lib/lib.sh"
    requires_root
    requires_program unshare nsenter ip openssl setpriv curl
    unshare -nm ip link add tb0 type veth peer name tb1 2>/dev/null || skip "cannot make network namespaces here"
    need_image # has the real network, for its packages
    TASKBOX_TEST_HOME=$test_home TASKBOX=$TASKBOX TASKBOX_TEST_PLACE=1 unshare -nm bash "$0"
    exit 0
fi
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

big=$((64 * 1024 * 1024))
start_servers "$(dirname "$0")/egress-servers.py" "$T/seen" "$big"
project=$T/net
make_project "$project"
bring_curl "$project"

# What is tried in the box: a line "NAME RESULT" each.
cat >"$project/try.sh" <<'BOX'
curl() { ./ignored.curl/curl -sk -m 20 "$@"; }
# Through the proxy, whatever NO_PROXY says.
px() { curl --noproxy '' -x http://127.0.0.1:3128 "$@" 2>/dev/null; }
say() { printf '%s %s\n' "$1" "${2:-nothing}"; }
say http "$(curl http://good.test/ 2>/dev/null | grep served)"
say https "$(curl https://good.test/ 2>/dev/null | grep served)"
say status "$(curl -o /dev/null -w '%{http_code}' http://other.test/ 2>/dev/null)"
set -- other.test trap.test:8080 meta.test own.test:8081 good.test:8000 127.0.0.1:8080 127.1:8080 \
    2130706433:8080 0x7f.1:8080 0177.0.0.1:8080 '[::1]:8080' '[::ffff:127.0.0.1]:8080' 169.254.169.254 \
    11.0.0.2 localhost:8080 good.test.evil.test mixed.test
[ -z "${few:-}" ] || set -- trap.test:8080 meta.test own.test:8081 127.1:8080 mixed.test
say plain "$(px -g $(printf 'http://%s/ ' "$@") | grep served)"
say connect "$(px -g -p $(printf 'http://%s/ ' "$@") | grep served)"
say tls "$(px -g $(printf 'https://%s/ ' "$@") | grep served)"
[ -z "${few:-}" ] || return 0
say sni "$(px -f --connect-to good.test:443:other.test:443 https://good.test/)"
say fronted "$(px -f --connect-to other.test:443:good.test:443 https://other.test/)"
say host "$(px -f -H 'Host: other.test' http://good.test/)"
say push "$(px -f 'http://good.test/p/info/refs?service=git-receive-pack')"
say chained "$(px -f -p --proxy-header 'Proxy-Connection: x' http://trap.test:8080/)"
# Around the proxy.
say direct "$(curl --noproxy '*' -m 5 http://11.0.0.2/ 2>/dev/null)"
say direct-name "$(curl --noproxy '*' -m 5 http://good.test/ 2>/dev/null)"
say tcp "$(timeout 5 bash -c 'exec 3<>/dev/tcp/11.0.0.2/80 && echo open' 2>/dev/null)"
say udp "$(timeout 5 bash -c 'echo x >/dev/udp/11.0.0.2/53 && echo sent' 2>/dev/null)"
say dns "$(getent hosts good.test)"
say cards "$(ls /sys/class/net | tr '\n' ' ')"
say vsock "$(ls /dev/vsock 2>/dev/null)"
say listens "$(sed -n 's/.* 0100007F:0C38 .* 0A .*/yes/p' /proc/net/tcp)"
say env "$HTTP_PROXY $https_proxy $ALL_PROXY $NO_PROXY"
say sudo "$(sudo -n sh -c 'echo $https_proxy' 2>&1)"
say apt "$(cat /etc/apt/apt.conf.d/95taskbox 2>/dev/null | grep -c 3128)"
say git "$(git ls-remote http://good.test/p 2>&1 | tr '\n' ' ')"
BOX
(cd "$project" && git add try.sh && git commit -q -m 'What is tried')
result() { sed -n "s|^$1 ||p" "$T/out"; }
reaches_nothing() { # but what is named
    local line
    while read -r line; do
        case $line in plain* | connect* | tls* | sni* | fronted* | host* | push* | chained* | direct* | tcp* | udp* | dns* | vsock*)
            equal nothing "${line#* }" "${line%% *}" ;;
        esac
    done <"$T/out"
    [ ! -e "$T/seen" ] || holds_not "$T/seen" TRAP "what the servers saw"
}

say "an allowed name is reached, and nothing else by any route"
expect 0 tb run --allow-host good.test --json -C "$project" -- sh -c '. ./try.sh' </dev/null
mv "$T/err" "$T/out.box" && mv "$T/out" "$T/record" && mv "$T/out.box" "$T/out"
equal served "$(result http)" "plain HTTP to the allowed name"
equal served "$(result https)" "HTTPS to the allowed name"
equal 403 "$(result status)" "status for another name"
reaches_nothing
equal 'lo ' "$(result cards)" "network cards"
equal yes "$(result listens)" "the proxy's address"
equal "http://127.0.0.1:3128 http://127.0.0.1:3128 http://127.0.0.1:3128 localhost,127.0.0.1,::1" "$(result env)" "environment"
equal "http://127.0.0.1:3128" "$(result sudo)" "environment under sudo"
equal 2 "$(result apt)" "lines of apt's configuration"
holds "$T/seen" '^web asked /p/info/refs' "git's way to the server"
equal "good.test" "$(json "$T/record" net_policy)" "policy in the record"
[ "$(json "$T/record" net refused)" -ge 40 ] || fail "refused: $(json "$T/record" net refused)"
expect 0 tb logs --net @last
holds "$T/out" ' CONNECT +good.test:443 +allowed +[1-9]' "the log"
holds "$T/out" ' GET +trap.test:8080 +refused .*not allowed' "the log"
holds "$T/out" ' CONNECT +good.test:443 +refused .*another server' "the log"
expect 0 tb show @last
holds "$T/out" '^network +good.test$' "'show'"

say "names that are allowed and mean this machine"
expect 0 tb run --allow-host trap.test:8080 --allow-host meta.test --allow-host mixed.test \
    --allow-host own.test:8081 --allow-host apt -C "$project" -- sh -c 'few=1; . ./try.sh
apt-get update --print-uris | sed "s/^./source /"; echo "deb http://good.test/ x main" | sudo tee /etc/apt/sources.list >/dev/null' </dev/null
equal nothing "$(result http)" "a name that is not allowed now"
reaches_nothing
cp "$T/out" "$T/out.box"

say "a group: the hosts of the image's own apt, as it was built"
expect 0 tb image show debian
cp "$T/out" "$T/manifest"
expect 0 tb show @last
grep '^network' "$T/out" >"$T/policy" || fail "no policy in 'show'"
sed -n 's,^source https*://\([^/:]*\).*,\1,p' "$T/out.box" | sort -u >"$T/sources"
[ -s "$T/sources" ] || fail "apt in the box has no sources"
while read -r host; do
    holds "$T/policy" "[ ,]$host" "the policy"
    holds "$T/manifest" "\"host\" : \"$host" "the manifest"
done <"$T/sources"
mkdir -p "$XDG_CONFIG_HOME/taskbox"
printf 'allow_hosts: [apt]\n' >"$XDG_CONFIG_HOME/taskbox/config.yaml"
expect 0 tb policy explain -C "$project"
holds "$T/out" "'apt' means $(head -n 1 "$T/sources").* \(apt's sources of image 'debian'\)" "policy explain"
rm "$XDG_CONFIG_HOME/taskbox/config.yaml"
expect 125 tb run --allow-host go -C "$project" -- true
one_error_line "image 'debian' names no host for 'go'"

say "what stands in the log"
expect 0 tb logs --net @last
for why in loopback link-local own; do
    holds "$T/out" "refused .*$why" "the log"
done

say "open: any name, no private one"
expect 0 tb run --net open -C "$project" -- sh -c 'few=1; . ./try.sh' </dev/null
equal served "$(result http)" "a name that nobody has named"
reaches_nothing

say "none: nothing at all, not even for root who speaks the port's own words"
: >"$T/seen"
# shellcheck disable=SC2016
expect 0 tb run -C "$project" -- sh -c '. ./try.sh
port=$(grep -l taskbox.egress /sys/class/virtio-ports/*/name | cut -d/ -f5)
request="GET http://good.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n"
sudo sh -c "(printf \"A\\0\\1\\0\\0\\0\\0\\0B\\0\\1\\0\\066\\0\\0\\0$request\"; sleep 3) | timeout 6 cat >/dev/$port; timeout 3 head -c 20 /dev/$port | od -c | head -n 3"' </dev/null
reaches_nothing
equal nothing "$(result http)" "plain HTTP"
equal nothing "$(result https)" "HTTPS"
equal nothing "$(result listens)" "the proxy's address"
equal '' "$(cat "$T/seen")" "what the servers saw"
expect 0 tb show @last
holds "$T/out" '^network +none$' "'show'"

say "the egress process is killed: the network is gone, the task goes on"
# shellcheck disable=SC2016
tb run --allow-host good.test --json -C "$project" -- sh -c 'few=1; . ./try.sh >before; head -n 1 before; sleep 12
./ignored.curl/curl -sS -m 10 http://good.test/ || echo "gone $?"; rm before' \
    </dev/null >"$T/record" 2>"$T/err" &
run=$!
wait_for "$boot_limit" grep -q '^http served' "$T/err" || fail "the network did not come up"
# All that could be in the jail of that name; nobody else's.
killed=$(processes_of_test | sed -n 's/ taskbox-egress$//p')
[ -n "$killed" ] || killed=$(pgrep -n -x taskbox-egress)
for process in $killed; do kill -9 "$process"; done
wait "$run" || fail "the task failed"
holds "$T/err" '^gone ' "the box after the kill"
holds "$T/record" 'proxy had died' "the record"

say "an agent reaches what its profile names"
mkdir -p "$XDG_CONFIG_HOME/taskbox"
cat >"$XDG_CONFIG_HOME/taskbox/config.yaml" <<'YAML'
agents:
  mine: {command: [sh, -c, "few=1; . ./try.sh", "{prompt}"], hosts: [good.test]}
YAML
expect 0 tb run -C "$project" 'what is there to reach'
equal served "$(result https)" "HTTPS to the agent's host"
reaches_nothing
expect 0 tb run --net none -C "$project" 'and now'
equal nothing "$(result https)" "HTTPS with --net none"
expect 2 tb run --allow-host 127.0.0.1 -C "$project" 'an address'
expect 2 tb run --net some -C "$project" 'no such word'
expect 125 tb run --allow-host 127.0.0.1 -C "$project" -- true

say "a large download: little memory, and how fast"
head -c "$big" /dev/zero >"$T/input"
# shellcheck disable=SC2016
expect 0 tb run --allow-host good.test -C "$project" -- bash -c '
now() { date +%s%N; }
head -c 1 >/dev/null; start=$(now); cat >/dev/null; bare=$(($(now) - start))
start=$(now); size=$(./ignored.curl/curl -s http://good.test/big | wc -c); plain=$(($(now) - start))
start=$(now); ./ignored.curl/curl -s -o /dev/null http://good.test/big; direct=$(($(now) - start))
echo "size $size"; echo "ms $((bare / 1000000)) $((plain / 1000000)) $((direct / 1000000))"' <"$T/input"
equal "$big" "$(result size)" "bytes of the download"
read -r bare _ direct <<<"$(result ms)"
say "$((big >> 20)) MiB: the bare channel $bare ms, a download $direct ms: $((bare * 100 / direct)) % of its speed"
[ $((bare * 100)) -ge $((direct * 60)) ] || fail "a download has only $((bare * 100 / direct)) % of the channel's speed"
