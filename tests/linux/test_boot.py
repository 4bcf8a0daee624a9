# SPDX-License-Identifier: BSD-2-Clause
"""Kernels that are not Linux on hypercore run, with the software CPU: test_boot.py PROGRAM FOLDER,
where the kernels of tests/guests are."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = FOLDER = None
MAP = ["memory base=0 size=9fc00 type=1", "memory base=9fc00 size=400 type=2",
       "memory base=e0000 size=20000 type=2", "memory base=100000 size=1f00000 type=1"]


class Boot(unittest.TestCase):
    def run_kernel(self, name, *words, append=None):
        line = [PROGRAM, "run", "-q", "--backend", "emu", "--memory", "32M", "--kernel",
                os.path.join(FOLDER, name), *words]
        if append is not None:
            line += ["--append", append]
        return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def lines(self, done, status=0):
        self.assertEqual((done.returncode, done.stderr), (status, b""))
        return done.stdout.decode().splitlines()

    def test_multiboot(self):
        for name in ("boot-multiboot", "boot-both", "boot-addresses.bin"):
            lines = self.lines(self.run_kernel(name, append="  two  words cpus=1 "))
            self.assertEqual(lines[0], "multiboot flags=24d lower=27f upper=7c00", name)
            self.assertEqual(lines[1:5], MAP)
            self.assertEqual(lines[5:], ["cmdline=[  two  words cpus=1 ]", "cpus value=1"])

    def test_pvh(self):
        lines = self.lines(self.run_kernel("boot-pvh", append="a=b"))
        self.assertEqual(lines[0], "pvh magic=336ec578 version=1 flags=0 rsdp=1")
        self.assertEqual(lines[1:5], MAP)
        self.assertEqual(lines[5:], ["cmdline=[a=b]", "cpus value=1"])

    def test_no_command_line(self):
        for name in ("boot-multiboot", "boot-pvh"):
            self.assertIn("cmdline=[]", self.lines(self.run_kernel(name)))

    def test_long_command_line(self):
        text = "x" * 100000
        for name in ("boot-multiboot", "boot-pvh"):
            self.assertIn(f"cmdline=[{text}]", self.lines(self.run_kernel(name, append=text)))

    def test_module(self):
        data = bytes(n * 7 % 256 for n in range(5000))
        total = 0
        for byte in data:
            total = (total * 31 + byte) & 0xFFFFFFFF
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            for name in ("boot-multiboot", "boot-addresses.bin", "boot-pvh"):
                lines = self.lines(self.run_kernel(name, "--initrd", file.name))
                self.assertEqual(lines[1], f"module size=1388 sum={total:x} behind=1 name={file.name}")

    def test_as_many_cpus_as_asked_for(self):
        for cpus in (2, 5):
            done = self.run_kernel("boot-multiboot", "--cpus", str(cpus), append=f"cpus={cpus}")
            self.assertEqual(self.lines(done)[-1], f"cpus value={cpus}")

    def test_exit_port(self):
        for name in ("boot-multiboot", "boot-pvh"):
            self.lines(self.run_kernel(name, append="exit8=7"), 7)

    def test_debug_exit(self):
        device = ("--device", "isa-debug-exit,iobase=0xf4,iosize=4")
        for value, status in ((0, 1), (5, 11), (200, 145)):
            self.lines(self.run_kernel("boot-pvh", *device, append=f"exit32={value}"), status)
            self.lines(self.run_kernel("boot-multiboot", *device, append=f"exit8={value}"), status)

    def test_shutdown(self):
        self.lines(self.run_kernel("boot-multiboot", append="shutdown"))

    def test_test_device(self):
        lines = self.lines(self.run_kernel("boot-pvh", "--device", "testdev", append="testdev"))
        self.assertEqual(lines[-6:], [
            "port32 value=1234ab78", "port16 value=1234", "port8 value=ab", "line5 value=20",
            "line5 value=0", "memory value=feedface"])

    def test_wrong_devices(self):
        for word in ("foo", "testdev,x", "isa-debug-exit,iobase=0x1ffff"):
            done = self.run_kernel("boot-pvh", "--device", word)
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(b"--device " + word.encode(), done.stderr)
        done = self.run_kernel("boot-pvh", "--device", "isa-debug-exit,iobase=0x3f8")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"overlaps", done.stderr)

    def test_refused(self):
        """What is wrong is named, whatever is left of the file."""
        for name in ("boot-both", "boot-pvh", "boot-addresses.bin"):
            with open(os.path.join(FOLDER, name), "rb") as file:
                whole = file.read()
            for size in filter(len(whole).__gt__, (0, 3, 40, 60, 200, 4100, 0x1000 + 500)):
                with tempfile.NamedTemporaryFile() as file:
                    file.write(whole[:size])
                    file.flush()
                    done = self.run_kernel(file.name)
                    self.assertEqual((done.returncode, done.stdout), (125, b""), (name, size))
                    self.assertTrue(re.search(rb"vm guest: .*(kernel|segment)|--kernel", done.stderr),
                                    done.stderr)


if __name__ == "__main__":
    FOLDER = sys.argv.pop()
    PROGRAM = sys.argv.pop()
    unittest.main()
