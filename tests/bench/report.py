# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was measured, as Markdown for people and as JSON for programs. It judges no test."""

import ctypes
import datetime
import json
import os
import platform
import subprocess
import sys

from measure import Failed, Samples, run
from place import SOURCE


class Report:
    """Figures, ratios and what could not be measured, by case."""

    def __init__(self, facts):
        self.facts = facts
        self.figures, self.ratios, self.skipped = [], [], []
        self.case = None

    def begin(self, case):
        self.case = case
        say(f"{case}: load {os.getloadavg()[0]:.1f}")

    def figure(self, name, samples, unit="ms", note=""):
        """Adds a figure; returns its median, to make ratios of."""
        samples = Samples(samples if isinstance(samples, list) else [samples])
        self.figures.append({"case": self.case, "name": name, "unit": unit, "median": samples.median,
                             "min": min(samples), "max": max(samples), "samples": samples,
                             "note": note})
        say(f"{self.case}: {name}: {number(samples.median)} {unit}")
        return samples.median

    def ratio(self, name, value, target=None, unit="times"):
        """Adds a ratio, or another value that has a target: at most that."""
        self.ratios.append({"case": self.case, "name": name, "value": value, "unit": unit,
                            "target": target, "met": None if target is None else value <= target})
        say(f"{self.case}: {name}: {number(value)}")

    def skip(self, name, reason):
        self.skipped.append({"case": self.case, "name": name, "reason": reason})
        say(f"{self.case}: {name}: not measured: {reason}")

    def progress(self, what, took):
        say(f"{self.case}: {what} in {took / 1000:.1f} s")

    def end(self):
        self.facts["load after"] = load()

    def json(self):
        return json.dumps({"facts": self.facts, "figures": self.figures, "ratios": self.ratios,
                           "skipped": self.skipped}, indent=2)

    def markdown(self):
        lines = [f"- {name}: {value}" for name, value in self.facts.items()]
        lines += ["", "| ratio | value | target | met |", "| --- | ---: | ---: | --- |"]
        lines += [f"| {row['case']}: {row['name']} | {number(row['value'])}{suffix(row)} | "
                  f"{goal(row)} | {MET[row['met']]} |" for row in self.ratios]
        lines += ["", "| figure | median | min | max | n | unit | |",
                  "| --- | ---: | ---: | ---: | ---: | --- | --- |"]
        lines += [f"| {row['case']}: {row['name']} | {number(row['median'])} | {number(row['min'])} | "
                  f"{number(row['max'])} | {len(row['samples'])} | {row['unit']} | {row['note']} |"
                  for row in self.figures]
        if self.skipped:
            lines += ["", "| not measured | why |", "| --- | --- |"]
            lines += [f"| {row['case']}: {row['name']} | {row['reason']} |" for row in self.skipped]
        return "\n".join(lines) + "\n"


MET = {None: "", True: "yes", False: "**no**"}


def suffix(row):
    return "" if row["unit"] == "times" else f" {row['unit']}"


def goal(row):
    if row["target"] is None:
        return ""
    if row["unit"] == "times" and row["target"] < 0.2:
        return f"≤ 1/{1 / row['target']:.0f} ({number(row['target'])})"
    return f"≤ {number(row['target'])}{suffix(row)}"


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def libvirt_version():
    version = ctypes.c_ulong()
    try:
        ctypes.CDLL("libvirt.so.0").virGetVersion(ctypes.byref(version), None, None)
    except OSError:
        return "not installed"
    value = version.value
    return f"{value // 1000000}.{value // 1000 % 1000}.{value % 1000}"


def output(*argv):
    try:
        return run(argv).strip().splitlines()[0]
    except (Failed, OSError, IndexError, subprocess.SubprocessError):
        return "unknown"


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def facts(place, accelerator):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cpus ({cpu_model()}), {memory / 2**30:.0f} GiB",
        "accelerator": accelerator,
        "kernel": platform.release(),
        "QEMU": output("qemu-system-x86_64", "--version"),
        "libvirt": libvirt_version(),
        "git": output("git", "--version"),
        "taskbox": output(place.program, "version") + ", "
                   + output("git", "-C", SOURCE, "describe", "--always", "--dirty"),
        "image": f"debian {place.image().digest[:12]}",
        "load before": load(),
    }
