# SPDX-License-Identifier: BSD-2-Clause
"""Guests that do what no guest should, on the software CPU: test_bad_guests.py PROGRAM. Each ends its
VM with one line that says what it was, and the command with a status, never with a signal."""
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_cli  # its kernels

PROGRAM = None
FAILED, RESET = 125, 126


def jump_to(address):
    return b"\x48\xb8" + address.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, imm64; jmp rax


NO_IDT = b"\x48\x83\xec\x10\x66\xc7\x04\x24\0\0\x0f\x01\x1c\x24"  # lidt with limit 0
MOV_CR3 = b"\x0f\x22\xd8"


class BadGuests(unittest.TestCase):
    def run_code(self, code, *words, seconds=20):
        with tempfile.NamedTemporaryFile() as kernel:
            kernel.write(test_cli.image(code))
            kernel.flush()
            done = subprocess.run([PROGRAM, "run", "--backend", "emu", "--memory", "32M", "--kernel",
                                   kernel.name, *words], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=seconds, text=True)
        self.assertGreaterEqual(done.returncode, 0, done.stderr)
        return done

    def check(self, code, status, says):
        done = self.run_code(code)
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        self.assertEqual((done.returncode, len(errors)), (status, 1), done.stderr)
        self.assertRegex(errors[0], says)

    def test_triple_fault(self):
        self.check(NO_IDT + b"\x0f\x0b", RESET, "reset")

    def test_jump_into_device_memory(self):
        # The local APIC's page, and where nothing is; the start-up tables map the first 4 GiB.
        self.check(jump_to(0xfee00000), FAILED, r"vcpu 0: code at 0xfee00000")
        self.check(jump_to(0xd0000000), FAILED, r"vcpu 0: code at 0xd0000000")

    def test_jump_to_what_is_not_mapped(self):
        self.check(NO_IDT + jump_to(1 << 46), RESET, "reset")
        self.check(NO_IDT + jump_to(1 << 62), RESET, "reset")

    def test_page_tables_nowhere(self):
        # Its entries are all ones: a page fault, and the same for the IDT.
        self.check(b"\xb8\0\0\0\x60" + MOV_CR3 + b"\x90\xf4", RESET, "reset")

    def test_stack_where_nothing_is(self):
        done = self.run_code(b"\xbc\0\1\0\xd0\x50" + test_cli.POWER_OFF)  # mov esp, ...; push rax
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_vector_registers_and_a_device(self):
        enable = (b"\x0f\x20\xe0\x0d\x00\x06\x00\x00\x0f\x22\xe0")  # cr4 |= OSFXSR, OSXMMEXCPT
        address = b"\xb8\0\0\0\xd0"
        moves = b"\x0f\x11\x00\x0f\x10\x00"  # movups [rax], xmm0; movups xmm0, [rax]
        done = self.run_code(enable + address + moves + test_cli.POWER_OFF)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check(enable + address + b"\x0f\x58\x00", FAILED, "not emulated")  # addps xmm0, [rax]

    def test_rubbish(self):
        """Whatever it does, the process lives and ends when told to."""
        rubbish = random.Random(7)
        for _ in range(6):
            with tempfile.NamedTemporaryFile() as kernel:
                kernel.write(test_cli.image(rubbish.randbytes(4096)))
                kernel.flush()
                child = subprocess.Popen([PROGRAM, "run", "-b", "emu", "-m", "32M", "--kernel",
                                          kernel.name, "--serial", "null"], stderr=subprocess.PIPE,
                                         stdin=subprocess.DEVNULL, text=True)
                try:
                    said = child.communicate(timeout=0.3)[1]
                except subprocess.TimeoutExpired:
                    child.terminate()
                    said = child.communicate(timeout=10)[1]
                self.assertGreaterEqual(child.returncode, 0, said)
                self.assertRegex(said, re.compile("vm guest: "))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
