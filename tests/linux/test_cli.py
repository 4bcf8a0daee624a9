# SPDX-License-Identifier: BSD-2-Clause
"""The hypercore command as its users meet it: test_cli.py PROGRAM, which has the toy CPU."""
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

PROGRAM = None
PATIENCE = 10.0  # seconds that nothing here takes


# --- Kernels: a bzImage around a few instructions ---

def image(code, **changes):
    """Linux: Documentation/arch/x86/boot.rst. The 64-bit entry point is 0x200 into the payload."""
    payload = bytes(0x200) + code
    payload += bytes(-len(payload) % 16)
    header = bytearray(1024)
    fields = {"setup_sects": (0x1F1, "B", 1), "syssize": (0x1F4, "I", len(payload) // 16),
              "boot_flag": (0x1FE, "H", 0xAA55), "jump": (0x200, "H", 0x6AEB),
              "magic": (0x202, "I", 0x53726448), "version": (0x206, "H", 0x20C),
              "loadflags": (0x211, "B", 1), "initrd_max": (0x22C, "I", 0x7FFFFFFF),
              "alignment": (0x230, "I", 0x200000), "relocatable": (0x234, "B", 1),
              "xloadflags": (0x236, "H", 1), "cmdline_size": (0x238, "I", 2047),
              "pref_address": (0x258, "Q", 0x1000000), "init_size": (0x260, "I", 0x100000)}
    for name, (offset, kind, value) in fields.items():
        struct.pack_into("<" + kind, header, offset, changes.get(name, value))
    return bytes(header) + payload


def write_port(port, value):
    return b"\xba" + struct.pack("<I", port) + b"\xb0" + bytes([value]) + b"\xee"


def say(text, port=0x3F8):
    """Bytes of eight bits (LCR.WLS); waits for LSR.THRE before each."""
    wait = b"\xba" + struct.pack("<I", port + 5) + b"\xec\xa8\x20\x74\xfb"
    return write_port(port + 3, 3) + b"".join(wait + write_port(port, byte) for byte in text)


POWER_OFF = b"\xba\x04\x06\0\0\x66\xb8\x00\x34\x66\xef\xf4"  # SLP_EN and S5's type to PM1_CNT
HALT = b"\xf4\xeb\xfd"
SPIN = b"\xeb\xfe"
# Waits for LSR.DR, sends back what comes until a "q".
ECHO = say(b"") + b"\xba\xfd\x03\0\0\xec\xa8\x01\x74\xfb\xba\xf8\x03\0\0\xec\xee\x3c\x71\x75\xeb"
# Writes to the port for ever, without looking whether it is ready.
FLOOD = b"\xba\xf8\x03\0\0\xb0x\xee\xeb\xfd"


def run(*words, kernel=None, data=b"", **kwargs):
    """Runs hypercore run, by default on the toy CPU; text output and status."""
    command = [PROGRAM, "run", "--backend", "toy", *words]
    if kernel is not None:
        command += ["--kernel", kernel]
    return subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, **kwargs)


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def file(self, content, name="kernel"):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def start(self, *words, **kwargs):
        """The same in the background, on the toy CPU; its end is the test's."""
        kwargs = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                  "stderr": subprocess.PIPE, **kwargs}
        child = subprocess.Popen([PROGRAM, "run", "-b", "toy", *words], **kwargs)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        return child

    def read_until(self, fd, pattern):
        got = b""
        while not re.search(pattern, got):
            self.assertTrue(select.select([fd], [], [], PATIENCE)[0], got)
            piece = os.read(fd, 4096)
            self.assertTrue(piece, got)
            got += piece
        return got

    def kernel(self, *parts):
        return self.file(image(b"".join(parts)))

    def lines(self, done):
        return done.stderr.decode().splitlines()


class Ends(Case):
    def test_power_off(self):
        done = run(kernel=self.kernel(say(b"hello\r\n"), POWER_OFF))
        self.assertEqual((done.returncode, done.stdout), (0, b"hello\r\n"))
        self.assertIn("hypercore: vm guest: guest powered off", self.lines(done))

    def test_exit_status(self):
        for status in (0, 7, 255):
            done = run("-q", kernel=self.kernel(write_port(0xF4, status), HALT))
            self.assertEqual((done.returncode, done.stderr), (status, b""))

    def test_triple_fault(self):
        done = run("-q", kernel=self.kernel(b"\x0f\x0b"))
        self.assertEqual(done.returncode, 126)
        self.assertIn("hypercore: error: vm guest: guest asked for a reset", self.lines(done))

    def test_what_cannot_be_carried_out(self):
        done = run("-q", kernel=self.kernel(b"\xcc"))
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr.decode(), r"error: vm guest: vcpu 0: unknown at rip 0x1000200")

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for body in (HALT, SPIN):
                kernel = self.kernel(say(b"up"), body)
                child = self.start("-q", "-c", "3", "-k", kernel)
                self.assertEqual(child.stdout.read(2), b"up")
                child.send_signal(number)
                self.assertEqual(child.wait(PATIENCE), 128 + number)

    def test_signal_twice_at_once(self):
        """As timeout(1) sends it: to the process and to its group."""
        kernel = self.kernel(say(b"up"), HALT)
        child = self.start("-k", kernel)
        child.stdout.read(2)
        child.send_signal(signal.SIGTERM)
        time.sleep(0.005)
        child.send_signal(signal.SIGTERM)
        self.assertIn(b"stopped on request", child.stderr.read())
        self.assertEqual(child.wait(PATIENCE), 128 + signal.SIGTERM)


class Backends(Case):
    def test_auto_takes_the_faster_one(self):
        done = run("--backend", "auto", kernel=self.kernel(POWER_OFF))
        self.assertEqual(done.returncode, 0)
        found = re.search(r"backend toy: chosen by measurement: (\d+) M loop instructions/s against "
                          r"(\d+) by toy-slow; not toy-absent: is never there", done.stderr.decode())
        self.assertTrue(found, done.stderr)
        self.assertGreater(int(found[1]), int(found[2]))

    def test_named(self):
        kernel = self.kernel(POWER_OFF)
        self.assertEqual(run("--backend", "toy-slow", kernel=kernel).returncode, 0)
        done = run("--backend", "toy-absent", kernel=kernel)
        self.assertEqual((done.returncode, self.lines(done)),
                         (125, ["hypercore: error: backend toy-absent: is never there"]))
        done = run("--backend", "vax", kernel=kernel)
        self.assertEqual((done.returncode, self.lines(done)), (125, [
            "hypercore: error: no backend is called vax; there are: "
            "auto, toy-absent, toy-slow, toy"]))


    def test_two(self):
        kernel = self.kernel(say(b"up"), ECHO, POWER_OFF)
        done = run("--backend", "toy,toy-slow", "--switch-every", "1ms", "--stats", kernel=kernel,
                   data=b"." * 2000 + b"q")
        self.assertEqual((done.returncode, done.stdout), (0, b"up" + b"." * 2000 + b"q"))
        moves = re.search(r"(\d+) moves", done.stderr.decode())
        self.assertGreater(int(moves[1]), 0)
        for names, pattern in (("toy,toy", r"two different"), ("toy,", r"no backend is called ;"),
                               ("toy,toy-slow,toy", r"called toy-slow,toy;"),
                               ("toy,toy-absent", r"never there")):
            done = run("--backend", names, kernel=kernel)
            self.assertEqual(done.returncode, 125)
            self.assertRegex(done.stderr.decode(), pattern)


class BadInput(Case):
    def refused(self, done, status, pattern):
        """One line, the status, and no signal."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(self.lines(done)), 1, done.stderr)
        self.assertRegex(done.stderr.decode(), pattern)

    def test_options(self):
        kernel = self.kernel(POWER_OFF)
        for words, pattern in (
                ([], r"--kernel FILE is missing"),
                (["--kernel"], r"--kernel wants a value"),
                (["--stats=3"], r"this option has no value"),
                (["--frobnicate"], r"there is no option --frobnicate"),
                (["-z"], r"there is no option -z"),
                (["-k", kernel, "stray"], r"stray: is not an option"),
                (["--serial", "tcp:1"], r"wants stdio, pty, null or file:F"),
                (["--serial", "file:"], r"wants stdio"),
                (["--serial", "null", "--serial", "null", "--serial", "pty"], r"two serial ports"),
                (["--serial", "stdio", "--serial", "stdio"], r"only one port"),
                (["-k", kernel, "--switch-every", "1ms"], r"wants two backends"),
                (["--name", "x" * 32], r"1 to 31 characters")):
            self.refused(run(*words), 2, pattern)

    def test_numbers(self):
        for word in ("", "x", "-1", "+1", " 1", "0x10", "1Q", "1MM", "1.5G", "99999999999999999999",
                     "17179869184T"):
            self.refused(run("--memory", word), 2, r"wants a size")
        for word in ("0", "1", "8M", "17M", "33554431", "1025K"):
            self.refused(run("--memory", word), 2, r"wants at least 16M, in steps of 2 MiB")
        for word in ("", "0ms", "5", "ms", "-1ms", "1m", "1000001s", "99999999999999999999ms"):
            self.refused(run("--switch-every", word), 2, r"--switch-every .*wants a time such as")
            self.refused(run("--dirty-stats", word), 2, r"--dirty-stats .*wants a time such as")
        for word in ("", "0", "-1", "x", "2G", "2.5", "999000", "2500000500", "100000001000", "99999999999999999999"):
            self.refused(run("--tsc-hz", word), 2, r"wants a number of Hz such as")
        for word in ("", "0", "-1", "33", "1x", "99999999999999999999"):
            self.refused(run("--cpus", word), 2, r"wants a number from 1 to 32")

    def test_memory_that_is_not_there(self):
        kernel = self.kernel(POWER_OFF)
        for size in ("512G", "8000T", "16777214T"):
            self.refused(run("-m", size, kernel=kernel), 125, r"MiB of memory asked for")

    def test_address_space_limit(self):
        """The mapping fails, and nothing else does."""
        kernel = self.kernel(POWER_OFF)
        done = subprocess.run(["prlimit", "--as=700000000", PROGRAM, "run", "-b", "toy", "-m", "1G",
                               "-k", kernel], capture_output=True, timeout=PATIENCE)
        if b"ReserveShadowMemory" in done.stderr or b"AddressSanitizer" in done.stderr:
            self.skipTest("AddressSanitizer reserves more than that")
        self.refused(done, 125, r"the machine has \d+ MiB free for it, it wants 1024")

    def test_kernel_files(self):
        whole = image(POWER_OFF)
        for content, pattern in (
                (b"", r"the file is empty"),
                (b"hello\n", r"is text"),
                (b"\x7fELF" + bytes(600), r"an ELF file"),
                (bytes(4096), r"all zeros"),
                (whole[:700], r"set-up code"),
                (whole[:-16], r"truncated"),
                (image(POWER_OFF, version=0x200), r"boot protocol 2.0"),
                (image(POWER_OFF, xloadflags=0), r"32-bit"),
                (image(POWER_OFF, init_size=0xF0000000, relocatable=0), r"needs \d+ KiB")):
            self.refused(run(kernel=self.file(content)), 125, pattern)

    def test_files_that_cannot_be_read(self):
        good = self.kernel(POWER_OFF)
        self.refused(run(kernel=self.path("none")), 125, r"--kernel .*none: No such file")
        self.refused(run(kernel=self.directory.name), 125, r"Is a directory")
        self.refused(run("-i", self.path("none"), kernel=good), 125, r"--initrd .*No such file")
        self.refused(run("--serial", "file:/none/x", kernel=good), 125, r"--serial file:/none/x: No")
        self.refused(run("-i", self.file(bytes(40 << 20), "initrd"), "-m", "32M", kernel=good), 125,
                     r"initrd of 40960 KiB does not fit")
        self.refused(run("-a", "x" * 3000, kernel=good), 125, r"command line has more than the 2047")

    def test_generated_kernels(self):
        """Headers of random bytes, and every prefix length of a good file: no signal, ever."""
        whole, seed = image(POWER_OFF), 1
        for round_ in range(30):
            broken = bytearray(whole)
            for _ in range(1 + round_ % 3):
                seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                broken[0x1F1 + (seed >> 40) % 0x78] = seed >> 33 & 0xFF
            done = run("-q", kernel=self.file(bytes(broken)))
            self.assertIn(done.returncode, (0, 125, 126), (bytes(broken[0x1F1:0x26C]), done.stderr))
        for length in range(1, len(whole), 97):
            self.assertEqual(run("-q", kernel=self.file(whole[:length])).returncode, 125)


class Serial(Case):
    def test_input_from_a_pipe(self):
        text = bytes(range(1, 113)) * 20 + b"q"  # Ctrl-a is a byte like others here
        text = text.replace(b"q", b"") + b"q"
        done = run("-q", kernel=self.kernel(ECHO, POWER_OFF), data=text)
        self.assertEqual((done.returncode, done.stdout), (0, text))

    def test_input_from_a_file(self):
        with open(self.file(b"abcq", "input"), "rb") as file:
            done = subprocess.run([PROGRAM, "run", "-q", "-b", "toy", "-k",
                                   self.kernel(ECHO, POWER_OFF)],
                                  stdin=file, capture_output=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, b"abcq"))

    def test_two_ports(self):
        kernel = self.kernel(say(b"one"), say(b"two", 0x2F8), POWER_OFF)
        done = run("-q", "--serial", f"file:{self.path('a')}", "--serial", "stdio", kernel=kernel)
        self.assertEqual((done.returncode, done.stdout), (0, b"two"))
        with open(self.path("a"), "rb") as file:
            self.assertEqual(file.read(), b"one")

    def test_reader_who_stopped(self):
        """A pipe that nobody empties holds up neither the guest nor the end."""
        child = self.start("-k", self.kernel(FLOOD))
        time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(PATIENCE), 128 + signal.SIGTERM)

    def test_reader_who_left(self):
        child = self.start("-k", self.kernel(say(b"up"), FLOOD), stdout=subprocess.PIPE)
        child.stdout.read(2)
        child.stdout.close()
        child.stdout = None
        time.sleep(0.02)
        self.assertIsNone(child.poll(), "SIGPIPE")
        child.send_signal(signal.SIGTERM)
        self.assertIn(b"output are lost", child.stderr.read())
        self.assertEqual(child.wait(PATIENCE), 128 + signal.SIGTERM)

    def test_pty(self):
        child = self.start("-q", "--serial", "pty", "-k",
                           self.kernel(say(b"up\n"), ECHO, POWER_OFF))
        name = re.search(rb"serial port 0 is (/dev/pts/\d+)", child.stderr.readline())[1]
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"\x01xq")  # no escape key here, and no echo by the terminal
        got = self.read_until(fd, rb"q$")
        self.assertEqual(got, b"up\n\x01xq")
        self.assertEqual(child.wait(PATIENCE), 0)
        os.close(fd)


class Terminal(Case):
    def start_on_terminal(self, kernel, *words):
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        self.before = termios.tcgetattr(self.slave)
        self.child = self.start("-k", kernel, *words, stdin=self.slave, stdout=self.slave,
                                stderr=self.slave)

    def expect(self, pattern):
        return self.read_until(self.master, pattern)

    def type(self, keys):
        os.write(self.master, keys)

    def check_end(self, status):
        self.assertEqual(self.child.wait(PATIENCE), status)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def check_raw(self):
        flags = termios.tcgetattr(self.slave)[3]
        self.assertFalse(flags & (termios.ICANON | termios.ECHO | termios.ISIG))

    def test_leave(self):
        for body in (HALT, SPIN):
            self.start_on_terminal(self.kernel(say(b"up\r\n"), body), "-c", "2")
            self.expect(rb"up\r\n")
            self.check_raw()
            self.type(b"\x01x")
            self.check_end(0)

    def test_keys(self):
        self.start_on_terminal(self.kernel(say(b"up\r\n"), ECHO, POWER_OFF))
        self.expect(rb"up\r\n")
        self.type(b"\x03\x1a\x04\x01\x01.")  # nothing of it is for the host
        self.expect(rb"\x03\x1a\x04\x01\.")
        self.type(b"\x01h")
        # The cursor was within a line; in raw mode a newline alone would not take it back.
        self.expect(rb"\r\nhypercore: Ctrl-a x[^\n]*\r\n")
        self.type(b"\x01s")
        self.expect(rb"vm guest: [^\n]* exits")
        self.type(b"q")
        self.check_end(0)

    def test_restored_by_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.start_on_terminal(self.kernel(say(b"up\r\n"), HALT))
            self.expect(rb"up\r\n")
            self.child.send_signal(number)
            self.check_end(128 + number)

    def test_restored_when_the_guest_fails(self):
        for code, status in ((b"\xcc", 125), (b"\x0f\x0b", 126)):
            self.start_on_terminal(self.kernel(say(b"up"), code))
            self.check_end(status)

    def test_restored_after_a_crash(self):
        self.start_on_terminal(self.kernel(say(b"up\r\n"), HALT))
        self.expect(rb"up\r\n")
        self.child.send_signal(signal.SIGSEGV)
        self.child.wait(PATIENCE)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_stopped_terminal(self):
        """Output that nobody takes: the keys still work, and the command ends."""
        self.start_on_terminal(self.kernel(say(b"up\r\n"), FLOOD))
        self.expect(rb"up\r\n")
        time.sleep(0.05)
        self.type(b"\x01x")
        self.assertEqual(self.child.wait(PATIENCE), 0)

    def test_continued(self):
        """A stopped and continued command sets its raw mode again, as the shell has reset it."""
        self.start_on_terminal(self.kernel(say(b"up\r\n"), ECHO, POWER_OFF))
        self.expect(rb"up\r\n")
        self.child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.child.pid, os.WSTOPPED)
        termios.tcsetattr(self.slave, termios.TCSANOW, self.before)
        self.child.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE
        while termios.tcgetattr(self.slave)[3] & termios.ICANON and time.monotonic() < deadline:
            time.sleep(0.002)
        self.check_raw()
        self.type(b"q")
        self.check_end(0)


class Words(Case):
    def call(self, *words):
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)

    def test_help_fits_a_screen(self):
        for words in (["--help"], ["help"], ["run", "--help"], ["caps", "--help"]):
            done = self.call(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            lines = done.stdout.splitlines()
            self.assertLessEqual(len(lines), 24, words)
            self.assertLessEqual(max(map(len, lines)), 79, words)

    def test_no_command(self):
        self.assertEqual(self.call().returncode, 2)
        self.assertEqual(self.call("frob").returncode, 2)
        self.assertRegex(self.call("--version").stdout, r"^hypercore \d+\.\d+\.\d+\n$")

    def test_caps(self):
        done = self.call("caps")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?m)^CPU\b.*CPUID")
        self.assertRegex(done.stdout, r"(?m)^backend toy  .* M loop instructions/s")
        self.assertRegex(done.stdout, r"(?m)^backend toy-absent +no, is never there")
        self.assertRegex(done.stdout, r"(?m)^/dev/kvm\b")
        self.assertRegex(done.stdout, r"(?m)^memory\b.*MiB.*/proc/meminfo")
        self.assertEqual(self.call("caps", "--frob").returncode, 2)

    def test_stats_and_trace(self):
        trace = self.path("trace")
        done = run("--stats", "--trace", trace, kernel=self.kernel(say(b"x"), b"\x0f\xa2", POWER_OFF))
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr.decode(), r"vm guest: cpuid +1 exits")
        with open(trace, encoding="ascii") as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], "# cpu cycles kind what pc argument extra")
        self.assertTrue(all(re.fullmatch(r"\d+ \d+ \w+ \w+ (0x[0-9a-f]+|0) (0x[0-9a-f]+|0) "
                                         r"(0x[0-9a-f]+|0)", line) for line in lines[1:]), lines)
        self.assertTrue(any(" exit cpuid " in line for line in lines))
        done = run("-q", "--trace", "/none/x", kernel=self.kernel(POWER_OFF))
        self.assertEqual(done.returncode, 125)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
