# SPDX-License-Identifier: BSD-2-Clause
"""The dirty log on every backend: a small guest of our own writes a known number of pages, then one of
them again and again for a quarter of a second, and what --dirty-stats says of it."""
import re
import struct
import subprocess
import sys

import hosted
import rig
from common import ROOT, build_preset
from rig import TIMEOUT, boot_test, caller, check_equal, dev_line, directory, kvm_caps, on_bochs

sys.path.append(str(ROOT / "tests" / "linux"))
import test_arm64  # noqa: E402
import test_cli  # noqa: E402

PAGES = 700  # more than a CPU with page-modification logging can list at once
FEW = 8  # pages at most that are written besides: the guest's tables, whose flags the CPU sets
PERIOD = "50ms"

# sti (Bochs 2.7 does not end a guest for an interrupt of the machine while its IF is clear);
# mov edi, 32 MiB; mov ecx, PAGES; 1: mov byte [rdi], 1; add rdi, 1000h; dec ecx; jnz 1b
WRITES = (b"\xfb\xbf\0\0\0\x02\xb9" + struct.pack("<I", PAGES) +
          b"\xc6\x07\x01\x48\x81\xc7\0\x10\0\0\xff\xc9\x75\xf2")
# mov edx, 608h (the ACPI timer); in eax, dx; mov ebx, eax; 1: mov byte [32 MiB], 1; in eax, dx;
# sub eax, ebx; and eax, ffffffh; cmp eax, 894886; jb 1b
WRITES_ON = (b"\xba\x08\x06\0\0\xed\x89\xc3\xc6\x04\x25\0\0\0\x02\x01\xed\x29\xd8\x25\xff\xff\xff\0\x3d" +
             struct.pack("<I", 894886) + b"\x72\xe9")

ARM64 = [
    0xd2a84001,  # mov  x1, #0x42000000
    0xd2800002 | PAGES << 5,  # mov x2, #PAGES
    0x39000022,  # 1: strb w2, [x1]
    0x91400421,  # add  x1, x1, #0x1000
    0xf1000442,  # subs x2, x2, #1
    0x54ffffa1,  # b.ne 1b
    0xd53be003,  # mrs  x3, cntfrq_el0
    0xd342fc63,  # lsr  x3, x3, #2
    0xd53be044,  # mrs  x4, cntvct_el0
    0xd2a84001,  # mov  x1, #0x42000000
    0x39000022,  # 1: strb w2, [x1]
    0xd53be045,  # mrs  x5, cntvct_el0
    0xcb0400a5,  # sub  x5, x5, x4
    0xeb0300bf,  # cmp  x5, x3
    0x54ffff83,  # b.lo 1b
    *test_arm64.POWER_OFF,
]


def kernel(arm64=False):
    path = directory("dirty") / ("Image" if arm64 else "bzImage")
    path.write_bytes(test_arm64.image(ARM64) if arm64 else
                     test_cli.image(WRITES + WRITES_ON + test_cli.POWER_OFF))
    return str(path)


def check_numbers(said):
    found = re.search(r"vm \w+: wrote (\d+) KiB of its memory in (\d+) periods of 50 ms: (\d+) KiB at least, "
                      r"(\d+) on average, (\d+) at most", said)
    assert found, said
    pages, least, most = (int(found.group(n)) / 4 for n in (1, 3, 5))
    assert int(found.group(2)) >= 3, said
    assert PAGES <= pages <= PAGES + FEW, said
    assert least <= FEW and most <= PAGES + FEW, said
    # On a busy machine they may take several periods, but each page is in one; and the one that the guest
    # goes on with is in others.
    each = [int(line) / 4 for line in re.findall(r": wrote (\d+) KiB in \d+ ms", said)]
    assert sum(each) >= PAGES + 2 and sum(each) <= PAGES + len(each) * FEW, said


def on_board(*options, arm64=False):
    line = dev_line(caller(), *options, "--kernel", kernel(arm64), "--initrd", "none", "--memory", "64M",
                    "--stats", "--dirty-stats", PERIOD, "--timeout", str(TIMEOUT))
    done = subprocess.run(line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)
    check_equal(done.returncode, 0, f"status ({done.stderr.decode()})")
    log = (directory(caller()) / "hypercore.log").read_text()
    check_numbers(log)
    return log


def in_a_process(backend):
    build_preset(hosted.PRESET, "hypercore")
    done = subprocess.run([hosted.binary(), "run", "--backend", backend, "--memory", "64M", "--stats",
                           "--dirty-stats", PERIOD, "--kernel", kernel()],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    check_equal(done.returncode, 0, f"status ({done.stderr.decode()})")
    check_numbers(done.stderr.decode())


@boot_test
def dirty_pages_svm():
    on_board("--backend", "svm")


@boot_test
def dirty_pages_svm_and_the_software_cpu():
    on_board("--backend", "svm,emu", "--switch-every", "20ms")


@on_bochs
def dirty_pages_vmx():
    log = on_board("--backend", "vmx")
    assert re.search(r"^hypercore: backend vmx: .*, page log,", log, re.M), log
    found = re.search(r"vm debian: log +(\d+) exits", log)
    assert found and int(found.group(1)) == PAGES // 512, log


@on_bochs
def dirty_pages_vmx_by_write_protection():
    """A CPU without accessed and dirty flags."""
    on_board("--backend", "vmx", "--cpu-model", "corei5_lynnfield_750")


@boot_test
def dirty_pages_el2():
    on_board("--backend", "el2", arm64=True)


@boot_test
def dirty_pages_el2_without_vhe():
    on_board("--backend", "el2", "--cpu-model", "cortex-a57", "--gic", "2", arm64=True)


@boot_test
def dirty_pages_software_cpu():
    in_a_process("emu")


@boot_test
def dirty_pages_kvm():
    kvm_caps()
    in_a_process("kvm")
    in_a_process("kvm,emu")
