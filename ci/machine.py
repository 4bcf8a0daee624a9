# SPDX-License-Identifier: BSD-2-Clause
"""The physical machine, as QEMU or Bochs emulates it, with the board image on it: configuration file,
start-up paths, the emulator's command line, and what the hypervisor's log says in the end."""
import dataclasses
import pathlib
import re
import shutil

import arm
import bochs
import guest
from common import BUILD, ROOT, Failure, build_preset, run_logged

QEMU = "qemu-system-x86_64"
# The machines: PCs of two emulators, and AArch64 ones of QEMU's; and the CPU that each backend gets
# there. QEMU's software CPU has no VT-x.
MODELS = {"qemu": {"auto": "EPYC,+svm", "svm": "EPYC,+svm", "vmx": "EPYC,+svm", "emu": "qemu64,-svm"},
          "bochs": {"auto": "corei7_skylake_x", "svm": "ryzen", "vmx": "corei7_skylake_x",
                    "emu": "corei7_skylake_x"},
          "virt": {"auto": "neoverse-n1", "el2": "neoverse-n1"},
          "raspi4b": {"auto": "cortex-a72", "el2": "cortex-a72"}}
BACKENDS = ("auto", "svm", "vmx", "el2", "emu", "svm,emu", "vmx,emu")
# How the hypervisor starts, the usual way first. uefi-dt: firmware that hands over a device tree.
BOOTS = {"qemu": ("kernel", "disk", "grub", "uefi"), "bochs": ("disk", "grub"),
         "virt": ("kernel", "uefi", "uefi-dt"), "raspi4b": ("kernel",)}
ALL_BOOTS = tuple(dict.fromkeys(boot for boots in BOOTS.values() for boot in boots))
MAX_COM = 4
RASPI_COM = 2  # that ports there have other ends
HYPERVISOR_MEMORY = 128 << 20
OVMF = pathlib.Path("/usr/share/OVMF")


@dataclasses.dataclass
class Machine:
    """What to run, and on what."""
    directory: pathlib.Path  # for the files made; one per machine at a time
    emulator: str = "qemu"
    backend: str = "svm"
    boot: str = "kernel"
    cpus: str = "1"  # as given: the hypervisor is the judge of it
    memory: str = "512M"
    vms: int = 1
    host_cpus: int = 0  # 0: as many as the vCPUs ask for
    host_memory: str = ""
    cpu_model: str = ""
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    board_append: str = ""
    switch_every: str = ""
    dirty_stats: str = ""
    tsc_hz: str = ""
    large_pages: bool = True
    gic: str = ""  # virt: version of its interrupt controller; empty: 3
    virtualization: bool = True  # virt: it has EL2
    stats: bool = False
    quiet: bool = False
    command: list = None  # None: interactive; empty: none, COM2 is still our standard output
    serials: tuple = ()  # the other ends of the VM's serial ports, if not the usual ones
    plain: bool = False  # not Debian: nothing is added to the command line or as initrd
    devices: tuple = ()  # as hypercore.conf's device
    extra: tuple = ()  # QEMU's options, or lines of Bochs' configuration

    def vm_names(self):
        name = guest_name(self)
        return [name] if self.vms == 1 else [f"{name}{n + 1}" for n in range(self.vms)]

    @property
    def architecture(self):
        return guest.AARCH64 if self.emulator in ("virt", "raspi4b") else guest.X86_64

    @property
    def preset(self):
        """What the board image is built by."""
        return f"board-{self.architecture.name}"

    @property
    def first_output(self):
        """The number of the port where the commands' output begins. A PC's UEFI firmware has its own
        console on COM1 and COM2."""
        return 3 if self.boot == "uefi" and self.emulator == "qemu" else 2

    @property
    def log(self):
        return self.directory / "hypercore.log"

    @property
    def cpu(self):
        """The CPU model."""
        model = MODELS[self.emulator].get(self.backend.split(",")[0])
        return self.cpu_model or model or MODELS[self.emulator]["auto"]

    @property
    def terminal(self):
        """What Bochs takes for a terminal, when the guest's console is this one."""
        return self.directory / "terminal"

    def output(self, index):
        """Where a VM's ttyS1 goes when there are several."""
        return self.directory / f"output{index + 1}"


def parse_size(text):
    """Bytes, or None for what is not a size."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text, re.IGNORECASE)
    if not match:
        return None
    return int(match.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[match.group(2).upper()]


def _available():
    with open("/proc/meminfo") as info:
        return next(int(line.split()[1]) << 10 for line in info if line.startswith("MemAvail"))


def host_memory(machine):
    """The physical machine's memory in MiB: what the VMs ask for and the hypervisor's own, but not
    more than there is (then the hypervisor says so)."""
    if machine.host_memory:
        size = parse_size(machine.host_memory)
        if size is None:
            raise Failure(f"--host-memory {machine.host_memory}: not a size such as 512M or 2G", 2)
        return size >> 20
    wanted = (parse_size(machine.memory) or 0) * machine.vms + HYPERVISOR_MEMORY
    return min(wanted, _available() * 3 // 4) >> 20


def host_cpus(machine):
    if machine.host_cpus:
        return machine.host_cpus
    wanted = min(max(int(machine.cpus) if machine.cpus.isdigit() else 1, 1) * machine.vms, 8)
    # docs/CAVEATS.md, "Where it has run": with AMD-V, QEMU's first CPU runs guests only if it is alone.
    spare = machine.emulator == "qemu" and {"svm", "auto"} & set(machine.backend.split(","))
    return wanted + 1 if spare and wanted > 1 else wanted


def default_emulator(backend):
    return {"vmx": "bochs", "el2": "virt"}.get(backend.split(",")[0], "qemu")


def is_linux(path):
    """Whether a kernel file is a bzImage or an arm64 Image."""
    try:
        with open(path, "rb") as file:
            head = file.read(0x206)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2)
    return head[0x202:] == b"HdrS" or head[56:60] == b"ARM\x64"


def guest_name(machine):
    return "guest" if machine.plain else "debian"


def guest_append(machine, name):
    """The guest kernel's command line."""
    if machine.plain:
        return machine.append
    # no_timer_check: Linux else counts timer ticks in a delay loop, which an emulated machine that
    # does not get its share of the processor fails, bare or in a VM.
    words = ["console=ttyS0", "panic=-1", "no_timer_check", f"hostname={name}"]
    if getattr(machine, "architecture", guest.X86_64) is guest.AARCH64:
        words = ["console=ttyAMA0", "panic=-1", f"hostname={name}"]
        if name == "bare":
            words.append("output=ttyS0") # the first one of the card's
    if machine.quiet:
        words.append("quiet")
    if getattr(machine, "emulator", "") == "bochs":
        words += [bochs.LINUX_WORDS, "cryptomgr.notests"]
    return " ".join(words + ([machine.append] if machine.append else []))


def _serials(machine, index):
    """The other ends of a VM's two serial ports."""
    if machine.serials:
        return machine.serials
    if machine.command is None:
        return ("com1", "none") if index == 0 else ("log", "none")
    if machine.plain:
        return f"com{machine.first_output + index}", "none"
    return "log", f"com{machine.first_output + index}"


def has_initrd(machine):
    return bool(machine.initrd) if machine.plain else machine.initrd != "none"


def config_text(machine):
    """hypercore.conf for this machine."""
    lines = [f"backend = {machine.backend}",
             f"console = {'com2' if machine.command is None else 'com1'}",
             *([f"switch-every = {machine.switch_every}"] if machine.switch_every else []),
             *([f"dirty-stats = {machine.dirty_stats}"] if machine.dirty_stats else []),
             "end = poweroff", f"stats = {'yes' if machine.stats else 'no'}"]
    for index, name in enumerate(machine.vm_names()):
        serial0, serial1 = _serials(machine, index)
        lines += ["", f"[vm {name}]", "kernel = vmlinuz"]
        if has_initrd(machine):
            lines.append("initrd = initrd.img")
        lines += [f"device = {device}" for device in machine.devices]
        append = guest_append(machine, name)
        lines += [f'append = "{append}"' if machine.plain else f"append = {append}", f"memory = {machine.memory}",
                  f"cpus = {machine.cpus}", *([f"tsc-hz = {machine.tsc_hz}"] if machine.tsc_hz else []),
                  *([] if machine.large_pages else ["large-pages = no"]),
                  f"serial0 = {serial0}", f"serial1 = {serial1}"]
    return "\n".join(lines) + "\n"


def copy(source, target):
    """Copies a file; the target."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise Failure(f"{source}: {error.strerror}", 2)
    return target


def _files(machine):
    """Puts the configuration and the guest's files in the machine's folder; their paths."""
    machine.directory.mkdir(parents=True, exist_ok=True)
    files = [machine.directory / "hypercore.conf",
             copy(machine.kernel or guest.kernel(machine.architecture), machine.directory / "vmlinuz")]
    files[0].write_text(config_text(machine))
    if has_initrd(machine):
        files.append(copy(machine.initrd or guest.initramfs(machine.architecture),
                          machine.directory / "initrd.img"))
        if machine.command:
            with open(files[-1], "ab") as out:
                out.write(guest.command_archive(machine.command))
    return files


def board_file(name, preset="board-x86_64"):
    return BUILD / preset / name


def _iso(machine, files):
    image = machine.directory / "hypercore.iso"
    run_logged([ROOT / "ci/mkiso", image, board_file("hypercore.elf"), *files],
               machine.directory / "mkiso.log", "making the ISO image")
    return image


def _disk(machine, files):
    image = machine.directory / "hypercore.img"
    run_logged([ROOT / "ci/mkdisk", "-a", machine.board_append, image, board_file("hypercore.elf"),
                *files], machine.directory / "mkdisk.log", "making the disk image")
    return image


def _start_up(machine, files):
    """QEMU's options for the start-up path."""
    if machine.boot == "kernel":
        bundle = machine.directory / "bundle.cpio"
        run_logged([ROOT / "ci/mkbundle", bundle, *files],
                   machine.directory / "mkbundle.log", "packing the bundle")
        options = ["-kernel", str(board_file("hypercore.elf")), "-initrd", str(bundle)]
        return options + (["-append", machine.board_append] if machine.board_append else [])
    if machine.boot == "grub":
        return ["-cdrom", str(_iso(machine, files)), "-boot", "d"]
    if machine.boot == "disk":
        return ["-drive", f"format=raw,file={_disk(machine, files)}"]
    image, variables = machine.directory / "esp.img", machine.directory / "OVMF_VARS.fd"
    run_logged([ROOT / "ci/mkesp", image, board_file("hypercore.efi"), *files],
               machine.directory / "mkesp.log", "making the EFI system partition")
    shutil.copyfile(OVMF / "OVMF_VARS_4M.fd", variables)
    flash = "if=pflash,format=raw,unit={},file={}{}"
    return ["-drive", flash.format(0, OVMF / "OVMF_CODE_4M.fd", ",readonly=on"),
            "-drive", flash.format(1, variables, ""),
            "-drive", f"format=raw,file={image}"]


def _serial_options(machine):
    """COM1.. of the physical machine. A command's output is QEMU's standard output if there is one
    VM, else a file for each."""
    if machine.command is None:
        return ["-chardev", "stdio,id=tty,mux=on,signal=off", "-serial", "chardev:tty",
                "-mon", "chardev=tty", "-serial", f"file:{machine.log}"]
    options = ["-serial", f"file:{machine.log}"]
    options += ["-serial", "null"] * (machine.first_output - 2)
    if machine.vms == 1:
        return options + ["-serial", "stdio"]
    for index in range(machine.vms):
        options += ["-serial", f"file:{machine.output(index)}"]
    return options


def _virt_ports(machine):
    """The same for AArch64 machines: the other end of each port, and what else QEMU wants for it."""
    log = f"file:{machine.log}"
    if machine.command is None:
        return ["chardev:tty", log], ["-chardev", "stdio,id=tty,mux=on,signal=off", "-mon", "chardev=tty"]
    if machine.vms == 1:
        return [log, "stdio"], []
    return [log, *(f"file:{machine.output(index)}" for index in range(machine.vms))], []


def _bochs_ports(machine):
    """COM1.. of Bochs' machine; the same as _serial_options()."""
    log = bochs.file_port(machine.log)
    if machine.command is None:
        return bochs.Terminal.port(machine.terminal), log
    if machine.vms == 1:
        return log, bochs.file_port("/dev/fd/3")
    return log, *(bochs.file_port(machine.output(index)) for index in range(machine.vms))


def _bochs_command_line(machine, files):
    missing = bochs.missing()
    if missing:
        raise Failure(f"Bochs needs the packages {' '.join(missing)}: not installed", 125)
    if machine.cpu not in bochs.models():
        raise Failure(f"--cpu-model {machine.cpu}: Bochs knows {', '.join(bochs.models())}", 2)
    drive = bochs.disk(_disk(machine, files)) if machine.boot == "disk" else bochs.cdrom(_iso(machine, files))
    # A user's seconds are real ones.
    sync = "slowdown" if machine.command is None else "none"
    return bochs.command_line(machine.directory, drive, _bochs_ports(machine), machine.cpu,
                              host_cpus(machine), host_memory(machine), sync, machine.extra)


def _check(machine):
    most = (RASPI_COM if machine.emulator == "raspi4b" else MAX_COM) + 1 - machine.first_output
    if machine.command is not None and machine.vms > most:
        raise Failure(f"--vms {machine.vms}: a command runs in at most {most} VMs here, "
                      "for each has a COM port of its own", 2)
    if machine.emulator != "virt" and (machine.gic or not machine.virtualization):
        raise Failure("--gic, --no-virtualization: only QEMU's virt has that choice (--backend el2)", 2)
    if machine.emulator == "raspi4b" and (machine.host_cpus or machine.host_memory or machine.cpu_model):
        raise Failure("--host-cpus, --host-memory, --cpu-model: a raspi4b is as it is", 2)
    if machine.boot not in BOOTS[machine.emulator]:
        raise Failure(f"--boot {machine.boot}: on {machine.emulator} it should be one of "
                      f"{', '.join(BOOTS[machine.emulator])}", 2)
    if machine.first_output == 3 and not (OVMF / "OVMF_CODE_4M.fd").exists():
        raise Failure("no UEFI firmware: install the package ovmf", 125)
    if machine.architecture is guest.AARCH64 and not arm.has_machine(machine.emulator):
        raise Failure(f"--machine {machine.emulator}: {arm.QEMU} with that machine is not installed", 125)


def command_line(machine):
    """Makes all files and gives the command that runs the machine."""
    _check(machine)
    build_preset(machine.preset)
    files = _files(machine)
    if machine.architecture is guest.AARCH64:
        ports, more = _virt_ports(machine)
        return arm.command_line(machine, files, lambda name: board_file(name, machine.preset),
                                host_cpus(machine), host_memory(machine), ports) + more
    if machine.emulator == "bochs":
        return _bochs_command_line(machine, files)
    return [QEMU, "-accel", "tcg", "-machine", "q35", "-cpu", machine.cpu,
            "-smp", str(host_cpus(machine)), "-m", str(host_memory(machine)),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            *_start_up(machine, files), *_serial_options(machine), *machine.extra]


@dataclasses.dataclass
class Verdict:
    """What the hypervisor's log says of the end."""
    errors: list  # lines for the user
    statuses: dict  # VM name: the status its guest exited with, or None if it powered off
    ended: bool  # the hypervisor came to its end in order
    ok: bool
    failed: bool  # a VM failed

    def status(self, command):
        if self.errors or not self.ok or not self.statuses:
            return 125
        if command and None in self.statuses.values():
            return 125
        return max(status or 0 for status in self.statuses.values())


def read_verdict(log):
    """Judges a log. Lines of guests in it carry their VM's name in front, so cannot be mistaken."""
    errors, failed, refused, statuses, ended, ok = [], [], [], {}, False, False
    for line in log.read_text(errors="replace").splitlines():
        line = line.strip("\r")
        if line.startswith("hypercore: error:"):
            errors.append(line)
        elif re.match(r"hypercore: backend \S+: not usable:", line):
            refused.append(line)
        elif match := re.fullmatch(r"hypercore: vm (\S+): (stopped|failed): (.*)", line):
            name, kind, reason = match.groups()
            exited = re.fullmatch(r"exit status (\d+)", reason)
            if kind == "stopped" and exited:
                statuses[name] = int(exited.group(1))
            elif kind == "stopped" and "powered off" in reason:
                statuses[name] = None
            else:
                failed.append((line, reason))
        elif match := re.fullmatch(r"hypercore: end: (\w+)", line):
            ended, ok = True, match.group(1) == "ok"
    # What is said twice, where it arose and in the end, is told once; and why no backend can be
    # used rather than that none can.
    if refused and errors:
        errors = refused + [line for line in errors if "no backend" not in line]
    told = "\n".join(errors)
    errors += [line for line, reason in failed if reason not in told]
    return Verdict(errors, statuses, ended, ok, bool(failed))


def bare_command_line(machine):
    """The same guest on the same machine with no hypervisor between, to compare with."""
    _, kernel, *initrd = _files(machine)
    memory = (parse_size(machine.memory) or 0) >> 20
    if machine.architecture is guest.AARCH64:
        ports, more = _virt_ports(machine)
        return arm.bare_command_line(machine, kernel, initrd[0] if initrd else None,
                                     guest_append(machine, "bare"), memory, ports) + more
    return [QEMU, "-accel", "tcg", "-machine", "q35", "-cpu", machine.cpu,
            "-smp", machine.cpus, "-m", str(memory),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(kernel), *(["-initrd", str(initrd[0])] if initrd else []),
            "-append", guest_append(machine, "bare"),
            "-device", "isa-debug-exit,iobase=0xf4", *_serial_options(machine), *machine.extra]
