# SPDX-License-Identifier: BSD-2-Clause
"""A TSC of another rate than the machine's: a small guest of our own measures it by the ACPI timer, and
Linux believes what CPUID says. Where a backend cannot scale the TSC it says so."""
import re
import struct
import subprocess
import sys

import hosted
from common import ROOT, build_preset
from rig import TIMEOUT, boot_test, caller, check_equal, check_ok, dev_line, dev_run, directory, kvm_caps, on_bochs

sys.path.append(str(ROOT / "tests" / "linux"))
import test_cli  # noqa: E402

READ_TSC = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0"  # rdtsc; shl rdx, 32; or rax, rdx
TICKS = 894886  # of the ACPI timer, in a quarter of a second
FAIL = b"\x0f\x0b"  # ud2


def compare(hz):
    """Of a difference in RAX; the machine may be busy between two readings."""
    low, high = hz // 4 * 97 // 100, hz // 4 * 150 // 100
    tell = b"\xb8\x10\0\0\x40\x0f\xa2\x3d" + struct.pack("<I", hz // 1000)  # mov eax, 40000010h; cpuid; cmp
    end = b"\x75" + bytes([len(test_cli.POWER_OFF)]) + test_cli.POWER_OFF  # jne to FAIL
    end = tell + end
    end = b"\x48\xb9" + struct.pack("<Q", high) + b"\x48\x39\xc8\x77" + bytes([len(end)]) + end
    return b"\x48\xb9" + struct.pack("<Q", low) + b"\x48\x39\xc8\x72" + bytes([len(end)]) + end + FAIL


def kernel(hz):
    """mov edx, 608h; in eax, dx; mov ebx, eax; (TSC); mov rsi, rax; mov edx, 608h; 1: in eax, dx;
    sub eax, ebx; and eax, ffffffh; cmp eax, TICKS; jb 1b; (TSC); sub rax, rsi"""
    code = (b"\xba\x08\x06\0\0\xed\x89\xc3" + READ_TSC + b"\x48\x89\xc6\xba\x08\x06\0\0"
            b"\xed\x29\xd8\x25\xff\xff\xff\0\x3d" + struct.pack("<I", TICKS) + b"\x72\xf1" + READ_TSC +
            b"\x48\x29\xf0" + compare(hz))
    path = directory("tsc") / f"bzImage-{hz}"
    path.write_bytes(test_cli.image(code))
    return str(path)


def on_board(*options, hz, rate=None):
    line = dev_line(caller(), *options, "--kernel", kernel(hz), "--initrd", "none", "--memory", "64M",
                    *(["--tsc-hz", str(rate)] if rate else []), "--timeout", str(TIMEOUT))
    return subprocess.run(line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)


def in_a_process(backend, hz, rate=None):
    build_preset(hosted.PRESET, "hypercore")
    return subprocess.run([hosted.binary(), "run", "--backend", backend, "--memory", "64M", "--kernel",
                           kernel(hz), *(["--tsc-hz", str(rate)] if rate else [])],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)


def check_status(done, wanted):
    check_equal(done.returncode == 0, wanted, f"success ({done.returncode}: {done.stderr.decode()})")


@on_bochs
def tsc_rate_vmx():
    check_status(on_board("--backend", "vmx", hz=2500000000, rate=2500000000), True)
    check_status(on_board("--backend", "vmx", hz=2500000000), False)


@on_bochs
def tsc_rate_vmx_without_scaling():
    done = on_board("--backend", "vmx", "--cpu-model", "corei5_lynnfield_750", hz=2500000000, rate=2500000000)
    check_status(done, False)
    assert b"vmx: this CPU cannot scale the TSC" in done.stderr, done.stderr


@boot_test
def tsc_rate_svm_without_scaling():
    done = on_board("--backend", "svm", hz=2500000000, rate=2500000000)
    check_status(done, False)
    assert b"svm: this CPU cannot scale the TSC" in done.stderr, done.stderr


@boot_test
def tsc_rate_el2():
    done = dev_run("--backend", "el2", "--tsc-hz", "2500000000", command=["true"])
    assert done.returncode != 0 and b"a counter of the machine's rate, and no TSC" in done.stderr, done


@boot_test
def tsc_rate_software_cpu():
    check_status(on_board("--board", "--backend", "emu", hz=2500000000, rate=2500000000), True)
    check_status(in_a_process("emu", hz=700001000, rate=700001000), True)
    check_status(in_a_process("emu", hz=700001000, rate=350000000), False)


@boot_test
def tsc_rate_kvm():
    caps = kvm_caps()
    done = in_a_process("kvm", hz=700001000, rate=700001000)
    if re.search(r"^ *TSC_CONTROL +no", caps, re.M):
        check_equal(done.returncode, 125, f"status ({done.stderr.decode()})")
        assert b"kvm: this host cannot scale the TSC" in done.stderr, done.stderr
    else:
        check_status(done, True)


@boot_test
def tsc_rate_of_linux():
    """The software CPU calls itself AMD's or Intel's as the host does: Linux asks CPUID or measures."""
    done = dev_run("--backend", "emu", "--tsc-hz", "1000000000", timeout=2 * TIMEOUT,
                   command=["dmesg | sed -n 's/.*tsc: Detected \\([0-9]*\\)[.].* MHz processor.*/\\1/p'"])
    check_ok(done)
    assert 995 <= int(done.stdout) <= 1005, done.stdout
