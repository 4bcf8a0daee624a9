# SPDX-License-Identifier: BSD-2-Clause
"""All cases on one target: starts it, follows what it says, and starts it again after a case that
took it down."""
import collections
import dataclasses
import fnmatch
import queue
import time

import ktap
from console import Console
from target import Refused

BANNER_MARK = "# conformance "
MAX_TEXT = 200  # lines kept of a case
MAX_STARTS = 100


@dataclasses.dataclass
class Case:
    """What came of a case on a target."""
    name: str
    outcome: str
    reason: str = ""  # of SKIP and ERROR, and of what the runner itself found
    text: list = dataclasses.field(default_factory=list)  # diagnostic lines
    seconds: float = 0.0


@dataclasses.dataclass
class Outcome:
    """What came of a target. error: it could not be run to its end, and why."""
    target: object
    cases: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    starts: int = 0
    unavailable: str = ""
    error: str = ""
    cpus: int = 0  # as the kernel counts them

    def count(self, outcome):
        """How many cases ended so."""
        return sum(case.outcome == outcome for case in self.cases.values())


class Run:
    """One start of a target, from its first line to its end."""

    def __init__(self, batch, console):
        self.batch, self.console = batch, console
        self.current = None  # the Case that has begun
        self.began = 0.0
        self.ends = ""  # how the current case wants the machine to end
        self.banner = self.done = False
        self.planned = None
        self.progress = 0  # cases that ended
        self.said = collections.deque(maxlen=3)  # lines before the kernel's first

    def finish(self, outcome, reason=""):
        """The current case has ended."""
        case = self.current
        case.outcome, case.reason = outcome, reason
        case.seconds = time.monotonic() - self.began
        self.batch.add(case)
        self.progress += 1
        self.current, self.ends = None, ""

    def deadline(self, start):
        """Until when a line is waited for, and what is said when none comes."""
        limits = self.batch.target
        if self.current:
            seconds = limits.seconds_of(self.current.name)
            return self.began + seconds, f"no end within {seconds:g} s"
        if not self.banner:
            return start + limits.start_seconds, f"no sign of the kernel within {limits.start_seconds:g} s"
        return self.last + limits.case_seconds, f"silent for {limits.case_seconds:g} s"

    def follow(self):
        """Handles lines until the target has ended or is to be ended. An error's text, or None."""
        start = self.last = time.monotonic()
        while not self.done:
            until, complaint = self.deadline(start)
            now = time.monotonic()
            # Lines that still come are no reason to wait longer.
            if now >= until:
                return self._late(complaint)
            try:
                text = self.console.next(until - now)
            except queue.Empty:
                continue
            if text is None:
                return self._ended()
            line = ktap.parse(_from_mark(text))
            if line.kind != "text":
                self.last = time.monotonic()
            if self.handle(line):
                return None
        return None

    def _late(self, complaint):
        if self.current:
            self.finish(ktap.FAILURE, complaint)
            return None
        return complaint

    def _ended(self):
        status = self.console.end()
        if self.current and self.ends:
            self.finish(ktap.SUCCESS)
        elif self.current:
            self.finish(ktap.FAILURE, f"the target ended (status {status})")
        else:
            return f"the target ended (status {status}) between two cases" if self.banner else \
                f"the target ended (status {status}) before the kernel said anything"
        return None

    def handle(self, line):
        """True: this run of the target is over."""
        if line.kind == "banner":
            return self._banner(line)
        if line.kind == "plan" and self.planned is None:
            self.planned = line.number
            self.batch.plan(line.number)
        elif line.kind == "start":
            self._start(line)
        elif line.kind == "ends":
            self.ends = line.name
        elif line.kind == "result":
            self._result(line)
        elif line.kind == "done":
            self.done = True
        elif self.current and len(self.current.text) < MAX_TEXT:
            self.current.text.append(line.text)
        elif not self.banner and line.text.strip():
            self.said.append(line.text)
        return False

    def _banner(self, line):
        if not self.banner:
            self.banner = True
            self.batch.outcome.cpus = line.number
            if line.name != self.batch.target.arch:
                raise Refused(f"{self.batch.target.key}: this is a kernel for {line.name}")
            return False
        if self.current and self.ends == "reset":
            self.finish(ktap.SUCCESS)
        elif self.current and self.ends == "triple-fault":
            self.finish(ktap.SUCCESS)
        elif self.current:
            self.finish(ktap.FAILURE, "the machine began anew")
        return True

    def _start(self, line):
        if self.current:
            self.finish(ktap.FAILURE, "no result was printed")
        self.batch.expect(line.name)
        self.current = Case(line.name, "")
        self.began = time.monotonic()

    def _result(self, line):
        if not self.current:
            self.current, self.began = Case(line.name, ""), self.last
        if line.name != self.current.name:
            self.finish(ktap.FAILURE, f"a result of {line.name} was printed instead of its own")
            return
        self.finish(line.outcome, line.reason)


def _from_mark(text):
    """Firmware may leave something on the line that the kernel begins on."""
    return text[text.index(BANNER_MARK):] if BANNER_MARK in text else text


class Batch:
    """All starts of one target."""

    def __init__(self, target, images, directory, values, selection, progress):
        self.target, self.selection, self.progress = target, selection, progress
        self.directory = directory
        self.image = images / target.arch / f"conformance.{target.image}"
        self.values = dict(values, image=self.image, kernels=self.image.parent, cpus=target.cpus, memory=target.memory,
                           directory=directory, here=target.here)
        self.outcome = Outcome(target)
        self.total = None
        self.last = ""  # the case that ended last

    def plan(self, count):
        """A plan was read; the first one is of all cases."""
        if self.total is None:
            self.total = count
            self.progress(self)

    def expect(self, name):
        """A case begins: is it one that the kernel was to run?"""
        if name in self.outcome.cases:
            raise Refused(f"{name} came twice: the command line ({{append}}) does not reach the kernel, or "
                          "two cases have the name")
        for only in filter(None, (self.selection["only"], self.target.only)):
            if any(fnmatch.fnmatchcase(name, form) for word in only for form in (word, f"{word}.*")):
                continue
            raise Refused(f"{name} was not asked for: the command line ({{append}}) does not reach the kernel")

    def add(self, case):
        """A case has ended."""
        self.outcome.cases[case.name] = case
        self.last = case.name
        self.progress(self)

    def append(self):
        """The kernel's command line: what is left to do."""
        words = [f"only={','.join(only)}" for only in (self.selection["only"], self.target.only) if only]
        skip = [*self.selection["skip"], *self.target.skip]
        words += [f"skip={','.join(skip)}"] if skip else []
        return " ".join(words + ([f"after={self.last}"] if self.last else []))

    def _start(self):
        directory = self.directory / f"start{self.outcome.starts}"
        directory.mkdir(parents=True, exist_ok=True)
        self.outcome.starts += 1
        values = dict(self.values, append=self.append(), directory=directory)
        return Console(self.target, values, directory)

    def run_once(self):
        """One start. Returns (go on, error)."""
        console = self._start()
        run = Run(self, console)
        try:
            error = run.follow()
            complaints = console.complaints()
        finally:
            console.end(at_once=not run.done)
        if run.done:
            return False, ""
        if error and not run.progress:
            return False, "; ".join([error, *run.said, *complaints])
        if self.total is not None and len(self.outcome.cases) >= self.total:
            return False, ""
        return bool(run.progress), "" if run.progress else "no case came to its end"

    def run(self):
        """The Outcome."""
        start = time.monotonic()
        self.outcome.unavailable = self.target.missing(self.values) or ""
        if not self.outcome.unavailable and not self.image.exists():
            self.outcome.error = (f"{self.image} is not there (./dev conform builds the test kernels, --images "
                                  "says where they are)")
        elif not self.outcome.unavailable:
            self._run_all()
        self.outcome.seconds = time.monotonic() - start
        return self.outcome

    def _run_all(self):
        go_on, error = True, ""
        try:
            while go_on and self.outcome.starts < MAX_STARTS:
                go_on, error = self.run_once()
        except Refused as refused:
            error = str(refused)
        ran = len(self.outcome.cases)
        if not error and self.total is not None and ran != self.total:
            error = f"{self.total} cases were planned, {ran} came to an end"
        if not error and self.total is None:
            error = "the kernel printed no plan"
        if error and self.outcome.starts:
            error += f" (console/{self.directory.name} has it all)"
        self.outcome.error = error
