# SPDX-License-Identifier: BSD-2-Clause
"""Installs into a scratch folder and uses what is there as others do: test_install.py BUILD
[COMPILER [FLAG...]]."""
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import test_cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, COMPILER, FLAGS = None, "cc", []


def output(*command, **env):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env={**os.environ, **env}, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("pkg-config"):
            raise unittest.SkipTest("pkg-config is not installed")
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.prefix = pathlib.Path(cls.directory.name, "usr")
        output("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.lib = next(cls.prefix.rglob("libhypercore.a")).parent
        cls.kernel = pathlib.Path(cls.directory.name, "kernel")
        cls.kernel.write_bytes(test_cli.image(test_cli.say(b"hello\n") + test_cli.POWER_OFF))

    def pkg_config(self, *words):
        return output("pkg-config", *words, "hypercore",
                      PKG_CONFIG_PATH=str(self.lib / "pkgconfig")).split()

    def build(self, *libraries):
        program = pathlib.Path(self.directory.name, "embed")
        output(COMPILER, "-Wall", "-Wextra", "-Werror", *FLAGS, "-o", program,
               ROOT / "examples/embed.c", *self.pkg_config("--cflags"), *libraries)
        return program

    def check_run(self, program):
        out = output(program, self.kernel, LD_LIBRARY_PATH=str(self.lib))
        self.assertRegex(out, r"^hello\n\w+: guest powered off\n$")

    def test_shared(self):
        program = self.build(*self.pkg_config("--libs"))
        self.assertIn("libhypercore.so.0", output("readelf", "-d", program))
        self.check_run(program)

    def test_static(self):
        self.check_run(self.build(self.lib / "libhypercore.a", "-lfdt", "-pthread"))

    def test_exported_names(self):
        names = output("nm", "-D", "--defined-only", self.lib / "libhypercore.so").split("\n")
        names = {line.split()[-1] for line in names if line.split()}
        declared = set(re.findall(r"HYPERCORE_API [^;]*?\b(hypercore_\w+)\(",
                                  (ROOT / "include/hypercore/hypercore.h").read_text()))
        self.assertEqual({name for name in names if not name.startswith("__")}, declared)

    def test_header_stands_alone(self):
        for language in ("c", "c++"):
            if subprocess.run([COMPILER, "-x", language, "-fsyntax-only", "/dev/null"],
                              capture_output=True, timeout=60).returncode:
                continue  # gcc without g++
            output(COMPILER, "-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                   *self.pkg_config("--cflags"), self.prefix / "include/hypercore/hypercore.h",
                   "-Wno-pragma-once-outside-header")

    def test_example_is_short(self):
        self.assertLessEqual(len((ROOT / "examples/embed.c").read_text().splitlines()), 40)

    def test_command(self):
        out = output(self.prefix / "bin/hypercore", "run", "-q", "--backend", "emu",
                     "--kernel", self.kernel)
        self.assertEqual(out, "hello\n")

    def test_manual_has_every_option(self):
        manual = next(self.prefix.rglob("hypercore.1")).read_text().replace("\\-", "-")
        script = next(pathlib.Path(p) for p in glob.glob(
            f"{self.prefix}/share/bash-completion/completions/hypercore")).read_text()
        shown = "".join(output(self.prefix / "bin/hypercore", command, "--help")
                        for command in ("run", "conform"))
        for option in re.findall(r"--[a-z-]+", shown):
            self.assertIn(option, manual)
            self.assertIn(option, script)

    def test_conform_finds_its_parts(self):
        shown = output(self.prefix / "bin/hypercore", "conform", "--targets")
        self.assertRegex(shown, r"(?m)^x86_64/emu +yes ")

    def test_completion(self):
        script = self.prefix / "share/bash-completion/completions/hypercore"
        path = f"{self.prefix}/bin:{os.environ['PATH']}"
        for line, wanted in (("hypercore ru", "run"), ("hypercore run --ke", "--kernel"),
                             ("hypercore run --backend em", "emu"),
                             ("hypercore run --serial p", "pty"),
                             ("hypercore conform --kn", "--known")):
            words = line.split()
            out = output("bash", "-c", f"source {script}; COMP_WORDS=({' '.join(words)}); "
                         f"COMP_CWORD={len(words) - 1}; _hypercore; echo \"${{COMPREPLY[@]}}\"",
                         PATH=path)
            self.assertEqual(out.split(), [wanted])


if __name__ == "__main__":
    BUILD = sys.argv[1]
    COMPILER, FLAGS = (sys.argv[2:3] or [COMPILER])[0], sys.argv[3:]
    unittest.main(argv=sys.argv[:1])
