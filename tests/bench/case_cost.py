# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an idle box holds: memory that is its alone, and disk."""

import glob
import time

import projects
from measure import Failed, Samples, command_of, descendants, disk_usage, mappings, private_memory

TITLE = "memory and disk of an idle box"
MIB = 1 << 20
PATIENCE = 120


def running(place, task):
    """Waits until the task's command runs; its QEMU and what else is in the jail."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and task.poll() is None:
        if '"running"' in place.taskbox("ls", "--json"):
            below = {pid: command_of(pid) for pid in descendants(task.pid)}
            qemu = [pid for pid, name in below.items() if name.startswith("qemu-system")]
            if qemu:
                return qemu[0], [pid for pid in below if pid != qemu[0]]
        time.sleep(0.2)
    raise Failed("the task does not run")


def look(bench, task):
    """The parts of a box's memory and its disk, in MiB."""
    qemu, others = running(bench.place, task)
    time.sleep(3)  # idle
    size = bench.place.image().memory
    guest = seen = translation = rest = 0
    for permissions, length, private, clean in mappings(qemu):
        if length >= size:
            guest += private
            seen += clean
        elif permissions.startswith("rwx"):
            translation += private
        else:
            rest += private
    boxes = glob.glob(f"{bench.place.env['XDG_STATE_HOME']}/taskbox/tasks/*/box")
    values = {"guest memory": guest, "guest memory only read, the template's": seen, "translation cache of TCG": translation,
              "the rest of QEMU": rest, "QEMU as a whole": private_memory(qemu),
              "taskbox-vmm and bwrap": sum(map(private_memory, others)),
              "taskbox": private_memory(task.pid), "disk": sum(map(disk_usage, boxes))}
    return {name: value / MIB for name, value in values.items()}


def measure(bench):
    place, report = bench.place, bench.report
    root = projects.make(place, 10)
    place.task(root, "true")
    found = []
    for _ in range(bench.rounds(3)):
        task = place.start(root, "sleep", "300")
        try:
            found.append(look(bench, task))
        finally:
            task.terminate()
            task.wait()
    medians = {name: report.figure(f"private memory: {name}" if name != "disk" else "disk",
                                   Samples(values[name] for values in found), "MiB")
               for name in found[0]}
    kind = "fork" if place.can_fork else "cold box (no forks yet)"
    report.ratio(f"guest memory of an idle {kind}, above QEMU's own", medians["guest memory"], 60, "MiB")
    report.ratio("disk of an idle box", medians["disk"], 1, "MiB")
