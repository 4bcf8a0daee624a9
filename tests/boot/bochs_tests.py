# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests on Bochs: an AMD-V that saves the next RIP and flushes by ASID. Its clocks count
instructions, so that nothing here depends on how busy the host is."""
import re
import unittest

import bochs
from rig import FACTS, boot_test, check_equal, check_facts, check_ok, dev_run, directory

LONG = 300  # an instruction there is some twenty of the host's


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


def log_of(name):
    return (directory(name) / "hypercore.log").read_text()


@on_bochs
def bochs_svm_one_cpu():
    sleep = "t() { cut -d. -f1 /proc/uptime; }; a=$(t); sleep 2; b=$(t); echo $((b - a))"
    done = dev_run("--machine", "bochs", "--memory", "128M", timeout=LONG, command=[f"{sleep}; {FACTS}"])
    check_ok(done)
    slept, _, rest = done.stdout.partition(b"\n")
    assert slept in (b"2", b"3"), done.stdout
    done.stdout = rest
    check_facts(done, 1)
    log = log_of("bochs_svm_one_cpu")
    assert re.search(r"^hypercore: backend svm: .*next RIP, flush by ASID", log, re.M), log


@on_bochs
def bochs_svm_two_cpus():
    done = dev_run("--machine", "bochs", "--cpus", "2", "--memory", "128M", timeout=LONG, command=[FACTS])
    check_facts(done, 2)


@on_bochs
def bochs_svm_two_vms_status():
    done = dev_run("--machine", "bochs", "--vms", "2", "--host-cpus", "1", "--memory", "128M", timeout=LONG,
                   command=["hostname; [ $(hostname) = debian1 ] || exit 3"])
    check_equal((done.returncode, done.stdout), (3, b"debian1: debian1\ndebian2: debian2\n"),
                "status and output")
