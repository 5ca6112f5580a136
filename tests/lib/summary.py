# SPDX-License-Identifier: LGPL-2.1-or-later
"""Adds up what meson noted of the tests of several runs.

summary.py LOG...: the logs are meson's testlog.json. Of each test that failed the end of what it
said is shown once more, where somebody who sees only the end of a long log finds it. The last line
is the sum. Exit code 1 when a test failed, or none was run.
"""
import json
import sys

KINDS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
LINES, WIDTH = 30, 300


def read(path):
    try:
        with open(path, encoding="utf-8") as log:
            return [json.loads(line) for line in log]
    except OSError:
        return []


def end_of(test):
    said = (test.get("stdout") or "") + (test.get("stderr") or "")
    return [line[:WIDTH] for line in said.splitlines()[-LINES:]]


def main(paths):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    others = []
    for path in paths:
        tests = read(path)
        if not tests:
            others.append(f"no test results in {path}")
            count["failed"] += 1
        for test in tests:
            kind = KINDS.get(test["result"], "failed")
            count[kind] += 1
            if kind == "failed":
                print(f"--- {test['name']} ({test['result']}, {test['duration']:.0f} s) said last:")
                print("\n".join(end_of(test)))
            if kind != "passed":
                others.append(f"{kind}: {test['name']}")
    for line in others:
        print(line)
    print(", ".join(f"{number} {kind}" for kind, number in count.items()), flush=True)
    return count["failed"] != 0 or count["passed"] == 0


sys.exit(main(sys.argv[1:]))
