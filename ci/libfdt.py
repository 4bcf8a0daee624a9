# SPDX-License-Identifier: BSD-2-Clause
"""libfdt for the AArch64 image: Debian's arm64 package, unpacked into build/libfdt-arm64/."""
import shutil

from apt import Apt
from common import BUILD, Progress

FOLDER = BUILD / "libfdt-arm64"


def fetch():
    if (FOLDER / "libfdt.a").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Progress("fetching libfdt for arm64"):
        package = Apt("arm64", FOLDER / "apt").unpack("libfdt-dev")
    for header in ("fdt.h", "libfdt.h"):
        shutil.copyfile(package / "usr/include" / header, FOLDER / header)
    archive, = package.glob("usr/lib/*/libfdt.a")
    shutil.copyfile(archive, FOLDER / "libfdt.new")
    (FOLDER / "libfdt.new").rename(FOLDER / "libfdt.a")
    shutil.rmtree(FOLDER / "apt")
