# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of kernels that are not Linux: those of tests/guests, and a program for arm64."""
import re
import struct
import subprocess

import hosted
from common import ROOT, build_preset
from rig import TIMEOUT, boot_test, check_equal, dev_line, directory, on_bochs

EXIT = ("--device", "isa-debug-exit,iobase=0xf4,iosize=4")
# Prints the text behind it on the PL011, then ends by PSCI's SYSTEM_OFF.
PROGRAM = [
    0xd2a12002,  # mov  x2, #0x9000000
    0x10000103,  # adr  x3, text
    0x38401464,  # 1: ldrb w4, [x3], #1
    0x34000064,  # cbz  w4, 2f
    0x39000044,  # strb w4, [x2]
    0x17fffffd,  # b    1b
    0x52b08000,  # 2: mov w0, #0x84000000
    0x72800100,  # movk w0, #8
    0xd4000002,  # hvc  #0
]


def run_kernel(name, kernel, *options):
    """./dev run with it and no command; what it said on its console, and its status."""
    line = [*dev_line(name, "--kernel", str(kernel), *options), "--timeout", str(TIMEOUT)]
    return subprocess.run(line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)


def kernel(name):
    build_preset(hosted.PRESET, name)
    return ROOT / "build" / hosted.PRESET / "tests/guests" / name


def check_kernel(name, which, first, *options):
    done = run_kernel(name, kernel(which), "--cpus", "3", "--memory", "64M", *EXIT,
                      "--append", " cpus=3  exit32=5 ", *options)
    check_equal(done.returncode, 11, f"status ({done.stderr.decode()})")
    lines = done.stdout.decode().splitlines()
    assert re.match(first, lines[0]), lines
    check_equal(lines[-2:], ["cmdline=[ cpus=3  exit32=5 ]", "cpus value=3"], "the last lines")
    check_equal(done.stdout.count(b"\r"), 0, "number of characters that it did not write")


@boot_test
def kernel_multiboot():
    check_kernel("kernel_multiboot", "boot-multiboot", "multiboot flags=24d lower=27f upper=fc00$")


@boot_test
def kernel_pvh():
    check_kernel("kernel_pvh", "boot-pvh", "pvh magic=336ec578 version=1 flags=0 rsdp=1$")


@boot_test
def kernel_module():
    """By ./dev run's own means: no initrd of Linux', and one that is given."""
    for options, count in (((), 0), (("--initrd", "LICENSE"), 1)):
        done = run_kernel("kernel_module", kernel("boot-both"), "--append", "shutdown", *options)
        check_equal(done.returncode, 0, f"status ({done.stderr.decode()})")
        check_equal(done.stdout.count(b"module size="), count, "number of modules")


@boot_test
def kernel_test_device():
    done = run_kernel("kernel_test_device", kernel("boot-both"), "--append", "testdev", "--device", "testdev")
    check_equal((done.returncode, done.stdout.splitlines()[-2:]),
                (0, [b"line5 value=0", b"memory value=feedface"]), "status and output")


@on_bochs
def kernel_bochs_vmx():
    check_kernel("kernel_bochs_vmx", "boot-both", "multiboot ", "--backend", "vmx")
    check_kernel("kernel_bochs_vmx", "boot-pvh", "pvh ", "--backend", "vmx")


@boot_test
def kernel_arm_program():
    path = directory("kernel_arm_program") / "program.flat"
    path.write_bytes(struct.pack(f"<{len(PROGRAM)}I", *PROGRAM) + b"Hello\n\0")
    done = run_kernel("kernel_arm_program", path, "--backend", "el2", "--memory", "64M")
    check_equal((done.returncode, done.stdout), (0, b"Hello\n"), f"status and output ({done.stderr.decode()})")


@boot_test
def kernel_refused():
    path = directory("kernel_refused") / "half.elf"
    path.write_bytes(kernel("boot-pvh").read_bytes()[:4100])
    done = run_kernel("kernel_refused", path)
    check_equal((done.returncode, done.stdout), (125, b""), "status and output")
    assert b"truncated: program header" in done.stderr, done.stderr
