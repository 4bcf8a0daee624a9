# SPDX-License-Identifier: BSD-2-Clause
"""arm64 Images on hypercore run: test_arm64.py PROGRAM. On the backend unicorn, which is skipped where
its module is not there: a console, an exit status, and what is refused."""
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None

# X0: the device tree. Prints the text behind it through the PL011, then its status is whether the
# tree's first word is a tree's: 7 if so, else 8.
HELLO = [
    0xb9400001,  # ldr  w1, [x0]
    0xd2a12002,  # mov  x2, #0x9000000
    0x100001e3,  # adr  x3, text
    0x38401464,  # ldrb w4, [x3], #1
    0x340000a4,  # cbz  w4, 2f
    0xb9401845,  # 3: ldr w5, [x2, #24]
    0x372fffe5,  # tbnz w5, #5, 3b
    0x39000044,  # strb w4, [x2]
    0x17fffffb,  # b    1b
    0xd2a120a2,  # 2: mov x2, #0x9050000
    0x529a01a6,  # mov  w6, #0xd00d
    0x5ac00821,  # rev  w1, w1
    0x6b4140df,  # cmp  w6, w1, lsr #16
    0x1a9f07e6,  # cset w6, ne
    0x11001cc6,  # add  w6, w6, #7
    0x39000046,  # strb w6, [x2]
    0x14000000,  # b    .
]
POWER_OFF = [
    0x52b08000,  # mov  w0, #0x84000000
    0x72800100,  # movk w0, #8
    0xd4000002,  # hvc  #0
]
MMU_ON = [
    0xd5381000,  # mrs  x0, sctlr_el1
    0xb2400000,  # orr  x0, x0, #1
    0xd5181000,  # msr  sctlr_el1, x0
    0xd5033fdf,  # isb
]
TO_EL0 = [
    0xd518401f,  # msr  spsr_el1, xzr
    0xd69f03e0,  # eret
]


def image(words, text=b""):
    code = struct.pack("<%dI" % len(words), *words) + text
    # booting.rst, section 4: a branch over the header, text_offset, image_size, flags
    header = struct.pack("<IIQQQQQQ4sI", 0x14000010, 0, 0, 0x1000, 0, 0, 0, 0, b"ARM\x64", 0)
    return header + code


class Arm64(unittest.TestCase):
    def run_image(self, data, *words):
        with tempfile.NamedTemporaryFile() as kernel:
            kernel.write(data)
            kernel.flush()
            return subprocess.run([PROGRAM, "run", "--memory", "32M", "--kernel", kernel.name, *words],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=20)

    def on_unicorn(self, data, *words):
        done = self.run_image(data, "--backend", "unicorn", *words)
        if b"backend unicorn: not there" in done.stderr:
            self.skipTest(done.stderr.decode().strip())
        return done

    def test_console_and_status(self):
        done = self.on_unicorn(image(HELLO, b"Hello, 8 bits: \xff\n\0"))
        self.assertEqual((done.returncode, done.stdout), (7, b"Hello, 8 bits: \xff\n"), done.stderr)

    def test_without_a_header(self):
        """As kvm-unit-tests' are: known by nothing, at their load address with the tree in X0."""
        program = struct.pack("<%dI" % len(HELLO), *HELLO) + b"Hello\n\0"
        done = self.on_unicorn(program)
        self.assertEqual((done.returncode, done.stdout), (7, b"Hello\n"), done.stderr)
        self.assertIn(b"taken for a program for arm64", done.stderr)

    def test_power_off(self):
        done = self.on_unicorn(image(POWER_OFF))
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)

    def test_refused(self):
        for words, says in ((MMU_ON, b"MMU is on"), (TO_EL0, b"user mode (EL0)")):
            done = self.on_unicorn(image(words))
            self.assertEqual(done.returncode, 125)
            self.assertIn(says, done.stderr)
        done = self.on_unicorn(image(POWER_OFF), "--cpus", "2")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"2 vCPUs", done.stderr)

    def test_backends_of_other_guests(self):
        done = self.run_image(image(POWER_OFF), "--backend", "emu")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"runs x86-64 guests, the kernel is for AArch64", done.stderr)
        done = self.run_image(image(POWER_OFF))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"--backend unicorn", done.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
