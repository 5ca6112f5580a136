# SPDX-License-Identifier: LGPL-2.1-or-later
"""Git repositories of a given number of files, like source trees: small files, 100 a directory."""

import os

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
    for command in (["init", "-q", "-b", "main", "."], ["add", "-A"], ["commit", "-q", "-m", "Files"]):
        run(["git", "-C", root, *command], env=place.env)
    # A second later nothing is "racily clean" any more, as in a project that somebody works in.
    run(["git", "-C", root, "gc", "-q"], env=place.env)
    run(["sleep", "1.1"])
    run(["git", "-C", root, "status"], env=place.env)


def status(place, root):
    """`git status` as a user asks it on the host."""
    run(["git", "-C", root, "status"], env=place.env)
