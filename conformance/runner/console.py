# SPDX-License-Identifier: BSD-2-Clause
"""A started target: its process, and its console's lines as they come."""
import os
import queue
import re
import signal
import subprocess
import threading
import time

from target import Refused

ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][0-9A-B]|[=>])|[\x00-\x08\x0b-\x1f]")
POLL = 0.05  # seconds between two looks at a console that is a file
GRACE = 5  # seconds that a target may take to end by itself, and to end when told to
PREPARE_SECONDS = 300
CHUNK = 65536
LONGEST = 4096  # characters of a line that are of use
WAITING = 10000  # lines that nobody has read; then the target waits
KEPT = 64 << 20  # bytes of a console that are kept


# Those whose targets run now.
RUNNING = set()


def end_all():
    """Of no use to anybody any more: the runner is told to end."""
    for console in list(RUNNING):
        console.kill()


class Console:
    """Runs a target once. lines: a queue of texts, None after the last one."""

    def __init__(self, target, values, directory):
        self.lines = queue.Queue(WAITING)
        self.directory, self.is_over = directory, False
        self._write_files(target, values)
        self._prepare(target, values)
        self.is_file = target.console.startswith("file:")
        self.path = directory / target.console.removeprefix("file:") if self.is_file else None
        if self.path:
            self.path.unlink(missing_ok=True)
        self._start(target.expand(target.command, values))
        RUNNING.add(self)
        self.raw = open(directory / "console", "wb", buffering=0)
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()

    def _write_files(self, target, values):
        for name, text in target.files.items():
            (self.directory / name).write_text(target.expand([text], values)[0], encoding="utf-8")

    def _prepare(self, target, values):
        for line in target.prepare:
            words = target.expand(line, values)
            try:
                done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=PREPARE_SECONDS, check=False, cwd=self.directory)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Refused(f"{target.key}: {words[0]}: {error}") from error
            if done.returncode:
                raise Refused(f"{target.key}: {' '.join(words)}: status {done.returncode}: "
                              f"{(done.stderr or done.stdout).strip()[-1000:]}")

    def _start(self, line):
        (self.directory / "command").write_text(" ".join(line) + "\n", encoding="utf-8")
        errors = open(self.directory / "stderr", "wb")
        out = subprocess.DEVNULL if self.is_file else subprocess.PIPE
        try:
            # A group of its own: whatever the target started ends with it.
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                                            start_new_session=True, cwd=self.directory)
        except OSError as error:
            place = "" if line[0].startswith("/") or "/" not in line[0] else \
                " (commands run in a folder of the run's; {here} is that of the target's file)"
            raise Refused(f"{line[0]}: {error.strerror}{place}") from error
        finally:
            errors.close()

    def _chunks(self):
        """The console's bytes until the target has ended."""
        if not self.is_file:
            while data := os.read(self.process.stdout.fileno(), CHUNK):
                yield data
            return
        while not self.path.exists():
            if self.process.poll() is not None:
                return
            time.sleep(POLL)
        with open(self.path, "rb") as file:
            while True:
                ended = self.process.poll() is not None
                while data := file.read(CHUNK):
                    yield data
                if ended:
                    return
                time.sleep(POLL)

    def _follow(self):
        rest, kept = b"", 0
        for data in self._chunks():
            self.raw.write(data[:KEPT - kept])
            kept = min(kept + len(data), KEPT)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                self._put(_clean(line))
            rest = rest[-LONGEST:]
        if rest:
            self._put(_clean(rest))
        self.raw.close()
        if self.process.stdout:
            self.process.stdout.close()
        self._put(None)

    def _put(self, line):
        while not self.is_over:
            try:
                return self.lines.put(line, timeout=POLL)
            except queue.Full:
                pass  # the target is faster than who reads: it waits for its pipe

    def next(self, seconds):
        """The next line; None: the target has ended. queue.Empty: none came."""
        return self.lines.get(timeout=max(seconds, 0.001))

    def complaints(self):
        """Why there may be nothing to read: the end of what the target's process complained of."""
        text = (self.directory / "stderr").read_text(encoding="utf-8", errors="replace")
        absent = [f"it wrote no file {self.path.name}"] if self.path and not self.path.exists() else []
        return absent + [line for line in text.splitlines() if line.strip()][-3:]

    def end(self, at_once=False):
        """Ends the target for certain; its process' status. Nobody reads lines any more."""
        self.is_over = True
        if not at_once:
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                pass
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self._signal(number)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                pass
        self.kill()  # what it left behind
        RUNNING.discard(self)
        self.reader.join(GRACE)
        return self.process.wait()

    def kill(self):
        """The target and all that it started, at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _clean(line):
    """A line as text without what moves cursors."""
    return ESCAPES.sub(b"", line.rstrip(b"\r")).decode(errors="replace")[-LONGEST:]
