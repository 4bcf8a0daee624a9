# SPDX-License-Identifier: BSD-2-Clause
"""The Linux guests: Debian's cloud kernel and an initramfs of Debian's static busybox, for each
architecture.

Both packages are downloaded with apt-get and unpacked into build/guest/ARCHITECTURE/; nothing is
installed. What is there is used again, so that a second run needs no network.
"""
import dataclasses
import os
import shlex
import shutil
import subprocess

import newc
from apt import Apt
from common import BUILD, ROOT, Failure, Progress

GUEST = BUILD / "guest"


@dataclasses.dataclass(frozen=True)
class Architecture:
    name: str
    debian: str  # its name there
    compiler: str

    @property
    def folder(self):
        return GUEST / self.name


X86_64 = Architecture("x86_64", "amd64", "gcc")
AARCH64 = Architecture("aarch64", "arm64", "aarch64-linux-gnu-gcc")


def _download(arch):
    folder = arch.folder
    apt = Apt(arch.debian, folder / "apt")
    package = apt.dependency(f"linux-image-cloud-{arch.debian}", r"linux-image-\d\S*")
    kernel, busybox = apt.unpack(package), apt.unpack("busybox-static")
    program, = [path for path in (busybox / "bin/busybox", busybox / "usr/bin/busybox")
                if path.is_file()]
    image, = (kernel / "boot").glob("vmlinuz-*")
    shutil.copyfile(program, folder / "busybox")
    (folder / "version").write_text(package.removeprefix("linux-image-") + "\n")
    shutil.copyfile(image, folder / "vmlinuz.new")
    (folder / "vmlinuz.new").rename(folder / "vmlinuz")
    shutil.rmtree(folder / "apt")


def version(arch=X86_64):
    """The kernel's release, as uname -r says it."""
    return (arch.folder / "version").read_text().strip()


def kernel(arch=X86_64):
    """The guest kernel's path; fetched the first time."""
    image = arch.folder / "vmlinuz"
    if not image.exists():
        arch.folder.mkdir(parents=True, exist_ok=True)
        try:
            with Progress(f"fetching the guest's kernel (Debian's cloud kernel for {arch.debian})"):
                _download(arch)
        except FileNotFoundError as error:
            raise Failure(f"the guest's kernel is Debian's, fetched with apt-get: "
                          f"{error.filename} is not there; --kernel FILE takes another", 125)
    return image


def _compile(arch, source, program):
    if not shutil.which(arch.compiler):
        raise Failure(f"{arch.compiler} is not installed", 125)
    subprocess.run([arch.compiler, "-Os", "-Wall", "-Wextra", "-Werror", "-static", "-nostdlib",
                    "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-s",
                    "-I", str(ROOT), "-o", str(program), str(source)], check=True)
    return program.read_bytes()


def initramfs(arch=X86_64):
    """The path of the initramfs with busybox and what is in ci/guest/."""
    kernel(arch)
    parts, folder = ROOT / "ci/guest", arch.folder
    archive, busybox, leave = folder / "initrd.img", folder / "busybox", parts / f"leave_{arch.name}.c"
    sources = (busybox, parts / "init", leave, parts / "leave.h", ROOT / "ci/guest.py")
    if archive.exists() and all(archive.stat().st_mtime > s.stat().st_mtime for s in sources):
        return archive
    cpio = newc.Archive()
    for name in ("bin", "dev", "proc", "sys", "tmp", "root", "etc"):
        cpio.directory(name)
    cpio.character_device("dev/console", 5, 1)
    cpio.file("bin/busybox", busybox.read_bytes(), 0o755)
    cpio.symlink("bin/sh", "busybox")  # init makes the others
    cpio.file("bin/leave", _compile(arch, leave, folder / "leave"), 0o755)
    cpio.file("init", (parts / "init").read_bytes(), 0o755)
    cpio.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    scratch = folder / f"initrd.img.{os.getpid()}"
    scratch.write_bytes(cpio.finish())
    scratch.rename(archive)
    return archive


def command_archive(words):
    """What makes the guest run a command: an archive to append to the initramfs. One word is a
    shell script; several are a command and its arguments."""
    script = words[0] if len(words) == 1 else shlex.join(words)
    cpio = newc.Archive()
    cpio.file("command", script.encode("utf-8", "surrogateescape") + b"\n")
    return cpio.finish()
