#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A service that systemd starts answers in a box, in a fork at once and with data of its own; and a
# container runs in a box, with root and without.
# shellcheck disable=SC2016 # scripts are for the box's shell to expand
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
make_project "$T/project"
recipes=$XDG_CONFIG_HOME/taskbox/images
mkdir -p "$recipes"
printf '%s\n' 'from: podman' 'packages: [postgresql]' 'cpus: 1' 'memory: 1GiB' >"$recipes/services.yaml"

say "the image"
expect 0 tb image build services
expect 0 tb template build --image services

say "PostgreSQL, which nobody has started here"
sql='sudo -u postgres psql -At -v ON_ERROR_STOP=1'
expect 0 tb run --image services -C "$T/project" -- sh -c "sudo systemctl is-active postgresql@15-main
    $sql -c 'create table t (n int)' -c 'insert into t select generate_series(1, 9)' -c 'select sum(n) from t'"
holds_not "$T/err" 'template|boot' "a fork"
holds "$T/out" '^active$' "what systemd says"
holds "$T/out" '^45$' "what the database says"
expect 0 tb run --image services -C "$T/project" -- sh -c "$sql -c 'select count(*) from pg_tables where tablename = '\\'t\\'
    sudo systemctl restart postgresql && $sql -c 'select 40 + 2'"
equal '0 42' "$(tr '\n' ' ' <"$T/out" | sed 's/ $//')" "tables of the other box, and an answer after a restart"

say "containers: imported, run with nothing of the box's, built, run with the box's root"
expect 0 tb run --image services -C "$T/project" -- sh -ec '
    mkdir -p /tmp/root/bin /tmp/root/lib /tmp/root/lib64
    cp /bin/sh /bin/cat /bin/ls /tmp/root/bin
    ldd /bin/sh /bin/cat /bin/ls | grep -o "/lib[^ ]*" | sort -u | while read -r file; do
        mkdir -p "/tmp/root$(dirname "$file")"; cp -L "$file" "/tmp/root$file"; done
    tar -C /tmp/root -cf /tmp/root.tar .
    podman import -q /tmp/root.tar local/tiny
    podman run --rm --network none local/tiny /bin/sh -c "echo pid \$\$; ls /proc/sys/net/ipv4/conf"
    podman run --rm -v "$PWD:/w" local/tiny /bin/sh -c "echo from a container >/w/made"
    printf "FROM local/tiny\nRUN echo built >/word\nCMD [\"/bin/cat\", \"/word\"]\n" >/tmp/Containerfile
    podman build -q -t local/two -f /tmp/Containerfile /tmp
    podman run --rm local/two
    sudo podman run --rm --network none --rootfs /tmp/root /bin/sh -c "read -r a b c </proc/self/uid_map; echo root \$a \$b"'
holds "$T/out" '^pid 1$' "its own processes"
holds "$T/out" '^built$' "a container of a built image"
holds "$T/out" '^root 0 0$' "a container of root's"
expect 0 tb diff @last
holds "$T/out" '^\+from a container$' "what a container wrote into the project"
holds "$T/out" '^\+\+\+ b/made$' "the patch"
