"""Standard input, output and error: full, closed, gone, of every kind."""
import os
import pty
import signal
import subprocess
import unittest

from harness import PROGRAM, CliTest
from rvasm import addi, elf, jump, power, say

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
