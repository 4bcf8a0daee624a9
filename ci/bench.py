# SPDX-License-Identifier: BSD-2-Clause
"""./dev bench: what exits, a boot and the page tables cost, beside KVM on the same machine; and how
fast the software CPU is, beside QEMU's and Bochs."""
import argparse
import bisect
import collections
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import arm
import bochs
import common
import guest
import machine as machines
import peer
import run
from common import BUILD, ROOT, Failure, Progress, build_preset, colour

OUT = BUILD / "bench"
ICOUNT = ("-icount", "shift=0,sleep=off")
TIMEOUT = 120
WALL_RUNS = 3
EL2_WALL_RUNS = 9

# Host instructions. KVM: kvm-amd of Debian's 6.1 kernel on the same emulated CPU, counted from the
# instruction after VMRUN to the next VMRUN, default mitigations.
SVM_EXITS = {
    "cpuid": {"goal": 300, "kvm": 3078, "what": "CPUID"},
    "vmmcall": {"goal": None, "kvm": 3327, "what": "VMMCALL"},
    "rdmsr": {"goal": 300, "kvm": 3165, "what": "RDMSR"},
    "port-in": {"goal": 300, "kvm": 1712, "what": "port in, handled"},
    "lapic-read": {"goal": 700, "kvm": 3818, "what": "local APIC MMIO read"},
    "ioapic-read": {"goal": 800, "kvm": 4080, "what": "IOAPIC MMIO read"},
    "self-ipi-hlt": {"goal": None, "kvm": 13579, "what": "self-IPI, sti; hlt (whole)"},
}
# The same with kvm-intel on Bochs 3.0's corei7_skylake_x, mitigations=off; a port is one that QEMU
# handles. What has no figure was not counted.
VMX_EXITS = {
    "cpuid": {"goal": 250, "kvm": 948, "what": "CPUID"},
    "vmcall": {"goal": 250, "kvm": 958, "what": "VMCALL"},
    "rdmsr": {"goal": None, "kvm": None, "what": "RDMSR"},
    "port-in": {"goal": 300, "kvm": 3048, "what": "port, handled"},
    "lapic-read": {"goal": None, "kvm": None, "what": "local APIC MMIO read"},
    "ioapic-read": {"goal": None, "kvm": None, "what": "IOAPIC MMIO read"},
    "first-touch": {"goal": 1200, "kvm": 6519, "what": "first touch of a page"},
    "self-ipi-hlt": {"goal": None, "kvm": None, "what": "self-IPI, sti; hlt (whole)"},
    "self-ipi": {"goal": None, "kvm": None, "what": "self-IPI, taken and ended (whole)"},
    "timer": {"goal": None, "kvm": None, "what": "timer, due, taken and ended (whole)"},
    "x2apic-read": {"goal": None, "kvm": None, "what": "x2APIC MSR read"},
}
# The same with KVM/arm64 on QEMU's neoverse-n1 (VHE), by kvm-unit-tests' micro-bench; two CPUs, whose
# instructions count alike.
EL2_EXITS = {
    "hvc": {"goal": 250, "kvm": 1069, "what": "HVC (PSCI_VERSION)"},
    "id-read": {"goal": None, "kvm": None, "what": "ID register read"},
    "gic-read": {"goal": 500, "kvm": 1913, "what": "MMIO read, vGIC"},
    "uart-read": {"goal": 500, "kvm": 6114, "what": "MMIO read, PL011"},
    "self-ipi-wfi": {"goal": None, "kvm": None, "what": "SGI to itself, wfi (whole)"},
    "ipi": {"goal": 2000, "kvm": 4886, "what": "SGI to another vCPU that runs"},
    "ipi-wfi": {"goal": None, "kvm": None, "what": "SGI to another vCPU, in wfi"},
    "timer": {"goal": None, "kvm": 4976, "what": "timer, 10 ms: latency"},
}
EL2_BOOT = {"quiet": {"goal": 1.3, "kvm": 1.7}, "verbose": {"goal": 1.3, "kvm": 6.6},
            "verbose, small pages": {"goal": None, "kvm": None}}  # docs/board.md, large-pages
BOOT = {"instructions": {"goal": 1.1, "kvm": 1.12}, "wall": {"goal": 1.5, "kvm": 2.1}}


def write(name, result):
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{path.relative_to(ROOT)}\n")


def table(rows):
    """Prints rows in columns: the first to the left, the others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def met(value, goal):
    if goal is None:
        return ""
    return colour("32", "met") if value <= goal else colour("31", "missed")


class Sink:
    """Collects a machine's output."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data

    def flush(self):
        pass


def run_machine(machine, line, bare=False):
    """Runs it to its end; (its output, wall seconds)."""
    sink, start = Sink(), time.monotonic()
    returncode, said, expired = run.execute(line, machine, timeout=TIMEOUT, sink=sink)
    seconds = time.monotonic() - start
    if expired:
        raise Failure(f"{machine.log}: not finished after {TIMEOUT} s")
    if bare:
        wanted = 1 if machine.architecture is guest.X86_64 else 0 # isa-debug-exit's 0; powered off
        if returncode != wanted:
            raise Failure(f"{machine.log}: the bare machine ended with {returncode}: {said}")
        return sink.data.decode(), seconds
    verdict = machines.read_verdict(machine.log)
    if verdict.errors or not verdict.ok:
        raise Failure("\n".join(verdict.errors or [said, f"{machine.log}: no orderly end"]))
    return sink.data.decode(), seconds


BENCH_GUEST = {"board-x86_64": "bench/guest/bench-guest.bin",
               "board-aarch64": "bench/guest/aarch64/bench-guest.bin"}


def time_exits(backend, extra=(), cpus="1"):
    """What bench/guest reports: NAME, ticks."""
    machine = machines.Machine(directory=OUT / "exits", memory="64M", command=[], initrd="none",
                               emulator=machines.default_emulator(backend), backend=backend,
                               boot=machines.BOOTS[machines.default_emulator(backend)][0],
                               serials=("com2", "none"), extra=extra, cpus=cpus)
    machine.kernel = str(machines.board_file(BENCH_GUEST[machine.preset], machine.preset))
    build_preset(machine.preset)
    with Progress("timing exits"):
        output, _ = run_machine(machine, machines.command_line(machine))
    return {name: int(ticks) for name, ticks in
            re.findall(r"^([a-z0-9-]+) (\d+)\r?$", output, re.MULTILINE)}


def print_exits(name, found, wanted):
    missing = set(wanted) - set(found)
    if missing:
        raise Failure(f"the guest did not report {', '.join(sorted(missing))}; it reported {found}")
    result, rows = {}, [("host instructions per exit", "ours", "goal", "KVM", "KVM / ours", "")]
    for key, row in wanted.items():
        value, kvm = found[key], row["kvm"]
        result[key] = {"instructions": value, "goal": row["goal"], "kvm": kvm}
        rows.append((row["what"], str(value), str(row["goal"] or ""), str(kvm or ""),
                     f"{kvm / max(value, 1):.1f}" if kvm else "", met(value, row["goal"])))
    table(rows)
    return name, result


def el2_plugin():
    """The plugin's option for the AArch64 image: it has to be told where the guest is entered and left."""
    build_preset("board-aarch64")
    known = {name: address for address, name in functions("board-aarch64")}
    enter, vectors = known["el2_hw_enter"], known["trap_vectors"]
    # Exceptions from a lower exception level, Arm ARM D1.3.1.1.
    return f"{plugin(arm.QEMU)},output={OUT / 'count.json'},enter={enter:#x}-{enter + 0x100:#x}," \
           f"leave={vectors + 0x400:#x}-{vectors + 0x7ff:#x}"


def bench_exits_el2():
    name, result = print_exits("exits-el2", time_exits("el2", (*ICOUNT, "-plugin", el2_plugin()), "2"), EL2_EXITS)
    print()
    counts = json.loads((OUT / "count.json").read_text())
    print_functions(by_function(counts["outside"], "board-aarch64"), counts["entries"])
    write(name, result)


def bench_exits(backend):
    if backend == "vmx":
        write(*print_exits("exits-vmx", time_exits("vmx"), VMX_EXITS))
        return
    if backend == "el2":
        bench_exits_el2()
        return
    found = time_exits("svm", (*ICOUNT, "-plugin", f"{plugin()},output={OUT / 'count.json'}"))
    name, result = print_exits("exits", found, SVM_EXITS)
    print()
    counts = json.loads((OUT / "count.json").read_text())
    print_functions(by_function(counts["outside"]), counts["entries"])
    write(name, result)


def plugin(qemu=machines.QEMU):
    """Builds bench/count.c for the interface version that this QEMU speaks."""
    library = OUT / "count.so"
    said = b""
    for version in (1, 2, 3, 4, 5, 6):
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", f"-DHC_PLUGIN_API={version}",
                        "-o", str(library), str(ROOT / "bench/count.c")], check=True)
        tried = subprocess.run([qemu, "-machine", "none", "-nodefaults", "-display", "none",
                                "-monitor", "stdio", "-plugin", f"{library},output=/dev/null"],
                               input=b"quit\n", capture_output=True)
        if tried.returncode == 0:
            return library
        said = tried.stderr
    raise Failure(f"QEMU takes no instruction-counting plugin: {said.decode().strip()}")


def functions(preset="board-x86_64"):
    """The hypervisor's functions as sorted (address, name)."""
    done = subprocess.run(["nm", str(machines.board_file("hypercore.elf", preset))], capture_output=True,
                          text=True, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return sorted((int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in "tT")


def by_function(outside, preset="board-x86_64"):
    """Instructions outside the guest by function, from the plugin's list of addresses."""
    known, found = functions(preset), collections.Counter()
    addresses = [address for address, _ in known]
    for address, count in outside:
        at = bisect.bisect_right(addresses, address) - 1
        found["(firmware, boot code)" if address < 1 << 32 or at < 0 else known[at][1]] += count
    return found


def print_functions(found, entries, most=15):
    """The functions that the time outside the guest goes to."""
    rows = [("outside the guest, start-up included", "instructions", "per exit")]
    rows += [(name, str(count), f"{count / max(entries, 1):.1f}")
             for name, count in found.most_common(most)]
    table(rows)


def boot_machine(where, bare, quiet, extra=()):
    machine = machines.Machine(directory=OUT / where, command=["true"], quiet=quiet, stats=not bare,
                               extra=extra)
    line = machines.bare_command_line(machine) if bare else machines.command_line(machine)
    return machine, line


def boot_instructions(library, bare, quiet):
    counts = OUT / "count.json"
    counts.unlink(missing_ok=True)
    machine, line = boot_machine("boot", bare, quiet,
                                 (*ICOUNT, "-plugin", f"{library},output={counts}"))
    run_machine(machine, line, bare)
    return json.loads(counts.read_text())


def boot_wall(bare, quiet):
    machine, line = boot_machine("boot", bare, quiet)
    return statistics.median(run_machine(machine, line, bare)[1] for _ in range(WALL_RUNS))


def print_statistics():
    """The hypervisor's own account of the last boot."""
    log = (OUT / "boot/hypercore.log").read_text(errors="replace").splitlines()
    lines = [line for line in log if line.startswith("hypercore: ")]
    for number, line in enumerate(lines):
        if re.search(r"exits|statistics", line):
            print("\n".join(line.removeprefix("hypercore: ") for line in lines[number:]))
            return


# Bochs counts each round of a string instruction, and its firmware leaves fast strings switched off,
# which in the VM are on; nor does Linux like its XSAVE. With the same CPU in both, Linux does the same.
SAME_PATHS = "clearcpuid=erms,rep_good noxsave"
UPTIME = "cut -d' ' -f1 /proc/uptime"


def bochs_uptime():
    """Seconds, by the machine's clock, that Debian on bare Bochs takes to its first command."""
    archive = OUT / "uptime-initrd.img"
    archive.write_bytes(guest.initramfs().read_bytes() + guest.command_archive([UPTIME]))
    where = OUT / "bochs-uptime"
    found = peer.run(where, guest.kernel(), lambda text: re.fullmatch(r"\d+\.\d+", text), TIMEOUT, archive,
                     machines.guest_append(vmx_machine(), "bare"))
    if not found.finished:
        raise Failure("Bochs: Debian did not get to userspace")
    return float((where / "com2").read_text(errors="replace").split()[0])


def vmx_machine():
    return machines.Machine(directory=OUT / "boot-vmx", backend="vmx", emulator="bochs", boot="disk",
                            command=[UPTIME], quiet=True, append=SAME_PATHS)


def vmx_uptime():
    machine = vmx_machine()
    build_preset("board-x86_64")
    return float(run_machine(machine, machines.command_line(machine))[0])


def bench_boot_vmx():
    """Bochs' clock counts instructions: the guest's own clock tells what its boot took."""
    goal = 1.2
    with Progress("booting on Bochs"):
        bare, vm = (seconds * bochs.IPS / 1e6 for seconds in (bochs_uptime(), vmx_uptime()))
    table([("Debian to its first command, 1 CPU", "bare Bochs", "in the VM", "ratio", "goal", ""),
           ("instructions, idle ones included", f"{bare:.0f} M", f"{vm:.0f} M", f"{vm / bare:.2f}",
            f"{goal}", met(vm / bare, goal))])
    write("boot-vmx", {"bare": bare * 1e6, "vm": vm * 1e6, "ratio": vm / bare, "goal": goal})


def el2_boot_machine(bare, name):
    machine = machines.Machine(directory=OUT / "boot-el2", backend="el2", emulator="virt", boot="kernel",
                               command=["true"], quiet=name == "quiet", large_pages="small" not in name)
    return machine, (machines.bare_command_line(machine) if bare else machines.command_line(machine))


def children_seconds():
    """Of processor time, of processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def el2_boot_times(name):
    """(Wall seconds, CPU seconds) of boots, bare and in the VM by turns."""
    times = {True: [], False: []}
    for _ in range(EL2_WALL_RUNS):
        for bare, found in times.items():
            machine, line = el2_boot_machine(bare, name)
            before = children_seconds()
            seconds = run_machine(machine, line, bare)[1]
            found.append((seconds, children_seconds() - before))
    return times[True], times[False]


# What else the machine does adds to a run's time and takes nothing away: the shortest ones are least of
# it. The middle ones tell how much there was of that.
EL2_BOOT_ROWS = (("wall", 0, min), ("wall, the middle", 0, statistics.median),
                 ("CPU time, the middle", 1, statistics.median))


def el2_boot_rows(name, bare, vm):
    """(A row of the table, its figures) for each of them. The goal is the first one's."""
    for what, column, choose in EL2_BOOT_ROWS:
        ours, theirs = (choose(run[column] for run in runs) for runs in (vm, bare))
        goal, kvm = EL2_BOOT[name].values() if what == "wall" else (None, None)
        yield (f"{name}, {what}", f"{theirs:.2f} s", f"{ours:.2f} s", f"{ours / theirs:.2f}",
               str(goal or ""), str(kvm or ""), met(ours / theirs, goal)), \
            {what: {"bare": theirs, "vm": ours, "ratio": ours / theirs, "goal": goal}}


def bench_boot_el2():
    rows, result = [("Debian to userspace and off, 1 CPU", "bare", "in the VM", "ratio", "goal", "KVM", "")], {}
    for name in EL2_BOOT:
        with Progress(f"booting, {name}"):
            bare, vm = el2_boot_times(name)
        result[name] = {}
        for row, figures in el2_boot_rows(name, bare, vm):
            rows.append(row)
            result[name] |= figures
    table(rows)
    write("boot-el2", result)


def bench_boot(backend):
    if backend == "vmx":
        bench_boot_vmx()
        return
    if backend == "el2":
        bench_boot_el2()
        return
    library, result, rows = plugin(), {}, []
    for quiet in (True, False):
        name = "quiet" if quiet else "verbose"
        with Progress(f"booting, {name}"):
            bare, vm = (boot_instructions(library, which, quiet) for which in (True, False))
            walls = [boot_wall(which, quiet) for which in (True, False)]
        own, parts = vm["total"] - vm["guest"], by_function(vm["outside"])
        result[name] = {
            "bare": {"instructions": bare["total"], "wall_seconds": walls[0]},
            "vm": {"instructions": vm["total"], "guest_instructions": vm["guest"],
                   "hypervisor_instructions": own, "exits": vm["entries"],
                   "by_function": dict(parts.most_common(40)), "wall_seconds": walls[1]},
            "instructions_ratio": vm["total"] / bare["total"], "wall_ratio": walls[1] / walls[0]}
        rows += boot_rows(name, result[name])
    table([("Debian to userspace and off, 1 CPU", "bare", "in the VM", "ratio", "goal", "KVM", ""),
           *rows])
    print()
    for name in ("quiet", "verbose"):
        vm = result[name]["vm"]
        share = vm["hypervisor_instructions"] / vm["instructions"]
        print(f"{name}: {vm['exits']} exits; outside the guest {vm['hypervisor_instructions'] / 1e6:.0f} M "
              f"instructions ({100 * share:.1f} %, firmware and start-up included)")
    print()
    print_functions(parts, vm["exits"])
    print()
    print_statistics()
    write("boot", result)


def boot_rows(name, figures):
    pairs = (("instructions", "instructions", "M", 1e6), ("wall_seconds", "wall", "s", 1))
    for key, goal, unit, scale in pairs:
        bare, vm = (figures[which][key] / scale for which in ("bare", "vm"))
        ratio, digits = vm / bare, 0 if unit == "M" else 2
        yield (f"{name}, {goal}", f"{bare:.{digits}f} {unit}", f"{vm:.{digits}f} {unit}",
               f"{ratio:.2f}", f"{BOOT[goal]['goal']}", f"{BOOT[goal]['kvm']}",
               met(ratio, BOOT[goal]["goal"]))


def bench_mmu():
    directory = build_preset("hosted-release", "bench-mmu")
    done = subprocess.run([sys.executable, str(ROOT / "bench/mmu.py"), "--build", str(directory),
                           "--json", str(OUT / "mmu.json")])
    if done.returncode != 0:
        raise Failure(f"bench/mmu.py ended with {done.returncode}")


# What the software CPU is held against: million instructions a second, and times QEMU's boot.
EMU_GOALS = {"integer": 150}
EMU_BOOT_GOAL = 3.0
EMU_GUEST = "bench/guest/bench-emu.bin"
EMU_SHORT_GUEST = "bench/guest/bench-emu-short.bin"  # for Bochs
EMU_APPEND = "console=ttyS0 panic=-1 no_timer_check quiet"
BOCHS_LOOPS_TIMEOUT = 90 # it is tens of times slower: the loops that it gets to by then


def qemu_line(kernel, *words):
    return [machines.QEMU, "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-smp", "1",
            "-m", "512", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4", "-kernel", str(kernel), *words]


def emu_line(kernel, *words):
    return [str(BUILD / "hosted-release/hypercore"), "run", "--backend", "emu", "--quiet",
            "--kernel", str(kernel), *words]


def timed_lines(line):
    """Runs a guest; (its serial lines with the time each came at, wall seconds, CPU seconds)."""
    start, before, found = time.monotonic(), os.times(), []
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        for text in process.stdout:
            found.append((time.monotonic(), text.decode(errors="replace").strip()))
        said = process.stderr.read().decode(errors="replace").strip()
        process.wait()
        timer.cancel()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    if process.returncode not in (0, 1): # QEMU's isa-debug-exit gives 1 for 0
        raise Failure(f"{line[0]} ended with {process.returncode}: {said}")
    return found, time.monotonic() - start, cpu


def loop_speeds(lines):
    """NAME: million times and million instructions a second, and ticks, of each loop."""
    speeds, start = {}, 0.0
    for at, text in lines:
        match = re.fullmatch(r"([a-z]+) (\d+) (\d+) (\d+)", text)
        if text.startswith("start "):
            start = at
        elif match:
            times, seconds = int(match.group(2)), max(at - start, 1e-9)
            speeds[match.group(1)] = {"times": times / seconds / 1e6,
                                      "instructions": times * int(match.group(3)) / 10 / seconds / 1e6,
                                      "tsc_mhz": int(match.group(4)) / seconds / 1e6}
    return speeds


def kernel_speeds(line):
    """loop_speeds() of a run to the end."""
    lines, _, _ = timed_lines(line)
    if not lines or lines[-1][1] != "done":
        raise Failure(f"{line[0]}: the guest did not finish; it said:\n" +
                      "\n".join(text for _, text in lines[-5:]))
    return loop_speeds(lines)


def bochs_speeds(image):
    """loop_speeds() of those loops that Bochs gets through in its time."""
    found = peer.run(OUT / "bochs-loops", image, lambda text: text == "done", BOCHS_LOOPS_TIMEOUT)
    speeds = loop_speeds(found.lines)
    if not speeds:
        raise Failure(f"Bochs: no loop came to its end in {BOCHS_LOOPS_TIMEOUT} s")
    return speeds


def boot_archive():
    archive = OUT / "emu-initrd.img"
    archive.write_bytes(guest.initramfs().read_bytes() + guest.command_archive(["echo booted"]))
    return archive


def bochs_boot_seconds():
    """Wall and CPU seconds of one such boot in Bochs, GRUB's part not counted."""
    found = peer.run(OUT / "bochs-boot", guest.kernel(), lambda text: "reboot: " in text, TIMEOUT,
                      boot_archive(), f"{EMU_APPEND} {bochs.LINUX_WORDS}")
    if not found.finished or "booted" not in (OUT / "bochs-boot/com2").read_text(errors="replace"):
        raise Failure("Bochs: Debian did not get to userspace and off; it said:\n" +
                      "\n".join(text for _, text in found.lines[-5:]))
    return [found.wall, found.cpu]


def boot_seconds(emulated):
    """Wall and CPU seconds of a boot of Debian to userspace and off."""
    archive, append = boot_archive(), EMU_APPEND
    line, output = (emu_line, OUT / "emu-boot.log") if emulated else (qemu_line, OUT / "qemu-boot.log")
    option = "--{}" if emulated else "-{}"
    output.unlink(missing_ok=True)
    words = [option.format("initrd"), str(archive), option.format("append"), append,
             option.format("serial"), "null", option.format("serial"), f"file:{output}"]
    runs = []
    for _ in range(WALL_RUNS):
        _, wall, cpu = timed_lines(line(guest.kernel(), *words))
        runs.append((wall, cpu))
        if "booted" not in output.read_text(errors="replace"):
            raise Failure(f"{line.__name__}: Debian did not get to userspace")
    return [statistics.median(column) for column in zip(*runs)]


def bochs_is_there():
    missing = peer.missing()
    if missing:
        print(f"no column for Bochs: not installed: {', '.join(missing)}")
    return not missing


def bench_loops(image, with_bochs):
    with Progress("loops"):
        speeds = {"ours": kernel_speeds(emu_line(image)),
                  "qemu": kernel_speeds(qemu_line(image, "-serial", "stdio"))}
        if with_bochs:
            speeds["bochs"] = bochs_speeds(machines.board_file(EMU_SHORT_GUEST))
    rows = [("million instructions a second", "ours", "QEMU TCG", "ours / QEMU",
             *(("Bochs", "ours / Bochs") if with_bochs else ()), "goal", "")]
    result = {}
    for name, speed in speeds["ours"].items():
        goal, mine, cells = EMU_GOALS.get(name), speed["instructions"], []
        result[name] = {who: found[name] for who, found in speeds.items() if name in found}
        for who, key in (("qemu", "ratio"), ("bochs", "bochs_ratio")):
            if who in result[name]:
                other = result[name][who]["instructions"]
                result[name][key] = mine / other
                cells += [f"{other:.2f}", f"{mine / other:.2f}"]
            elif who in speeds:
                cells += ["", ""]
        rows.append((name, f"{mine:.2f}", *cells, str(goal or ""), met(goal, mine) if goal else ""))
    table(rows)
    for name, what in (("ports", "a port access"), ("mmio", "a local APIC access")):
        print(f"{what}, with its loop: " +
              ", ".join(f"{1000 / found[name]['times']:.0f} ns {who}"
                        for who, found in speeds.items() if name in found))
    if with_bochs and len(speeds["bochs"]) < len(speeds["ours"]):
        print(f"empty: not reached by Bochs in {BOCHS_LOOPS_TIMEOUT} s")
    return result


def bench_boots(with_bochs):
    with Progress("booting Debian"):
        boots = {"ours": boot_seconds(True), "qemu": boot_seconds(False)}
        if with_bochs:
            boots["bochs"] = bochs_boot_seconds()
    ratio = boots["ours"][1] / boots["qemu"][1]
    rows = [("Debian to userspace and off, 1 CPU", "ours", "QEMU TCG", "ours / QEMU",
             *(("Bochs", "ours / Bochs") if with_bochs else ()), "goal", "")]
    for column, name in ((1, "CPU seconds"), (0, "wall seconds")):
        mine, cells = boots["ours"][column], []
        for who in list(boots)[1:]:
            cells += [f"{boots[who][column]:.2f}", f"{mine / boots[who][column]:.2f}"]
        rows.append((name, f"{mine:.2f}", *cells,
                     *((f"{EMU_BOOT_GOAL}", met(ratio, EMU_BOOT_GOAL)) if column == 1 else ("", ""))))
    table(rows)
    result = {name: {"wall_seconds": wall, "cpu_seconds": cpu} for name, (wall, cpu) in boots.items()}
    if with_bochs:
        result["bochs_cpu_ratio"] = boots["ours"][1] / boots["bochs"][1]
    return result | {"cpu_ratio": ratio}


def bench_emu():
    build_preset("board-x86_64", "bench-emu", "bench-emu-short")
    build_preset("hosted-release", "hypercore")
    with_bochs = bochs_is_there()
    result = {"loops": bench_loops(machines.board_file(EMU_GUEST), with_bochs)}
    print()
    result["boot"] = bench_boots(with_bochs)
    write("emu", result)


BENCHES = {"exits": bench_exits, "boot": bench_boot, "mmu": bench_mmu, "emu": bench_emu}


def main(words):
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Prints tables and writes build/bench/NAME.json. exits: host instructions per "
        "exit; boot: Debian bare and in a VM, by instructions and wall time; mmu: mapping 1 GiB; "
        "emu: loops and Debian on the software CPU, on QEMU's and on Bochs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)} (all)")
    parser.add_argument("--backend", default="svm", choices=("svm", "vmx", "el2"),
                        help="exits, boot: AMD-V on QEMU, VT-x on Bochs, or EL2 on QEMU (svm)")
    options = parser.parse_args(words)
    names = options.names or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            raise Failure(f"no such benchmark: {name} (known: {', '.join(BENCHES)})", 2)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        BENCHES[name](options.backend) if name in ("exits", "boot") else BENCHES[name]()
    return 0


if __name__ == "__main__":
    common.main(main)
