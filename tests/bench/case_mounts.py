# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways a project gets into a box: image, virtiofs, 9p.

One image with a kernel that has both shares, Node.js and a C compiler; one box a way, and in it the
same commands over the same project. TASKBOX_BENCH_IMAGE names an image that is there already.
"""

import os
import time

import case_inside
import projects
from measure import Samples
from place import SOURCE

TITLE = "git status, a C build and npm ls in boxes with image, virtiofs and 9p"

MOUNTS = ("image", "virtiofs", "9p")
PACKAGES = 300

SCRIPT = r"""
set -eu
rounds=$1
now() { echo "${EPOCHREALTIME/./}"; }
timed() { # NAME COMMAND...
    local name=$1 begin end
    shift
    begin=$(now)
    "$@" >/var/tmp/out 2>&1 || { cat /var/tmp/out; exit 1; }
    end=$(now)
    echo "$name $((end - begin))"
}
drop() { sync; sudo sh -c 'echo 3 >/proc/sys/vm/drop_caches'; }
for ((round = 0; round < rounds; round++)); do
    drop
    timed status-first git status
    timed status-second git status
    make -s clean
    drop
    timed build-first make -s
    drop
    timed npm-ls-first npm ls --all
    timed npm-ls-second npm ls --all
done
"""


def recipe():
    """The default image with the other kernel, a compiler and npm."""
    with open(f"{SOURCE}/images/debian.yaml", encoding="utf-8") as file:
        text = file.read()
    return text.replace("linux-image-cloud-amd64", "linux-image-amd64").replace(
        "    - git\n", "    - git\n    - gcc\n    - libc6-dev\n    - make\n    - nodejs\n    - npm\n")


def add_packages(place, root):
    if os.path.exists(f"{root}/package.json"):
        return
    names = [f"package-{number}" for number in range(PACKAGES)]
    for name in names:
        directory = f"{root}/node_modules/{name}"
        os.makedirs(directory)
        with open(f"{directory}/package.json", "w", encoding="ascii") as file:
            file.write(f'{{"name": "{name}", "version": "1.0.0", "main": "index.js"}}\n')
        with open(f"{directory}/index.js", "w", encoding="ascii") as file:
            file.write("module.exports = 1\n")
    wanted = ", ".join(f'"{name}": "1.0.0"' for name in names)
    with open(f"{root}/package.json", "w", encoding="ascii") as file:
        file.write(f'{{"name": "bench", "version": "1.0.0", "dependencies": {{{wanted}}}}}\n')
    projects.commit(place, root)


def first_byte(place, root, flags):
    """Milliseconds from the start of taskbox to the command's first output."""
    begin = time.perf_counter()
    task = place.start_reading(root, "echo", "here", flags=flags)
    task.stdout.read(1)
    took = (time.perf_counter() - begin) * 1000
    task.stdout.read()
    task.wait()
    return took


def measure(bench):
    place, report = bench.place, bench.report
    image = os.environ.get("TASKBOX_BENCH_IMAGE", "bench-mounts")
    if image == "bench-mounts":
        place.user_recipe(image, recipe())
        place.image(image)
    sources = 10
    root = case_inside.make_project(place, sources)
    add_packages(place, root)
    rounds = bench.rounds(3)
    medians = {}
    for mount in MOUNTS:
        flags = ("--image", image, "--mount", mount)
        place.taskbox("run", "-q", *flags, "-C", root, "--", "true")  # template, image of the project
        starts = Samples(first_byte(place, root, flags) for _ in range(rounds))
        medians["first byte", mount] = report.figure(f"first byte, {mount}", starts)
        text = place.taskbox("run", "-q", *flags, "-C", root, "--", "bash", "-c", SCRIPT, "bash",
                             str(rounds))
        times = {}
        for line in text.splitlines():
            name, took = line.split()
            times.setdefault(name, Samples()).append(int(took) / 1000)
        for name, samples in times.items():
            medians[name, mount] = report.figure(f"{name}, {mount}", samples)
    for name in dict.fromkeys(name for name, _ in medians):
        for mount in MOUNTS[1:]:
            report.ratio(f"{name}: {mount} : image", medians[name, mount] / medians[name, "image"])
