# SPDX-License-Identifier: BSD-2-Clause
"""Targets: what a test kernel can be started on, as a file each says it (targets/*.toml)."""
import dataclasses
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

# How a kernel comes: conformance.IMAGE in its architecture's folder. The first is taken if none is named.
IMAGES = {"x86_64": ("elf", "bzimage", "efi", "rom"), "aarch64": ("image", "efi", "bin")}
ARCHITECTURES = tuple(IMAGES)
PLACEHOLDERS = ("image", "kernels", "append", "cpus", "memory", "directory", "here", "tree", "hypercore")
OWN_FILES = ("command", "console", "stderr")  # of the runner, in the run's folder
CHECK_SECONDS = 60
HANG_SECONDS = 3


class Refused(Exception):
    """An error for the user."""


@dataclasses.dataclass
class Target:
    """A target file's words; seconds are of real time."""
    name: str
    arch: str
    command: list  # the line that runs a kernel, with placeholders
    about: str = ""
    image: str = ""
    console: str = "stdout"  # or file:NAME, in the run's folder
    cpus: int = 4
    memory: int = 256  # MiB
    start_seconds: float = 60  # until the kernel's first line
    case_seconds: float = 30  # that a case may take
    needs: list = dataclasses.field(default_factory=list)  # programs and device files
    check: list = dataclasses.field(default_factory=list)  # a line that fails where it cannot run
    prepare: list = dataclasses.field(default_factory=list)  # lines to run before each start
    files: dict = dataclasses.field(default_factory=dict)  # name: text, written to the run's folder
    only: list = dataclasses.field(default_factory=list)  # patterns of the cases that it is for
    skip: list = dataclasses.field(default_factory=list)  # patterns of cases not to be started
    hanging: list = dataclasses.field(default_factory=list)  # patterns of cases that never end here
    path: pathlib.Path = None

    @property
    def key(self):
        """Unique among all."""
        return f"{self.arch}/{self.name}"

    @property
    def here(self):
        """The folder of its file."""
        return self.path.resolve().parent

    def seconds_of(self, case):
        """What a case may take; those known to hang are not waited for as long."""
        hangs = any(fnmatch.fnmatchcase(case, pattern) for pattern in self.hanging)
        return min(HANG_SECONDS, self.case_seconds) if hangs else self.case_seconds

    def expand(self, line, values):
        """A line's words with the placeholders filled in."""
        return [fill(word, values) for word in line]

    def missing(self, values):
        """Why it cannot run here, or None."""
        for need in self.expand(self.needs, values):
            if need.startswith("/"):
                if not os.access(need, os.R_OK | os.W_OK if need.startswith("/dev/") else os.R_OK):
                    return f"{need} is not there, or not for us"
            elif not shutil.which(need):
                return f"{need} is not installed"
        if self.check:
            return _check(self.expand(self.check, values))
        return None


def _check(line):
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=CHECK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stderr + done.stdout).strip().splitlines()
    return None if done.returncode == 0 else said[-1] if said else f"{line[0]}: status {done.returncode}"


def fill(word, values):
    """A word with {name} replaced by values' name; other braces stay."""
    return re.sub(r"\{(" + "|".join(PLACEHOLDERS) + r")\}", lambda m: str(values[m.group(1)]), word)


def _check_placeholders(path, key, words):
    """What looks like a placeholder should be one; ${name} is the shell's."""
    for word in words:
        for name in re.findall(r"(?<!\$)\{(\w+)\}", word):
            if name not in PLACEHOLDERS:
                raise Refused(f"{path}: {key}: {{{name}}}: there are "
                              f"{', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}")


def _typed(path, key, value, kind):
    fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if not fits:
        names = {str: "a text", list: "a list", dict: "a table", int: "a number", (int, float): "a number"}
        raise Refused(f"{path}: {key}: should be {names[kind]}")
    return value


def _check_words(path, key, words):
    if not all(isinstance(word, str) for word in words):
        raise Refused(f"{path}: {key}: should be a list of texts")
    if key in ("command", "needs", "check", "prepare"):
        _check_placeholders(path, key, words)


def read(path):
    """The Target of a file."""
    path = pathlib.Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from error
    kinds = {"name": str, "arch": str, "command": list, "about": str, "image": str, "console": str,
             "cpus": int, "memory": int, "start_seconds": (int, float), "case_seconds": (int, float),
             "needs": list, "check": list, "prepare": list, "files": dict, "only": list, "skip": list,
             "hanging": list}
    for key, value in table.items():
        if key not in kinds:
            raise Refused(f"{path}: {key}: no such key; there are {', '.join(kinds)}")
        _typed(path, key, value, kinds[key])
    for key in ("arch", "command"):
        if key not in table:
            raise Refused(f"{path}: {key} is missing")
    target = Target(**{"name": path.stem, **table}, path=path)
    _check_target(path, target)
    target.image = target.image or IMAGES[target.arch][0]
    return target


def _check_target(path, target):
    if target.arch not in ARCHITECTURES:
        raise Refused(f"{path}: arch {target.arch}: should be {' or '.join(ARCHITECTURES)}")
    if target.image and target.image not in IMAGES[target.arch]:
        raise Refused(f"{path}: image {target.image}: for {target.arch} it should be one of "
                      f"{', '.join(IMAGES[target.arch])}")
    if target.console != "stdout" and not re.fullmatch(r"file:[^/]*[^/.][^/]*", target.console):
        raise Refused(f"{path}: console {target.console}: should be stdout or file:NAME, without a folder")
    if not target.command:
        raise Refused(f"{path}: command is empty")
    if target.cpus < 1 or target.memory < 16:
        raise Refused(f"{path}: cpus should be at least 1 and memory at least 16 (MiB)")
    if not (target.start_seconds > 0 and target.case_seconds > 0):
        raise Refused(f"{path}: start_seconds and case_seconds should be more than 0")
    for key in ("command", "needs", "check", "only", "skip", "hanging"):
        _check_words(path, key, getattr(target, key))
    for line in target.prepare:
        _check_words(path, "prepare", _typed(path, "prepare", line, list))
    _check_words(path, "files", target.files.values())
    for name in target.files:
        if "/" in name or not name.strip(".") or name in OWN_FILES:
            raise Refused(f"{path}: files: {name}: should have no folder, and be none of {', '.join(OWN_FILES)}")


def read_folder(folder):
    """Those of a folder, by architecture and name."""
    found = [read(path) for path in sorted(pathlib.Path(folder).glob("*.toml"))]
    return sorted(found, key=lambda t: (ARCHITECTURES.index(t.arch), t.name))
