#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts a task that is ready for review into a store, without a box.

plant-task.py STATE ID BASE RESULT: STATE is an XDG_STATE_HOME; BASE and RESULT are directories, the
project before and after. The project of the task is BASE itself. PROMPT and LOG in the environment
are the task's prompt and log, BASE_COMMIT what HEAD was, STEPS directories (separated by ':') that are the
project after each of its commits.
"""
import json
import os
import subprocess
import sys

state, ident, base, result = sys.argv[1:5]
task = os.path.join(state, "taskbox", "tasks", ident)
os.makedirs(task, mode=0o700)
for parent in (os.path.join(state, "taskbox"), os.path.join(state, "taskbox", "tasks")):
    os.chmod(parent, 0o700)
git_dir = os.path.join(task, "git")
environment = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_DIR": git_dir,
}


def git(*args, **more):
    return subprocess.run(("git",) + args, env=dict(environment, **more), check=True,
                          stdout=subprocess.PIPE).stdout


subprocess.run(["git", "init", "-q", "--bare", "--template=", git_dir], check=True,
               env={k: v for k, v in environment.items() if k != "GIT_DIR"})
os.makedirs(os.path.join(git_dir, "info"))
borrowed = os.path.join(os.path.abspath(base), ".git", "objects")
if os.path.isdir(borrowed):
    with open(os.path.join(git_dir, "objects", "info", "alternates"), "w", encoding="utf-8") as file:
        file.write(f'"{borrowed}"\n')
with open(os.path.join(git_dir, "info", "attributes"), "w", encoding="utf-8") as attributes:
    attributes.write("* -text -ident -filter -working-tree-encoding\n")


def tree_of(directory, index):
    more = {"GIT_WORK_TREE": os.path.abspath(directory),
            "GIT_INDEX_FILE": os.path.join(git_dir, index)}
    git("-c", "core.bare=false", "add", "-A", "-f", ".", **more)
    return git("write-tree", **more).decode().strip()


trees = [tree_of(base, "base-index"), tree_of(result, "result-index")]
patch = git("diff-tree", "-r", "-p", "--binary", "--full-index", *trees)
with open(os.path.join(task, "patch"), "wb") as file:
    file.write(patch)
numbers = [line.split("\t")[:2] for line in
           git("diff-tree", "-r", "--numstat", *trees).decode(errors="replace").splitlines()]
record = {
    "version": 1, "state": "ready", "created": 1700000000000, "ended": 1700000060000,
    "project_root": os.path.abspath(base), "project_subdir": "", "project_name": "project",
    "image_name": "debian", "image_digest": "0" * 64, "accel": "tcg",
    "prompt": os.environ.get("PROMPT", "make it better"), "agent": "mine",
    "base_tree": trees[0], "result_tree": trees[1], "exited": True, "exit_code": 0,
    "exit_signal": 0, "keep": False,
    "patch": {"files": len(numbers), "binary": sum(a == "-" for a, _ in numbers),
              "added": sum(int(a) for a, _ in numbers if a != "-"),
              "removed": sum(int(r) for _, r in numbers if r != "-"), "bytes": len(patch)},
    "notes": ["'build/': 3 ignored files are not carried"],
    "timings": [{"phase": "boot", "ms": 4200}, {"phase": "command", "ms": 812}],
}
steps = [tree_of(step, "step-index") for step in os.environ.get("STEPS", "").split(":") if step]
if steps:
    fields = ["taskbox series 1"]
    for number, tree in enumerate(steps, 1):
        fields += ["step", f"{number:040x}", tree, "Agent \x1b[7m <agent@box> 1700000000 +0100", "",
                   f"Step {number}\n\nWith \x1b[31m in it.\n"]
    if steps[-1] != trees[1]:
        fields += ["step", "", trees[1], "", "", ""]
    with open(os.path.join(task, "series"), "w", encoding="utf-8") as file:
        file.write("".join(field + "\0" for field in fields + ["end"]))
    record["patch"]["commits"] = len(steps)
if "BASE_COMMIT" in os.environ:
    record["base_commit"] = os.environ["BASE_COMMIT"]
with open(os.path.join(task, "record.json"), "w", encoding="utf-8") as file:
    json.dump(record, file)
with open(os.path.join(task, "log"), "wb") as file:
    file.write(os.environb.get(b"LOG", b"it ran\n"))
