# SPDX-License-Identifier: BSD-2-Clause
"""What a test kernel prints, line by line (README.md, "What a kernel prints")."""
import dataclasses
import re

SUCCESS, SKIP, ERROR, FAILURE = "success", "skip", "error", "failure"
OUTCOMES = (SUCCESS, SKIP, ERROR, FAILURE)

BANNER = re.compile(r"# conformance (\S+)(?: cpus=(\d+))?$")
PLAN = re.compile(r"1\.\.(\d+)$")
START = re.compile(r"# start (\S+)$")
ENDS = re.compile(r"# ends (\S+)$")
DONE = re.compile(r"# done\b")
RESULT = re.compile(r"(not )?ok (\d+) (\S+)(?: # (SKIP|ERROR)\b ?(.*))?$")
LISTED = re.compile(r"# ([a-z0-9_]+\.[a-z0-9_]+): (.*)$")


@dataclasses.dataclass
class Line:
    """kind: banner, plan, start, ends, result, done or text; the rest as the kind has it."""
    kind: str
    text: str
    name: str = ""
    number: int = 0
    outcome: str = ""
    reason: str = ""


def _result(match, text):
    negative, number, name, directive, reason = match.groups()
    if directive == "SKIP":
        outcome = FAILURE if negative else SKIP
    elif directive == "ERROR":
        outcome = ERROR
    else:
        outcome = FAILURE if negative else SUCCESS
    return Line("result", text, name, int(number), outcome, reason or "")


def parse(text):
    """The Line that a line of the console is."""
    if match := BANNER.match(text):
        return Line("banner", text, match.group(1), int(match.group(2) or 1))
    if match := PLAN.match(text):
        return Line("plan", text, number=int(match.group(1)))
    if match := START.match(text):
        return Line("start", text, match.group(1))
    if match := ENDS.match(text):
        return Line("ends", text, match.group(1))
    if match := RESULT.match(text):
        return _result(match, text)
    return Line("done" if DONE.match(text) else "text", text)
