# SPDX-License-Identifier: BSD-2-Clause
"""Debian packages of any architecture, downloaded and unpacked without being installed."""
import os
import re
import subprocess

from common import Failure


class Apt:
    """apt-get and apt-cache for packages of one architecture, in a folder of their own. The state of
    the system's packages stays as it is. Where the system's lists do not have a package, lists are
    fetched into the folder."""

    def __init__(self, architecture, folder):
        self.folder = folder
        self.own_lists = False
        self.options = ["-o", f"APT::Architecture={architecture}",
                        "-o", f"APT::Architectures={architecture}", "-o", f"Dir::Cache={folder}"]
        if os.getuid() == 0:
            self.options += ["-o", "APT::Sandbox::User=root"]
        (folder / "archives/partial").mkdir(parents=True, exist_ok=True)

    def _once(self, tool, *words):
        done = subprocess.run([tool, *self.options, *words], cwd=self.folder, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Failure(f"{tool} {' '.join(words)}: {lines[-1] if lines else 'failed'}", 125)
        return done.stdout

    def _run(self, tool, *words):
        try:
            return self._once(tool, *words)
        except Failure:
            if self.own_lists:
                raise
        self.own_lists = True
        (self.folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        self.options += ["-o", f"Dir::State::Lists={self.folder}/lists"]
        self._once("apt-get", "update")
        return self._once(tool, *words)

    def dependency(self, package, pattern):
        """The package that a meta package depends on."""
        found = re.search(rf"Depends: ({pattern})", self._run("apt-cache", "depends", package))
        if not found:
            raise Failure(f"{package} depends on no package {pattern}", 125)
        return found.group(1)

    def unpack(self, package):
        """Downloads a package and unpacks it; the folder."""
        target = self.folder / package
        for old in self.folder.glob(f"{package}_*.deb"):
            old.unlink()
        self._run("apt-get", "download", package)
        archive, = self.folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(target)], check=True)
        archive.unlink()
        return target
