"""What is generated from the options table, and the queries."""
import os
import shutil
import subprocess
import unittest

import rvasm
from harness import CliTest

RUN = "kernel initrd append bios memory cpus disk machine dtb dump-dtb serial flash fw-cfg load timeout stop-text " \
      "save-at-end deterministic seed stop-insn engine cpu name clock dump stats report quiet verbose on-panic arch overhead-max help".split()
EXEC = "sysroot root env unset argv0 strace engine cpu dump report timeout stats overhead-max help".split()


class Help(CliTest):
    def test_lists(self):
        for verb, options in (("run", RUN), ("exec", EXEC)):
            for form in ([verb, "--help"], [verb, "-h"], ["help", verb]):
                r = self.call(*form)
                self.assertEqual((r.returncode, r.stderr), (0, b""))
                for o in options:
                    self.assertRegex(r.stdout.decode(), rf"(?m)--{o}\b")
            self.assertNotIn(b"max-block", r.stdout)
        for form in (["help"], ["--help"], ["-h"]):
            self.assertIn(b"run a machine", self.call(*form).stdout)

    def test_man_page_and_completion_name_each_option(self):
        man = self.call("man-page").stdout.decode()
        done = self.call("completion", "bash").stdout.decode()
        for o in RUN + EXEC:
            self.assertIn("\\-\\-" + o.replace("-", "\\-"), man)
            self.assertIn("--" + o, done)
        checked = subprocess.run(["bash", "-n"], input=done.encode(), check=False)
        self.assertEqual(checked.returncode, 0)
        out = subprocess.run(
            ["bash", "-c", done + '\nCOMP_WORDS=(godwit run --ker); COMP_CWORD=2; _godwit; '
             'echo "${COMPREPLY[@]}"'], capture_output=True, check=True).stdout
        self.assertEqual(out, b"--kernel\n")

    def test_man_page_is_good_roff(self):
        """Every line is text or one of a few macros; lint says nothing where there is one."""
        r = self.call("man-page")
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        for line in r.stdout.decode().splitlines():
            self.assertRegex(line, r"^(\.(TH|SH|SS|TP|B|I|nh)( .*)?|[^.'].*)$")
            self.assertNotRegex(line, r"(^|[^\\])-", "a bare minus is a hyphen")
        for section in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"):
            self.assertRegex(r.stdout.decode(), f'(?m)^\\.SH "?{section}')
        verbs = self.call("help").stdout.decode().split("\n\n")[1].splitlines()
        for verb in verbs:
            self.assertRegex(r.stdout.decode(), f'(?m)^\\.SS "godwit {verb.split()[0]}\\b')
        for lint in (["mandoc", "-T", "lint", "-W", "warning"],
                     ["groff", "-man", "-Tutf8", "-ww", "-z"]):
            if shutil.which(lint[0]):
                with self.subTest(lint=lint[0]):
                    checked = subprocess.run([*lint, self.path("godwit.1", r.stdout)],
                                             capture_output=True, check=False)
                    self.assertEqual((checked.stdout, checked.stderr), (b"", b""))

    def test_zsh_and_fish_completion_name_each_option(self):
        for shell in ("zsh", "fish"):
            done = self.call("completion", shell).stdout.decode()
            for o in RUN + EXEC:
                if shell == "zsh":
                    self.assertRegex(done, rf"--{o}(=-?)?[\[}}]")
                else:
                    self.assertIn(f"-l {o} ", done)
            self.assertNotIn("max-block", done)
            self.assertIn("jit interp", done)
            if shutil.which(shell):
                checked = subprocess.run([shell, "-n"], input=done.encode(), capture_output=True,
                                         check=False)
                self.assertEqual((checked.returncode, checked.stderr), (0, b""))
        if shutil.which("fish"):
            out = subprocess.run(
                ["fish", "-c", done + '\ncomplete -C "godwit run --ker"'], capture_output=True,
                check=True, env={**os.environ, "HOME": self.tmp.name}).stdout
            self.assertRegex(out.decode(), r"^--kernel\b")
        self.fails(125, "must be bash, zsh or fish", "completion", "csh")

    def test_version_and_doctor(self):
        self.assertRegex(self.call("version").stdout.decode(), r"^godwit \d+\.\d+\.\d+\n$")
        self.assertEqual(self.call("--version").stdout, self.call("version").stdout)
        r = self.call("doctor")
        self.assertIn(r.returncode, (0, 1))
        self.assertIn(b"pages of", r.stdout)

    def test_disasm(self):
        code = rvasm.elf([rvasm.addi(10, 0, 5), 0x8082, rvasm.ECALL])
        r = self.call("disasm", self.path("e", code))
        self.assertEqual(r.returncode, 0, r.stderr)
        lines = r.stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^80000000:\s+00500513\s+addi\s+a0,zero,5$")
        self.assertRegex(lines[1], r"^80000004:\s+8082\s+c\.jr\s+ra$")
        r = self.call("disasm", "--raw", "--base", "0x1000", self.path("raw", b"\x73\0\0\0\1"))
        lines = r.stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^\s+1000:\s+00000073\s+ecall$")
        self.assertRegex(lines[1], r"^\s+1004:\s+01\s+\.byte\s+0x01$")

    def test_device_tree_is_written(self):
        r = self.call("run", "--dump-dtb", self.path("dtb"), "-m", "256M", "-a", "hello")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"", b""))
        self.assertEqual(self.read("dtb")[:4], b"\xd0\x0d\xfe\xed")
        self.assertIn(b"hello\0", self.read("dtb"))


if __name__ == "__main__":
    unittest.main()
