# SPDX-License-Identifier: LGPL-2.1-or-later
"""One command in a fresh box, whole process, against everything a user would pick instead."""

import shutil

import alternatives
import libvirt_start
import projects
import qemu
from measure import Failed, interleave, milliseconds

TITLE = "start: run `true` in a fresh box"

COLD_QEMU = "plain QEMU, cold: systemd runs it, power off"
FLOOR = "plain QEMU, fork by hand"


def measure(bench):
    place, report = bench.place, bench.report
    image = place.image()
    root = projects.make(place, 10)
    record = place.task(root, "true")
    image.kvm = record["accelerator"] == "kvm"

    def fresh(function, *arguments, **options):
        """Calls it with a new directory, and removes that."""
        def once():
            directory = place.scratch()
            try:
                function(image, *arguments, directory, **options)
            except (qemu.QemuError, qemu.ChannelError) as error:
                raise Failed(str(error)) from error
            finally:
                shutil.rmtree(directory)
        return once

    contenders = {}
    if place.can_fork:
        contenders["taskbox"] = lambda: place.taskbox("run", "-C", root, "--", "true") and None
    contenders["taskbox, cold"] = lambda: place.taskbox("run", *place.cold(), "-C", root, "--",
                                                        "true") and None
    template = place.scratch()
    steps = []

    def fork(image, template, directory):
        steps.append(qemu.fork(image, template, directory))

    try:
        report.progress("template by hand", milliseconds(qemu.freeze, image, template)[0])
        contenders[FLOOR] = fresh(fork, template)
    except (qemu.QemuError, qemu.ChannelError, OSError) as error:
        report.skip(FLOOR, str(error))
    contenders[COLD_QEMU] = fresh(qemu.cold_systemd)
    contenders["plain QEMU, cold: through the channel, power off"] = fresh(qemu.cold)
    others = [libvirt_start.Virsh(place, image)] + alternatives.all_of(place, image)
    try:
        for other in others:
            try:
                report.progress(f"{other.name}, prepared", milliseconds(other.prepare)[0])
                contenders[other.name] = other.once
            except (Failed, OSError) as error:
                report.skip(other.name, str(error))
        samples = interleave(bench.rounds(5), contenders, failed=report.skip)
    finally:
        for other in others:
            other.end()
        shutil.rmtree(template)
    show(bench, samples, steps[1:], place.can_fork)


def show(bench, samples, steps, can_fork):
    report = bench.report
    medians = {name: report.figure(name, times) for name, times in samples.items()}
    for step in steps[0] if steps else ():
        report.figure(f"{FLOOR}, of that: {step}", [each[step] for each in steps])
    subject = "taskbox" if can_fork else "taskbox, cold"
    targets = {COLD_QEMU: 1 / 12, FLOOR: 1.5, "vagrant up, ssh, destroy": 1 / 40}
    if subject in medians:
        for name in medians:
            if name != subject:
                report.ratio(f"{subject} : {name}", medians[subject] / medians[name],
                             targets.get(name) if can_fork else None)
    if not can_fork:
        report.skip("taskbox, fork", "this taskbox has no --cold, so it cannot fork")
