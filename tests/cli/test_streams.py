"""Standard input, output and error: full, closed, gone, of every kind."""
import os
import pty
import signal
import subprocess
import unittest

from harness import EXEC, PROGRAM, CliTest
from rvasm import A0, A1, A7, ECALL, SP, ZERO, addi, branch, elf, jump, li, power, say

UP_AND_COUNT = [say("up\n"), addi(5, 5, 1), jump(-4)]


class Streams(CliTest):
    def guest(self, *words):
        guest = self.path("guest.elf", elf(list(words)))
        return ["run", "-k", guest, "-b", "none", "-m", "16M", "--timeout", "60s"]

    def shell(self, command, *args, **kw):
        """By a shell, which opens and closes streams; $0 is the program. $@ its arguments."""
        return subprocess.run(["sh", "-c", command, PROGRAM, *args], capture_output=True, timeout=100,
                              check=False, **kw)

    def test_a_query_whose_output_is_lost_says_so(self):
        guest = self.path("guest.elf", elf(power(0x5555)))
        for words in (["help"], ["--version"], ["run", "--help"], ["man-page"], ["doctor"],
                      ["completion", "zsh"], ["ps", "--run-dir", self.path("run")],
                      ["ps", "--json", "--run-dir", self.path("run")], ["disasm", guest]):
            with self.subTest(words=words):
                r = self.shell('"$0" "$@" >/dev/full', *words)
                self.assertEqual((r.returncode, r.stderr.decode()),
                                 (125, "godwit: error: cannot write: standard output: "
                                       "No space left on device\n"))
                r = self.shell('"$0" "$@" >&-', *words)
                self.assertEqual((r.returncode, r.stderr.decode()),
                                 (125, "godwit: error: cannot write: standard output: "
                                       "Bad file descriptor\n"))

    def test_a_reader_that_goes_ends_a_query_by_the_usual_signal(self):
        reads, writes = os.pipe()
        os.close(reads)
        r = subprocess.run([PROGRAM, "man-page"], stdout=writes, stderr=subprocess.PIPE, check=False)
        os.close(writes)
        self.assertEqual((r.returncode, r.stderr), (-signal.SIGPIPE, b""))

    def test_a_listing_of_code_arrives_or_is_an_error(self):
        lost = "godwit: error: cannot write the dump: /dev/full: No space left on device\n"
        for last, status in ((power(0x5555), 125), (power(7 << 16 | 0x3333), 7)):
            words = self.guest(say("up\n"), last)
            for what in ("decode", "decode,ir,opt"):
                r = self.call(*words, "--dump", what + "=/dev/full")
                self.assertEqual((r.returncode, r.stdout, r.stderr.decode()), (status, b"up\n", lost))
            self.assertEqual(self.call(*words, "--dump", "decode=" + self.path("d")).stderr, b"")
            self.assertIn(b"block 0x80000000", self.read("d"))
        self.assertEqual(self.shell('"$0" "$@" 2>/dev/full', *self.guest(power(0x5555)), "--dump",
                                    "decode").returncode, 125)

    def program(self, name, *words):
        path = self.path(name, elf(list(words)))
        os.chmod(path, 0o755)
        return path

    @unittest.skipUnless(EXEC, "programs do not run in this build")
    def test_what_exec_lists_arrives_or_is_an_error(self):
        why = ": /dev/full: No space left on device\n"
        calls = "godwit: error: cannot write what the program asks of the kernel" + why
        dump = "godwit: error: cannot write the dump" + why
        for code, status in ((0, 125), (3, 3)):
            leave = self.program("leave", *li(A0, code), addi(A7, ZERO, 93), ECALL)
            for words, said in ((["--strace=/dev/full"], calls), (["--dump=decode=/dev/full"], dump),
                                (["--strace=/dev/full", "--dump=ir,opt=/dev/full"], calls + dump)):
                r = self.call("exec", *words, leave)
                self.assertEqual((r.returncode, r.stderr.decode()), (status, said))
            r = self.call("exec", "--strace=/dev/full", "--report", self.path("r"), leave)
            self.assertIn(b'"status": %d,' % status, self.read("r"))
            r = self.call("exec", "--strace=" + self.path("s"), "--dump=decode=" + self.path("d"), leave)
            self.assertEqual((r.returncode, r.stderr), (code, b""))
            self.assertIn(b"exit(%d)" % code, self.read("s"))
            self.assertIn(b"ecall", self.read("d"))
        r = self.shell('"$0" "$@" 2>/dev/full', "exec", "--strace", leave)
        self.assertEqual(r.returncode, 3)

    @unittest.skipUnless(EXEC, "programs do not run in this build")
    def test_lost_listings_fail_what_was_started_and_not_its_children(self):
        """They are to end as they would; it is said once, by whatever the first process has become."""
        leave = self.program("leave", *li(A0, 0), addi(A7, ZERO, 93), ECALL)
        here = 0x00000517  # auipc a0, 0
        name = [int.from_bytes(leave.encode().ljust(400, b"\0")[i:i + 4], "little")
                for i in range(0, 400, 4)]
        execute = [here, addi(A0, A0, 32), addi(A1, ZERO, 0), addi(12, ZERO, 0), addi(A7, ZERO, 221),
                   ECALL, jump(0), 0x13, *name]
        fork = [addi(SP, SP, -16), addi(A0, ZERO, 17), addi(A1, ZERO, 0), addi(12, ZERO, 0),
                addi(13, ZERO, 0), addi(14, ZERO, 0), addi(A7, ZERO, 220), ECALL]
        wait = [addi(A0, ZERO, -1), addi(A1, SP, 0), addi(12, ZERO, 0), addi(13, ZERO, 0),
                addi(A7, ZERO, 260), ECALL, 0x00012503, 0x00855513,  # lw a0, 0(sp); srli a0, a0, 8
                addi(A7, ZERO, 93), ECALL]
        said = "godwit: error: cannot write what the program asks of the kernel: "
        for words in ([execute], [fork, branch(1, A0, ZERO, 4 + 4 * len(execute)), execute, wait]):
            first = self.program("first", *words)
            r = self.call("exec", "--strace=/dev/full", first)
            self.assertEqual((r.returncode, r.stderr.decode().count(said)), (125, 1), r.stderr)
            self.assertEqual(self.call("exec", "--strace=" + self.path("s"), first).returncode, 0)

    def test_a_list_of_snapshots_that_is_lost(self):
        self.call(*self.guest(*UP_AND_COUNT), "-q", "--stop-insn", "100", "--save-at-end", self.path("s"))
        for json in ((), ("--json",)):
            r = self.shell('"$0" "$@" >/dev/full', "snap", "ls", self.tmp.name, *json)
            self.assertEqual(r.returncode, 125)
            self.assertRegex(r.stderr.decode(), "^godwit: error: cannot write.*standard output")

    def test_streams_that_are_closed_are_nobody_s_file(self):
        """What is opened next must not be what is written to."""
        disk = self.path("disk", b"\0" * 65536)
        overlay = self.path("overlay")
        words = [*self.guest(say("hello\n"), power(0x5555)), "-d", disk + ",overlay=" + overlay]
        for closed, status in (("<&-", 0), ("2>&-", 0), ("<&- 2>&-", 0), (">&-", 125),
                               ("<&- >&- 2>&-", 125)):
            with self.subTest(closed=closed):
                r = self.shell(f'"$0" "$@" {closed}', *words)
                self.assertEqual((r.returncode, r.stdout), (status, b"" if status else b"hello\n"), r.stderr)
                self.assertEqual(self.read("disk"), b"\0" * 65536)
                with open(overlay, "rb") as f:
                    self.assertEqual(f.read(5), b"GWOVL")

    def test_streams_that_are_all_a_terminal(self):
        """Nothing that is expected of a pipe fails at a terminal."""
        main, side = pty.openpty()
        guest = self.guest(say("hello\n"), power(0x5555))
        p = subprocess.Popen(["setsid", "-c", PROGRAM, *guest], stdin=side, stdout=side, stderr=side)
        self.assertEqual(p.wait(60), 0)
        os.close(side)
        said = b""
        try:
            while more := os.read(main, 1000):
                said += more
        except OSError:
            pass
        os.close(main)
        self.assertEqual(said, b"godwit: Ctrl-] then q quits, Ctrl-] then ? helps\r\nhello\r\n")


if __name__ == "__main__":
    unittest.main()
