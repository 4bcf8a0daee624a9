# SPDX-License-Identifier: BSD-2-Clause
"""The conformance runner, on targets that are scripts which print what a test kernel would, or would
not."""
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import types
import unittest
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUNNER = ROOT / "conformance/runner"
sys.path.insert(0, str(RUNNER))
import target as targets
import verdict as verdicts

# Most tests call the command in this process, which saves them a start of Python each.
SPEC = importlib.util.spec_from_file_location("runner", RUNNER / "__main__.py")
COMMAND = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(COMMAND)

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
command = ["{python}", "-ES", "{folder}/kernel.py", "{{append}}", "{{image}}"]
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

    def target(self, name="one", more="", text=None, seconds=20):
        path = self.folder / f"{name}.toml"
        text = text or TARGET.format(python=sys.executable, folder=self.folder, more=more, seconds=seconds)
        path.write_text(text)
        return str(path)

    def words(self, cases, words, names):
        (self.folder / "x86_64/conformance.elf").write_text("\n".join(cases) + "\n")
        return ["--images", str(self.folder), "--output", str(self.folder / "out"), "--known",
                str(self.folder / "known.tsv"), *words, *(names or [self.target()])]

    def conform(self, cases, *words, targets=None):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            status = COMMAND.main(self.words(cases, words, targets))
        report = json.loads((self.folder / "out/report.json").read_text())
        return types.SimpleNamespace(returncode=status, stdout=text.getvalue()), report

    def refused(self, *targets):
        line = [sys.executable, str(RUNNER), *self.words(["a.one ok"], (), targets)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        return done.stderr

    def outcomes(self, report, target=0):
        return {case["name"]: case["outcome"] for case in report["targets"][target]["cases"]}

    def junit(self):
        suite = xml.parse(self.folder / "out/report.xml").getroot().find("testsuite")
        return {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}

    def test_all_well(self):
        done, report = self.conform(["a.one ok", "a.two skip", "a.three ok"])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.outcomes(report), {"a.one": "success", "a.two": "skip", "a.three": "success"})
        self.assertEqual(report["targets"][0]["counts"], {"success": 2, "skip": 1, "error": 0, "failure": 0})
        self.assertEqual(report["targets"][0]["starts"], 1)
        self.assertEqual(report["targets"][0]["cpus"], 2)

    def test_failure_is_unexplained(self):
        done, report = self.conform(["a.one ok", "a.two fail", "a.three error"])
        self.assertEqual(done.returncode, 1)
        self.assertEqual([row["case"] for row in report["unexplained"]], ["a.two", "a.three"])
        self.assertIn("SDM 1.1: expected 0x1, got 0x0", done.stdout)
        self.assertEqual(self.junit(), {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"})
        self.assertIn("not ok 3 a.three # ERROR no CPU", (self.folder / "out/report.ktap").read_text())

    def test_known_difference(self):
        (self.folder / "known.tsv").write_text("x86_64/none x86_64/o*\ta.two\tfailure\tits own bug\n"
                                               "x86_64/one\ta.one\tfailure\tmended since\n")
        done, report = self.conform(["a.one ok", "a.two fail"])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(report["targets"][0]["cases"][1]["known"], "its own bug")
        self.assertEqual([row["case"] for row in report["stale"]], ["a.one"])
        self.assertEqual(self.junit(), {"tests": "2", "failures": "0", "errors": "0", "skipped": "1"})

    def test_goes_on_after_crashes(self):
        done, report = self.conform(["a.one die", "a.two ok", "a.three hang", "a.four again", "a.five ok",
                                     "a.six mute", "a.seven ok"], targets=[self.target(seconds=3)])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.outcomes(report),
                         {"a.one": "failure", "a.two": "success", "a.three": "failure", "a.four": "failure",
                          "a.five": "success", "a.six": "failure", "a.seven": "success"})
        reasons = {case["name"]: case["reason"] for case in report["targets"][0]["cases"]}
        self.assertIn("status 3", reasons["a.one"])
        self.assertIn("no end within 3 s", reasons["a.three"])
        self.assertIn("began anew", reasons["a.four"])
        self.assertEqual(report["targets"][0]["starts"], 4)

    def test_babble_is_no_sign_of_life(self):
        within = self.target("within", 'skip = ["a.three"]', seconds=3)
        between = self.target("between", 'skip = ["a.two"]', seconds=3)
        done, report = self.conform(["a.one ok", "a.two babble", "a.three between", "a.four ok"], "--jobs", "2",
                                    targets=[within, between])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.outcomes(report), {"a.one": "success", "a.two": "failure", "a.four": "success"})
        self.assertEqual(self.outcomes(report, 1), {"a.one": "success", "a.three": "success", "a.four": "success"})

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
        self.assertEqual(self.junit(), {"tests": "1", "failures": "0", "errors": "1", "skipped": "0"})
        self.assertIn("no such CPU", report["targets"][0]["error"])

    def test_silent_target(self):
        text = 'arch = "x86_64"\nstart_seconds = 1\ncommand = ["sh", "-c", "echo no such option; exec sleep 60"]\n'
        done, report = self.conform(["a.one ok"], targets=[self.target(text=text)])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no sign of the kernel within 1 s; no such option", report["targets"][0]["error"])

    def test_console_elsewhere(self):
        text = 'arch = "x86_64"\nconsole = "file:com1"\ncommand = ["true"]\n'
        _, report = self.conform(["a.one ok"], targets=[self.target(text=text)])
        self.assertIn("it wrote no file com1", report["targets"][0]["error"])

    def test_command_line_does_not_arrive(self):
        text = TARGET.format(python=sys.executable, folder="{here}", more="", seconds=20).replace("{append}", "")
        lost = self.target(text=text)
        _, report = self.conform(["a.one ok", "a.two ok"], "--only", "a.two", targets=[lost])
        self.assertIn("a.one was not asked for: the command line", report["targets"][0]["error"])
        _, report = self.conform(["a.one die", "a.two ok"], targets=[lost])
        self.assertIn("a.one came twice: the command line", report["targets"][0]["error"])

    def test_relative_command(self):
        text = 'arch = "x86_64"\ncommand = ["./my-vmm"]\n'
        _, report = self.conform(["a.one ok"], targets=[self.target(text=text)])
        self.assertIn("{here} is that of the target's file", report["targets"][0]["error"])

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
        text = TARGET.format(python=sys.executable, folder=self.folder, more=more, seconds=20)
        text = text.replace('command = [', 'command = ["{directory}/run", ')
        done, report = self.conform(["a.one ok", "a.two die", "a.three ok"], targets=[self.target(text=text)])
        self.assertEqual(self.outcomes(report), {"a.one": "success", "a.two": "failure", "a.three": "success"},
                         done.stdout)

    def test_names_are_unique(self):
        done, report = self.conform(["a.one ok", "a.two ok", "a.one ok"])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("a.one came twice", report["targets"][0]["error"])

    def test_leaves_nothing_behind(self):
        (self.folder / "x86_64/conformance.elf").write_text("a.one hang\n")
        line = [sys.executable, str(RUNNER), "--images", str(self.folder), "--output", str(self.folder / "out"),
                self.target()]
        scratch = self.folder / "scratch"
        scratch.mkdir()
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=str(scratch))) as runner:
            mark = str(self.folder / "kernel.py")
            for _ in range(100):
                if self.started(mark):
                    break
                time.sleep(0.05)
            self.assertTrue(self.started(mark))
            runner.terminate()
            self.assertEqual(runner.wait(10), 143)
        self.assertEqual(list(scratch.iterdir()), [])
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

    def test_nothing_selected(self):
        none = self.target("none", 'skip = ["a.one"]')
        done, report = self.conform(["a.one ok"], targets=[none, self.target()])
        self.assertEqual((done.returncode, report["targets"][0]["cases"]), (0, []))
        done, _ = self.conform(["a.one ok"], targets=[none])
        self.assertEqual(done.returncode, 125)
        self.assertIn("no case has such a name", done.stdout)

    def test_two_targets(self):
        other = self.target("other", 'skip = ["a.two"]')
        _, report = self.conform(["a.one ok", "a.two fail"], targets=[self.target(), other])
        self.assertEqual(self.outcomes(report, 1), {"a.one": "success"})
        page = (self.folder / "out/report.html").read_text()
        self.assertIn("x86_64/other", page)
        self.assertNotIn("http", page)

    def test_bad_target_files(self):
        well = 'arch = "x86_64"\ncommand = ["x"]\n'
        for text, complaint in (('arch = "mips"\ncommand = ["x"]', "arch mips: should be"),
                                ('arch = "x86_64"', "command is missing"),
                                ('arch = "x86_64"\ncommand = "x"', "command: should be a list"),
                                ('arch = "x86_64"\ncommand = []', "command is empty"),
                                ('arch = "x86_64"\ncommand = ["x", 3]', "command: should be a list of texts"),
                                ('arch = "x86_64"\ncommand = ["x", "-m{mem}"]', "command: {mem}: there are {image}"),
                                (well + 'image = "tar"', "image tar: for x86_64 it should be one of elf"),
                                (well + 'image = "bin"', "image bin: for x86_64"),
                                (well + 'console = "tty"', "console tty"),
                                (well + 'console = "file:"', "console file:: should"),
                                (well + 'console = "file:/tmp/x"', "console file:/tmp/x: should"),
                                (well + 'cpus = true', "cpus: should be a number"),
                                (well + 'case_seconds = 0', "should be more than 0"),
                                (well + 'colour = 1', "colour: no such key"),
                                (well + 'files = { ".." = "x" }', "files: ..: should have no folder"),
                                (well + 'files = { stderr = "x" }', "files: stderr: should"),
                                (well + 'prepare = ["x"]', "prepare: should be a list"),
                                (well + 'prepare = [["x", "{x}"]]', "prepare: {x}: there are"),
                                ('arch = ', "Invalid value")):
            with self.assertRaises(targets.Refused) as caught:
                targets.read(self.target(text=text))
            self.assertIn(complaint, str(caught.exception))
        self.assertEqual(targets.read(self.target(text=well)).image, "elf")
        well = 'arch = "aarch64"\ncommand = ["sh", "-c", "echo ${x} {append}"]'
        self.assertEqual(targets.read(self.target(text=well)).image, "image")
        self.assertIn("Invalid value", self.refused(self.target(text="arch = ")))

    def test_bad_known_file(self):
        path = self.folder / "known.tsv"
        for text in ("x86_64/one a.two failure its own bug\n", "x\ty\tbroken\tz\n", "x\ty\tfailure\t \n"):
            path.write_text(text)
            with self.assertRaises(targets.Refused) as caught:
                verdicts.read_known(path)
            self.assertIn("known.tsv:1: ", str(caught.exception))

    def test_unknown_name(self):
        self.assertIn("nothing: no such target", self.refused("nothing"))


if __name__ == "__main__":
    unittest.main()
