# SPDX-License-Identifier: BSD-2-Clause
"""The Linux guest: Debian's cloud kernel and an initramfs of Debian's static busybox.

Both packages are downloaded with apt-get and unpacked into build/guest/; nothing is installed. What
is there is used again, so that a second run needs no network.
"""
import os
import re
import shlex
import shutil
import subprocess

import newc
from apt import Apt
from common import BUILD, ROOT, Failure, Progress

GUEST = BUILD / "guest"
META_PACKAGE = "linux-image-cloud-amd64"


def _download():
    apt = Apt("amd64", GUEST / "apt")
    package = apt.dependency(META_PACKAGE, r"linux-image-\d\S*")
    kernel, busybox = apt.unpack(package), apt.unpack("busybox-static")
    program, = [path for path in (busybox / "bin/busybox", busybox / "usr/bin/busybox")
                if path.is_file()]
    image, = (kernel / "boot").glob("vmlinuz-*")
    shutil.copyfile(program, GUEST / "busybox")
    (GUEST / "busybox").chmod(0o755)
    (GUEST / "version").write_text(package.removeprefix("linux-image-") + "\n")
    shutil.copyfile(image, GUEST / "vmlinuz.new")
    (GUEST / "vmlinuz.new").rename(GUEST / "vmlinuz")
    shutil.rmtree(GUEST / "apt")


def kernel():
    """The guest kernel's path; fetched the first time."""
    image = GUEST / "vmlinuz"
    if not image.exists():
        GUEST.mkdir(parents=True, exist_ok=True)
        try:
            with Progress("fetching the guest's kernel (Debian's cloud kernel, 27 MB)"):
                _download()
        except FileNotFoundError as error:
            raise Failure(f"the guest's kernel is Debian's, fetched with apt-get: "
                          f"{error.filename} is not there; --kernel FILE takes another", 125)
    return image


def _applets(busybox):
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if name != "busybox"]


def _compile(source, program):
    subprocess.run(["gcc", "-Os", "-Wall", "-Wextra", "-Werror", "-static", "-nostdlib",
                    "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-s",
                    "-o", str(program), str(source)], check=True)
    return program.read_bytes()


def initramfs():
    """The path of the initramfs with busybox and what is in ci/guest/."""
    kernel()
    archive, busybox, parts = GUEST / "initrd.img", GUEST / "busybox", ROOT / "ci/guest"
    sources = (busybox, parts / "init", parts / "leave.c", ROOT / "ci/guest.py")
    if archive.exists() and all(archive.stat().st_mtime > s.stat().st_mtime for s in sources):
        return archive
    cpio = newc.Archive()
    for name in ("bin", "dev", "proc", "sys", "tmp", "root", "etc"):
        cpio.directory(name)
    cpio.character_device("dev/console", 5, 1)
    cpio.file("bin/busybox", busybox.read_bytes(), 0o755)
    for name in _applets(busybox):
        cpio.symlink(f"bin/{name}", "busybox")
    cpio.file("bin/leave", _compile(parts / "leave.c", GUEST / "leave"), 0o755)
    cpio.file("init", (parts / "init").read_bytes(), 0o755)
    cpio.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    scratch = GUEST / f"initrd.img.{os.getpid()}"
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
