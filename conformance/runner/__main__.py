# SPDX-License-Identifier: BSD-2-Clause
"""hypercore conform: the test kernels on targets, and the verdict."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile

import page
import reports
import verdict as verdicts
from batch import Batch
from console import end_all
from target import Refused, read, read_folder

HOME = pathlib.Path(__file__).resolve().parent.parent
PASSED, FOUND, USAGE, FAILED = 0, 1, 2, 125
SCRATCH = []  # folders that are of no use after the run
EPILOG = """\
Without TARGET all run that can be here. DIR gets report.html, report.json,
report.xml (JUnit), report.ktap, and in console/ what each start of a target
printed. Exit status: 0 no unexplained difference; 1 there are some; 2 wrong
options; 125 it could not be carried out.
"""


def kernels():
    """Where the test kernels are: installed beside the runner, or built by ./dev."""
    built = HOME.parent / "build/conformance/kernels"
    return built if built.is_dir() else HOME / "kernels"


def parse(words):
    """The options."""
    parser = argparse.ArgumentParser(
        prog="hypercore conform", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="hypercore conform [OPTION...] [TARGET...]",
        description="Runs the conformance suite on targets: names of --targets, or files.")
    add = parser.add_argument
    add("names", nargs="*", metavar="TARGET", help="a name as svm, aarch64/bare:qemu, or a FILE.toml")
    add("--targets", action="store_true", help="list the targets, and whether they can run here")
    add("--only", default="", metavar="PATTERN", help="cases, by commas: paging, apic.x2apic_*, ...")
    add("--skip", default="", metavar="PATTERN", help="cases to leave out")
    add("--jobs", type=int, default=0, metavar="N", help="targets at a time (the processors there are)")
    add("--output", default="conformance-report", metavar="DIR", help="for reports (conformance-report; ./dev: build/conformance)")
    add("--known", default=str(HOME / "known.tsv"), metavar="FILE", help="differences that have an explanation")
    add("--images", default=str(kernels()), metavar="DIR", help="the test kernels")
    add("--all", action="store_true", help="show all cases in the table, not only those that differ")
    options = parser.parse_args(words)
    if options.jobs < 0:
        parser.error("--jobs: at least 1")
    return options


def hypercore():
    """The command whose subcommand this is."""
    return os.environ.get("HYPERCORE") or shutil.which("hypercore") or "hypercore"


def choose(names):
    """The targets meant by names; all without any."""
    known = read_folder(HOME / "targets")
    if not names:
        return known
    chosen = []
    for name in names:
        if name.endswith(".toml"):
            chosen.append(read(name))
            continue
        found = [target for target in known if name in (target.key, target.name, target.arch)]
        if not found:
            raise Refused(f"{name}: no such target; there are {', '.join(t.key for t in known)}, or a FILE.toml")
        chosen += found
    keys = [target.key for target in chosen]
    for key in keys:
        if keys.count(key) > 1:
            raise Refused(f"{key}: named twice")
    return chosen


def list_targets(targets, values):
    """--targets."""
    for target in targets:
        missing = target.missing(dict(values, image="", kernels="", append="", cpus=target.cpus, memory=target.memory,
                                      directory="", here=target.here))
        print(f"{target.key:22} {f'no: {missing}' if missing else 'yes':8}  {target.about}")
    return PASSED


def run_all(targets, options, values, scratch):
    """Runs them, several at a time; their outcomes in order."""
    selection = {key: [word for word in getattr(options, key).split(",") if word] for key in ("only", "skip")}
    images, progress = pathlib.Path(options.images).resolve(), reports.Progress()

    def run(target):
        # Emulators' configuration files have commas and colons of their own.
        directory = scratch / re.sub(r"[^\w-]", "-", target.key)
        outcome = Batch(target, images, directory, values, selection, progress).run()
        progress.end(outcome)
        return outcome

    jobs = options.jobs or len(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, targets))


def write_reports(outcomes, verdict, output):
    """All files."""
    version = os.environ.get("HYPERCORE_VERSION", "")
    report = reports.as_json(outcomes, verdict, version)
    reports.write_json(output / "report.json", report)
    reports.write_ktap(output / "report.ktap", outcomes, verdict)
    reports.write_junit(output / "report.xml", outcomes, verdict)
    page.write(output / "report.html", report)


def say(outcomes, verdict, options, output):
    """What the user wants to see, and the exit status."""
    names = {(o.target.arch, name) for o in outcomes for name in o.cases}
    shown = names if options.all else verdicts.differing(outcomes) | {
        (target.arch, case.name) for target, case in verdict.unexplained}
    text = reports.table(outcomes, shown)
    print(*([text] if text else []), *reports.differences(verdict), sep="\n")
    ran = sum(not o.unavailable for o in outcomes)
    cases = sum(len(o.cases) for o in outcomes)
    print(f"{cases} results of {len(names)} cases on {ran} targets: {len(verdict.unexplained)} unexplained, "
          f"{len(verdict.known)} known; {output / 'report.html'}")
    if not cases:
        if ran and verdict.ok:
            print("no case has such a name")
        return FAILED
    return PASSED if verdict.ok else FOUND


def main(words):
    """The command."""
    options = parse(words)
    values = {"tree": HOME.parent, "hypercore": hypercore()}
    if options.targets:
        return list_targets(choose(options.names) if options.names else read_folder(HOME / "targets"), values)
    targets = choose(options.names)
    rows = verdicts.read_known(options.known)
    output = pathlib.Path(options.output).resolve()
    logs = output / "console"
    shutil.rmtree(logs, ignore_errors=True)
    try:
        logs.mkdir(parents=True)
    except OSError as error:
        raise Refused(f"--output {options.output}: {error.strerror}") from error
    with tempfile.TemporaryDirectory(prefix="conform-") as scratch:
        SCRATCH.append(scratch)
        scratch = pathlib.Path(scratch)
        try:
            outcomes = run_all(targets, options, values, scratch)
        finally:
            keep_logs(scratch, logs)
    verdict = verdicts.judge(outcomes, rows)
    write_reports(outcomes, verdict, output)
    return say(outcomes, verdict, options, output)


def keep_logs(scratch, logs):
    """Each start's console, command line and complaints."""
    for name in ("console", "command", "stderr"):
        for path in scratch.glob(f"*/start*/{name}"):
            place = logs / path.parent.relative_to(scratch)
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / name)


def on_signal(number, _):
    """Targets are in groups of their own, which a signal to ours does not reach."""
    end_all()
    for path in SCRATCH:  # disk images, at times
        shutil.rmtree(path, ignore_errors=True)
    os._exit(128 + number)


if __name__ == "__main__":
    for wanted in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(wanted, on_signal)
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as refused:
        print(f"hypercore conform: {refused}", file=sys.stderr)
        sys.exit(USAGE)
    except BrokenPipeError:
        os._exit(1)  # whoever read has seen enough
