# SPDX-License-Identifier: BSD-2-Clause
"""Bochs as a peer of ./dev bench emu: a CD image with GRUB and a guest on it, and what the guest says
on its serial ports with the time of each line."""
import collections
import os
import pathlib
import shutil
import subprocess
import time

import bochs
from common import ROOT, Failure, run_logged

GRUB = pathlib.Path("/usr/lib/grub/i386-pc")
INTERVAL = 0.01 # between two looks at the serial ports' files, seconds
# What GRUB prints when all files are loaded: the guest's own time begins there.
STARTING = "bench: starting"


def missing():
    """The packages that are not installed."""
    needs = {"grub-pc-bin": GRUB.exists(), "grub-common": shutil.which("grub-mkrescue"),
             "xorriso": shutil.which("xorriso"), "mtools": shutil.which("mformat")}
    return bochs.missing() + [package for package, there in needs.items() if not there]


def make_image(directory, kernel, initrd, append):
    """Makes a CD image that starts the kernel by its 16-bit entry, as QEMU's -kernel does: GRUB's other
    way moves a relocatable kernel, but the loops' 32-bit entry is for one place. The image's path."""
    stage, image = directory / "root", directory / "guest.iso"
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "boot/grub").mkdir(parents=True)
    shutil.copyfile(kernel, stage / "vmlinuz")
    lines = ["serial --unit=0 --speed=115200", "terminal_output serial", "set timeout=0",
             'menuentry "bench" {', f"linux16 /vmlinuz {append}"]
    if initrd:
        shutil.copyfile(initrd, stage / "initrd.img")
        lines.append("initrd16 /initrd.img")
    lines += [f'echo "{STARTING}"', "}"]
    (stage / "boot/grub/grub.cfg").write_text("\n".join(lines) + "\n")
    run_logged(["grub-mkrescue", "-d", GRUB, "-o", image, "--locales=", "--fonts=", "--themes=",
                "--install-modules=biosdisk iso9660 normal configfile linux16 serial terminal echo boot "
                "part_msdos part_gpt part_apple", stage, "-volid", "BENCH"],
               directory / "mkrescue.log", "making Bochs' CD image")
    return image


class Lines:
    """The lines of a file that grows, each with the time that it was first seen whole."""

    def __init__(self, path):
        self.path, self.rest, self.found = path, b"", []
        path.write_bytes(b"")
        self.file = open(path, "rb")

    def look(self):
        """The lines that have come since."""
        data, at = self.file.read(), time.monotonic()
        *whole, self.rest = (self.rest + data).split(b"\n")
        new = [(at, line.decode(errors="replace").strip()) for line in whole]
        self.found += new
        return new


def cpu_seconds(process):
    """What a running process has used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_ended(process):
    """Leaves an ended process for cpu_seconds() to ask about."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


Run = collections.namedtuple("Run", "lines wall cpu finished")


def follow(process, ports, is_end, timeout):
    """Reads the serial ports until a line is the end, counted from GRUB's hand-over."""
    begun, start = time.monotonic(), None
    limit = begun + timeout
    while True:
        over = has_ended(process) or time.monotonic() > limit
        for port in ports:
            for at, text in port.look():
                if start is None and text.endswith(STARTING):
                    start, limit = (at, cpu_seconds(process)), at + timeout
                elif start is not None and is_end(text):
                    return Run(port.found, at - start[0], cpu_seconds(process) - start[1], True)
        if over:
            return Run(ports[0].found, time.monotonic() - begun, 0.0, False)
        time.sleep(INTERVAL)


def run(directory, kernel, is_end, timeout, initrd=None, append=""):
    """Runs a guest until a line for which is_end(line) holds, or for so many seconds. Wall and CPU
    seconds count from the guest's first instruction."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    ports = [Lines(directory / name) for name in ("com1", "com2")]
    line = bochs.command_line(directory, bochs.cdrom(make_image(directory, kernel, initrd, append)),
                              [bochs.file_port(port.path) for port in ports])
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            found = follow(process, ports, is_end, timeout)
        finally:
            process.kill() # a halted guest would keep it for ever, and it does not heed SIGTERM
    if not any(text.endswith(STARTING) for _, text in ports[0].found):
        log = (directory / "bochs.log").relative_to(ROOT)
        raise Failure(f"Bochs did not start the guest: see {log}")
    return found
