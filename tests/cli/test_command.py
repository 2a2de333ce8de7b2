"""run ... -- CMD: what the guest's init tells becomes the status; a bare-metal guest stands in for
it. tests/machine/command.py has the real one."""
import json
import unittest

import rvasm
from harness import CliTest
from rvasm import FOREVER, power, say

BARE = ["-b", "none", "-m", "64M"]


class Command(CliTest):
    def run_told(self, told, *args):
        guest = self.path("g.elf", rvasm.elf([told, FOREVER]))
        return self.call("run", "-k", guest, *BARE, "--timeout", "30s", *args, "--", "cmd", "-x")

    def test_what_is_told_becomes_the_status(self):
        for told, status, why in ((0x100, 0, ""), (0x101, 1, ""), (0x1ff, 255, ""), (0x17e, 126, ""),
                                  (0x309, 137, ""), (0x30f, 143, ""),
                                  (0x202, 127, "cannot run in the guest: cmd: No such file"),
                                  (0x20d, 126, "cannot run in the guest: cmd: Permission denied"),
                                  (0x208, 126, "cannot run in the guest: cmd: Exec format error"),
                                  (0x00, 125, "the machine ended before the command did"),
                                  (0x07, 125, "the machine ended before the command did"),
                                  (0x500, 125, "the machine ended before the command did")):
            r = self.run_told(power(told << 16 | 0x3333))
            self.assertEqual((r.returncode, r.stdout), (status, b""), hex(told))
            if why:
                self.assertRegex(r.stderr.decode(), f"^godwit: error: {why}")
            else:
                self.assertEqual(r.stderr, b"", hex(told))

    def test_a_machine_that_ends_by_itself(self):
        r = self.run_told(power(0x5555))
        self.assertEqual((r.returncode, r.stdout), (125, b""))
        self.assertEqual(r.stderr, b"godwit: error: the machine ended before the command did\n")
        r = self.run_told(say("Kernel panic - not syncing: x\n"))
        self.assertEqual(r.returncode, 123)
        r = self.run_told([], "--timeout", "300ms")
        self.assertEqual(r.returncode, 124)
        for text, status in (("up", 0), ("upp", 122)):
            r = self.run_told([say("up\n"), power(0x103 << 16 | 0x3333)], "--stop-text", text)
            self.assertEqual(r.returncode, status)

    def test_without_a_command_the_codes_are_the_guests(self):
        guest = self.path("g.elf", rvasm.elf([power(0x109 << 16 | 0x3333), FOREVER]))
        self.assertEqual(self.call("run", "-k", guest, *BARE).returncode, 9)

    def test_report(self):
        for told, ended, signal, status in ((0x105, "exit", 0, 5), (0x306, "signal", 6, 134),
                                            (0x202, "exit", 0, 127)):
            self.run_told(power(told << 16 | 0x3333), "--report", self.path("r"))
            report = json.loads(self.read("r"))
            self.assertEqual((report["ended"], report["signal"], report["status"]),
                             (ended, signal, status))

    def test_a_restored_machine_knows_its_command(self):
        """A status of 0 that was told is not what the test device's code 0x100 is otherwise."""
        for told, status in ((0x100, 0), (0x10c, 12), (0x202, 127)):
            r = self.run_told(power(told << 16 | 0x3333), "--stop-insn", "1", "--save-at-end",
                              self.path("s"))
            self.assertEqual(r.returncode, 0, r.stderr)
            r = self.call("restore", self.path("s"))
            self.assertEqual(r.returncode, status, r.stderr)
            self.assertEqual(b"guest: cmd: No such file" in r.stderr, told == 0x202)

    def test_errors(self):
        kernel = self.path("k", rvasm.elf([FOREVER]))
        self.fails(125, "no command follows", "run", "-k", kernel, "--")
        self.fails(125, "no command follows", "run", "-k", kernel, "--", "")
        self.fails(125, "only a kernel that is given starts it", "run", "--load",
                   kernel + "@0x80000000", "-b", "none", "--", "ls")
        self.fails(125, "names another first program", "run", "-k", kernel, "-a", "rdinit=/sh",
                   "--", "ls")
        self.fails(125, "too many words", "run", "-k", kernel, *BARE, "--", *["x"] * 5000)
        self.fails(125, "a command stands behind --", "run", "-k", kernel, "ls")
        self.fails(125, "no such option", "run", "-k", kernel, "--nonsense", "--", "ls", "-l")

    def test_the_command_line(self):
        for append, want in (([], b"rdinit=/godwit-init quiet loglevel=1 nosoftlockup\0"),
                             (["-a", "loglevel=7 x"],
                              b"rdinit=/godwit-init quiet loglevel=1 nosoftlockup loglevel=7 x\0")):
            r = self.call("run", "-k", self.path("k", rvasm.elf([FOREVER])), *append, "--dump-dtb",
                          self.path("dtb"), "--", "ls")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn(want, self.read("dtb"))
        r = self.call("run", "-k", self.path("k"), "-a", "plain", "--dump-dtb", self.path("dtb"))
        self.assertIn(b"plain\0", self.read("dtb"))
        self.assertNotIn(b"rdinit", self.read("dtb"))


if __name__ == "__main__":
    unittest.main()
