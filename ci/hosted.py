# SPDX-License-Identifier: BSD-2-Clause
"""The guest on the hypercore command: files, its command line, and what its end means."""
import dataclasses
import pathlib
import re

import guest
import machine
from common import BUILD, ROOT, build_preset

PRESET = "hosted-release"
BACKENDS = ("auto", "emu", "kvm")


def runs(backend):
    """Whether the hypercore command has this backend, or each of these."""
    return all(name in BACKENDS for name in backend.split(","))


@dataclasses.dataclass
class Process:
    """What to run. The log is the hypervisor's; a command's guest has its console beside it."""
    directory: pathlib.Path
    backend: str = "auto"
    cpus: str = "1"
    memory: str = "512M"
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    switch_every: str = ""
    dirty_stats: str = ""
    tsc_hz: str = ""
    stats: bool = False
    quiet: bool = False
    command: list = None  # None: interactive
    serials: tuple = ()  # where ttyS0 and ttyS1 go, if not the usual places
    plain: bool = False  # not Debian: nothing is added to the command line or as initrd
    devices: tuple = ()  # as hypercore run's --device

    @property
    def log(self):
        return self.directory / "hypercore.log"

    @property
    def console(self):
        return self.directory / "console.log"


def _serials(process):
    if process.serials:
        return process.serials
    if process.command is None or process.plain:
        return ("stdio",)
    return f"file:{process.console}", "stdio"


def _initrd(process):
    if not machine.has_initrd(process):
        return []
    if not process.command:
        return ["--initrd", process.initrd or str(guest.initramfs())]
    path = machine.copy(process.initrd or guest.initramfs(), process.directory / "initrd.img")
    with open(path, "ab") as out:
        out.write(guest.command_archive(process.command))
    return ["--initrd", str(path)]


def binary():
    return BUILD / PRESET / "hypercore"


def command_line(process):
    """Makes all files and gives the command."""
    build_preset(PRESET, "hypercore")
    process.directory.mkdir(parents=True, exist_ok=True)
    line = [str(binary()), "run", "--name", machine.guest_name(process), "--backend", process.backend,
            "--cpus", process.cpus, "--memory", process.memory,
            "--kernel", process.kernel or str(guest.kernel()), *_initrd(process),
            "--append", machine.guest_append(process, "debian")]
    for device in process.devices:
        line += ["--device", device]
    for serial in _serials(process):
        line += ["--serial", serial]
    if process.switch_every:
        line += ["--switch-every", process.switch_every]
    if process.tsc_hz:
        line += ["--tsc-hz", process.tsc_hz]
    if process.dirty_stats:
        line += ["--dirty-stats", process.dirty_stats]
    if process.stats:
        line.append("--stats")
    if process.command is None and not process.stats and not process.dirty_stats:
        line.append("--quiet")
    return line


def judge(process, returncode, said):
    """The exit status of ./dev run, and the lines to show."""
    errors = [line for line in said.splitlines() if re.match(r"hypercore( run)?: (?!info)", line)
              and (line.startswith("hypercore: error:") or line.startswith("hypercore run:"))]
    if process.command and not errors and not re.search(r"vm debian: .*exit status \d+", said):
        shown = process.log.relative_to(ROOT) if process.log.is_relative_to(ROOT) else process.log
        errors = [f"./dev run: the guest ended before the command did; log: {shown}"]
        return returncode or 125, errors
    return returncode, errors
