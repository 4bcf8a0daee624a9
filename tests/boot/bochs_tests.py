# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests on Bochs: VT-x, and an AMD-V that saves the next RIP and flushes by ASID. Its clocks
count instructions, so that nothing here depends on how busy the host is."""
import io
import re

import machine
import rig
import run
from rig import FACTS, check_equal, check_facts, check_ok, check_refused, dev_run, directory, on_bochs

LONG = 300  # an instruction there is some twenty of the host's


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
    rig.two_vms_statuses("--machine", "bochs", "--host-cpus", "1", "--memory", "128M", timeout=LONG)


@on_bochs
def bochs_vmx_one_cpu():
    done = dev_run("--backend", "vmx", "--memory", "128M", timeout=LONG, command=[FACTS])
    check_facts(done, 1)
    log = log_of("bochs_vmx_one_cpu")
    assert re.search(r"^hypercore: backend vmx: .*EPT.*unrestricted guest, VPID", log, re.M), log


@on_bochs
def bochs_vmx_two_cpus():
    done = dev_run("--backend", "vmx", "--cpus", "2", "--memory", "128M", timeout=LONG, command=[FACTS])
    check_facts(done, 2)


@on_bochs
def bochs_vmx_two_vms_status():
    rig.two_vms_statuses("--backend", "vmx", "--host-cpus", "1", "--memory", "128M", timeout=LONG)


@on_bochs
def bochs_without_vtx():
    check_refused(dev_run("--backend", "vmx", "--cpu-model", "ryzen", timeout=LONG), "VT-x")


@on_bochs
def bochs_without_ept():
    done = dev_run("--backend", "vmx", "--cpu-model", "core2_penryn_t9600", timeout=LONG)
    check_refused(done, "VT-x without")
    assert "without EPT" in log_of("bochs_without_ept")


@on_bochs
def bochs_without_unrestricted_guest():
    """Real mode, in which the second CPU starts, is the software CPU's."""
    done = dev_run("--backend", "vmx", "--cpu-model", "corei5_lynnfield_750", "--cpus", "2", "--memory", "128M",
                   "--stats", timeout=LONG, command=[FACTS])
    check_facts(done, 2)
    log = log_of("bochs_without_unrestricted_guest")
    assert "backend vmx: VT-x, EPT, paged modes only" in log, log
    moves = re.findall(r"vm debian vcpu 1: .* (\d+) moves", log)
    assert moves and int(moves[-1]) >= 2, log


@on_bochs
def one_disk_for_amd_and_intel():
    """The same disk starts on QEMU with AMD-V and on Bochs with VT-x, and finds what is there."""
    name = directory("one_disk_for_amd_and_intel")
    found = {}
    for emulator in ("qemu", "bochs"):
        host = machine.Machine(directory=name, emulator=emulator, backend="auto", boot="disk", memory="128M",
                               command=["uname -m"], quiet=True)
        line = machine.command_line(host)
        image = host.directory / "hypercore.img"
        if emulator == "qemu":
            kept = image.read_bytes()
        else:
            image.write_bytes(kept)
        sink = io.BytesIO()
        run.execute(line, host, timeout=LONG, sink=sink)
        verdict = machine.read_verdict(host.log)
        assert verdict.ok and verdict.status(host.command) == 0, (emulator, verdict)
        check_equal(sink.getvalue(), b"x86_64\n", f"output on {emulator}")
        log = host.log.read_text()
        found[emulator] = re.search(r"^hypercore: backend (\w+) runs guests", log, re.M).group(1)
    check_equal(found, {"qemu": "svm", "bochs": "vmx"}, "backends")
