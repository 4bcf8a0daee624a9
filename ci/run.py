# SPDX-License-Identifier: BSD-2-Clause
"""./dev run: a Linux guest, on the hypercore command or on the board image on an emulated machine."""
import argparse
import os
import signal
import subprocess
import sys
import threading
import time

import bochs
import common
import hosted
import machine as machines
from common import BUILD, Failure

EPILOG = """\
auto, emu, kvm and kvm,emu run here, as a process. svm, vmx, svm,emu, vmx,emu and
el2 are the board image's, on QEMU's PC, Bochs, or QEMU's AArch64 virt (with an
arm64 guest). So is emu with --board or another option of the second group.

Without COMMAND the terminal is the guest's console; Ctrl-a x leaves at once.
With COMMAND (one word: a shell script) only its output appears, and its exit
status is ours; 125: it could not be run, 124: not within --timeout. The guest's
boot messages and the hypervisor's log are in build/run/.

A --kernel that is not Linux (ELF by multiboot or PVH, arm64 programs), or any
with --no-initrd, gets only what the options say; its exit status is ours.
"""
GRACE = 5  # seconds that a machine which has said its last line may take to switch off


def parse(words):
    parser = argparse.ArgumentParser(prog="./dev run", epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage="./dev run [OPTION...] [-- COMMAND...]",
                                     description="Boots Debian's Linux in a virtual machine.")
    add = parser.add_argument
    add("--backend", default="auto", metavar="NAME",
        help="auto, emu, kvm, svm, vmx, el2; or two, as svm,emu (auto)")
    add("--cpus", default="1", metavar="N", help="the guest's CPUs (1)")
    add("--memory", default="512M", metavar="SIZE", help="the guest's memory (512M)")
    add("--switch-every", default="", metavar="TIME", help="of two backends, take the other every 100ms, ...")
    add("--verbose", action="store_true", help="log on standard error; verbose boot")
    add("--append", default="", metavar="WORDS", help="more for the guest kernel's command line")
    add("--kernel", default="", metavar="FILE", help="bzImage, multiboot, PVH; el2: Image, program")
    add("--initrd", default="", metavar="FILE", help="another initramfs, or module 0; none: without")
    add("--no-initrd", action="store_true", help="the kernel gets what is given, and nothing else")
    add("--device", action="append", default=[], metavar="NAME",
        help="isa-debug-exit[,iobase=N][,iosize=N] or testdev")
    add("--stats", action="store_true", help="statistics in the log at the end")
    add("--tsc-hz", default="", metavar="N", help="the rate of the guest's TSC, if not the machine's")
    add("--dirty-stats", default="", metavar="TIME", help="log every 1s, ... how much memory was written")
    add("--timeout", type=float, default=0, metavar="SECONDS", help="give up after so long")
    add("--directory", default=str(BUILD / "run"), metavar="DIR", help="for the files made (build/run)")
    add = parser.add_argument_group("on the board image, under an emulator").add_argument
    add("--board", action="store_true", help="there, whatever the backend")
    add("--machine", default="", choices=machines.BOOTS, metavar="NAME",
        help=f"{', '.join(machines.BOOTS)} (by the backend)")
    add("--boot", default="", choices=machines.ALL_BOOTS, metavar="NAME",
        help=f"{', '.join(machines.ALL_BOOTS)} (the first it can)")
    add("--vms", type=int, default=1, metavar="N", help="so many of the same guest side by side (1)")
    add("--host-cpus", type=int, default=0, metavar="N", help="the emulated machine's CPUs")
    add("--host-memory", default="", metavar="SIZE", help="its memory")
    add("--cpu-model", default="", metavar="MODEL", help="its CPU, as the emulator names it")
    add("--gic", default="", choices=("2", "3"), help="virt: the interrupt controller's version (3)")
    add("--no-virtualization", action="store_true", help="virt: a machine without EL2")
    add("--board-append", default="", metavar="WORDS", help="the hypervisor's words (--boot kernel or disk)")
    before, command = words, None
    if "--" in words:
        at = words.index("--")
        before, command = words[:at], words[at + 1:]
        if not command:
            parser.error("no COMMAND after --")
    options = parser.parse_args(before)
    options.board |= wants_board(options)
    known = options.backend in machines.BACKENDS if options.board else hosted.runs(options.backend)
    if not known:
        names = machines.BACKENDS if options.board else dict.fromkeys((*hosted.BACKENDS, *machines.BACKENDS))
        raise Failure(f"--backend {options.backend}: no such backend"
                      f"{' of the board image' if options.board else ''}; known: {', '.join(names)}", 2)
    if options.vms < 1:
        raise Failure(f"--vms {options.vms}: at least 1", 2)
    return options, plain_command(options, command)


def plain_command(options, command):
    """Notes whether the kernel is one that gets only what is given. The command then: none, or the
    terminal."""
    options.plain = options.no_initrd or bool(options.kernel and not machines.is_linux(options.kernel))
    options.devices = tuple(options.device)
    if not options.plain:
        return command
    if command is not None:
        raise Failure("COMMAND: only Debian's Linux runs one, not a kernel that gets nothing added", 2)
    if not options.kernel:
        raise Failure("--no-initrd: wants a --kernel FILE", 2)
    options.initrd = "" if options.initrd == "none" else options.initrd
    return None if sys.stdin.isatty() and options.vms == 1 else []


def wants_board(options):
    """Whether an option makes sense with the board image only."""
    return bool(options.boot or options.vms != 1 or options.host_cpus or options.host_memory or
                options.cpu_model or options.board_append or options.machine or options.gic or
                options.no_virtualization or
                {"svm", "vmx", "el2"} & set(options.backend.split(",")))


def make_machine(options, command):
    keys = ("backend", "cpus", "memory", "vms", "host_cpus", "host_memory", "cpu_model", "kernel",
            "initrd", "append", "board_append", "stats", "switch_every", "dirty_stats", "tsc_hz", "gic", "plain",
            "devices")
    emulator = options.machine or machines.default_emulator(options.backend)
    # There a character takes its time on the wire, by the machine's clocks.
    slow_console = emulator == "bochs"
    return machines.Machine(directory=common.ROOT.joinpath(options.directory), command=command,
                            emulator=emulator, boot=options.boot or machines.BOOTS[emulator][0],
                            quiet=(command is None or slow_console) and not options.verbose,
                            virtualization=not options.no_virtualization,
                            **{key: getattr(options, key) for key in keys})


def make_process(options, command):
    keys = ("backend", "cpus", "memory", "kernel", "initrd", "append", "stats", "switch_every",
            "dirty_stats", "tsc_hz", "plain", "devices")
    return hosted.Process(directory=common.ROOT.joinpath(options.directory), command=command,
                          quiet=command is None and not options.verbose,
                          **{key: getattr(options, key) for key in keys})


class LogFollower(threading.Thread):
    """Watches the log: repeats it on standard error if asked to, and ends a machine that has said
    its last line but does not switch itself off."""

    def __init__(self, path, end, verbose):
        super().__init__(daemon=True)
        self.path, self.end, self.verbose = path, end, verbose
        self.finished = threading.Event()

    def run(self):
        deadline = None
        with open(self.path, "rb") as log:
            while True:
                last = self.finished.is_set()
                for line in iter(log.readline, b""):
                    if self.verbose:
                        sys.stderr.buffer.write(line)
                        sys.stderr.flush()
                    if line.startswith(b"hypercore: end:"):
                        deadline = time.monotonic() + GRACE
                if last:
                    return
                if deadline and time.monotonic() > deadline:
                    self.end()
                    deadline = None
                self.finished.wait(0.1)

    def finish(self):
        self.finished.set()
        self.join()


def copy_output(process, sink):
    """Passes on a command's output as it comes."""
    while True:
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            return
        sink.write(data)
        sink.flush()


def useful(said):
    """QEMU's messages without those on features that its EPYC lacks."""
    lines = said.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if "TCG doesn't support requested feature" not in line)


def execute(line, machine, verbose=False, timeout=0, sink=None):
    """Runs the emulator to its end. Returns (its exit status, what it said on standard error, timed
    out). Bochs' status says nothing; it is 0 if the user left."""
    interactive, on_bochs = machine.command is None, machine.emulator == "bochs"
    machine.log.write_text("")  # the last machine's end is not this one's
    terminal = bochs.Terminal(machine.terminal) if interactive and on_bochs else None
    streams = {"stderr": subprocess.PIPE}
    if not interactive or terminal:
        streams |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    process = subprocess.Popen(line, **streams)
    # Bochs 2.7 does not heed SIGTERM.
    follower = LogFollower(machine.log, process.kill if on_bochs else process.terminate, verbose)
    follower.start()
    expired = threading.Event()
    timer = threading.Timer(timeout, lambda: (expired.set(), process.kill()))
    if timeout:
        timer.start()
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()), daemon=True)
    reader.start()
    try:
        if terminal:
            terminal.relay(process)
        elif not interactive:
            copy_output(process, sink or sys.stdout.buffer)
        process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
        timer.cancel()
        reader.join()
        follower.finish()
    status = 0 if terminal and terminal.left else process.returncode
    return status, useful(b"".join(said)), expired.is_set()


def print_outputs(machine):
    """Several VMs' output: each line with its VM's name."""
    for index, name in enumerate(machine.vm_names()):
        for line in machine.output(index).read_text(errors="replace").splitlines():
            print(f"{name}: {line}")


def judge(machine, returncode, said, expired, timeout):
    """The exit status, after saying what went wrong, if anything."""
    verdict = machines.read_verdict(machine.log)
    for line in verdict.errors:
        print(line, file=sys.stderr)
    if machine.emulator == "bochs" and (expired or not verdict.ended or verdict.failed):
        print(*bochs.complaints(machine.directory), sep="\n", file=sys.stderr)
    shown = machine.log
    if shown.is_relative_to(common.ROOT):
        shown = shown.relative_to(common.ROOT)
    if expired:
        print(f"./dev run: not finished after {timeout:g} s; log: {shown}", file=sys.stderr)
        return 124
    if not verdict.ended and machine.command is None and returncode == 0 and not verdict.errors:
        return 0  # left by Ctrl-a x
    if not verdict.ended and not verdict.errors:
        name = "Bochs" if machine.emulator == "bochs" else "QEMU"
        print(f"./dev run: the machine ended early ({name}'s status {returncode}); log: {shown}",
              *(said.splitlines() if machine.emulator != "bochs" else ()), sep="\n", file=sys.stderr)
    elif not verdict.errors and machine.command and None in verdict.statuses.values():
        print("./dev run: the guest powered itself off before the command ended", file=sys.stderr)
    return verdict.status(machine.command)


def run_board(options, command):
    machine = make_machine(options, command)
    line = machines.command_line(machine)
    returncode, said, expired = execute(line, machine, options.verbose and command is not None,
                                        options.timeout)
    if command is not None and machine.vms > 1 and not expired:
        print_outputs(machine)
    return judge(machine, returncode, said, expired, options.timeout)


def execute_process(line, process, verbose=False, timeout=0, sink=None):
    """Runs hypercore to its end. Returns (its exit status, what it said on standard error, timed
    out). Interactively the terminal is its own."""
    if process.command is None:
        return subprocess.run(line).returncode, "", False
    process.console.write_text("")
    with open(process.log, "wb") as log:
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    follower = LogFollower(process.console, child.terminate, verbose)
    follower.start()
    expired = threading.Event()
    timer = threading.Timer(timeout, lambda: (expired.set(), child.kill()))
    if timeout:
        timer.start()
    try:
        copy_output(child, sink or sys.stdout.buffer)
        child.wait()
    except BaseException:
        child.terminate()
        raise
    finally:
        child.wait()
        timer.cancel()
        follower.finish()
    return child.returncode, process.log.read_text(errors="replace"), expired.is_set()


def run_hosted(options, command):
    process = make_process(options, command)
    line = hosted.command_line(process)
    returncode, said, expired = execute_process(line, process, options.verbose, options.timeout)
    if expired:
        print(f"./dev run: not finished after {options.timeout:g} s; log: {process.log}",
              file=sys.stderr)
        return 124
    status, lines = hosted.judge(process, returncode, said)
    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
    return status


def main(words):
    options, command = parse(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return (run_board if options.board else run_hosted)(options, command)


if __name__ == "__main__":
    common.main(main)
