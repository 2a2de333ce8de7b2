"""How runs end: small bare-metal guests, on both engines."""
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

import rvasm
from harness import PROGRAM, CliTest
from rvasm import ECALL, FOREVER, NOP, SP, WFI, addi, elf, jump, li, lui, power, say, sw


class Run(CliTest):
    def guest(self, *words, **kw):
        return self.path("guest.elf", elf(list(words), **kw))

    def run_guest(self, words, *args, engine="jit", **kw):
        report = self.path("report")
        r = self.call("run", "-k", self.guest(words), "--bios", "none", "-m", "16M", "--engine",
                      engine, "--report", report, "--timeout", "60s", *args, **kw)
        with open(report, encoding="utf-8") as f:
            return r, json.load(f)

    def both(self, words, *args, status, ended, stdout=None):
        for engine in ("jit", "interp"):
            with self.subTest(engine=engine):
                r, report = self.run_guest(words, *args, engine=engine)
                self.assertEqual((r.returncode, report["status"], report["ended"]),
                                 (status, status, ended), r.stderr)
                if stdout is not None:
                    self.assertEqual(r.stdout, stdout)
        return r, report

    def test_power_device(self):
        r, report = self.both(power(0x5555), status=0, ended="poweroff", stdout=b"")
        self.assertEqual(r.stderr, b"")
        self.assertGreater(report["insns"], 2)
        self.assertGreater(report["wall_ns"], 0)
        self.assertGreater(report["peak_rss_bytes"], 1 << 20)
        self.both(power(42 << 16 | 0x3333), status=42, ended="exit")
        self.both(power(0x3333), status=0, ended="exit")
        self.both(power(0x100 << 16 | 0x3333), status=1, ended="exit")  # would read as success

    def test_tohost(self):
        at = rvasm.RAM + 0x100
        words = [li(5, at), addi(6, 0, 1), sw(6, 0, 5), FOREVER]
        for value, status in ((1, 0), (7, 3)):
            words[1] = addi(6, 0, value)
            # li sign-extends: the upper half of the address is shifted away
            code = [words[0], 0x02029293, 0x0202d293, *words[1:]]
            p = self.path("t.elf", elf(code, symbols=[("tohost", at)]))
            r = self.call("run", "-k", p, "-b", "none", "-m", "16M", "--timeout", "60s")
            self.assertEqual(r.returncode, status, r.stderr)

    def test_console_and_stop_text(self):
        self.both([say("hello\n"), power(0x5555)], status=0, ended="poweroff", stdout=b"hello\n")
        self.both([say("boot... login: "), FOREVER], "--stop-text", "login:", status=0,
                  ended="stop-text")
        self.both([say("logi"), power(0x5555)], "--stop-text", "login:", status=122,
                  ended="poweroff")
        self.both([say("x"), power(3 << 16 | 0x3333)], "--stop-text", "y", status=122, ended="exit")

    def test_serial_to_a_file(self):
        r, _ = self.run_guest([say("to the file"), power(0x5555)], "--serial",
                              "file:" + self.path("out"))
        self.assertEqual((r.returncode, r.stdout), (0, b""))
        self.assertEqual(self.read("out"), b"to the file")

    def test_panic(self):
        words = [say("Kernel panic - not syncing: why\n"), FOREVER]
        r, _ = self.both(words, status=123, ended="panic",
                         stdout=b"Kernel panic - not syncing: why\n")
        self.assertIn(b"panicked", r.stderr)

    def test_timeout_shows_the_pc(self):
        start = time.monotonic()
        r, _ = self.both([FOREVER], "--timeout", "300ms", status=124, ended="timeout")
        self.assertLess(time.monotonic() - start, 20)
        self.assertIn(b"pc 0x80000000", r.stderr)
        self.both([WFI, jump(-4)], "--timeout", "300ms", status=124, ended="timeout")

    def test_stop_insn_is_exact(self):
        for n in (1, 2, 1000, 99999):
            _, report = self.both([NOP, NOP, NOP, jump(-12)], "--stop-insn", str(n), status=0,
                                  ended="stop-insn")
            self.assertEqual(report["insns"], n)

    def test_the_end_shows_who_called(self):
        words = [
            *li(SP, 0x80001000), 0x02011113, 0x02015113,  # sp = 0x80001000
            addi(8, SP, 64), NOP, NOP, NOP, 0x008000ef,  # s0; jal ra, .+8
            NOP,  # 0x80000024: the return address
            0x02113c23, 0x02013823,  # sd ra, 56(sp); sd zero, 48(sp)
            FOREVER,
        ]
        r, _ = self.both(words, "--stop-insn", "1000", status=0, ended="stop-insn")
        self.assertRegex(r.stderr, b"cpu 0: #1 0x80000024\n")

    def test_a_handler_that_faults_on_itself_can_be_stopped(self):
        words = [0x30501073, ECALL]  # csrw mtvec, zero: nothing is there
        for args, status, ended in ((["--stop-insn", "5000"], 0, "stop-insn"),
                                    (["--timeout", "300ms"], 124, "timeout")):
            for clock in ("host", "insns"):
                start = time.monotonic()
                _, report = self.both(words, "--clock", clock, *args, status=status, ended=ended)
                self.assertLess(time.monotonic() - start, 20)
                if ended == "stop-insn":
                    self.assertEqual(report["insns"], 5000)

    def test_interrupt_of_a_tight_loop(self):
        """A timer ends `j .`; the clock by instructions makes it exact, on both engines."""
        words = [
            0x00000297,  # auipc t0, 0
            addi(5, 5, 60), 0x30529073,  # csrw mtvec, t0
            lui(6, 0x2004), addi(7, 0, 1000), 0x00733023,  # mtimecmp = 1000 (100 us)
            addi(6, 0, 0x80), 0x30432073 | 0, 0x30432073,  # csrs mie, t1
            0x30046073,  # csrsi mstatus, 8
            FOREVER, NOP, NOP, NOP, NOP,
            *power(0x5555), FOREVER,
        ]
        _, a = self.both(words, "--clock", "insns:100", status=0, ended="poweroff")
        _, b = self.both(words, "--clock", "insns:100", status=0, ended="poweroff")
        self.assertEqual(a["insns"], b["insns"])
        self.assertGreater(a["insns"], 10000)  # 100 us at 100 MIPS, and what follows the power-off
        self.assertLess(a["insns"], 10000 + 5100)
        self.both(words, status=0, ended="poweroff")

    def test_time_follows_what_is_written_to_mtime(self):
        words = [
            addi(7, 0, 0x123), 0x01039393,  # slli t2, t2, 16
            lui(6, 0x200c), 0xfe733c23,  # sd t2, -8(t1): mtime
            0xc0102473,  # rdtime s0
            0x407404b3, addi(10, 0, 2000),  # sub s1, s0, t2
            0x00a4b5b3, 0x00058a63,  # sltu a1, s1, a0; beqz a1, .+20
            *power(0x5555), *power(3 << 16 | 0x3333), FOREVER,
        ]
        self.both(words, "--clock", "insns:100", status=0, ended="poweroff")

    def test_supervisor_start_and_sbi(self):
        """With the built-in SBI an ELF starts in S mode: SRST, and a0, a1 as promised."""
        srst = [lui(17, 0x53525), addi(17, 17, 0x354), addi(16, 0, 0), addi(10, 0, 0),
                addi(11, 0, 0), ECALL, FOREVER]
        for engine in ("jit", "interp"):
            r = self.call("run", "-k", self.guest(srst), "-m", "16M", "--engine", engine,
                          "--timeout", "60s")
            self.assertEqual(r.returncode, 0, r.stderr)

    def test_firmware_file(self):
        code = b"".join((w & 0xffffffff).to_bytes(4, "little")
                        for w in rvasm.flat(power(9 << 16 | 0x3333)))
        r = self.call("run", "-b", self.path("fw.bin", code), "-m", "16M", "--timeout", "60s")
        self.assertEqual(r.returncode, 9, r.stderr)

    def test_reset_starts_again(self):
        """The guest counts its starts in memory that a reset leaves alone."""
        # t0 = 0x80800000: beyond the image; *t0 += 1; 3rd time: power off, else reset
        words = [lui(5, 0x80800), 0x02029293, 0x0202d293, 0x0002a303, addi(6, 6, 1),
                 sw(6, 0, 5), addi(7, 0, 3), 0x00731c63,  # bne t1, t2, +24
                 *power(0x5555), FOREVER, *power(0x7777), FOREVER]
        self.both(words, status=0, ended="poweroff")

    def test_signals(self):
        for sig, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
            p = subprocess.Popen([PROGRAM, "run", "-k", self.guest(say("up\n"), FOREVER), "-b",
                                  "none", "-m", "16M", "--report", self.path("r")],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            self.assertEqual(p.stdout.read(3), b"up\n")
            p.send_signal(sig)
            self.assertEqual(p.wait(30), status)
            p.stdout.close()
            report = json.loads(self.read("r"))
            self.assertEqual((report["ended"], report["signal"]), ("signal", sig))

    def test_input_reaches_the_guest(self):
        """An echo loop: poll the line status, read, write, until 'q'."""
        words = [lui(5, 0x10000),
                 0x0052c303, 0x00137313, 0xfe030ce3,  # lbu t1,5(t0); andi; beqz -8
                 0x0002c303, rvasm.sb(6, 0, 5),  # lbu t1,0(t0); sb
                 addi(7, 0, ord("q")), 0xfe7314e3,  # bne t1,t2,-24
                 *power(0x5555), FOREVER]
        text = bytes(range(0x20, 0x70)) * 40 + b"q"
        r, _ = self.run_guest(words, stdin=text)
        self.assertEqual((r.returncode, r.stdout), (0, text))

    def test_large_output_arrives_whole(self):
        words = [lui(5, 0x10000), li(7, 100000), addi(6, 0, ord("x")),
                 0x0052c383 | 0, 0x0203f393, 0xfe038ce3,  # lbu t2,5(t0); andi 32; beqz -8
                 rvasm.sb(6, 0, 5), addi(7, 7, -1), NOP, *power(0x5555)]
        # counts in s0, since t2 is the status
        words[1] = li(8, 100000)
        words[7] = addi(8, 8, -1)
        words[8] = 0xfe0416e3  # bnez s0, -20
        r, _ = self.run_guest(words)
        self.assertEqual((r.returncode, len(r.stdout)), (0, 100000))


class Terminal(CliTest):
    def until(self, fd, text, seconds=30):
        got, end = b"", time.monotonic() + seconds
        while text not in got and time.monotonic() < end:
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    got += os.read(fd, 1000)
                except OSError:
                    break
        self.assertIn(text, got)

    def test_menu_quits_and_the_terminal_is_restored(self):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        guest = self.path("g.elf", elf([say("up\n"), FOREVER]))
        for end, status in ((b"\x1dq", 0), (None, 143)):
            p = subprocess.Popen(["setsid", "-c", PROGRAM, "run", "-k", guest, "-b", "none", "-m",
                                  "16M"], stdin=slave, stdout=slave, stderr=slave)
            self.until(master, b"up")
            raw = termios.tcgetattr(slave)
            self.assertEqual(raw[3] & (termios.ICANON | termios.ECHO | termios.ISIG), 0)
            if end:
                os.write(master, b"\x1d?" + end)
                self.until(master, b"q quit")
            else:
                p.terminate()
            self.assertEqual(p.wait(30), status)
            self.assertEqual(termios.tcgetattr(slave), before)
        os.close(master)
        os.close(slave)


class Disks(CliTest):
    def test_discarded_overlay_is_not_mentioned_when_clean(self):
        disk = self.path("disk", b"\0" * 65536)
        guest = self.path("g.elf", elf(power(0x5555)))
        r = self.call("run", "-k", guest, "-b", "none", "-m", "16M", "-d", disk)
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"", b""))
        overlay = self.path("new-overlay")
        r = self.call("run", "-k", guest, "-b", "none", "-m", "16M", "-d",
                      f"{disk},overlay={overlay}")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(os.path.exists(overlay))


if __name__ == "__main__":
    unittest.main()
