# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it costs to bring changes back and prove the patch: by their number, by the size of the project,
and against git, which shows the same change on the host."""

import projects
from measure import Failed, interleave, run

TITLE = "export against changes and project size"

# Adds a line to so many of the files, spread over all directories.
CHANGE = "find . -name '*.txt' | sort | awk -v n=$1 'NR <= n' | while read -r f; do echo more >>\"$f\"; done"


def measure(bench):
    place, report = bench.place, bench.report

    def change(files, count):
        root = projects.make(place, files)

        def once():
            record = place.task(root, "sh", "-c", CHANGE, "sh", str(count))
            if record["files"] != count:
                raise Failed(f"the patch has {record['files']} files, not {count}")
            return record["milliseconds"]["export"] + record["milliseconds"]["patch"]
        return once

    def on_host(files, count):
        """git diff --binary, on a work tree that was changed as the box changes its own."""
        root = projects.make(place, files, name=f"changed-{files}")
        run(["sh", "-c", CHANGE, "sh", str(count)], env=place.env, cwd=root)
        return lambda: run(["git", "-C", root, "diff", "--binary", "--output=/dev/null"], env=place.env) and None

    large = 10000 if bench.quick else 100000
    cases = {(10000, 1), (10000, 100), (1000, 100), (large, 100)}
    cases |= set() if bench.quick else {(10000, 10000)}
    contenders = {case: change(*case) for case in sorted(cases)}
    contenders["git"] = on_host(large, 100)
    samples = interleave(bench.rounds(3), contenders)
    git = report.figure(f"git diff --binary on the host, 100 of {large} files", samples.pop("git"))
    medians = {(files, count): report.figure(f"export + patch, {count} of {files} files", times)
               for (files, count), times in samples.items()}
    report.ratio(f"100 of {large} files : git diff --binary", medians[large, 100] / git, 2)
    report.ratio(f"100 of {large} files : 100 of 1000", medians[large, 100] / medians[1000, 100], 1.5)
