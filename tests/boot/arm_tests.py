# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests on AArch64 machines: EL2 with and without VHE, both interrupt controllers, every way to
start."""
import re
import subprocess
import unittest

import arm
import guest
import machine as machines
import rig
import run
from rig import FACTS, boot_test, caller, check_equal, check_facts, check_ok, check_refused, dev_run, directory

EL2 = ("--backend", "el2")
WITHOUT_VHE = ("--cpu-model", "cortex-a57")


def el2_run(*options, command=("true",)):
    return dev_run(*EL2, *options, command=command, name=caller())


def check_arm(cpus, *options):
    done = dev_run(*EL2, "--cpus", str(cpus), *options,
                   command=[f"uname -m; {FACTS}"], name=caller())
    check_ok(done)
    check_equal(done.stdout.splitlines()[0], b"aarch64", "machine")
    done.stdout = done.stdout.partition(b"\n")[2]
    check_facts(done, cpus, guest.AARCH64)


@boot_test
def arm_one_cpu():
    check_arm(1)


@boot_test
def arm_four_cpus():
    check_arm(4)


@boot_test
def arm_four_cpus_on_one():
    check_arm(4, "--host-cpus", "1")


@boot_test
def arm_gicv2():
    check_arm(2, "--gic", "2")


@boot_test
def arm_without_vhe():
    check_arm(2, *WITHOUT_VHE)


@boot_test
def arm_without_vhe_gicv2():
    check_arm(4, "--gic", "2", *WITHOUT_VHE)


@boot_test
def arm_uefi():
    check_arm(2, "--boot", "uefi")


@boot_test
def arm_uefi_gicv2_without_vhe():
    check_arm(1, "--boot", "uefi", "--gic", "2", *WITHOUT_VHE)


@boot_test
def arm_uefi_with_a_device_tree():
    check_arm(2, "--boot", "uefi-dt")


@boot_test
def arm_without_psci():
    """The raspi4b's CPUs wait at a spin table."""
    if not arm.has_machine("raspi4b"):
        raise unittest.SkipTest("this QEMU has no raspi4b (it comes with QEMU 9)")
    check_arm(2, "--machine", "raspi4b")


@boot_test
def arm_two_vms():
    rig.two_vms(*EL2, "--host-cpus", "2")


@boot_test
def arm_a_crash_leaves_the_other_vm_alone():
    rig.one_of_two_vms_crashes(*EL2)


@boot_test
def arm_exit_status_and_bytes():
    rig.status_and_bytes(*EL2)


@boot_test
def arm_files_and_processes():
    """Floating-point registers are switched, and time passes."""
    script = ("a=$(cut -d. -f1 /proc/uptime); awk 'BEGIN { for (i = 0; i < 300000; i++) s += 1 / (i + 1); "
              "printf \"%.9f\\n\", s }' & awk 'BEGIN { for (i = 0; i < 300000; i++) s += 1 / (i + 1); "
              "printf \"%.9f\\n\", s }'; wait; sleep 2; b=$(cut -d. -f1 /proc/uptime); "
              "[ $((b - a)) -ge 2 ] && echo passed")
    check_ok(el2_run("--cpus", "2", "--host-cpus", "1", command=[script]),
             b"13.188755085\n" * 2 + b"passed\n")


@boot_test
def arm_console():
    rig.console(*EL2)


@boot_test
def arm_console_gicv2():
    rig.console(*EL2, "--gic", "2", "--cpus", "2", *WITHOUT_VHE)


@boot_test
def arm_leaving_by_ctrl_a_x():
    rig.leaving_by_ctrl_a_x(*EL2)


@boot_test
def arm_entered_at_el1():
    check_refused(el2_run("--no-virtualization"), "EL1", "EL2")


@boot_test
def arm_entered_at_el1_by_uefi():
    check_refused(el2_run("--no-virtualization", "--boot", "uefi"), "EL1", "EL2")


@boot_test
def arm_not_a_kernel():
    rig.bad_kernel("arm-text", rig.TEXT, options=EL2, command=None)


@boot_test
def arm_kernel_of_a_pc():
    check_refused(el2_run("--kernel", str(guest.kernel())))


@boot_test
def arm_truncated_kernel():
    rig.bad_kernel("arm-half", rig.half(guest.kernel(guest.AARCH64)), "kernel|truncated", options=EL2)


@boot_test
def arm_too_little_guest_memory():
    check_refused(el2_run("--memory", "16M"), "memory|fit")


def tree_with(name, change, *options):
    """The machine's own device tree, changed by a function of its source; compiled."""
    where = directory(name)
    blob, source = where / "virt.dtb", where / "virt.dts"
    subprocess.run([arm.QEMU, "-machine", f"virt,virtualization=on,gic-version=3,dumpdtb={blob}",
                    "-cpu", "cortex-a57", "-m", "768", *options], check=True, capture_output=True)
    subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", "-o", source, blob], check=True)
    text = source.read_text()
    assert change(text) != text, "the tree has not got what is to be changed"
    source.write_text(change(text))
    subprocess.run(["dtc", "-q", "-f", "-I", "dts", "-O", "dtb", "-p", "4096", "-o", blob, source], check=True)
    return blob


def verdict_with_tree(name, blob, virtualization=True, cpus=1):
    machine = machines.Machine(directory=directory(name), backend="el2", emulator="virt", boot="kernel",
                               command=["true"], host_memory="768M", virtualization=virtualization,
                               host_cpus=cpus, extra=("-dtb", str(blob)))
    _, _, expired = run.execute(machines.command_line(machine), machine, timeout=30)
    assert not expired, "it did not end"
    return machines.read_verdict(machine.log)


def run_with_tree(name, blob, virtualization=True):
    verdict = verdict_with_tree(name, blob, virtualization)
    # At EL1 there is no log, only the line that says why.
    assert verdict.ended == virtualization and not verdict.ok, "it did not end as one that failed"
    return "\n".join(verdict.errors)


def check_tree_refused(name, change, *words, virtualization=True):
    said = run_with_tree(name, tree_with(name, change), virtualization)
    for word in words:
        assert re.search(word, said), f"{said!r} does not say {word}"
    assert "panic" not in said, said


@boot_test
def arm_tree_without_gic():
    check_tree_refused("arm_tree_without_gic",
                       lambda text: text.replace("arm,gic-v3\"", "arm,gic-none\""), "interrupt controller|intc|gic")


@boot_test
def arm_tree_with_a_device_in_memory():
    """QEMU writes the nodes of memory anew: the other side of an overlap has to lie."""
    check_tree_refused("arm_tree_with_a_device_in_memory", lambda text: text.replace(
        "reg = <0x00 0x9010000 0x00 0x1000>", "reg = <0x00 0x48000000 0x00 0x1000>"),
        "/pl031@9010000", "memory")


@boot_test
def arm_tree_of_a_machine_without_el2():
    """Its timer has three interrupts: none of EL2's, which the tree's reader wants."""
    check_tree_refused("arm_tree_of_a_machine_without_el2", lambda text: re.sub(
        r"(interrupts = <0x01 0x0d \w+ 0x01 0x0e \w+ 0x01 0x0b \w+) 0x01 0x0a \w+>", r"\1>", text),
        "EL1", virtualization=False)


@boot_test
def arm_tree_with_a_spin_table_in_memory():
    """The CPU of the table is left out; nothing is written to what may be anyone's."""
    name = "arm_tree_with_a_spin_table_in_memory"
    blob = tree_with(name, lambda text: re.sub(r"(cpu@1 {[^}]*enable-method = )\"psci\";",
                                               r'\1"spin-table"; cpu-release-addr = <0x00 0x60000000>;', text),
                     "-smp", "2")
    verdict = verdict_with_tree(name, blob, cpus=2)
    assert verdict.ended and verdict.ok, verdict.errors
    assert re.search("spin table.*0x60000000", "\n".join(verdict.errors)), verdict.errors
