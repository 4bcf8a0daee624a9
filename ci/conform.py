# SPDX-License-Identifier: BSD-2-Clause
"""./dev conform: hypercore conform with the test kernels and the command of this tree."""
import json
import os
import subprocess
import sys

import common
from common import BUILD, ROOT, Failure, build_preset

OUT = BUILD / "conformance"
KERNELS = OUT / "kernels"
ARCHITECTURES = ("x86_64", "aarch64")


def prepare():
    """Builds the command and the kernels, and puts these where the runner looks for them."""
    build_preset("hosted-release", "hypercore")
    KERNELS.mkdir(parents=True, exist_ok=True)
    for arch in ARCHITECTURES:
        # The board images too: targets start them.
        folder = build_preset(f"board-{arch}") / "conformance/images" / arch
        link = KERNELS / arch
        link.unlink(missing_ok=True)
        link.symlink_to(folder)


def command_line(*words):
    """The runner's. Options that words have, too, count there."""
    return [sys.executable, str(ROOT / "conformance/runner"), "--images", str(KERNELS),
            "--output", str(OUT), *words]


def environment():
    """What tells the runner which command it belongs to."""
    return dict(os.environ, HYPERCORE=str(BUILD / "hosted-release/hypercore"))


def run_suite():
    """All targets. The report, and what the runner printed."""
    report = OUT / "report.json"
    report.unlink(missing_ok=True)
    done = subprocess.run(command_line(), env=environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not report.exists():
        raise Failure(f"hypercore conform: status {done.returncode}\n{done.stdout}")
    return json.loads(report.read_text()), done.stdout


def results(report):
    """A row a target: name, outcome, seconds, text."""
    bad = [(row["target"], row["case"]) for row in report["unexplained"]]
    for target in report["targets"]:
        key = f"{target['arch']}/{target['name']}"
        if not target["ran"]:
            yield key, "skipped", 0.0, target["unavailable"]
            continue
        mine = [case for name, case in bad if name == key]
        wrong = [target["error"]] * bool(target["error"]) + [f"unexplained: {case}" for case in mine]
        name = f"{key}, {sum(target['counts'].values())} cases"
        yield name, "failed" if wrong else "passed", target["seconds"], "\n".join(wrong)


def main(words):
    if words not in (["-h"], ["--help"]):
        prepare()
    return subprocess.run(command_line(*words), env=environment()).returncode


if __name__ == "__main__":
    common.main(main)
