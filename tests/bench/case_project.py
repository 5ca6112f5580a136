# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a project's size adds to the start of its second task, and to the base tree."""

import projects
from measure import interleave

TITLE = "start against project size"


def measure(bench):
    place, report = bench.place, bench.report
    sizes = (10, 10000) if bench.quick else (10, 10000, 100000)
    roots = {size: projects.make(place, size) for size in sizes}
    phases = {size: [] for size in sizes}
    for root in roots.values():  # the first task makes the project image
        place.task(root, "true")

    def start(size):
        phases[size].append(place.task(roots[size], "true")["milliseconds"])

    contenders = {("run", size): lambda size=size: start(size) for size in sizes}
    contenders |= {("status", size): lambda size=size: projects.status(place, roots[size])
                   for size in sizes}
    samples = interleave(bench.rounds(5), contenders)
    run = {size: report.figure(f"second task, {size} files", samples["run", size]) for size in sizes}
    status = {size: report.figure(f"git status on the host, {size} files", samples["status", size])
              for size in sizes}
    for size in sizes:
        for phase in ("scan", "base-tree", "project-image", "mount"):
            times = [entry[phase] for entry in phases[size][1:] if phase in entry]
            if times:
                report.figure(f"phase {phase}, {size} files", times)
    few, many = sizes[0], sizes[-1]
    report.ratio(f"second task, {many} files : {few} files + git status",
                 run[many] / (run[few] + status[many]), 1.5)
    trees = [entry["scan"] + entry["base-tree"] for entry in phases[many][1:]
             if "scan" in entry and "base-tree" in entry]
    if trees:
        tree = report.figure(f"base tree with its scan, {many} files", trees)
        report.ratio(f"base tree, {many} files : git status", tree / status[many], 2)
    else:
        report.skip("base tree", "the record names no phase 'base-tree'")
