# SPDX-License-Identifier: BSD-2-Clause
"""What is left of a run: a table for the terminal, KTAP, JUnit XML, JSON. The page is page.py."""
import json
import shutil
import sys
import threading
import xml.etree.ElementTree as xml

import ktap

VERSION = 1  # of report.json
COLOURS = {ktap.SUCCESS: "32", ktap.SKIP: "33", ktap.ERROR: "35", ktap.FAILURE: "31"}
SIGNS = {ktap.SUCCESS: "ok", ktap.SKIP: "skip", ktap.ERROR: "ERROR", ktap.FAILURE: "FAIL"}


def colour(code, text, stream=sys.stdout):
    """Only a terminal gets colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if stream.isatty() else text


class Progress:
    """A bar for each target that runs, on standard error if that is a terminal."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = {}
        self.shown = sys.stderr.isatty()

    def __call__(self, batch):
        with self.lock:
            outcome = batch.outcome
            self.running[outcome.target.key] = (len(outcome.cases), batch.total,
                                                outcome.count(ktap.FAILURE) + outcome.count(ktap.ERROR))
            self._draw()

    def end(self, outcome):
        """A target has come to its end: a line of it stays."""
        with self.lock:
            self.running.pop(outcome.target.key, None)
            self._clear()
            print(summary(outcome), flush=True)
            self._draw()

    def _clear(self):
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _draw(self):
        if not self.shown or not self.running:
            return
        parts = [_bar(key, *state) for key, state in self.running.items()]
        text = "  ".join(parts)[:shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _bar(key, ran, total, bad):
    width = 12
    full = width * ran // total if total else 0
    return f"{key} [{'#' * full}{'.' * (width - full)}] {ran}/{total or '?'}{f' {bad} bad' if bad else ''}"


def counts(outcome):
    """Cases by outcome."""
    return {kind: outcome.count(kind) for kind in ktap.OUTCOMES}


def summary(outcome):
    """A target's line."""
    key = f"{outcome.target.key:22}"
    if outcome.unavailable:
        return colour("33", f"{key} not run: {outcome.unavailable}")
    found = counts(outcome)
    text = (f"{key} {found['success']:4} success {found['skip']:4} skip {found['error']:3} error "
            f"{found['failure']:3} failure {outcome.seconds:6.1f} s, {outcome.starts} starts")
    if outcome.error:
        return colour("31", f"{text}\n  {outcome.error}")
    return text


def table(outcomes, names):
    """Cases by targets: the rows that names has. Text."""
    ran = [outcome for outcome in outcomes if outcome.cases]
    lines = []
    for arch in dict.fromkeys(outcome.target.arch for outcome in ran):
        mine = [outcome for outcome in ran if outcome.target.arch == arch]
        rows = sorted(name for a, name in names if a == arch)
        if not rows:
            continue
        width = max(len(name) for name in rows)
        lines.append(" ".join([f"{arch:{width}}"] + [f"{o.target.name:>10}" for o in mine]))
        for name in rows:
            cells = [_cell(outcome.cases.get(name)) for outcome in mine]
            lines.append(" ".join([f"{name:{width}}"] + cells))
    return "\n".join(lines)


def _cell(case):
    return f"{'-':>10}" if case is None else colour(COLOURS[case.outcome], f"{SIGNS[case.outcome]:>10}")


def differences(verdict):
    """What has no explanation: lines for the user."""
    lines = []
    for target, case in verdict.unexplained:
        lines.append(colour(COLOURS[case.outcome], f"{target.key}: {case.name}: {case.outcome.upper()}"
                            f"{': ' + case.reason if case.reason else ''}"))
        lines += [f"    {text}" for text in case.text[-12:]]
    lines += [f"{outcome.target.key}: {outcome.error}" for outcome in verdict.broken]
    for row in verdict.stale:
        lines.append(colour("33", f"known.tsv:{row.number}: {row.target} {row.case}: no {row.outcome} "
                            "any more: the row can go"))
    return lines


def _case_json(outcome, case, verdict):
    return {"name": case.name, "outcome": case.outcome, "reason": case.reason, "text": case.text,
            "seconds": round(case.seconds, 3),
            "known": verdict.known.get((outcome.target.key, case.name))}


def as_json(outcomes, verdict, version):
    """The whole run as a table of JSON's kinds."""
    targets = []
    for outcome in outcomes:
        targets.append({
            "name": outcome.target.name, "arch": outcome.target.arch, "about": outcome.target.about,
            "cpus": outcome.cpus, "seconds": round(outcome.seconds, 3), "starts": outcome.starts,
            "ran": not outcome.unavailable, "unavailable": outcome.unavailable, "error": outcome.error,
            "counts": counts(outcome),
            "cases": [_case_json(outcome, case, verdict) for case in outcome.cases.values()]})
    return {"version": VERSION, "hypercore": version, "ok": verdict.ok, "targets": targets,
            "unexplained": [{"target": target.key, "case": case.name, "outcome": case.outcome}
                            for target, case in verdict.unexplained],
            "stale": [{"target": row.target, "case": row.case, "outcome": row.outcome}
                      for row in verdict.stale]}


def write_json(path, report):
    """report.json."""
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _ktap_lines(outcome, verdict):
    yield "    KTAP version 1"
    yield f"    1..{len(outcome.cases)}"
    for number, case in enumerate(outcome.cases.values(), 1):
        known = verdict.known.get((outcome.target.key, case.name))
        bad = case.outcome in (ktap.FAILURE, ktap.ERROR)
        for text in case.text:
            yield f"    # {text.removeprefix('# ')}"
        mark = {ktap.SKIP: f" # SKIP {case.reason}", ktap.ERROR: f" # ERROR {case.reason}"}
        text = f" # XFAIL {known}" if bad and known else mark.get(case.outcome, "")
        yield f"    {'not ok' if bad else 'ok'} {number} {case.name}{text}"


def write_ktap(path, outcomes, verdict):
    """All targets as one KTAP document, a subtest each."""
    bad = {target.key for target, _ in verdict.unexplained} | {o.target.key for o in verdict.broken}
    lines = ["KTAP version 1", f"1..{len(outcomes)}"]
    for number, outcome in enumerate(outcomes, 1):
        key = outcome.target.key
        if outcome.unavailable:
            lines.append(f"ok {number} {key} # SKIP {outcome.unavailable}")
            continue
        lines += _ktap_lines(outcome, verdict)
        lines.append(f"{'not ok' if key in bad else 'ok'} {number} {key}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _printable(text):
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def _junit_suite(root, outcome, verdict):
    name = outcome.target.key
    suite = xml.SubElement(root, "testsuite", name=name, time=f"{outcome.seconds:.3f}")
    for case in outcome.cases.values():
        element = xml.SubElement(suite, "testcase", classname=f"{name}.{case.name.split('.')[0]}",
                                 name=case.name, time=f"{case.seconds:.3f}")
        known = verdict.known.get((name, case.name))
        kind = "skipped" if case.outcome == ktap.SKIP or known else case.outcome
        if case.outcome != ktap.SUCCESS:
            message = _printable(known or case.reason or (case.text[-1] if case.text else ""))
            xml.SubElement(element, kind, message=message).text = _printable("\n".join(case.text))
    if outcome.error:
        element = xml.SubElement(suite, "testcase", classname=name, name="target")
        xml.SubElement(element, "error", message=_printable(outcome.error))
    for key, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error"),
                      ("skipped", "testcase/skipped")):
        suite.set(key, str(len(suite.findall(path))))


def write_junit(path, outcomes, verdict):
    """JUnit XML, a suite a target. What is known counts as skipped."""
    root = xml.Element("testsuites", name="conformance")
    for outcome in outcomes:
        if not outcome.unavailable:
            _junit_suite(root, outcome, verdict)
    xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
