# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files as git's trees have them, {path: (mode, id)}, read without git where they lie on the disk."""

import hashlib
import os
import stat
import subprocess

from measure import Failed


def object_id(kind, data):
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


def entry_of(path):
    """Mode and blob id of a file or link."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "120000", object_id("blob", os.readlink(path))
    with open(path, "rb") as file:
        return "100755" if mode & 0o100 else "100644", object_id("blob", file.read())


def entries_of(root):
    """All files and links below, but for the .git at the top."""
    root, found = os.fsencode(root), {}
    for directory, names, files in os.walk(root):
        if directory == root:
            names.remove(b".git")
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        for name in files + links:
            full = os.path.join(directory, name)
            found[os.path.relpath(full, root)] = entry_of(full)
    return found


def listing(directory, tree, env):
    """All entries of a tree that git in `directory` knows."""
    result = subprocess.run(["git", "-C", directory, "ls-tree", "-r", "-z", "--full-tree", tree],
                            env=env, capture_output=True, check=False)
    if result.returncode != 0:
        raise Failed(f"git ls-tree {tree}: {result.stderr.decode(errors='replace').strip()}")
    found = {}
    for line in result.stdout.split(b"\0")[:-1]:
        meta, path = line.split(b"\t", 1)
        mode, _, oid = meta.decode().split()
        found[path] = mode, oid
    return found


def tree_id(entries):
    """The id git gives a tree of these."""
    here, below = {}, {}
    for path, entry in entries.items():
        first, _, rest = path.partition(b"/")
        if rest:
            below.setdefault(first, {})[rest] = entry
        else:
            here[first] = entry
    for name, inside in below.items():
        here[name] = "40000", tree_id(inside)
    # git orders a directory as if its name ended with a slash.
    order = sorted(here, key=lambda name: name + b"/" if here[name][0] == "40000" else name)
    return object_id("tree", b"".join(
        here[name][0].encode() + b" " + name + b"\0" + bytes.fromhex(here[name][1]) for name in order))
