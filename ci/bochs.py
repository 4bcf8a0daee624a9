# SPDX-License-Identifier: BSD-2-Clause
"""Bochs: the emulator that has VT-x, and a second AMD-V. Its configuration and command line, its
complaints, and a terminal for one of its serial ports. Debian's 2.7; a 3.x where there is one."""
import dataclasses
import functools
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import tty

from common import Failure

BIOS = pathlib.Path("/usr/share/bochs/BIOS-bochs-latest")
VGA_BIOS = pathlib.Path("/usr/share/vgabios/vgabios.bin")
GUI = "bochs/plugins/libbx_{}_gui.so"
# Instructions to a second of the machine's clocks. With one CPU the TSC counts instructions.
IPS = 50000000
# Linux measures delays against clocks that CPUID's frequencies contradict here: it is told. The rest
# saves work that says nothing about a hypervisor.
LINUX_WORDS = f"lpj={IPS // 250} tsc=reliable nokaslr mitigations=off random.trust_cpu=on"
MODELS = {"vmx": "corei7_skylake_x", "svm": "ryzen"}

CONFIGURATION = """\
config_interface: textconfig
display_library: {library}
romimage: file={bios}, options=fastboot
vgaromimage: file={vga_bios}
vga: extension=none
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: {drive}
boot: {boot}
clock: sync={sync}, time0=1700000000
log: {directory}/bochs.log
panic: action=fatal{panics}
error: action=report
info: action=report
debug: action=ignore
{rest}
"""


@dataclasses.dataclass
class Program:
    path: str
    version: str
    has_debugger: bool  # then it starts in it


@functools.cache
def program():
    """The Bochs to use: HYPERCORE_BOCHS, or the one that is installed."""
    path = os.environ.get("HYPERCORE_BOCHS") or shutil.which("bochs-bin") or shutil.which("bochs")
    if not path:
        raise Failure("Bochs is not installed: it is the package bochs (and bochs-term, bochsbios, vgabios)", 125)
    try:
        done = subprocess.run([path, "--help"], stdin=subprocess.DEVNULL, capture_output=True)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 125)
    text = (done.stdout + done.stderr).decode(errors="replace")
    version = re.search(r"Bochs x86 Emulator (\S+)", text)
    return Program(path, version.group(1) if version else "2.7", " -rc " in text)


@functools.cache
def models():
    """The CPU models that it knows."""
    done = subprocess.run([program().path, "--help", "cpu"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    return re.findall(r"^(\w+)$", done.stdout + done.stderr, re.MULTILINE)


def has_gui(name):
    """Whether a display library is there as a plug-in."""
    return any(pathlib.Path("/usr/lib").glob(f"*/{GUI.format(name)}"))


def display_library(found):
    """Without a window: the library that is there for that, or a terminal's."""
    return "nogui" if not found.version.startswith("2.") and has_gui("nogui") else "term"


def missing():
    """The packages that are not installed."""
    there = {"bochs": shutil.which("bochs-bin") or shutil.which("bochs"),
             "bochs-term": has_gui("term"),
             "bochsbios": BIOS.exists(), "vgabios": VGA_BIOS.exists()}
    if os.environ.get("HYPERCORE_BOCHS"):
        there["bochs"] = there["bochs-term"] = True
    return [package for package, found in there.items() if not found]


def disk(path):
    return {"drive": f"type=disk, path={path}, mode=flat", "boot": "disk"}


def cdrom(path):
    return {"drive": f"type=cdrom, path={path}, status=inserted", "boot": "cdrom"}


def file_port(path):
    """The other end of a serial port."""
    return f"mode=file, dev={path}"


def panics(model, cpus):
    """With AMD-V, 2.7 panics at a guest's triple fault before it looks whether that is intercepted."""
    return "".join(f", cpu{n}=report" for n in range(cpus)) if model == MODELS["svm"] else ""


def command_line(directory, drive, ports, model=MODELS["vmx"], cpus=1, memory=512, sync="none", extra=()):
    """Writes the configuration and gives the command. drive: disk() or cdrom(); ports: COM1 to COM4's
    other ends, None for a port that is not there; memory in MiB. Its standard output is file descriptor
    3, which a port may have as /dev/fd/3."""
    found = program()
    lines = [f"com{n + 1}: enabled=1, {port}" for n, port in enumerate(ports) if port]
    (directory / "bochsrc").write_text(CONFIGURATION.format(
        library=display_library(found), bios=BIOS, vga_bios=VGA_BIOS, model=model, cpus=cpus,
        ips=IPS, memory=memory, sync=sync, directory=directory, panics=panics(model, cpus),
        **drive,
        rest="\n".join([*lines, *extra])))
    # Its debugger has the word at the start, and at each triple fault of a guest.
    (directory / "commands").write_text("c\n" * 100)
    # What was killed leaves its locks.
    line = [found.path, "-q", "-unlock", "-f", str(directory / "bochsrc")]
    if found.has_debugger:
        line += ["-rc", str(directory / "commands")]
    return ["sh", "-c", 'TERM=vt100 exec "$@" 3>&1 >/dev/null </dev/null', "bochs", *line]


# What it calls errors and is a guest's or a hypervisor's everyday life.
EVERYDAY = re.compile(r"VMEXIT: |(RD|WR)MSR: Unknown|locked: cleaning|LTDL_LIBRARY|"
                      r"write to LAPIC|read from LAPIC|APIC write|optical drive|HD ignoring|"
                      r"unsupported .*PCI|write: port|TSC deadline")


def complaints(directory, most=8):
    """The lines of its log that say what went wrong."""
    log, found = directory / "bochs.log", []
    if log.exists():
        with open(log, errors="replace") as lines:
            for line in lines:
                match = re.match(r"\d+([ep])\[(\w+) *\] (.*)", line)
                if match and not EVERYDAY.search(match.group(3)):
                    found.append(f"bochs: {match.group(2)}: {match.group(3)}")
    return list(dict.fromkeys(found))[-most:]


class Terminal:
    """A serial port on this terminal, as QEMU's would be: Ctrl-a x leaves, Ctrl-a Ctrl-a is Ctrl-a."""

    ESCAPE, LEAVE = b"\x01", b"x"

    def __init__(self, link):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self.slave))
        self.left = False
        self.escaped = False

    @staticmethod
    def port(link):
        return f"mode=term, dev={link}"

    def _typed(self, data):
        for byte in (data[n:n + 1] for n in range(len(data))):
            if self.escaped:
                self.escaped = False
                if byte in (self.LEAVE, b"X"):
                    self.left = True
                elif byte == self.ESCAPE:
                    os.write(self.master, byte)
            elif byte == self.ESCAPE:
                self.escaped = True
            else:
                os.write(self.master, byte)

    def _pass_on(self, sources):
        ready, _, _ = select.select(sources, [], [], 0.1)
        if self.master in ready:
            sys.stdout.buffer.write(os.read(self.master, 65536))
            sys.stdout.buffer.flush()
        if 0 in ready:
            data = os.read(0, 4096)
            if not data:
                sources.remove(0)
            self._typed(data)
        return bool(ready)

    def relay(self, process):
        """Until the process ends or the user leaves, which ends it."""
        saved = termios.tcgetattr(0) if os.isatty(0) else None
        sources = [self.master, 0]
        try:
            if saved:
                tty.setraw(0)
            while not self.left and (process.poll() is None or self._pass_on(sources)):
                self._pass_on(sources)
        finally:
            process.kill()
            if saved:
                termios.tcsetattr(0, termios.TCSADRAIN, saved)
            os.close(self.master)
            os.close(self.slave)
