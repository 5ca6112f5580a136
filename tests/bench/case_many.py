# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boxes at once: how long until all are done."""

import projects
from measure import Failed, interleave

TITLE = "1, 2, 4 and 8 boxes at once"


def measure(bench):
    place, report = bench.place, bench.report
    counts = (1, 2, 4) if bench.quick else (1, 2, 4, 8)
    roots = [projects.make(place, 10, f"many-{number}") for number in range(counts[-1])]
    for root in roots:
        place.task(root, "true")

    def at_once(count):
        tasks = [place.start(root, "true") for root in roots[:count]]
        try:
            codes = [task.wait() for task in tasks]
        finally:
            for task in tasks:
                task.kill()
                task.wait()
        if any(codes):
            raise Failed(f"of {count} at once some failed: exit codes {codes}")

    samples = interleave(bench.rounds(3), {n: lambda n=n: at_once(n) for n in counts}, warm_up=False,
                         failed=lambda count, why: report.skip(f"{count} at once", why))
    medians = {n: report.figure(f"{n} at once, all done", times) for n, times in samples.items()}
    if 8 in medians and 2 in medians:
        report.ratio("8 at once : 2 at once", medians[8] / medians[2], 3)
