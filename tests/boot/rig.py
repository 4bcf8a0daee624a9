# SPDX-License-Identifier: BSD-2-Clause
"""What the boot tests share: ./dev run, and checks of what came of it."""
import os
import pty
import re
import select
import subprocess
import sys
import time
import unittest

import bochs
import guest
import hosted
from common import BUILD, ROOT, build_preset

TESTS = []
TIMEOUT = 90
NO_RUN = 125  # ./dev run's status when there was no command to take it from


def boot_test(function):
    TESTS.append(function)
    return function


def on_bochs(function):
    """A boot test for hosts that have Bochs."""
    def test():
        missing = bochs.missing()
        if missing:
            raise unittest.SkipTest(f"not installed: {', '.join(missing)}")
        function()
    test.__name__ = function.__name__
    boot_test(test)
    return function


def directory(name):
    path = BUILD / "test" / "boot" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def caller():
    return sys._getframe(2).f_code.co_name


def dev_line(name, *options):
    backend = [] if "--backend" in options else ["--backend", "svm"]
    return ["./dev", "run", *backend, "--directory", str(directory(name)), *options]


def dev_run(*options, command=("true",), timeout=TIMEOUT, name=""):
    """./dev run in a folder named after the test, or so; what came of it. command None: there is none, as
    for kernels that are not Linux."""
    line = [*dev_line(name or caller(), *options), "--timeout", str(timeout)]
    line += ["--", *command] if command else []
    return subprocess.run(line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)


def check_equal(found, wanted, what):
    assert found == wanted, f"{what}: {found!r}, not {wanted!r}"


def check_ok(done, output=None):
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr.decode()}"
    if output is not None:
        check_equal(done.stdout, output, "output")


def check_refused(done, *patterns):
    """One line that says what is wrong, and a status that says so too."""
    check_equal(done.returncode, NO_RUN, f"status ({done.stderr.decode()})")
    lines = done.stderr.decode().splitlines()
    check_equal(len(lines), 1, f"number of lines on standard error ({lines})")
    assert len(lines[0]) > 20, f"says too little: {lines[0]}"
    for pattern in patterns:
        assert re.search(pattern, lines[0], re.IGNORECASE), f"{lines[0]!r} does not say {pattern!r}"
    check_equal(done.stdout, b"", "output")


def check_facts(done, cpus, arch=guest.X86_64):
    """Output of: uname -r; nproc; cat /proc/uptime."""
    check_ok(done)
    release, processors, uptime = done.stdout.decode().splitlines()
    check_equal(release, guest.version(arch), "release")
    check_equal(processors, str(cpus), "processors")
    assert 0 < float(uptime.split()[0]) < TIMEOUT, uptime


FACTS = "uname -r; nproc; cat /proc/uptime"


# Tests for machines of all kinds, which the options choose.


def two_vms(*options):
    done = dev_run("--vms", "2", "--cpus", "2", "--memory", "256M", *options,
                   command=["hostname; nproc"], name=caller())
    check_ok(done, b"debian1: debian1\ndebian1: 2\ndebian2: debian2\ndebian2: 2\n")


def two_vms_statuses(*options, timeout):
    done = dev_run("--vms", "2", *options, timeout=timeout, name=caller(),
                   command=["hostname; [ $(hostname) = debian1 ] || exit 3"])
    check_equal((done.returncode, done.stdout), (3, b"debian1: debian1\ndebian2: debian2\n"),
                "status and output")


def one_of_two_vms_crashes(*options):
    script = ("if [ $(hostname) = debian1 ]; then echo c >/proc/sysrq-trigger; fi; "
              "sleep 3; echo alive")
    done = dev_run("--vms", "2", "--memory", "256M", *options, command=[script], name=caller())
    check_equal(done.returncode, NO_RUN, "status")
    check_equal(done.stdout, b"debian2: alive\n", "output")
    assert b"vm debian1: " in done.stderr, done.stderr


def status_and_bytes(*options):
    done = dev_run(*options, command=["printf 'a\\000b\\n\\377'; seq 1 2000; exit 9"], name=caller())
    lines = b"".join(b"%d\n" % n for n in range(1, 2001))
    check_equal((done.returncode, done.stdout), (9, b"a\0b\n\xff" + lines), "status and output")


def kvm_caps():
    """What hypercore caps says; a test is skipped where that cannot use KVM."""
    build_preset(hosted.PRESET, "hypercore")
    caps = subprocess.run([hosted.binary(), "caps"], capture_output=True, text=True).stdout
    found = re.search(r"^backend kvm +(.*)$", caps, re.M).group(1)
    if not found.startswith("yes"):
        raise unittest.SkipTest(f"backend kvm: {found}")
    return caps


TEXT = b"This is a text.\n" * 500  # no kernel


def half(path):
    whole = path.read_bytes()
    return whole[:len(whole) // 2]


def bad_kernel(name, content, *patterns, options=(), command=("true",)):
    path = directory("kernels") / name
    path.write_bytes(content)
    check_refused(dev_run("--kernel", str(path), *options, command=command, name=caller()), *patterns)


class Terminal:
    """./dev run on a pseudo-terminal."""

    def __init__(self, name, *options):
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execv("./dev", dev_line(name, *options))

    def _read(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"nothing more within {TIMEOUT} s; so far: {self.output[-2000:]!r}"
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # EIO: the other side has closed
            data = b""
        self.output += data
        return data

    def expect(self, text):
        deadline = time.monotonic() + TIMEOUT
        while text not in self.output:
            assert self._read(deadline), f"ended without {text!r}: {self.output[-2000:]!r}"
        self.output = self.output[self.output.index(text) + len(text):]

    def type(self, text):
        for byte in text:  # as a person would, not as one burst
            os.write(self.fd, bytes([byte]))
            time.sleep(0.01)

    def end(self):
        """Waits for it to end by itself; the exit status."""
        deadline = time.monotonic() + TIMEOUT
        while self._read(deadline):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def console(*options):
    terminal = Terminal(caller(), *options)
    terminal.expect(b"# ")
    terminal.type(b"echo $((6 * 7))-answer\r")
    terminal.expect(b"42-answer")
    terminal.expect(b"# ")
    terminal.type(b"sleep 60\r")
    time.sleep(1)
    terminal.type(b"\x03")  # job control: Ctrl-C reaches the guest's process
    terminal.expect(b"# ")
    terminal.type(b"exit\r")
    check_equal(terminal.end(), 0, "status")


def leaving_by_ctrl_a_x(*options):
    terminal = Terminal(caller(), *options)
    terminal.expect(b"# ")
    terminal.type(b"\x01x")
    check_equal(terminal.end(), 0, "status")
