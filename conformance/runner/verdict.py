# SPDX-License-Identifier: BSD-2-Clause
"""Which results are as the manuals say, which differ for a reason that known.tsv gives, and which
have none."""
import dataclasses
import fnmatch
import pathlib

import ktap
from target import Refused

COLUMNS = ("target", "case", "outcome", "cause")


def _matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split())


@dataclasses.dataclass
class Row:
    """A row of known.tsv: patterns of targets (ARCH/NAME) and cases, several with blanks between, and
    what is known to come."""
    target: str
    case: str
    outcome: str
    cause: str
    number: int
    used: bool = False  # it explained something
    tried: bool = False  # its case ran on its target

    def is_of(self, target, case):
        """Whether the row is about this."""
        return _matches(target.key, self.target) and _matches(case.name, self.case)


def read_known(path):
    """The rows of a file. The first line names the columns; # begins a comment."""
    rows = []
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#") or tuple(line.split("\t")) == COLUMNS:
            continue
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or not all(field.strip() for field in fields):
            raise Refused(f"{path}:{number}: should have the columns {', '.join(COLUMNS)}, a tab between")
        if fields[2] not in (ktap.FAILURE, ktap.ERROR, ktap.SKIP):
            raise Refused(f"{path}:{number}: outcome {fields[2]}: should be failure, error or skip")
        rows.append(Row(*fields, number))
    return rows


@dataclasses.dataclass
class Verdict:
    """unexplained: (target, case) pairs; known: cause by (target's key, case's name)."""
    unexplained: list
    known: dict
    stale: list  # rows whose cases now do as the manual says
    broken: list  # outcomes of targets that could not be run to their end

    @property
    def ok(self):
        """Nothing is left to explain."""
        return not self.unexplained and not self.broken


def judge(outcomes, rows):
    """The Verdict on what came of all targets."""
    unexplained, known = [], {}
    for outcome in outcomes:
        for case in outcome.cases.values():
            mine = [row for row in rows if row.is_of(outcome.target, case)]
            for row in mine:
                row.tried = True
            row = next((row for row in mine if row.outcome == case.outcome), None)
            if row:
                row.used = True
                known[outcome.target.key, case.name] = row.cause
            elif case.outcome in (ktap.FAILURE, ktap.ERROR):
                unexplained.append((outcome.target, case))
    stale = [row for row in rows if row.tried and not row.used]
    return Verdict(unexplained, known, stale, [o for o in outcomes if o.error])


def differing(outcomes):
    """Names of cases, by architecture, that did not end alike on all targets that ran them."""
    found = {}
    for outcome in outcomes:
        for case in outcome.cases.values():
            found.setdefault((outcome.target.arch, case.name), set()).add(case.outcome)
    return {key for key, ends in found.items() if len(ends) > 1}
