# SPDX-License-Identifier: BSD-2-Clause
"""The AArch64 machines that QEMU emulates: "virt", and "raspi4b" where QEMU has it. Their command lines,
with the board image on them or with nothing between."""
import functools
import pathlib
import re
import shutil
import subprocess

from common import ROOT, Failure, run_logged

QEMU = "qemu-system-aarch64"
FIRMWARE = pathlib.Path("/usr/share/AAVMF")
# virt has one serial port of its own, the raspi4b two.
SERIAL_CARD = "pci-serial-4x"
CARD_PORTS = 4
RASPI_MEMORY = 2048  # MiB: what the board has


@functools.cache
def has_machine(name):
    """Whether this QEMU emulates it."""
    if not shutil.which(QEMU):
        return False
    done = subprocess.run([QEMU, "-machine", "help"], capture_output=True, text=True)
    return bool(re.search(rf"^{name} ", done.stdout, re.MULTILINE))


def _machine_options(machine, cpus, memory, virtualization):
    if machine.emulator == "raspi4b":
        return ["-machine", "raspi4b", "-smp", "4", "-m", str(RASPI_MEMORY)]
    options = f"virt,gic-version={machine.gic or 3},virtualization={'on' if virtualization else 'off'}"
    # The firmware hands over ACPI tables or a device tree, not both.
    options += ",acpi=off" if machine.boot == "uefi-dt" else ""
    return ["-machine", options, "-cpu", machine.cpu, "-smp", str(cpus), "-m", str(memory)]


def _ports(machine, ports):
    """QEMU's options for the serial ports' other ends."""
    if machine.emulator == "raspi4b":
        return [word for port in ports[:2] for word in ("-serial", port)]
    words = ["-serial", ports[0]]
    if len(ports) == 1:
        return words
    card = SERIAL_CARD
    for number in range(CARD_PORTS):
        port = ports[number + 1] if number + 1 < len(ports) else "null"
        name = f"com{number + 2}"
        if port.startswith("file:"):
            words += ["-chardev", f"file,id={name},path={port.removeprefix('file:')}"]
        elif port.startswith("chardev:"):
            name = port.removeprefix("chardev:")
        else:
            words += ["-chardev", f"{port},id={name}"]
        card += f",chardev{number + 1}={name}"
    return [*words, "-device", card]


def _efi(machine, files, image):
    disk = machine.directory / "esp.img"
    run_logged([ROOT / "ci/mkesp", disk, image, *files],
               machine.directory / "mkesp.log", "making the EFI system partition")
    code, variables = FIRMWARE / "AAVMF_CODE.fd", machine.directory / "AAVMF_VARS.fd"
    if not code.exists():
        raise Failure("no UEFI firmware for arm64: install the package qemu-efi-aarch64", 125)
    shutil.copyfile(FIRMWARE / "AAVMF_VARS.fd", variables)
    flash = "if=pflash,format=raw,unit={},file={}{}"
    return ["-drive", flash.format(0, code, ",readonly=on"), "-drive", flash.format(1, variables, ""),
            "-drive", f"format=raw,file={disk},if=none,id=esp", "-device", "virtio-blk-pci,drive=esp"]


def _kernel(machine, files, image):
    bundle = machine.directory / "bundle.cpio"
    run_logged([ROOT / "ci/mkbundle", bundle, *files],
               machine.directory / "mkbundle.log", "packing the bundle")
    options = ["-kernel", str(image), "-initrd", str(bundle)]
    if machine.emulator == "raspi4b": # QEMU makes a device tree for "virt" alone
        tree = machine.directory / "raspi4b.dtb"
        run_logged(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", tree, ROOT / "ci/raspi4b.dts"],
                   machine.directory / "dtc.log", "compiling the device tree")
        options += ["-dtb", str(tree)]
    return options + (["-append", machine.board_append] if machine.board_append else [])


def command_line(machine, files, board_file, cpus, memory, ports):
    """The command that runs the machine with the board image on it. ports: the other ends of its serial
    ports, as QEMU's -serial takes them."""
    start_up = _kernel(machine, files, board_file("hypercore.img")) if machine.boot == "kernel" \
        else _efi(machine, files, board_file("hypercore.efi"))
    return [QEMU, "-accel", "tcg", *_machine_options(machine, cpus, memory, machine.virtualization),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            *start_up, *_ports(machine, ports), *machine.extra]


def bare_command_line(machine, kernel, initrd, append, memory, ports):
    """The same guest on the same machine with no hypervisor between, to compare with."""
    return [QEMU, "-accel", "tcg", *_machine_options(machine, machine.cpus, memory, True),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", str(kernel),
            *(["-initrd", str(initrd)] if initrd else []), "-append", append,
            *_ports(machine, ports), *machine.extra]
