# SPDX-License-Identifier: BSD-2-Clause
"""The hypercore command on arm64 Linux with KVM, on machines that QEMU emulates."""
import pathlib
import subprocess

import guest
import newc
from common import build_preset
from rig import TIMEOUT, boot_test, directory

LIBRARIES = pathlib.Path("/usr/aarch64-linux-gnu/lib")

INNER = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b echo "inner: $($b uname -m) with $($b grep -c ^processor /proc/cpuinfo) CPUs"
$b awk 'BEGIN { for (i = 0; i < 100000; i++) s += 1 / (i + 1); printf "inner: %.9f\\n", s }'
$b sleep 1
$b echo "inner: woke up"
$b mknod /dev/mem c 1 1
$b devmem 0x0b000000 32
$b echo "inner: a load from nowhere: $?"
$b devmem 0x0b000000 32 1
$b echo "inner: a store to nowhere: $?"
$b poweroff -f
"""

OUTER = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t sysfs sys /sys
/bin/hypercore caps
/bin/hypercore run -k /Image -i /initrd -m 256M -c 2 -a "console=ttyAMA0 quiet" </dev/null
$b echo "outer: status $?"
$b echo "outer: $($b dmesg | $b grep -c 'cut here') kernel warnings"
$b poweroff -f
"""


def base(init):
    cpio = newc.Archive()
    for name in ("bin", "dev", "lib", "proc", "sys"):
        cpio.directory(name)
    cpio.character_device("dev/console", 5, 1)
    cpio.file("bin/busybox", (guest.AARCH64.folder / "busybox").read_bytes(), 0o755)
    cpio.file("init", init.encode(), 0o755)
    return cpio


def outer_archive(kernel):
    program = build_preset("hosted-aarch64", "hypercore") / "hypercore"
    cpio = base(OUTER)
    cpio.file("bin/hypercore", program.read_bytes(), 0o755)
    for name in ("ld-linux-aarch64.so.1", "libc.so.6"):
        cpio.file(f"lib/{name}", (LIBRARIES / name).read_bytes(), 0o755)
    cpio.file("Image", kernel.read_bytes())
    cpio.file("initrd", base(INNER).finish())
    return cpio.finish()


def run_on(name, cpu, gic, cpus):
    kernel, archive = guest.kernel(guest.AARCH64), directory(name) / "initrd.img"
    archive.write_bytes(outer_archive(kernel))
    done = subprocess.run(
        ["qemu-system-aarch64", "-machine", f"virt,virtualization=on,gic-version={gic}", "-cpu", cpu,
         "-smp", str(cpus), "-m", "1024", "-nographic", "-no-reboot", "-kernel", str(kernel),
         "-initrd", str(archive), "-append", "console=ttyAMA0 quiet panic=-1"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    (directory(name) / "console.txt").write_text(out)
    for line in ("inner: aarch64 with 2 CPUs", "inner: 12.090146130", "inner: woke up",
                 "inner: a load from nowhere: 135", "inner: a store to nowhere: 135",
                 "vm guest: guest powered off", "outer: status 0", "outer: 0 kernel warnings"):
        assert line in out, f"no {line!r} in: {out[-2000:]}"
    assert "ran a test guest" in out and "M loop instructions/s" in out, out


@boot_test
def kvm_on_arm64():
    run_on("kvm_on_arm64", "neoverse-n1", 3, 2)


@boot_test
def kvm_on_arm64_without_vhe():
    """Two virtual CPUs on one, beside a GICv2 of the machine's."""
    run_on("kvm_on_arm64_without_vhe", "cortex-a57", 2, 1)
