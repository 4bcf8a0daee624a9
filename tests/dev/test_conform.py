# SPDX-License-Identifier: BSD-2-Clause
"""The conformance runner, on targets that are scripts which print what a test kernel would, or would
not."""
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUNNER = ROOT / "conformance/runner"

# A test kernel of five cases: name, and what it does. after= and only= are honoured.
KERNEL = r"""
import os, sys, time
words = dict(word.split("=", 1) for word in sys.argv[1].split() if "=" in word)
script = open(sys.argv[2]).read()
cases = [line.split(" ", 1) for line in script.splitlines()]
names = [name for name, _ in cases]
if "after" in words:
    cases = cases[names.index(words["after"]) + 1:]
if "only" in words:
    cases = [case for case in cases if case[0] in words["only"].split(",")]
skipped = words.get("skip", "").split(",")
cases = [case for case in cases if case[0] not in skipped]
def say(text):
    sys.stdout.write(text + "\r\n"); sys.stdout.flush()
say("rubbish of a firmware \x1b[2J# conformance x86_64 cpus=2")
say("KTAP version 1"); say(f"1..{len(cases)}")
for number, (name, what) in enumerate(cases, 1):
    say(f"# start {name}")
    if what == "hang": time.sleep(60)
    if what == "die": os._exit(3)
    if what == "again": say("# conformance x86_64 cpus=2"); time.sleep(60)
    if what == "ends": say("# ends power-off"); os._exit(0)
    if what == "resets": say("# ends reset"); say("# conformance x86_64 cpus=2"); time.sleep(60)
    if what == "stays": say("# ends reset"); say(f"not ok {number} {name}"); continue
    if what == "fail": say(f"# {name}: SDM 1.1: expected 0x1, got 0x0"); say(f"not ok {number} {name}"); continue
    if what == "skip": say(f"ok {number} {name} # SKIP a feature"); continue
    if what == "error": say(f"not ok {number} {name} # ERROR no CPU"); continue
    if what == "mute": continue
    if what == "babble":
        while True: say("x" * 1000)
    if what == "between":
        say(f"ok {number} {name}")
        while True: say("x" * 1000)
    say(f"ok {number} {name}")
say("# done")
time.sleep(0.1)
"""

TARGET = """
arch = "x86_64"
start_seconds = 20
case_seconds = {seconds}
{more}
command = ["{python}", "{folder}/kernel.py", "{{append}}", "{{image}}"]
"""


class Runner(unittest.TestCase):
    """Each test is a kernel, what came of it, and the exit status."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / "x86_64").mkdir()
        (self.folder / "kernel.py").write_text(KERNEL)
        (self.folder / "known.tsv").write_text("target\tcase\toutcome\tcause\n")

    def target(self, name="one", more="", text=None, seconds=4):
        path = self.folder / f"{name}.toml"
        text = text or TARGET.format(python=sys.executable, folder=self.folder, more=more, seconds=seconds)
        path.write_text(text)
        return str(path)

    def conform(self, cases, *words, targets=None):
        (self.folder / "x86_64/conformance.elf").write_text("\n".join(cases) + "\n")
        line = [sys.executable, str(RUNNER), "--images", str(self.folder), "--output",
                str(self.folder / "out"), "--known", str(self.folder / "known.tsv"),
                *words, *(targets or [self.target()])]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        path = self.folder / "out/report.json"
        report = json.loads(path.read_text()) if path.exists() else None
        return done, report

    def outcomes(self, report, target=0):
        return {case["name"]: case["outcome"] for case in report["targets"][target]["cases"]}

    def test_all_well(self):
        done, report = self.conform(["a.one ok", "a.two skip", "a.three ok"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.outcomes(report), {"a.one": "success", "a.two": "skip", "a.three": "success"})
        self.assertEqual(report["targets"][0]["counts"], {"success": 2, "skip": 1, "error": 0, "failure": 0})
        self.assertEqual(report["targets"][0]["starts"], 1)
        self.assertEqual(report["targets"][0]["cpus"], 2)

    def test_failure_is_unexplained(self):
        done, report = self.conform(["a.one ok", "a.two fail", "a.three error"])
        self.assertEqual(done.returncode, 1)
        self.assertEqual([row["case"] for row in report["unexplained"]], ["a.two", "a.three"])
        self.assertIn("SDM 1.1: expected 0x1, got 0x0", done.stdout)
        suite = xml.parse(self.folder / "out/report.xml").getroot().find("testsuite")
        self.assertEqual((suite.get("failures"), suite.get("errors")), ("1", "1"))
        self.assertIn("not ok 3 a.three # ERROR no CPU", (self.folder / "out/report.ktap").read_text())

    def test_known_difference(self):
        (self.folder / "known.tsv").write_text("x86_64/none x86_64/o*\ta.two\tfailure\tits own bug\n"
                                               "x86_64/one\ta.one\tfailure\tmended since\n")
        done, report = self.conform(["a.one ok", "a.two fail"])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(report["targets"][0]["cases"][1]["known"], "its own bug")
        self.assertEqual([row["case"] for row in report["stale"]], ["a.one"])

    def test_goes_on_after_crashes(self):
        done, report = self.conform(["a.one die", "a.two ok", "a.three hang", "a.four again", "a.five ok",
                                     "a.six mute", "a.seven ok"])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.outcomes(report),
                         {"a.one": "failure", "a.two": "success", "a.three": "failure", "a.four": "failure",
                          "a.five": "success", "a.six": "failure", "a.seven": "success"})
        reasons = {case["name"]: case["reason"] for case in report["targets"][0]["cases"]}
        self.assertIn("status 3", reasons["a.one"])
        self.assertIn("no end within 4 s", reasons["a.three"])
        self.assertIn("began anew", reasons["a.four"])
        self.assertEqual(report["targets"][0]["starts"], 4)

    def test_babble_is_no_sign_of_life(self):
        done, report = self.conform(["a.one ok", "a.two babble", "a.three between", "a.four ok"],
                                    targets=[self.target(seconds=2)])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.outcomes(report), {"a.one": "success", "a.two": "failure", "a.three": "success",
                                                 "a.four": "success"})

    def test_cases_that_end_the_machine(self):
        done, report = self.conform(["a.one ok", "b.off ends", "b.reset resets", "b.stays stays"])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.outcomes(report), {"a.one": "success", "b.off": "success",
                                                 "b.reset": "success", "b.stays": "failure"})

    def test_last_case_ends_the_machine(self):
        done, report = self.conform(["a.one ok", "b.off ends"])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(report["targets"][0]["starts"], 1)

    def test_dead_target(self):
        text = 'arch = "x86_64"\ncommand = ["sh", "-c", "echo no such CPU >&2; exit 7"]\n'
        done, report = self.conform(["a.one ok"], targets=[self.target(text=text)])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("status 7", report["targets"][0]["error"])
        self.assertIn("no such CPU", report["targets"][0]["error"])

    def test_silent_target(self):
        text = 'arch = "x86_64"\nstart_seconds = 1\ncommand = ["sleep", "60"]\n'
        done, report = self.conform(["a.one ok"], targets=[self.target(text=text)])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no sign of the kernel", report["targets"][0]["error"])

    def test_absent_target(self):
        absent = self.target("absent", 'needs = ["no-such-program"]')
        done, report = self.conform(["a.one ok"], targets=[absent, self.target()])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(report["targets"][0]["unavailable"], "no-such-program is not installed")
        done, _ = self.conform(["a.one ok"], targets=[absent])
        self.assertEqual(done.returncode, 125)

    def test_console_in_a_file(self):
        more = ('console = "file:com1"\nfiles = { run = """#!/bin/sh\nexec "$@" > com1\n""" }\n'
                'prepare = [["chmod", "+x", "{directory}/run"]]\n')
        text = TARGET.format(python=sys.executable, folder=self.folder, more=more, seconds=4)
        text = text.replace('command = [', 'command = ["{directory}/run", ')
        done, report = self.conform(["a.one ok", "a.two die", "a.three ok"], targets=[self.target(text=text)])
        self.assertEqual(self.outcomes(report), {"a.one": "success", "a.two": "failure", "a.three": "success"},
                         done.stdout + done.stderr)

    def test_names_are_unique(self):
        done, report = self.conform(["a.one ok", "a.two ok", "a.one ok"])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("a.one came twice", report["targets"][0]["error"])

    def test_leaves_nothing_behind(self):
        (self.folder / "x86_64/conformance.elf").write_text("a.one hang\n")
        line = [sys.executable, str(RUNNER), "--images", str(self.folder), "--output", str(self.folder / "out"),
                self.target()]
        with subprocess.Popen(line, stdout=subprocess.DEVNULL) as runner:
            mark = str(self.folder / "kernel.py")
            for _ in range(100):
                if self.started(mark):
                    break
                time.sleep(0.05)
            self.assertTrue(self.started(mark))
            runner.terminate()
            self.assertEqual(runner.wait(10), 143)
        for _ in range(100):
            if not self.started(mark):
                break
            time.sleep(0.05)
        self.assertFalse(self.started(mark))

    def started(self, mark):
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark.encode() in path.read_bytes():
                    return True
            except OSError:
                pass  # it has ended meanwhile
        return False

    def test_selection(self):
        _, report = self.conform(["a.one ok", "a.two ok", "a.three ok"], "--only", "a.one,a.two", "--skip", "a.two")
        self.assertEqual(self.outcomes(report), {"a.one": "success"})

    def test_two_targets(self):
        other = self.target("other", 'skip = ["a.two"]')
        _, report = self.conform(["a.one ok", "a.two fail"], targets=[self.target(), other])
        self.assertEqual(self.outcomes(report, 1), {"a.one": "success"})
        page = (self.folder / "out/report.html").read_text()
        self.assertIn("x86_64/other", page)
        self.assertNotIn("http", page)

    def test_bad_target_files(self):
        for text, complaint in (('arch = "mips"\ncommand = ["x"]', "arch mips: should be"),
                                ('arch = "x86_64"', "command is missing"),
                                ('arch = "x86_64"\ncommand = "x"', "command: should be a list"),
                                ('arch = "x86_64"\ncommand = []', "command is empty"),
                                ('arch = "x86_64"\ncommand = ["x"]\nimage = "tar"', "image tar: should be"),
                                ('arch = "x86_64"\ncommand = ["x"]\nconsole = "tty"', "console tty"),
                                ('arch = "x86_64"\ncommand = ["x"]\ncpus = true', "cpus: should be a number"),
                                ('arch = "x86_64"\ncommand = ["x", 3]', "command: should be a list of texts"),
                                ('arch = "x86_64"\ncommand = ["x"]\ncolour = 1', "colour: no such key"),
                                ('arch = "x86_64"\ncommand = ["x"]\nprepare = ["x"]', "prepare: should be a list"),
                                ('arch = ', "Invalid value")):
            done, _ = self.conform(["a.one ok"], targets=[self.target(text=text)])
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(complaint, done.stderr)

    def test_bad_known_file(self):
        for text in ("x86_64/one a.two failure its own bug\n", "x\ty\tbroken\tz\n", "x\ty\tfailure\t \n"):
            (self.folder / "known.tsv").write_text(text)
            done, _ = self.conform(["a.one ok"])
            self.assertEqual(done.returncode, 2)
            self.assertIn("known.tsv:1: ", done.stderr)

    def test_unknown_name(self):
        done, _ = self.conform(["a.one ok"], targets=["nothing"])
        self.assertEqual(done.returncode, 2)
        self.assertIn("nothing: no such target", done.stderr)


if __name__ == "__main__":
    unittest.main()
