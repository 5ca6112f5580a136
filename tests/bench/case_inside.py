# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the box: the project path against the same files on the box's own disk.

One box, one script; project and copy take turns. The image has a C compiler on top of the default.
"""

import os

import projects
from measure import Samples
from place import SOURCE

TITLE = "git status, grep -r and a C build on the project path against the box's own disk"

FILES = 10000
SOURCES = 40

# Prints "NAME PLACE MICROSECONDS" for each measurement and "rehashed N" for git's first status.
SCRIPT = r"""
set -eu
rounds=$1
project=$PWD
copy=/var/tmp/copy
now() { echo "${EPOCHREALTIME/./}"; }
timed() { # NAME PLACE COMMAND...
    local name=$1 place=$2 begin end
    shift 2
    begin=$(now)
    "$@" >/var/tmp/out 2>&1 || { cat /var/tmp/out; exit 1; }
    end=$(now)
    echo "$name $place $((end - begin))"
}
drop() { sync; sudo sh -c 'echo 3 >/proc/sys/vm/drop_caches'; }
search() { grep -r 'no such text' . || [ $? = 1 ]; }
GIT_TRACE2_PERF=/var/tmp/trace timed status-very-first project git status
echo "rehashed $(sed -n 's/.*refresh\/sum_scan:\([0-9]*\).*/\1/p' /var/tmp/trace)"
timed copy disk cp -a "$project" "$copy"
git -C "$copy" status >/dev/null
for ((round = 0; round < rounds; round++)); do
    for place in project disk; do
        if [ $place = project ]; then cd "$project"; else cd "$copy"; fi
        drop
        timed status-first $place git status
        timed status-second $place git status
        drop
        timed grep-first $place search
        timed grep-second $place search
        make -s clean
        drop
        timed build-first $place make -s
        make -s clean
        timed build-second $place make -s
    done
done
"""

MAKEFILE = """objects := $(patsubst %.c,%.o,$(wildcard *.c))
program: $(objects)
\tcc -o $@ $^
%.o: %.c all.h
\tcc -O1 -c -o $@ $<
clean:
\trm -f program $(objects)
.PHONY: clean
"""


def recipe():
    """The default image and a compiler."""
    with open(f"{SOURCE}/images/debian.yaml", encoding="utf-8") as file:
        return file.read().replace("    - git\n", "    - git\n    - gcc\n    - libc6-dev\n    - make\n")


def make_project(place, sources):
    root = os.path.join(place.make("projects"), f"inside-{sources}")
    if os.path.exists(f"{root}/.git"):
        return root
    for index in range(FILES - sources - 2):
        if index % 100 == 0:
            os.makedirs(f"{root}/d{index // 100}")
        with open(f"{root}/d{index // 100}/f{index}.txt", "w", encoding="ascii") as file:
            file.write(projects.content(index))
    texts = {f"part{index}.c": f'#include "all.h"\nint part{index}(int x)\n'
                               f"{{\n    printf(\"%d\", x);\n    return x * {index};\n}}\n"
             for index in range(sources - 1)}
    texts["main.c"] = '#include "all.h"\nint main(void)\n{\n    return part0(0);\n}\n'
    texts["all.h"] = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" \
        + "".join(f"int part{index}(int x);\n" for index in range(sources - 1))
    texts["Makefile"] = MAKEFILE
    texts[".gitignore"] = "*.o\nprogram\n"
    for name, text in texts.items():
        with open(f"{root}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    projects.commit(place, root)
    return root


def measure(bench):
    place, report = bench.place, bench.report
    place.user_recipe("bench-c", recipe())
    place.image("bench-c")
    sources = 10 if bench.quick else SOURCES
    root = make_project(place, sources)
    rounds = bench.rounds(3)
    text = place.taskbox("run", "-q", "--image", "bench-c", "-C", root, "--", "bash", "-c", SCRIPT,
                         "bash", str(rounds))
    times = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:
            times.setdefault((words[0], words[1]), Samples()).append(int(words[2]) / 1000)
        elif words[0] == "rehashed":
            report.ratio("files that the very first git status rehashes", float(words[1]), 0, "files")
    medians = {key: report.figure(f"{key[0]}, {key[1]}", samples) for key, samples in times.items()}
    for name in ("status-first", "status-second", "grep-first", "grep-second", "build-first",
                 "build-second"):
        what = f"{name} of {sources} C files" if name.startswith("build") else name
        report.ratio(f"{what}: project : own disk", medians[name, "project"] / medians[name, "disk"],
                     1.3)
