# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it costs to bring changes back: by their number, and by the size of the project."""

import projects
from measure import Failed, interleave

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

    large = 10000 if bench.quick else 100000
    cases = {(10000, 1), (10000, 100), (1000, 100), (large, 100)}
    cases |= set() if bench.quick else {(10000, 10000)}
    samples = interleave(bench.rounds(3), {case: change(*case) for case in sorted(cases)})
    medians = {(files, count): report.figure(f"export + patch, {count} of {files} files", times)
               for (files, count), times in samples.items()}
    report.ratio(f"100 of {large} files : 100 of 1000", medians[large, 100] / medians[1000, 100], 1.5)
