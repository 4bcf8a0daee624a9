# SPDX-License-Identifier: BSD-2-Clause
"""./dev test: what CI runs. JUnit XML per suite in build/test/."""
import argparse
import dataclasses
import functools
import importlib.util
import os
import re
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as xml

import common
import conform
import guest
import mutation as mutations
from common import ALL_PRESETS, BUILD, HOSTED_PRESETS, JOBS, ROOT, Failure, Progress, build_preset, \
    colour

OUT = BUILD / "test"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclasses.dataclass
class Result:
    suite: str
    name: str
    outcome: str
    seconds: float = 0.0
    text: str = ""


class Report:
    """Collects results and shows each as it comes."""

    def __init__(self):
        self.results = []

    def add(self, result):
        self.results.append(result)
        code = {PASSED: "32", FAILED: "31", SKIPPED: "33"}[result.outcome]
        text = f"{result.outcome:7} {result.suite}: {result.name}"
        if result.outcome == SKIPPED:
            text += f": {result.text}"
        print(colour(code, text) if result.outcome != PASSED else text, flush=True)
        if result.outcome == FAILED:
            print(result.text.rstrip(), flush=True)

    def run(self, suite, name, function):
        """Runs one test: it returns or raises."""
        start, outcome, text = time.monotonic(), PASSED, ""
        try:
            with Progress(f"{suite}: {name}"):
                function()
        except unittest.SkipTest as skip:
            outcome, text = SKIPPED, str(skip)
        except (Failure, AssertionError, OSError, subprocess.SubprocessError, ValueError,
                IndexError, KeyError) as error:
            outcome, text = FAILED, f"{type(error).__name__}: {error}"
        self.add(Result(suite, name, outcome, time.monotonic() - start, text))
        return outcome == PASSED

    def count(self, outcome):
        return sum(result.outcome == outcome for result in self.results)

    def write(self, suite):
        mine = [result for result in self.results if result.suite == suite]
        root = xml.Element("testsuite", name=suite, tests=str(len(mine)),
                           failures=str(sum(r.outcome == FAILED for r in mine)),
                           skipped=str(sum(r.outcome == SKIPPED for r in mine)))
        for result in mine:
            case = xml.SubElement(root, "testcase", classname=suite, name=result.name,
                                  time=f"{result.seconds:.3f}")
            if result.outcome != PASSED:
                kind = "failure" if result.outcome == FAILED else "skipped"
                text = "".join(c for c in result.text if c.isprintable() or c in "\n\t")
                xml.SubElement(case, kind, message=text[:200]).text = text
        OUT.mkdir(parents=True, exist_ok=True)
        xml.ElementTree(root).write(OUT / f"{suite}.xml", encoding="utf-8", xml_declaration=True)


def ctest_results(path, preset):
    """Results from the JUnit file that ctest writes."""
    for case in xml.parse(path).getroot().iter("testcase"):
        outcome = {"run": PASSED, "fail": FAILED}.get(case.get("status"), SKIPPED)
        skipped = case.find("skipped")
        text = case.findtext("system-out") or ""
        if outcome == SKIPPED:
            text = (skipped.get("message") if skipped is not None else "") or "ctest did not run it"
        yield Result("unit", f"{preset}: {case.get('name')}", outcome,
                     float(case.get("time") or 0), text[-4000:])


def load(path):
    """A Python file of tests/ as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dev_results():
    """The tests of ./dev itself."""
    names = ("test_dev", "test_conform")
    found = [group for name in names for group in
             unittest.defaultTestLoader.loadTestsFromModule(load(ROOT / f"tests/dev/{name}.py"))]
    for test in (test for group in found for test in group):
        result, start = unittest.TestResult(), time.monotonic()
        test.run(result)
        bad = result.failures + result.errors
        yield Result("unit", f"dev: {test.id().split('.', 1)[1]}", FAILED if bad else PASSED,
                     time.monotonic() - start, bad[0][1] if bad else "")


def unit(report, _):
    """The unit tests, by GCC, by Clang and with sanitizers."""
    for result in dev_results():
        report.add(result)
    for preset in HOSTED_PRESETS:
        if not report.run("unit", f"{preset}: builds", lambda: build_preset(preset)):
            continue
        junit, log = OUT / f"ctest-{preset}.xml", OUT / f"ctest-{preset}.log"
        OUT.mkdir(parents=True, exist_ok=True)
        with Progress(f"unit tests, {preset}"), open(log, "wb") as out:
            subprocess.run(["ctest", "--test-dir", str(BUILD / preset), "-j", str(JOBS),
                            "--timeout", "120", "--output-junit", str(junit)],
                           stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        for result in ctest_results(junit, preset):
            report.add(result)


def build(report, _):
    """Every preset, by both compilers, warnings being errors."""
    for preset in ALL_PRESETS:
        report.run("build", preset, lambda: build_preset(preset))
    report.run("build", "hosted-aarch64 starts", start_arm64)


def start_arm64():
    """The command for arm64 hosts, by qemu-user: it looks around, and refuses to run without KVM."""
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(BUILD / "hosted-aarch64/hypercore")]
    caps = subprocess.run(command + ["caps"], capture_output=True, text=True, timeout=60, check=False)
    if caps.returncode != 0 or not re.search(r"^backend kvm +no, .*/dev/kvm", caps.stdout, re.M):
        raise Failure(f"caps: status {caps.returncode}\n{caps.stdout}{caps.stderr}")
    run = subprocess.run(command + ["run", "--kernel", __file__], capture_output=True, text=True,
                         timeout=60, check=False)
    if run.returncode != 125 or len(run.stderr.splitlines()) != 1 or "/dev/kvm" not in run.stderr:
        raise Failure(f"run: status {run.returncode}\n{run.stderr}")


def boot_tests():
    """Those of QEMU's machine first."""
    folder = ROOT / "tests/boot"
    sys.path.insert(0, str(folder))
    for name in ("boot_tests.py", "bochs_tests.py", "arm_tests.py", "kernel_tests.py", "dirty_tests.py",
                 "kvm_tests.py", "tsc_tests.py"):
        load(folder / name)
    return sys.modules["rig"].TESTS


def boot(report, patterns):
    """Guests on emulated machines."""
    tests = [test for test in boot_tests()
             if not patterns or any(pattern in test.__name__ for pattern in patterns)]
    if not report.run("boot", "board image and guest", prepare_boot):
        for test in tests:
            report.add(Result("boot", test.__name__, FAILED, 0, "no image to boot"))
        return
    for test in tests:
        name = test.__name__.replace("_", " ")
        report.run("boot", name, test)


def prepare_boot():
    for arch in (guest.X86_64, guest.AARCH64):
        build_preset(f"board-{arch.name}")
        guest.initramfs(arch)


def conformance(report, _):
    """The test kernels on backends and bare emulators: all is explained."""
    if not report.run("conformance", "kernels and board images", conform.prepare):
        return
    with Progress("conformance"):
        found, printed = conform.run_suite()
    for result in conform.results(found):
        report.add(Result("conformance", *result))
    if not found["ok"]:
        print(printed, flush=True)
    for backend, seconds, *options in STRESS_BACKENDS:
        name = f"stress guest, {STRESS_VMS} VMs side by side on {' '.join([backend, *options])}"
        report.run("conformance", name, functools.partial(stress_side_by_side, backend, seconds, options))


def mutation(report, _):
    """Lines broken on purpose: unit tests or test kernels notice."""
    if not report.run("mutation", "conformance kernels", conform.prepare):
        return
    started = time.monotonic()

    def one(broken, who):
        nonlocal started
        now = time.monotonic()
        name = f"{broken.means} ({who or 'nobody noticed'})"
        report.add(Result("mutation", name, PASSED if who else SKIPPED, now - started,
                          "" if who else f"{broken.file}: {broken.broken.strip()}"))
        started = now

    def enough():
        ok, noticed, count = mutations.run(one, conform.KERNELS)
        assert ok, f"{noticed} of {count} were noticed, {mutations.WANTED:.0%} should be"

    report.run("mutation", "enough are noticed", enough)


def lint(report, _):
    """What ./dev lint finds."""
    import lint as checks
    for name, check in checks.CHECKS.items():
        def run(check=check):
            found = check()
            assert not found, found
        report.run("lint", name, run)


# Instructions on the software CPU, on this machine's and, where it is installed, on Unicorn's. The
# same ones each time, so that what fails is what changed; HYPERCORE_ORACLE_SECONDS=N and
# HYPERCORE_ORACLE_SEED=N for more and for others.
ORACLE_SECONDS = 60
ORACLE_RUNS = (("oracle", "engine", 64), ("oracle", "engine", 32),
               ("oracle", "emulate", 64), ("oracle", "emulate", 32),
               ("oracle-unicorn", "engine", 64), ("oracle-unicorn", "engine", 32))


def oracle(report, _):
    """Generated instructions against this machine's CPU and Unicorn."""
    seconds = int(os.environ.get("HYPERCORE_ORACLE_SECONDS", ORACLE_SECONDS))
    if not report.run("oracle", "builds", lambda: build_preset("hosted-release", "oracles")):
        return
    for program, engine, mode in ORACLE_RUNS:
        name = f"{engine}, {mode}-bit mode"
        if program == "oracle-unicorn":
            name += ", Unicorn"
            if not (BUILD / "hosted-release" / program).exists():
                report.add(Result("oracle", name, SKIPPED, 0, "libunicorn not found"))
                continue
        line = [str(BUILD / "hosted-release" / program), "--engine", engine, "--mode", str(mode),
                "--seconds", str(max(seconds // len(ORACLE_RUNS), 1)),
                "--seed", os.environ.get("HYPERCORE_ORACLE_SEED", "1")]
        start = time.monotonic()
        with Progress(f"oracle: {name}"):
            done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        outcome = {0: PASSED, 77: SKIPPED}.get(done.returncode, FAILED)
        text = done.stdout.strip() + done.stderr.strip()
        if outcome == FAILED:
            text += f"\n{' '.join(line)}"
        report.add(Result("oracle", name, outcome, time.monotonic() - start, text))


STRESS_CPUS = 2
STRESS_SECONDS = 180
# Of the board image, and for how many seconds at least. The dirty log splits large pages while CPUs use them.
STRESS_BACKENDS = (("emu", 8), ("svm", 8), ("svm", 8, "--dirty-stats", "50ms"), ("vmx", 1),
                   ("svm", 2, "--machine", "bochs"),
                   ("el2", 8, "--host-cpus", "2"), ("el2", 8, "--dirty-stats", "50ms"))
STRESS_VMS = 2
STRESS_SEED = 5


def stress_output(name, line):
    """Runs ci/guest/stress in a guest; what it printed on ttyS1."""
    output = OUT / f"stress-{name}.out"
    output.unlink(missing_ok=True)
    archive = OUT / "stress.img"
    archive.write_bytes(guest.initramfs().read_bytes() +
                        guest.command_archive([(ROOT / "ci/guest/stress").read_text()]))
    done = subprocess.run(line(archive, output), capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=STRESS_SECONDS)
    text = output.read_text(errors="replace").replace("\r", "") if output.exists() else ""
    assert "stress: done" in text, (f"{name}: the guest did not finish (status {done.returncode}): "
                                    f"{done.stderr.decode(errors='replace').strip()}\n{text[-500:]}")
    return text


def stress_side_by_side(backend, seconds, options):
    """The conformance suite's stress guest in several VMs: each finds its own state as it left it."""
    arch, image = ("aarch64", "stress.image") if backend == "el2" else ("x86_64", "stress.elf")
    kernel = build_preset(f"board-{arch}") / "conformance/images" / arch / image
    done = subprocess.run(
        [ROOT / "dev", "run", "--directory", OUT / f"stress-{backend}", "--backend", backend, "--board", *options,
         "--vms", str(STRESS_VMS), "--cpus", str(STRESS_CPUS), "--memory", "128M", "--no-initrd",
         "--kernel", kernel, "--append", f"seed={STRESS_SEED} time={seconds}"],
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=STRESS_SECONDS)
    ends = re.findall(r"^guest(\d+): # done success=8 skip=0 error=0 failure=0\r?$", done.stdout, re.M)
    assert len(set(ends)) == STRESS_VMS, f"{backend}: {done.stdout[-2000:]}"


def stress(report, _):
    """A guest's work on the software CPU and on QEMU: the same output."""
    import bench
    append = "console=ttyS0 panic=-1 no_timer_check quiet"

    def on_qemu(archive, output):
        line = bench.qemu_line(guest.kernel(), "-initrd", str(archive), "-append", append,
                               "-serial", "null", "-serial", f"file:{output}")
        line[line.index("-smp") + 1] = str(STRESS_CPUS)
        return line

    def on_emu(archive, output):
        return bench.emu_line(guest.kernel(), "--initrd", str(archive), "--append", append,
                              "--serial", "null", "--serial", f"file:{output}",
                              "--cpus", str(STRESS_CPUS))

    def same():
        OUT.mkdir(parents=True, exist_ok=True)
        build_preset("hosted-release", "hypercore")
        ours, theirs = stress_output("emu", on_emu), stress_output("qemu", on_qemu)
        wrong = [f"- {b}\n+ {a}" for a, b in zip(ours.splitlines(), theirs.splitlines()) if a != b]
        assert ours == theirs, "\n".join(wrong or ["a different number of lines"])

    report.run("stress", f"{STRESS_CPUS} CPUs, the same output as QEMU", same)


SUITES = {"build": build, "unit": unit, "oracle": oracle, "boot": boot, "stress": stress,
          "lint": lint}
# Those that are run when they are named.
MORE = {"conformance": conformance, "mutation": mutation}


def main(words):
    parser = argparse.ArgumentParser(
        prog="./dev test", description="Runs all that CI runs, or the suites named. The last line is\n"
        "\"N passed, N failed, N skipped\"; JUnit XML goes to build/test/.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:12} {suite.__doc__}" for name, suite in (SUITES | MORE).items()) +
        f"\n\n{' and '.join(MORE)} run only if they are named.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="as below")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="boot: only tests with this in their name")
    options = parser.parse_args(words)
    for name in options.suites:
        if name not in SUITES | MORE:
            raise Failure(f"no such suite: {name} (known: {', '.join(SUITES | MORE)})", 2)
    report = Report()
    patterns = [text.replace(" ", "_") for text in options.only]
    for name in options.suites or SUITES:
        (SUITES | MORE)[name](report, patterns)
        report.write(name)
    failed = report.count(FAILED)
    print(f"{report.count(PASSED)} passed, {failed} failed, {report.count(SKIPPED)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    common.main(main)
