# SPDX-License-Identifier: BSD-2-Clause
"""Tests of what is behind ./dev: archives, configuration, judging a log."""
import pathlib
import random
import subprocess
import tempfile
import unittest
import unittest.mock

import guest
import machine as machines
import mutation
import newc


def cpio(archive, *options):
    done = subprocess.run(["cpio", *options, "--quiet"], input=archive, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Mutations(unittest.TestCase):
    """The lines that ./dev test mutation breaks are there."""

    def test_all_apply(self):
        self.assertGreaterEqual(len(mutation.read()), 20)
        mutation.check()


class Refusals(unittest.TestCase):
    """Machines that cannot be, before anything is built for them."""

    def check(self, wanted, **options):
        machine = machines.Machine(directory=pathlib.Path("unused"), boot="kernel", **options)
        with unittest.mock.patch("arm.has_machine", return_value=True):
            if not wanted:
                machines._check(machine)
                return
            with self.assertRaises(machines.Failure) as caught:
                machines._check(machine)
        self.assertEqual(caught.exception.status, 2)
        self.assertIn(wanted, str(caught.exception))

    def test_ports_for_commands(self):
        for emulator, most in (("qemu", 3), ("virt", 3), ("raspi4b", 1)):
            for vms in range(1, 6):
                self.check("" if vms <= most else "--vms", emulator=emulator, backend="auto", vms=vms,
                           command=["true"])

    def test_what_only_virt_has(self):
        for emulator in ("qemu", "virt", "raspi4b"):
            wanted = "" if emulator == "virt" else "--gic"
            self.check(wanted, emulator=emulator, backend="auto", gic="2")
            self.check(wanted, emulator=emulator, backend="auto", virtualization=False)

    def test_a_raspi4b_is_as_it_is(self):
        for option in ({"host_cpus": 2}, {"host_memory": "1G"}, {"cpu_model": "max"}):
            self.check("raspi4b", emulator="raspi4b", backend="el2", **option)
            self.check("", emulator="virt", backend="el2", **option)


class Archives(unittest.TestCase):
    """Against the cpio command."""

    def test_members_come_back(self):
        chance = random.Random(1)
        for _ in range(20):
            archive, wanted = newc.Archive(), {}
            for number in range(chance.randrange(1, 8)):
                name = "n" * chance.randrange(1, 9) + str(number)
                wanted[name] = chance.randbytes(chance.randrange(0, 70))
                archive.file(name, wanted[name])
            data = archive.finish()
            self.assertEqual(len(data) % 512, 0)
            self.assertEqual(cpio(data, "-t").decode().split(), list(wanted))
            for name, content in wanted.items():
                self.assertEqual(cpio(data, "-i", "--to-stdout", name), content)

    def test_kinds(self):
        archive = newc.Archive()
        archive.directory("d")
        archive.symlink("l", "busybox")
        archive.character_device("c", 5, 1)
        archive.file("x", b"", 0o755)
        lines = cpio(archive.finish(), "-tv").decode().splitlines()
        self.assertEqual([line[:10] for line in lines],
                         ["drwxr-xr-x", "lrwxrwxrwx", "crw-------", "-rwxr-xr-x"])
        self.assertIn("5,   1", lines[2])
        self.assertTrue(lines[1].endswith("l -> busybox"))

    def test_command_reaches_the_shell_unchanged(self):
        chance = random.Random(2)
        for _ in range(20):
            words = ["".join(chance.choices("ab $'\"\\*;&|<>\t", k=6)) for _ in range(3)]
            script = cpio(guest.command_archive(["printf", "%s\\0", *words]),
                          "-i", "--to-stdout", "command")
            done = subprocess.run(["sh", "-s"], input=script, capture_output=True)
            self.assertEqual(done.stdout.split(b"\0")[:-1], [word.encode() for word in words])


class Configuration(unittest.TestCase):
    def machine(self, **settings):
        return machines.Machine(directory=pathlib.Path("/nowhere"), **settings)

    def test_a_section_per_vm(self):
        text = machines.config_text(self.machine(vms=3, command=["true"]))
        self.assertEqual([line for line in text.splitlines() if line.startswith("[")],
                         ["[vm debian1]", "[vm debian2]", "[vm debian3]"])
        self.assertEqual([line for line in text.splitlines() if line.startswith("serial1")],
                         ["serial1 = com2", "serial1 = com3", "serial1 = com4"])

    def test_values_are_passed_as_given(self):
        text = machines.config_text(self.machine(memory="banana", cpus="4096"))
        self.assertIn("memory = banana\n", text)
        self.assertIn("cpus = 4096\n", text)

    def test_nothing_is_added_for_others_than_debian(self):
        machine = self.machine(plain=True, kernel="k", append=" a  b", command=[], devices=("testdev", "x"))
        lines = machines.config_text(machine).splitlines()
        self.assertEqual(lines[lines.index("[vm guest]") + 1:],
                         ["kernel = vmlinuz", "device = testdev", "device = x", "append = \" a  b\"",
                          "memory = 512M", "cpus = 1", "serial0 = com2", "serial1 = none"])
        machine.initrd = "m"
        self.assertIn("initrd = initrd.img\n", machines.config_text(machine))

    def test_what_is_linux(self):
        with tempfile.NamedTemporaryFile() as file:
            for data, linux in ((bytes(0x202) + b"HdrS", True), (bytes(56) + b"ARM\x64", True),
                                (bytes(0x201) + b"HdrS", False), (b"\x7fELF" + bytes(600), False),
                                (b"", False)):
                file.seek(0)
                file.truncate()
                file.write(data)
                file.flush()
                self.assertEqual(machines.is_linux(file.name), linux, data)
        with self.assertRaises(machines.Failure):
            machines.is_linux("/nowhere/at/all")

    def test_sizes(self):
        for text, size in (("512M", 512 << 20), ("2g", 2 << 30), ("4096", 4096), ("1K", 1024),
                           ("", None), ("banana", None), ("1T", None), ("-1", None)):
            self.assertEqual(machines.parse_size(text), size, text)


class Verdicts(unittest.TestCase):
    def judge(self, *lines, command=("true",)):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            log.write_text("\r\n".join(lines) + "\r\n")
            verdict = machines.read_verdict(log)
        return verdict.status(command), verdict.errors

    def test_status_is_the_guest_s(self):
        for status in (0, 1, 255):
            self.assertEqual(self.judge(f"hypercore: vm a: stopped: exit status {status}",
                                        "hypercore: end: ok"), (status, []))

    def test_worst_of_several(self):
        self.assertEqual(self.judge("hypercore: vm a: stopped: exit status 0",
                                    "hypercore: vm b: stopped: exit status 3",
                                    "hypercore: end: ok"), (3, []))

    def test_a_guest_cannot_speak_for_the_hypervisor(self):
        status, errors = self.judge("a: hypercore: vm a: stopped: exit status 0",
                                    "a: hypercore: error: no", "hypercore: end: ok")
        self.assertEqual((status, errors), (125, []))

    def test_failures(self):
        error = "hypercore: error: no AMD-V"
        self.assertEqual(self.judge(error, "hypercore: end: failed"), (125, [error]))
        failed = "hypercore: vm a: failed: vCPU 0: triple fault"
        self.assertEqual(self.judge(failed, "hypercore: vm b: stopped: exit status 0",
                                    "hypercore: end: failed"), (125, [failed]))
        reset = "hypercore: vm a: stopped: guest reset"
        self.assertEqual(self.judge(reset, "hypercore: end: ok"), (125, [reset]))

    def test_each_thing_is_said_once(self):
        error = "hypercore: error: vm a: the kernel file is empty"
        self.assertEqual(self.judge(error, "hypercore: vm a: failed: vm a: the kernel file is empty",
                                    "hypercore: end: failed"), (125, [error]))
        refused = "hypercore: backend svm: not usable: no nested paging"
        self.assertEqual(self.judge(refused, "hypercore: error: no backend can run guests",
                                    "hypercore: end: failed"), (125, [refused]))

    def test_no_end_is_a_failure(self):
        self.assertEqual(self.judge("hypercore: vm a: stopped: exit status 0"), (125, []))
        self.assertEqual(self.judge(""), (125, []))

    def test_powering_off(self):
        lines = ("hypercore: vm a: stopped: guest powered off", "hypercore: end: ok")
        self.assertEqual(self.judge(*lines, command=None), (0, []))
        self.assertEqual(self.judge(*lines), (125, []))
