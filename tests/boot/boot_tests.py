# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests: each drives ./dev run as a user would, and checks output, messages and exit status.

A test is a function of no arguments in TESTS; it fails by an exception. ./dev test boot --only TEXT
runs those with TEXT in their name.
"""
import re
import subprocess
import unittest

import guest
import hosted
import machine
import rig
from common import ROOT, build_preset
from rig import FACTS, NO_RUN, TIMEOUT, boot_test, check_equal, check_facts, check_ok, check_refused, \
    dev_run, directory


@boot_test
def one_cpu():
    check_facts(dev_run(command=[FACTS]), 1)


@boot_test
def four_cpus():
    check_facts(dev_run("--cpus", "4", command=[FACTS]), 4)


@boot_test
def four_cpus_on_one():
    check_facts(dev_run("--cpus", "4", "--host-cpus", "1", command=[FACTS]), 4)


@boot_test
def grub_bios():
    check_facts(dev_run("--boot", "grub", "--cpus", "2", command=[FACTS]), 2)


@boot_test
def disk_bios():
    """A boot sector of our own."""
    done = dev_run("--boot", "disk", "--cpus", "2", "--board-append", "stats=yes", command=[FACTS])
    check_facts(done, 2)
    log = (directory("disk_bios") / "hypercore.log").read_text()
    assert "vm debian: created " in log, log


@boot_test
def uefi():
    check_facts(dev_run("--boot", "uefi", "--cpus", "2", command=[FACTS]), 2)


@boot_test
def two_vms_on_two_cpus():
    rig.two_vms("--host-cpus", "3")


@boot_test
def two_vms_on_four_cpus():
    rig.two_vms("--host-cpus", "5")
    log = (directory("two_vms_on_four_cpus") / "hypercore.log").read_text()
    # The fifth is the boot CPU: see describe() of svm's probe.c.
    assert "backend svm runs guests on 4 CPUs" in log, log


@boot_test
def a_crash_leaves_the_other_vm_alone():
    rig.one_of_two_vms_crashes()


@boot_test
def memory_size():
    done = dev_run("--memory", "1G", command=["grep MemTotal /proc/meminfo"])
    check_ok(done)
    kilobytes = int(done.stdout.split()[1])
    assert 900 << 10 < kilobytes <= 1 << 20, done.stdout


@boot_test
def exit_status():
    check_equal(dev_run(command=["exit 7"]).returncode, 7, "status")


@boot_test
def exit_status_255():
    check_equal(dev_run(command=["exit 255"]).returncode, 255, "status")


@boot_test
def output_is_not_changed():
    check_ok(dev_run(command=[r"printf 'a\r\nb\n\001\377\000end'"]), b"a\r\nb\n\x01\xff\x00end")


@boot_test
def long_output():
    check_ok(dev_run(command=["seq 1 5000"]), b"".join(b"%d\n" % n for n in range(1, 5001)))


@boot_test
def arguments_are_not_changed():
    words = ["a  b", "$HOME", "it's", '"', "\\", "*"]
    check_ok(dev_run(command=["printf", r"%s\n", *words]), ("\n".join(words) + "\n").encode())


@boot_test
def time_passes():
    done = dev_run(command=["t() { cut -d. -f1 /proc/uptime; }; a=$(t); sleep 2; b=$(t); echo $((b - a))"])
    check_ok(done)
    assert int(done.stdout) in (2, 3), done.stdout


@boot_test
def files_and_processes():
    script = ("dd if=/dev/urandom of=/tmp/a bs=1M count=8 2>/dev/null; "
              "for i in 1 2 3 4; do (gzip -c /tmp/a | gunzip -c | cmp - /tmp/a && echo same) & done; wait")
    check_ok(dev_run("--cpus", "2", command=[script]), b"same\n" * 4)


@boot_test
def no_svm():
    check_refused(dev_run("--cpu-model", "qemu64,-svm"), "svm")


@boot_test
def no_nested_paging():
    check_refused(dev_run("--cpu-model", "qemu64,+svm,-npt"), "nested paging|npt")


@boot_test
def too_little_host_memory():
    check_refused(dev_run("--host-memory", "256M", "--memory", "512M"), "MiB", "512")


@boot_test
def too_little_guest_memory():
    check_refused(dev_run("--memory", "2M"), "memory|fit")


@boot_test
def silly_memory():
    check_refused(dev_run("--memory", "banana"), "memory", "banana")


@boot_test
def too_many_cpus():
    check_refused(dev_run("--cpus", "4096"), "cpu", "4096")


@boot_test
def no_cpus():
    check_refused(dev_run("--cpus", "0"), "cpu")


@boot_test
def overlong_command_line():
    check_refused(dev_run("--append", "x" * 4000), "append|command line")


@boot_test
def unknown_backend():
    done = subprocess.run(["./dev", "run", "--backend", "none-such", "--", "true"], cwd=ROOT,
                          capture_output=True)
    assert done.returncode != 0
    assert b"none-such" in done.stderr and b"svm" in done.stderr, done.stderr
    check_equal(len(done.stderr.splitlines()), 1, "lines")


@boot_test
def truncated_kernel():
    rig.bad_kernel("half", rig.half(guest.kernel()), "kernel|truncated")


@boot_test
def very_truncated_kernel():
    rig.bad_kernel("header", guest.kernel().read_bytes()[:0x210])


@boot_test
def not_a_kernel():
    rig.bad_kernel("text", rig.TEXT, command=None)


@boot_test
def an_elf_file_as_kernel():
    check_refused(dev_run("--kernel", str(guest.X86_64.folder / "busybox"), command=None), "elf|multiboot")


@boot_test
def an_empty_kernel():
    rig.bad_kernel("empty", b"", command=None)


@boot_test
def guest_without_root():
    """The guest panics for want of an init and resets: its VM stops and we are told."""
    path = directory("kernels") / "empty.cpio"
    path.write_bytes(b"\0" * 512)
    done = dev_run("--initrd", str(path), "--append", "panic=-1", command=["true"])
    check_equal(done.returncode, NO_RUN, "status")
    assert b"vm debian: " in done.stderr, done.stderr


@boot_test
def interactive_console():
    rig.console()


@boot_test
def interactive_console_by_a_cpu_without_guests():
    """What is typed arrives at the boot CPU, which sleeps while the others run the VM."""
    rig.console("--cpus", "2")


@boot_test
def leaving_by_ctrl_a_x():
    rig.leaving_by_ctrl_a_x()


# The software CPU, in a process and on the board.


@boot_test
def software_cpu_is_what_remains():
    done = dev_run("--backend", "auto", command=[FACTS])
    check_facts(done, 1)
    log = (directory("software_cpu_is_what_remains") / "hypercore.log").read_text()
    assert re.search(r"^hypercore: backend \w+: .*(measure|only)", log, re.M), log


@boot_test
def software_cpu_two():
    check_facts(dev_run("--backend", "emu", "--cpus", "2", command=[FACTS]), 2)


@boot_test
def software_cpu_four():
    check_facts(dev_run("--backend", "emu", "--cpus", "4", command=[FACTS]), 4)


@boot_test
def software_cpu_status_and_bytes():
    rig.status_and_bytes("--backend", "emu")


@boot_test
def software_cpu_console():
    rig.console("--backend", "emu")


@boot_test
def software_cpu_leaving_by_ctrl_a_x():
    rig.leaving_by_ctrl_a_x("--backend", "emu")


@boot_test
def software_cpu_on_a_board_without_svm():
    done = dev_run("--board", "--backend", "auto", "--cpu-model", "qemu64,-svm", "--append", "quiet",
                   command=["uname -m; nproc"], timeout=2 * TIMEOUT)
    check_ok(done, b"x86_64\n1\n")
    log = (directory("software_cpu_on_a_board_without_svm") / "hypercore.log").read_text()
    assert "backend svm: not usable: the CPU has no AMD-V" in log, log
    assert "backend emu runs guests" in log, log


@boot_test
def moves_between_svm_and_the_software_cpu():
    done = dev_run("--backend", "svm,emu", "--switch-every", "100ms", "--cpus", "2", "--stats",
                   "--append", "quiet", command=["uname -m; nproc"], timeout=2 * TIMEOUT)
    check_ok(done, b"x86_64\n2\n")
    log = (directory("moves_between_svm_and_the_software_cpu") / "hypercore.log").read_text()
    moves = re.findall(r"vm debian: .* (\d+) moves", log)
    assert moves and int(moves[-1]) >= 10, log


@boot_test
def moves_between_kvm_and_the_software_cpu():
    """A small guest of our own: KVM may be one without hardware extensions."""
    build_preset("board-x86_64", "bench-guest")
    build_preset(hosted.PRESET, "hypercore")
    caps = subprocess.run([hosted.binary(), "caps"], capture_output=True, text=True).stdout
    found = re.search(r"^backend kvm +(.*)$", caps, re.M).group(1)
    if not found.startswith("yes"):
        raise unittest.SkipTest(f"backend kvm: {found}")
    done = subprocess.run([hosted.binary(), "run", "--backend", "kvm,emu", "--switch-every", "2ms",
                           "--stats", "--kernel", machine.board_file("bench/guest/bench-guest.bin")],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    said = done.stderr.decode()
    check_equal(done.returncode, 0, f"status ({said})")
    moves = re.findall(r"vm guest: .* (\d+) moves", said)
    assert moves and int(moves[-1]) >= 4, said
