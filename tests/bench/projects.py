# SPDX-License-Identifier: LGPL-2.1-or-later
"""Git repositories of a given number of files, like source trees: small files, 100 a directory."""

import os
import time

from measure import run

LINES = 40


def content(index):
    return "".join(f"line {line} of file {index}\n" for line in range(LINES))


def make(place, files, name=None):
    """Makes the repository, or finds the one that was made before, with all files committed."""
    root = os.path.join(place.make("projects"), name or f"files-{files}")
    if os.path.exists(f"{root}/.git"):
        return root
    for index in range(files):
        folder = f"{root}/d{index // 10000}/d{index // 100 % 100}"
        if index % 100 == 0:
            os.makedirs(folder)
        with open(f"{folder}/f{index}.txt", "w", encoding="ascii") as file:
            file.write(content(index))
    commit(place, root)
    return root


def commit(place, root):
    """Commits and packs all there is, and leaves an index that believes the work tree."""
    for command in (["init", "-q", "-b", "main", "."], ["config", "gc.auto", "0"], ["add", "-A"],
                    ["commit", "-q", "-m", "Files"], ["gc", "-q"]):
        run(["git", "-C", root, *command], env=place.env)
    time.sleep(1.1)  # nothing is "racily clean" any more, as in a project that somebody works in
    status(place, root)


def status(place, root):
    """`git status` as a user asks it on the host."""
    run(["git", "-C", root, "status"], env=place.env)
