# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long things take, seen from outside, and what of memory and disk they hold."""

import os
import statistics
import subprocess
import time


class Failed(Exception):
    """Something that is measured did not work; there is no figure for it."""


class Samples(list):
    """Values of one thing, measured again and again."""

    @property
    def median(self):
        return statistics.median(self)


def run(argv, **options):
    """Runs a program to its end; its output, or Failed with the last of what it wrote."""
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, errors="replace", check=False, **options)
    if result.returncode != 0:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise Failed(f"'{' '.join(argv[:3])}' ended with {result.returncode}: {''.join(last)}")
    return result.stdout


def milliseconds(function, *arguments, **options):
    """How long a call took, and what it gave."""
    begin = time.perf_counter()
    value = function(*arguments, **options)
    return (time.perf_counter() - begin) * 1000, value


def interleave(rounds, contenders, warm_up=True, failed=None):
    """Times each of the contenders (name -> callable) once a round, in turn, because machines drift.

    One that gives a number is measured by that number instead of by the clock. One that fails is
    left out from then on; `failed` is called with its name and why.
    """
    samples = {name: Samples() for name in contenders}
    for number in range(-1 if warm_up else 0, rounds):
        for name in list(samples):
            try:
                took, value = milliseconds(contenders[name])
            except (Failed, OSError, subprocess.SubprocessError) as error:
                if failed is None:
                    raise
                failed(name, str(error))
                del samples[name]
                continue
            if number >= 0:
                samples[name].append(value if isinstance(value, (int, float)) else took)
    return samples


def descendants(pid):
    """Process ids below a process, the nearest first."""
    below = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                below += [int(child) for child in file.read().split()]
    except OSError:
        return []
    return below + [grandchild for child in below for grandchild in descendants(child)]


def command_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def mappings(pid):
    """(permissions, bytes of address space, bytes written or its alone, bytes of files that only it
    happens to look at now: they are the cache's, for all who come) of each mapping."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
        for line in file:
            word, *rest = line.split()
            if not word.endswith(":"):
                first, last = (int(part, 16) for part in word.split("-"))
                found.append([rest[0], last - first, 0, 0])
            elif word in ("Private_Dirty:", "Private_Hugetlb:"):
                found[-1][2] += int(rest[0]) * 1024
            elif word == "Private_Clean:":
                found[-1][3] += int(rest[0]) * 1024
    return found


def private_memory(pid):
    """Bytes of a process that no other can share."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) * 1024 for line in file
                   if line.startswith(("Private_Dirty:", "Private_Hugetlb:")))


def disk_usage(directory):
    """Bytes that a directory takes on the disk."""
    total = 0
    for folder, folders, files in os.walk(directory):
        for name in folders + files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total
