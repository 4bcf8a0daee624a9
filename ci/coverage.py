# SPDX-License-Identifier: BSD-2-Clause
"""./dev coverage: line coverage of the unit tests."""
import argparse
import re
import shutil
import subprocess

import common
from common import BUILD, JOBS, ROOT, build_preset, run_logged

FOLDERS = ("core", "mmu", "arch", "emu", "devices", "machines", "platform")


def summary(report):
    """Lines found and hit by folder, from an lcov tracefile."""
    found = {}
    folder = None
    for line in report.read_text().splitlines():
        if line.startswith("SF:"):
            path = line[3:].removeprefix(str(ROOT) + "/")
            folder = found.setdefault(path.split("/")[0], [0, 0])
        elif match := re.fullmatch(r"L([FH]):(\d+)", line):
            folder[match.group(1) == "H"] += int(match.group(2))
    return found


def main(words):
    argparse.ArgumentParser(
        prog="./dev coverage",
        description="Runs the unit tests with coverage counters; HTML in build/coverage/html/.",
    ).parse_args(words)
    directory = build_preset("coverage")
    for counters in directory.rglob("*.gcda"):
        counters.unlink()
    target, log = directory / "report", BUILD / "log/coverage.log"
    run_logged(["ctest", "--test-dir", str(directory), "-j", str(JOBS), "--output-on-failure"],
               BUILD / "log/coverage-ctest.log", "running the unit tests")
    target.mkdir(exist_ok=True)
    raw, report = target / "all.info", target / "hypercore.info"
    run_logged(["lcov", "--capture", "--directory", str(directory), "--output-file", str(raw)],
               log, "collecting the counters")
    wanted = [f"{ROOT}/{folder}/*" for folder in FOLDERS]
    run_logged(["lcov", "--extract", str(raw), *wanted, "--output-file", str(report)],
               log, "selecting the hypervisor's files")
    html = directory / "html"
    shutil.rmtree(html, ignore_errors=True)
    run_logged(["genhtml", str(report), "--prefix", str(ROOT), "--output-directory", str(html)],
               log, "writing HTML")
    found = summary(report)
    for folder, (lines, hit) in sorted(found.items()):
        print(f"{folder:10} {hit:6} of {lines:6} lines  {100 * hit / max(lines, 1):5.1f} %")
    lines, hit = (sum(pair[n] for pair in found.values()) for n in (0, 1))
    print(f"{'all':10} {hit:6} of {lines:6} lines  {100 * hit / max(lines, 1):5.1f} %")
    print(f"{html.relative_to(ROOT)}/index.html")
    return 0


if __name__ == "__main__":
    common.main(main)
