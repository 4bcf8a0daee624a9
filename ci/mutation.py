# SPDX-License-Identifier: BSD-2-Clause
"""Breaks one line at a time of a copy of the tree (tests/mutations.toml), and asks the unit tests and
the conformance suite whether they notice."""
import dataclasses
import os
import shutil
import subprocess
import sys
import tomllib

from common import BUILD, JOBS, ROOT, Failure, Progress

PLACE = BUILD / "mutation"
TREE = PLACE / "tree"
PRESET = "hosted-debug"
LIMIT = 600  # seconds that a step may take
# So many of twenty have to be noticed.
WANTED = 19 / 20


@dataclasses.dataclass
class Mutation:
    """A row of tests/mutations.toml."""
    file: str
    original: str
    broken: str
    means: str
    unit: str = "."
    conform: str = ""


def read():
    """All rows."""
    table = tomllib.loads((ROOT / "tests/mutations.toml").read_text(encoding="utf-8"))
    return [Mutation(row["file"], row["from"], row["to"], row["means"], row.get("unit", "."),
                     row.get("conform", "")) for row in table["mutation"]]


def _run(log, *line):
    """A command's exit status, in the copy; that of timeout(1) if it takes too long."""
    with open(PLACE / "log", "ab") as out:
        out.write(f"== {log}: {' '.join(map(str, line))}\n".encode())
        out.flush()
        try:
            return subprocess.run(line, cwd=TREE, stdout=out, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            return 124


def _build(log):
    return _run(log, "cmake", "--build", "--preset", PRESET, "-j", str(JOBS)) == 0


def prepare():
    """A copy of the files that git knows, built."""
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / "log").write_bytes(b"")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    kept = set()
    for name in filter(None, listed.decode().split("\0")):
        source, copy = ROOT / name, TREE / name
        if not source.is_file():
            continue
        kept.add(copy)
        # What has not changed is not built again.
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
            os.utime(copy)
    for path in TREE.rglob("*"):
        if path.is_file() and path not in kept and TREE / "build" not in path.parents:
            path.unlink()
    if not (TREE / "build" / PRESET / "build.ninja").exists() and \
            _run("configure", "cmake", "--preset", PRESET) != 0:
        raise Failure(f"the copy cannot be configured: {PLACE / 'log'}")
    if not _build("the copy as it is"):
        raise Failure(f"the copy does not build: {PLACE / 'log'}")
    if _unit("the copy as it is", "."):
        raise Failure(f"the unit tests fail on the copy as it is: {PLACE / 'log'}")


def _unit(log, pattern):
    """Whether unit tests fail."""
    return _run(log, "ctest", "--test-dir", f"build/{PRESET}", "-R", pattern, "--no-tests=ignore",
                "--stop-on-failure", "-j", str(JOBS), "--timeout", "120") != 0


def _conform(log, mutation, kernels):
    """Whether cases of the suite do, on the hypercore command of the copy or on its board image. A
    target that says nothing has noticed, too."""
    target, _, cases = mutation.conform.partition(":")
    words = [*(["--only", cases] if cases else []), target]
    if target == "emu":
        command = TREE / "build" / PRESET / "hypercore"
        return _run(log, "env", f"HYPERCORE={command}", sys.executable, "conformance/runner",
                    "--images", str(kernels), "--output", str(PLACE / "report"), *words) != 0
    if _run(log, "./dev", "conform", "--targets") != 0:
        raise Failure(f"{mutation.file}: the board image does not build: {PLACE / 'log'}")
    return _run(log, "./dev", "conform", *words) != 0


def apply(mutation, text):
    """The file's text with the line broken."""
    if text.count(mutation.original) != 1:
        raise Failure(f"tests/mutations.toml: {mutation.file}: {text.count(mutation.original)} times, should "
                      f"be once: {mutation.original.strip()}")
    return text.replace(mutation.original, mutation.broken)


def _ask(mutation, kernels):
    """Who notices the mutation that the copy has now, or "" if nobody does."""
    if not _build(mutation.means):
        raise Failure(f"{mutation.file}: does not build with: {mutation.broken.strip()}; {PLACE / 'log'}")
    if _unit(mutation.means, mutation.unit):
        return "unit tests"
    if mutation.conform and _conform(mutation.means, mutation, kernels):
        return "conformance suite"
    return "unit tests, others than expected" if _unit(mutation.means, ".") else ""


def notice(mutation, kernels):
    """Who notices the mutation, or "" if nobody does."""
    path = TREE / mutation.file
    before = path.read_text(encoding="utf-8")
    path.write_text(apply(mutation, before), encoding="utf-8")
    try:
        who = _ask(mutation, kernels)
    finally:
        path.write_text(before, encoding="utf-8")
    log = f"without: {mutation.means}"
    if who == "conformance suite" and not (_build(log) and not _conform(log, mutation, kernels)):
        raise Failure(f"{mutation.conform}: fails on the copy as it is, too: {PLACE / 'log'}")
    return who


def check():
    """Those rows whose text is not there any more: cheap, for each run of the unit tests."""
    for mutation in read():
        apply(mutation, (ROOT / mutation.file).read_text(encoding="utf-8"))


def run(report_one, kernels):
    """Tries all; report_one(mutation, who noticed or "" or a Failure). Whether enough were noticed."""
    mutations = read()
    with Progress("building a copy to break"):
        prepare()
    noticed = 0
    for mutation in mutations:
        with Progress(mutation.means):
            who = notice(mutation, kernels)
        noticed += bool(who)
        report_one(mutation, who)
    return noticed >= WANTED * len(mutations), noticed, len(mutations)
