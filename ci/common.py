# SPDX-License-Identifier: BSD-2-Clause
"""What the commands behind ./dev share: places, messages, progress, builds."""
import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
JOBS = len(os.sched_getaffinity(0))
HOSTED_PRESETS = ["hosted-debug", "hosted-clang", "sanitizers"]
ALL_PRESETS = ["hosted-debug", "hosted-release", "hosted-clang", "sanitizers",
               "hosted-aarch64", "board-x86_64", "board-x86_64-clang", "board-aarch64"]


class Failure(Exception):
    """An error for the user: a line or a few, and the command's exit status."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


def colour(code, text, stream=sys.stdout):
    return f"\x1b[{code}m{text}\x1b[0m" if stream.isatty() else text


class Progress:
    """`with Progress("building x"):` shows the line once it takes more than two seconds, if
    somebody is watching; the time is in .seconds afterwards."""

    def __init__(self, text):
        self.text = text
        self.done = threading.Event()
        self.thread = None

    def _show(self):
        shown = False
        while not self.done.wait(1.0 if shown else 2.0):
            elapsed = int(time.monotonic() - self.start)
            print(f"\r{self.text} ... {elapsed} s", end="", file=sys.stderr, flush=True)
            shown = True
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __enter__(self):
        self.start = time.monotonic()
        if sys.stderr.isatty():
            self.thread = threading.Thread(target=self._show, daemon=True)
            self.thread.start()
        return self

    def __exit__(self, *unused):
        self.seconds = time.monotonic() - self.start
        self.done.set()
        if self.thread:
            self.thread.join()


def useful_end(log):
    """The lines of a failed step that say why: from the first failure on, or the last ones."""
    lines = log.read_text(errors="replace").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("FAILED:"):
            return [l for l in lines[number:] if not l.startswith("[")][:30]
    return lines[-20:]


def run_logged(command, log, what, **kwargs):
    """Runs a command with its output in a file; a failure shows the file's end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with Progress(what), open(log, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, cwd=ROOT, **kwargs)
    if done.returncode != 0:
        raise Failure("\n".join(useful_end(log) + [f"{what} failed; all of it: {log.relative_to(ROOT)}"]))


@contextlib.contextmanager
def alone(what):
    """One at a time: another ./dev in this tree may be at it, and ninja does not look."""
    lock = BUILD / "log" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w", encoding="ascii") as file:
        with Progress(f"waiting for another ./dev before {what}"):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_preset(preset, *targets):
    """Configures (once) and builds a preset."""
    with alone(f"building {preset}"):
        return build_alone(preset, *targets)


def build_alone(preset, *targets):
    if not shutil.which("cmake"):
        raise Failure("cmake is not installed")
    directory = BUILD / preset
    if preset in ("board-aarch64", "hosted-aarch64"):
        import libfdt  # which needs this module
        libfdt.fetch()
    if not (directory / "build.ninja").exists():
        run_logged(["cmake", "--preset", preset], BUILD / "log" / f"{preset}-configure.log",
                   f"configuring {preset}")
    command = ["cmake", "--build", "--preset", preset, "-j", str(JOBS)]
    for target in targets:
        command += ["--target", target]
    run_logged(command, BUILD / "log" / f"{preset}.log", f"building {preset}")
    return directory


def main(function):
    """Runs a command's main function; failures become a message and a status."""
    try:
        sys.exit(function(sys.argv[1:]))
    except Failure as failure:
        print(f"{colour('31', 'error:', sys.stderr)} {failure}", file=sys.stderr)
        sys.exit(failure.status)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
