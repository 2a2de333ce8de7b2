"""What a machine is made of: flash, fw_cfg, files in memory, serial ports, the panic device."""
import os
import re
import select
import socket
import subprocess
import time
import unittest

import rvasm
from harness import PROGRAM, CliTest
from rvasm import FOREVER, addi, elf, jump, li, lui, power, say, sw

UART2, PANIC, FLASH, FW_CFG = 0x10009000, 0x4000000, 0x20000000, 0x10100000
POLL, LBU_T1 = 5, 0x0002c303  # lbu t1, 0(t0)


def code(words):
    return b"".join((w & 0xffffffff).to_bytes(4, "little") for w in rvasm.flat(words))


def say_on(base, text):
    """As rvasm.say(), at another port."""
    return [lui(5, base >> 12), *say(text)[1:]]


class Board(CliTest):
    def guest(self, words, *args, bios="none", **kw):
        kernel = ["-k", self.path("guest.elf", elf(words))] if words else []
        return self.call("run", *kernel, "-b", bios, "-m", "32M", "--timeout", "60s", *args, **kw)

    def bank(self, name, words):
        p = self.path(name, code(words))
        os.truncate(p, 32 << 20)
        return p

    def test_flash_is_started(self):
        p = self.bank("fd", power(7 << 16 | 0x3333))
        for bios in ("none", "builtin"):
            for engine in ("jit", "interp"):
                r = self.guest(None, "--flash", f"0={p}", "--engine", engine, bios=bios)
                self.assertEqual((r.returncode, r.stderr), (7, b""))

    def test_flash_keeps_with_rw_alone(self):
        # program the word at 0x22000100 with 0x123
        words = [lui(5, 0x22000), addi(6, 0, 0x40), sw(6, 0x100, 5), addi(6, 0, 0x123),
                 sw(6, 0x100, 5), *power(0x5555)]
        p = self.path("vars", b"\xff" * (32 << 20))
        r = self.guest(words, "--flash", f"1={p}")
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stderr.decode(), r"256 KiB written to .*vars discarded\n"
                                            r"hint: --flash 1=.*vars,rw keeps them")
        self.assertEqual(self.guest(words, "-q", "--flash", f"1={p}").stderr, b"")
        self.assertEqual(self.read("vars").count(b"\xff"), 32 << 20)
        r = self.guest(words, "--flash", f"1={p},rw")
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        self.assertEqual(self.read("vars")[0x100:0x104], b"\x23\x01\0\0")

    def test_kernel_is_offered_to_flash(self):
        # Firmware in flash powers off with the low byte of the kernel's size, which fw_cfg has.
        fw = [lui(5, FW_CFG >> 12), li(6, 0x0800), 0x00629423,  # sh t1, 8(t0): select 8
              LBU_T1, 0x01031313, *li(7, 0x3333), 0x007363b3,
              lui(5, 0x100), sw(7, 0, 5), FOREVER]
        p = self.bank("fd", fw)
        k = self.path("k", b"x" * 42)
        r = self.call("run", "--flash", f"0={p}", "-k", k, "-m", "32M", "--timeout", "60s")
        self.assertEqual(r.returncode, 42, r.stderr)

    def test_flash_is_in_a_snapshot(self):
        # Programs a word, waits long enough to be saved, and ends with what the flash has.
        words = [lui(5, 0x22000), addi(6, 0, 0x40), sw(6, 0x100, 5), li(6, 0x33330000 | 0x3333),
                 sw(6, 0x100, 5), addi(6, 0, 0xff), sw(6, 0x100, 5), li(7, 5000),
                 addi(7, 7, -1), 0xfe039ee3,  # bnez t2, -4
                 0x1002a303, lui(5, 0x100), sw(6, 0, 5), FOREVER]  # lw t1, 0x100(t0)
        saved = self.path("saved")
        p = self.path("vars", b"\xff" * (32 << 20))
        for flash in ([], ["--flash", f"1={p}"]):
            r = self.guest(words, "-q", *flash, "--stop-insn", "3000", "--save-at-end", saved)
            self.assertEqual(r.returncode, 0, r.stderr)
            r = self.call("restore", "--timeout", "60s", saved)
            self.assertEqual(r.returncode, 0x33, r.stderr)
            os.unlink(saved)

    def test_load(self):
        p = self.path("blob", code(power(5 << 16 | 0x3333)))
        for bios in ("none", "builtin"):  # without a kernel the first file is started
            r = self.guest(None, "--load", f"{p}@0x80200000", bios=bios)
            self.assertEqual((r.returncode, r.stderr), (5, b""))
        at = [lui(5, 0x80800), 0x02029293, 0x0202d293, 0x00028067]  # jr to 0x80800000
        r = self.guest(at, "--load", f"{p}@0x80800000")
        self.assertEqual(r.returncode, 5, r.stderr)

    def test_load_errors(self):
        p = self.path("blob", b"x" * 100)
        k = self.path("k.elf", elf([FOREVER]))
        run = ("run", "-k", k, "-b", "none", "-m", "32M")
        for where, text in ((0x80000000, "overlaps the kernel"), (0x1000, "not memory"),
                            (0x81e00000, "overlaps the device tree"),
                            (0x82000000 - 50, "not memory"), (2**64 - 50, "not memory"),
                            (0x20000000, "not memory")):
            self.fails(125, text, *run, "--load", f"{p}@{where:#x}")
        self.fails(127, "No such file", *run, "--load", self.path("none") + "@0x81000000")
        for value in ("x", "@1", "x@", "x@y", "x@-1", "x@0x1ffffffffffffffff"):
            self.fails(125, "FILE@ADDR", *run, "--load", value)
        self.fails(125, "too often", *run, *["--load", f"{p}@0x81000000"] * 17)

    def test_option_errors(self):
        k = self.path("k.elf", elf([FOREVER]))
        run = ("run", "-k", k, "-b", "none", "-m", "32M")
        for value in ("", "x", "2=x", "0=", "0=,rw", "00=x", "0"):
            self.fails(125, "flash", *run, "--flash", value)
        self.fails(125, "has a file already", *run, "--flash", "0=x", "--flash", "0=y")
        self.fails(127, "No such file", *run, "--flash", "0=" + self.path("none"))
        self.fails(126, "32 MiB", *run, "--flash", "0=" + k)
        for value in ("", "x", "=x", "x="):
            self.fails(125, "NAME=FILE", *run, "--fw-cfg", value)
        self.fails(127, "No such file", *run, "--fw-cfg", "opt/x=" + self.path("none"))
        self.fails(125, "55 bytes", *run, "--fw-cfg", "n" * 56 + "=" + k)
        self.fails(125, "of this name", *run, "--fw-cfg", "n=" + k, "--fw-cfg", "n=" + k)
        for value in ("pty:x", "unix:", "stdiox", ""):
            self.fails(125, "no such serial port", *run, "--serial", value)
        self.fails(125, "first has", *run, "--serial", "stdio", "--serial", "stdio")
        self.fails(125, "there are 2", *run, *["--serial", "pty"] * 3)
        self.fails(126, "socket", *run, "--serial", "unix:/nonexistent/x")
        self.fails(125, "too long", *run, "--serial", "unix:" + "x" * 200)

    def test_fw_cfg_file(self):
        # The first file's fourth byte is the status.
        words = [lui(5, FW_CFG >> 12), li(6, 0x2000), 0x00629423, LBU_T1, LBU_T1, LBU_T1, LBU_T1,
                 0x01031313, *li(7, 0x3333), 0x007363b3, lui(5, 0x100), sw(7, 0, 5), FOREVER]
        r = self.guest(words, "--fw-cfg", "opt/test=" + self.path("f", b"\1\2\3\x2a"))
        self.assertEqual(r.returncode, 42, r.stderr)

    def test_panic_device(self):
        r = self.guest([lui(5, PANIC >> 12), addi(6, 0, 1), 0x00628023, FOREVER])
        self.assertEqual(r.returncode, 123)
        self.assertIn(b"panicked", r.stderr)

    def test_second_port(self):
        words = [say("one"), say_on(UART2, "two"), *power(0x5555)]
        r = self.guest(words, "--serial", "stdio", "--serial", "file:" + self.path("two"))
        self.assertEqual((r.returncode, r.stdout), (0, b"one"))
        self.assertEqual(self.read("two"), b"two")
        r = self.guest(words, "--serial", "file:" + self.path("one"), "--serial", "stdio")
        self.assertEqual((r.stdout, self.read("one")), (b"two", b"one"))
        # without it there is no such port: the store faults, and nothing is there to catch it
        self.assertEqual(self.guest(words, "--timeout", "200ms").returncode, 124)

    # Echoes what comes, in capitals: polls LSR (5), reads RBR (0), clears bit 5, writes THR.
    ECHO = [lui(8, 0x10000), 0x00544283, 0x0012f293, 0xfe028ce3, 0x00044283,
            0xfdf2f293, 0x00540023, jump(-24)]

    def start(self, *args):
        k = self.path("echo.elf", elf(self.ECHO))
        p = subprocess.Popen([PROGRAM, "run", "-k", k, "-b", "none", "-m", "32M", "--timeout", "60s",
                              *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)

        def end():
            p.terminate()
            p.communicate()
        self.addCleanup(end)
        return p

    def talk(self, fd, text):
        got = b""
        os.write(fd, text)
        while len(got) < len(text):
            self.assertTrue(select.select([fd], [], [], 20)[0], f"only {got!r} came back")
            got += os.read(fd, 100)
        self.assertEqual(got, text.upper())

    def test_socket(self):
        path = self.path("sock")
        p = self.start("--serial", "unix:" + path)
        for _ in range(500):
            if os.path.exists(path):
                break
            time.sleep(0.02)
        for text in (b"first", b"second", b"third"):  # one peer after the other
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                self.talk(s.fileno(), text)
        self.fails(126, "in use", "run", "-k", self.path("echo.elf"), "-b", "none", "-m", "32M",
                   "--serial", "unix:" + path)
        p.terminate()
        self.assertEqual(p.wait(), 143)
        self.assertFalse(os.path.exists(path))

    def test_stale_socket_is_replaced(self):
        path = self.path("sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        r = self.guest(power(0x5555), "--serial", "unix:" + path)
        self.assertEqual((r.returncode, r.stderr), (0, b""))

    def test_output_that_nobody_reads_is_dropped(self):
        """More than all buffers hold, with no peer: the guest is not held up."""
        # li s1, 2000000; loop: sb s1 -> THR; addi -1; bnez
        words = [lui(8, 0x10000), *li(9, 2000000), 0x00940023, addi(9, 9, -1), 0xfe049ce3,
                 *power(0x5555)]
        for where in ("unix:" + self.path("sock"), "pty"):
            r = self.guest(words, "-q", "--serial", where)
            self.assertEqual(r.returncode, 0, r.stderr)

    def test_pty(self):
        p = self.start("--serial", "pty")
        line = p.stderr.readline().decode()
        m = re.fullmatch(r"godwit: serial port 0 is (/dev/pts/\d+)\n", line)
        self.assertTrue(m, line)
        for text in (b"first", b"second"):  # opened, closed and opened again
            fd = os.open(m[1], os.O_RDWR | os.O_NOCTTY)
            self.talk(fd, text)
            os.close(fd)


if __name__ == "__main__":
    unittest.main()
