"""Broken input of every kind is one clear line, status 125 to 127, nothing on stdout."""
import gzip
import json
import os
import re
import struct
import subprocess
import unittest

import rvasm
from harness import EXEC, CliTest


def image(size=8192, text_offset=0x200000, image_size=0x10000):
    head = struct.pack("<IIQQQIIQ", 0x6f, 0, text_offset, image_size, 0, 2, 0, 0)
    head += b"RISCV\0\0\0RSC\x05" + b"\0" * 4
    return head.ljust(size, b"\0")


class Errors(CliTest):
    def test_words(self):
        self.fails(125, "no such verb.*\nhint: godwit help", "frobnicate")
        self.fails(125, "--frobnicate: run has no such option", "run", "--frobnicate")
        self.fails(125, "hint: godwit run --help", "run", "-Z")
        self.fails(125, "hint: godwit run --kernel", "run", "-kernel", "x")
        self.fails(125, "hint: godwit run --disk", "run", "-disk=x")
        self.fails(125, "needs a value", "run", "--kernel")
        self.fails(125, "takes no value", "run", "--stats=yes")
        self.fails(125, "takes no operands", "run", "operand")
        self.fails(125, "no kernel", "run")
        self.fails(125, "exec needs PROG", "exec")
        self.fails(125, "disasm needs FILE", "disasm")
        self.fails(125, "no such option", "run", "-L", "/")
        self.fails(125, "no such option", "exec", "-m", "1G", "prog")
        self.fails(125, "no completion for this shell", "completion", "tcsh")
        self.fails(125, "too many operands: three: save takes NAME FILE", "save", "one", "two", "three")
        self.fails(125, "too many operands: b: restore takes FILE", "restore", "a", "b")
        self.fails(125, "x.*ps takes no operands|ps takes no operands.*x", "ps", "x")
        self.assertEqual(self.call().returncode, 125)

    def test_options_stand_anywhere_up_to_the_guest_s_words(self):
        run_dir = ["--run-dir", self.path("run")]
        for words in (["stop", "--force", *run_dir, "x"], ["stop", "x", "--force", *run_dir],
                      ["stop", *run_dir, "x", "--force"], ["stop", *run_dir, "--force", "--", "x"]):
            self.fails(127, "x: no machine of that name|no machine of that name.*x", *words)
        self.fails(127, "-x: No such file|cannot.*-x", "disasm", "--raw", "--", "-x")
        self.fails(125, "restore has no such option", "restore", "x", "--nonesuch")
        self.fails(125, "--timeout needs a value", "restore", "x", "--timeout")
        self.assertIn(b"usage: godwit restore", self.call("restore", "x", "--help").stdout)
        # A program's words are its own.
        if EXEC:
            self.fails(127, "nowhere", "exec", "/nowhere", "--help")

    def test_values(self):
        k = self.path("k", image())
        for size in ("0", "1", "4K", "17", "abc", "-5", "1X", "", "16M1", "99999999999999999999",
                     "2000000G", "20000000T", "0x10", "1.5G", "20000001"):
            with self.subTest(size=size):
                self.fails(125, "-m|--memory", "run", "-k", k, "-m", size)
        for t in ("30", "0s", "s", "-1s", "1d", "1 s", "99999999999h"):
            with self.subTest(timeout=t):
                self.fails(125, "--timeout", "run", "-k", k, "--timeout", t)
        for opt, value in (("--cpus", "9"), ("-c", "0"), ("-c", "two"), ("--machine", "virt"), ("--arch", "mips"),
                           ("--engine", "fast"), ("--clock", "wall"), ("--clock", "insns:0"),
                           ("--clock", "insns:x"), ("--serial", "tcp:1"), ("--serial", "file:"),
                           ("--on-panic", "gdb"), ("--stop-insn", "many"), ("-d", ",rw"),
                           ("-d", "x,ro"), ("-d", "x,rw,overlay=y"), ("-d", "x,overlay=")):
            with self.subTest(opt=opt, value=value):
                self.fails(125, ".", "run", "-k", k, opt, value)
        self.fails(125, "no such CPU model", "run", "-k", k, "--cpu", "z80")
        self.fails(125, "CPU options", "run", "-k", k, "--cpu", "rv64,warp=on")
        self.fails(125, "--dump", "run", "-k", k, "--dump", "everything")
        self.fails(125, "too long", "run", "-k", k, "--stop-text", "x" * 5000)
        self.fails(125, "VAR=VALUE", "exec", "-E", "novalue", "prog")
        self.fails(125, "user, tap:NAME", "run", "-k", k, "--net", "carrier-pigeon")
        self.fails(125, "not one of a card", "run", "-k", k, "--net", "user,mac=ff:0:0:0:0:0")
        self.fails(125, "not one of a card", "run", "-k", k, "--net", "user,mac=01:02:03:04:05:06")
        for bad in ("80", "0:80", "80:", ":", "65536:1", "1:65536", "a:b", "1:2/sctp", "1:2:x"):
            self.fails(125, "HOST:GUEST", "run", "-k", k, "-p", bad)
        self.fails(125, "no such console", "run", "-k", k, "--console", "telepathy")
        self.fails(125, "has standard input", "run", "-k", k, "--console", "stdio")
        for bad in ("pty", "=pty", "x=", "x=stdio", "x" * 65 + "=pty"):
            self.fails(125, "NAME=pty", "run", "-k", k, "--port", bad)
        self.fails(125, "limit the disk", "run", "-k", k, "-d", "x,bps=fast")
        self.fails(125, "limit the disk", "run", "-k", k, "-d", "x,iops=0")
        self.fails(125, "there are 8", "run", *["-d", "x"] * 9)

    def test_files(self):
        k = self.path("k", image())
        none = self.path("none")
        self.fails(127, "kernel: .*none: No such file", "run", "-k", none)
        self.fails(126, "kernel: .*: not a regular file", "run", "-k", self.tmp.name)
        self.fails(127, "initrd: .*none: No such file", "run", "-k", k, "-i", none)
        self.fails(127, "disk: .*none: No such file", "run", "-k", k, "-d", none)
        self.fails(127, "firmware: .*none: No such file", "run", "-b", none)
        self.fails(127, "tree: .*none: No such file", "run", "-k", k, "--dtb", none)
        self.fails(126, "cannot write", "run", "-k", k, "--serial", "file:/nonexistent/x")
        self.fails(126, "cannot write", "run", "--dump-dtb", "/nonexistent/x")
        self.fails(126, "it is empty", "run", "-k", k, "-d", self.path("empty", b""))
        self.fails(126, "multiple of 512", "run", "-k", k, "-d", self.path("odd", b"x" * 1000))
        self.fails(126, "not an overlay", "run", "-k", k, "-d",
                   self.path("disk", b"\0" * 4096) + ",overlay=" + self.path("o", b"x" * 9000))
        self.fails(126, "it is not one", "run", "-k", k, "--dtb", self.path("dtb", b"x" * 100))
        self.fails(127, "No such file", "disasm", none)
        self.fails(126, "not an ELF", "disasm", self.path("text", "hello"))
        self.fails(125, "cannot use the value: -m: a board has 16M", "run", "-k", k, "-m", "512")

    def test_images_that_are_not_raw(self):
        """Not one byte of them is the guest's to write to, whatever the disk's other words are."""
        guest = self.path("g.elf", rvasm.elf(rvasm.power(0x5555)))
        disk = self.path("d.qcow2", b"QFI\xfb\0\0\0\3".ljust(65536, b"\0"))
        run = ["run", "-k", guest, "-b", "none", "-m", "16M"]
        for tail in ("", ",rw", ",overlay=" + self.path("o")):
            r = self.fails(126, "it is a qcow2 image.*format=raw", *run, "-d", disk + tail)
            self.assertIn(f"hint: qemu-img convert -f qcow2 -O raw {disk} {disk}.raw\n".encode(), r.stderr)
        self.assertFalse(os.path.exists(self.path("o")))
        self.fails(125, "format= takes raw", *run, "-d", disk + ",format=qcow2")
        self.assertEqual(self.call(*run, "-d", disk + ",format=raw").returncode, 0)
        self.fails(126, "flash: .*d.qcow2: it is a qcow2 image", *run, "--flash", "1=" + disk)

    def test_hints_are_commands_whatever_a_name_is(self):
        """Who pastes one into a shell runs nothing that a file's name says, and loses no file."""
        guest = self.path("g.elf", rvasm.elf(rvasm.power(0x5555)))
        run = ["run", "-k", guest, "-b", "none", "-m", "16M"]
        for name in ("a disk", "it's; $(exit 1) `false`", "\x1b[31m\n'\\\u202e", "vmlinux"):
            disk = self.path(name, b"QFI\xfb\0\0\0\3".ljust(65536, b"\0"))
            self.assertEqual(self.words_of_hint(*run, "-d", disk),
                             ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, disk + ".raw"])
            kernel = self.path(name, gzip.compress(bytes(4096)))
            self.assertEqual(self.words_of_hint("run", "-k", kernel),
                             ["gzip", "-dc", kernel, ">", kernel + ".raw"])
            self.assertEqual(self.words_of_hint(*run, "--flash", "1=" + self.path(name, "short")),
                             ["truncate", "-s", "32M", self.path(name)])
            self.assertEqual(self.words_of_hint("disasm", self.path(name, "text")),
                             ["godwit", "disasm", "--raw", self.path(name)])
        long = self.path("long")
        with open(long, "wb") as f:
            f.truncate((32 << 20) + 4096)
        for p in (long, self.tmp.name, "/dev/zero"):
            self.assertNotIn(b"hint", self.fails(126, "not a file of 32 MiB", *run, "--flash", "1=" + p).stderr)
        for names in (1, 4):  # what does not fit whole is left out
            far = os.path.join(self.tmp.name, *["d" * 100] * names)
            os.makedirs(far, exist_ok=True)
            disk = os.path.join(far, "disk")
            with open(disk, "wb") as f:
                f.write(b"QFI\xfb\0\0\0\3".ljust(65536, b"\0"))
            self.assertEqual(b"hint: " in self.call(*run, "-d", disk).stderr, names == 1)

    def words_of_hint(self, *args):
        err = self.call(*args).stderr.decode()
        self.assertTrue(err.replace("\n", "").isprintable(), err)
        hint = re.search("^hint: (.*)$", err, re.M)[1].replace(" > ", " '>' ")
        r = subprocess.run(["bash", "-c", "printf '%s\\0' " + hint], capture_output=True, check=True)
        return r.stdout.decode().split("\0")[:-1]

    def test_kernels(self):
        good = rvasm.elf(rvasm.power(0x5555))
        for name, data, status, pattern in (
                ("empty", b"", 126, "cut short"),
                ("short", image()[:40], 126, "cut short"),
                ("text", b"#!/bin/sh\n" * 100, 126, "neither"),
                ("gzip", b"\x1f\x8b" + b"x" * 100, 126, "gzip"),
                ("x86", rvasm.elf([0], machine=62), 126, "wrong architecture: .*x86-64"),
                ("arm", rvasm.elf([0], machine=183), 126, "wrong architecture: .*aarch64"),
                ("low", rvasm.elf([0], at=0x1000), 125, "does not fit"),
                ("large", image(image_size=1 << 40), 125, "does not fit"),
                ("wrap", image(text_offset=(1 << 64) - 4096), 126, "makes no sense"),
                ("cut", good[:0x1004], 126, "cut short"),
                ("head", good[:70], 126, "beyond its end")):
            with self.subTest(name=name):
                self.fails(status, pattern, "run", "-k", self.path(name, data))
        big = self.path("big", b"")
        os.truncate(big, 64 << 20)
        self.fails(125, "initrd.*does not fit|does not fit", "run", "-k", self.path("i", image()),
                   "-i", big, "-m", "32M")

    def test_other_architectures_are_told_what_there_is(self):
        for machine, name in ((62, "x86-64"), (183, "aarch64"), (1234, "an unknown machine")):
            p = self.path("p", rvasm.elf([0], machine=machine))
            os.chmod(p, 0o755)
            verbs = [["run", "-k", p], ["exec", p], ["disasm", p]]
            if os.environ.get("GODWIT_SANITIZE") == "thread":
                verbs.pop(1)  # no room for a program's window beside TSan's own
            for args in verbs:
                self.fails(126, f"wrong architecture: .*{name}.*guests are: riscv64", *args)
        self.fails(125, "no such guest architecture: mips: there is riscv64", "run", "--arch", "mips")
        self.fails(125, "no such guest architecture", "disasm", "--arch", "mips", "x")

    def test_report_of_an_error(self):
        report = self.path("report")
        for args in (["run", "--report", report, "-k", self.path("no\"ne")],
                     ["run", "--report", report, "--frobnicate"]):
            r = self.call(*args)
            with open(report, encoding="utf-8") as f:
                data = json.load(f)
            self.assertEqual((data["ended"], data["status"]), ("error", r.returncode))
            self.assertTrue(data["error"])
            os.unlink(report)


if __name__ == "__main__":
    unittest.main()
