#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions per stage-2 entry, counted by Valgrind: the same number on every run.

usage: bench/mmu.py [--build DIR] [--json FILE]

DIR is a hosted build (default build/hosted-release), whose bench-mmu is run once per format and
page size. The counts are those of this build's code on the build machine.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

FORMATS = ("ept", "ept-ad", "npt", "vmsav8")
PAGES = (("4K", 4096), ("2M", 2 << 20))
OPERATIONS = ("map", "walk", "protect", "unmap")


def inclusive(profile):
    """Instructions inside each bench_* function, with all that it called, from main's calls."""
    cost, names, callee = {}, {}, None
    calls = False
    for line in profile:
        name = re.match(r"c?fn=\((\d+)\)(?: (.+))?", line)
        if name:
            if name[2]:
                names[name[1]] = name[2].strip()
            if line.startswith("cfn="):
                callee = names[name[1]]
        elif line.startswith("calls="):
            calls = True
        elif calls:
            calls = False
            if callee and callee.startswith("bench_"):
                cost[callee] = cost.get(callee, 0) + int(line.split()[1])
    return cost


def count(program, form, page):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind.out")
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--compress-pos=no", f"--callgrind-out-file={out}",
             "-q", program, form, str(page)],
            stdout=subprocess.PIPE, check=True)
        with open(out, encoding="utf-8") as profile:
            return int(run.stdout), inclusive(profile)


def main():
    parser = argparse.ArgumentParser(description="instructions per stage-2 entry")
    parser.add_argument("--build", default="build/hosted-release", help="a hosted build")
    parser.add_argument("--json", help="where the results go (default BUILD/bench/mmu.json)")
    args = parser.parse_args()
    program = os.path.join(args.build, "bench", "bench-mmu")
    if not os.path.exists(program):
        sys.exit(f"bench/mmu.py: {program} does not exist: build the target bench-mmu there")
    if not shutil.which("valgrind"):
        sys.exit("bench/mmu.py: valgrind is not installed: it counts the instructions")

    results = []
    print(f"{'format':8} {'page':4} {'entries':>8}" + "".join(f"{op:>9}" for op in OPERATIONS))
    for form in FORMATS:
        for name, page in PAGES:
            entries, cost = count(program, form, page)
            per_entry = [round(cost["bench_" + op] / entries, 2) for op in OPERATIONS]
            print(f"{form:8} {name:4} {entries:8}" + "".join(f"{n:9.2f}" for n in per_entry))
            results += [{"format": form, "page": name, "operation": op, "entries": entries,
                         "instructions_per_entry": n} for op, n in zip(OPERATIONS, per_entry)]
    path = args.json or os.path.join(args.build, "bench", "mmu.json")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
