#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# No secret of the project's gets into a box: not by its path, not by another name, not in git's
# objects, not in a block of any disk, not as root; and what the box does there comes to nothing (P6).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

need_image
own_cache
project=$T/victim
mark=PLANTED-$RANDOM$RANDOM$RANDOM
make_project "$project"
cd "$project"

say "secrets of every kind"
printf '.env*\nbuild/\n*.log\n' >>.gitignore
git add -A && git commit -q -m 'ignores'
plant() {
    local path
    for path; do
        mkdir -p "$(dirname "$path")"
        printf 'token=%s\n' "$mark" >"$path"
    done
}
plant .env .env.local deep/.ENV server.pem id_ed25519 keys/store.p12 .npmrc .netrc .aws/credentials \
    .kube/config kubeconfig infra/terraform.tfstate core.4711 ..env.swp .env~ build/prod.key
ln .env build/notes.txt
ln -s .env soft
ln -s "$HOME" home && printf '%s\n' "$mark" >"$HOME/secret" && ln -s /proc/self/root up
printf 'no secret\n' >build/output.log
# In .git: configuration, hooks, what was fetched and stashed, logs.
git config remote.origin.url "https://user:$mark@127.0.0.1/x"
git config credential.helper "!echo $mark"
git config include.path "$mark"
printf '#!/bin/sh\n# %s\n' "$mark" >.git/hooks/pre-commit
plant .git/FETCH_HEAD .git/lfs/objects/x .git/credentials .git/info/attributes .git/logs/refs/stash
before=$(tree_hash "$project")

# What a box can read, as root: the project by every way, the project disk's blocks, what taskbox keeps.
cat >"$T/look" <<'BOX'
mark=$1
cd /workspace/victim || exit 90
grep -rl "$mark" . && exit 1
[ -f .env ] && [ ! -s .env ] && [ ! -s server.pem ] && [ ! -s .aws/credentials ] || exit 2
cat .env soft build/notes.txt build/prod.key >/dev/null || exit 3
[ "$(cat build/output.log)" = 'no secret' ] || exit 4
[ ! -e home/secret ] && [ ! -e "up/$2" ] || exit 5
git cat-file --batch-all-objects --batch 2>/dev/null | grep -a "$mark" && exit 6
[ -z "$(git remote)" ] && [ -z "$(ls .git/hooks)" ] && [ ! -e .git/logs ] || exit 7
[ -b /dev/vdb ] && sudo head -c 16M /dev/vdb | grep -a -c "$mark" && exit 8 # the rest is a hole
# By a file: the journal has the arguments of what sudo runs.
printf '%s\n' "$mark" >/tmp/mark
sudo grep -rals -f /tmp/mark /var/lib/taskbox /proc/mounts /proc/cmdline /proc/1/environ /run && exit 9
git status --porcelain >/dev/null || exit 10
exit 0
BOX

# The mark stands in the script's own arguments, so these are looked for in pieces.
look() {
    # shellcheck disable=SC2016  # the box's shell is to expand it
    expect 0 tb run -C "$project" -- sh -c "
        mark=\$(printf %s%s '${mark%????}' '${mark: -4}')
        $(grep -v '^mark=' "$T/look" | sed "s,\$2,$HOME/secret,")"
}

say "a box on a new image"
look
holds "$T/err" '^taskbox: masked: 17 files or directories are empty in the box' "what run says"
expect 0 tb show @last
holds "$T/out" '^masked +\.\.env\.swp: an environment file' "what show says"
holds "$T/out" '^ +server\.pem: a private key' "what show says"
equal "$before" "$(tree_hash "$project")" "the project after the run"

say "and on one that is kept"
look
image=$(find "$XDG_CACHE_HOME/taskbox/projects" -name 'image-*' -newer "$T/look" | head -n 1)
[ -n "$image" ] || fail "there is no project image"
python3 - "$image" "$mark" <<'PYTHON' || fail "the project image holds the secret"
import os, sys
image, mark = open(sys.argv[1], "rb"), sys.argv[2].encode()
at, size = 0, os.fstat(image.fileno()).st_size
while at < size:
    try:
        at = os.lseek(image.fileno(), at, os.SEEK_DATA)
    except OSError:
        break
    end = os.lseek(image.fileno(), at, os.SEEK_HOLE)
    if mark in os.pread(image.fileno(), end - at, at):
        sys.exit(1)
    at = end
PYTHON

say "let in by name, then held back: an image of its own each time"
expect 0 tb run -C "$project" --include server.pem -- cat server.pem
holds "$T/out" "$mark" "a file that was let in"
look

say "what the box does to a masked file is not carried, and apply leaves it alone"
expect 0 tb run -C "$project" -- sh -c 'echo mine >.env; rm server.pem; echo new >fresh; rm -r .aws'
expect 0 tb diff --name-only @last
equal fresh "$(cat "$T/out")" "files of the patch"
expect 0 tb show @last
holds "$T/out" 'not carried: 1 change\(s\) of what is masked' "what show says"
expect 0 tb apply @last
equal "token=$mark" "$(cat .env)" "the user's file after apply"
if [ ! -s server.pem ] || [ ! -s .aws/credentials ]; then fail "apply removed a masked file"; fi

say "tracked and masked: no history, the box commits, the file stays"
printf 'customer %s\n' "$mark" >customers.csv
git add customers.csv && git commit -q -m 'customers'
printf 'customers.csv\n' >.taskboxignore
expect 0 tb run -C "$project" -- sh -c "
    mark=\$(printf %s%s '${mark%????}' '${mark: -4}')
    git cat-file --batch-all-objects --batch | grep -a \"\$mark\" && exit 6
    sudo head -c 16M /dev/vdb | grep -a -c \"\$mark\" && exit 8
    [ -z \"\$(git status --porcelain -uno)\" ] && [ \$(git log --oneline | wc -l) = 1 ] || exit 7
    echo more >>text && echo mine >customers.csv && git commit -qam 'In the box' && rm customers.csv"
expect 0 tb diff --name-only @last
equal text "$(cat "$T/out")" "files of the patch"
expect 0 tb diff --log @last
holds "$T/out" 'In the box' "the commit of the box"
git rm -q --cached .taskboxignore 2>/dev/null || true
expect 0 tb apply --commit @last
equal "customer $mark" "$(cat customers.csv)" "the masked file after apply"
equal '' "$(git diff HEAD --name-only)" "what differs from HEAD"
equal 'In the box' "$(git log -1 --format=%s)" "the commit"
expect 125 tb run -C "$project" --history full -- true
one_error_line 'is tracked, and git.s objects hold it'

say "a part of the history"
rm .taskboxignore
expect 0 tb run -C "$project" --history 2 -- sh -c \
    'git log --oneline | wc -l; git fsck >/dev/null && echo more >>text && git commit -qam Next'
equal 2 "$(cat "$T/out")" "commits in the box"
expect 0 tb diff --log @last
holds "$T/out" 'Next' "the commit of the box"
expect 0 tb apply @last
