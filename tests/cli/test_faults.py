"""The host lets a machine down: it says so once, and goes on where it can."""
import array
import json
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import time
import unittest

from harness import PROGRAM, STAYS, CliTest
from rvasm import addi, elf, jump, li, lui, power, say

UP_AND_COUNT = [say("up\n"), addi(5, 5, 1), jump(-4)]


def flood(count):
    """That many bytes to the serial port, then power off."""
    return [lui(8, 0x10000), li(9, count), 0x00940023, addi(9, 9, -1), 0xfe049ce3, power(0x5555)]


class Faults(CliTest):
    def machine(self, words, *args, before=(), **kw):
        guest = self.path("guest.elf", elf(words))
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        p = subprocess.Popen([*before, PROGRAM, "run", "-k", guest, "-b", "none", "-m", "16M", *args],
                             cwd=self.tmp.name, **{**streams, **kw})

        def end():
            p.kill()
            for f in (p.stdin, p.stdout, p.stderr):
                if f:
                    f.close()
            p.wait()
        self.addCleanup(end)
        return p

    def test_standard_output_that_nobody_reads_any_more_ends_the_run(self):
        talk = [*say("x"), jump(-4)]
        for words, args in ((talk, ()), (talk, ("--deterministic",)), (talk, ("-c", "2")),
                            (talk, ("--serial", "pty", "--serial", "stdio", "-q")),
                            ([say("up\n"), flood(100000)], ())):
            with self.subTest(args=args):
                second = "--serial" in args
                words = [0x100092b7 if w == 0x100002b7 and second else w for w in words]
                p = self.machine(words, *args, "--report", "r")
                p.stdout.close()
                self.assertEqual((p.wait(60), p.stderr.read()), (128 + signal.SIGPIPE, b""))
        p = self.machine(talk, "--report", "r")
        self.assertEqual(p.stdout.read(3), b"xxx")
        p.stdout.close()
        self.assertEqual(p.wait(60), 128 + signal.SIGPIPE)
        report = json.loads(self.read("r"))
        self.assertEqual((report["ended"], report["signal"]), ("signal", signal.SIGPIPE))

    def test_neither_is_standard_error(self):
        p = self.machine([say("up\n"), flood(100000)], "--stats")
        p.stderr.close()
        p.stdout.close()
        self.assertEqual(p.wait(60), 128 + signal.SIGPIPE)

    def test_another_port_that_nobody_reads_any_more(self):
        reads, writes = os.pipe()
        os.close(reads)
        p = self.machine([say("up\n"), flood(100000)], "--serial", f"file:/dev/fd/{writes}",
                         pass_fds=[writes])
        os.close(writes)
        self.assertEqual((p.wait(60), p.stderr.read().decode()),
                         (0, "godwit: note: cannot write what the guest says: serial port 0: nobody "
                             "reads it any more\n"))

    def test_standard_output_on_a_full_disk_is_a_failure(self):
        for last, status in ((power(0x5555), 125), (power(7 << 16 | 0x3333), 7)):
            for args in ((), ("--deterministic",)):
                full = os.open("/dev/full", os.O_RDWR)
                p = self.machine([say("up\n"), last], *args, stdout=full)
                os.close(full)
                self.assertEqual((p.wait(60), p.stderr.read().decode()),
                                 (status, "godwit: error: cannot write what the guest says: serial "
                                          "port 0: No space left on device\n"))

    def test_the_guest_s_own_end_waits_for_a_reader_that_is_slow(self):
        """A person with a pager; by whichever way somebody wants an end, it comes at once."""
        p = self.machine([say("up\n"), flood(200000)])
        time.sleep(3)
        self.assertIsNone(p.poll())
        self.assertEqual(len(p.stdout.read()), 200003)
        self.assertEqual(p.wait(60), 0)
        for args in ((), ("--timeout", "2s")):
            p = self.machine([say("up\n"), flood(200000)], *args)
            if not args:
                time.sleep(1)
                p.terminate()
            self.assertEqual(p.wait(30), 0)  # its own end came first

    def test_a_console_on_a_full_disk(self):
        r = self.call("run", "-k", self.path("g.elf", elf([flood(100000)])), "-b", "none", "-m", "16M",
                      "-q", "--serial", "file:/dev/full")
        self.assertEqual((r.returncode, r.stderr.decode()),
                         (0, "godwit: error: cannot write what the guest says: serial port 0: "
                             "No space left on device\n"))

    def test_a_terminal_that_hangs_up_ends_the_run(self):
        main, side = pty.openpty()
        p = self.machine(UP_AND_COUNT, before=["setsid", "-c"], stdin=side, stdout=side)
        os.close(side)
        said = b""
        while b"up" not in said:
            self.assertTrue(select.select([main], [], [], 60)[0])
            said += os.read(main, 100)
        os.close(main)
        self.assertEqual(p.wait(60), 129)

    def test_a_hang_up_signal_ends_the_run(self):
        p = self.machine(UP_AND_COUNT)
        self.assertEqual(p.stdout.read(3), b"up\n")
        p.send_signal(signal.SIGHUP)
        self.assertEqual(p.wait(60), 129)

    def test_a_save_to_a_full_disk_leaves_the_machine_running(self):
        run_dir = self.path("run")
        p = self.machine(UP_AND_COUNT, *STAYS, "--name", "one", "--run-dir", run_dir)
        self.assertEqual(p.stdout.read(3), b"up\n")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(run_dir + "/one.own/sock")
            full = os.open("/dev/full", os.O_RDWR)
            s.sendmsg([b"godwit 1 save /a/file\n"],
                      [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [full]))])
            os.close(full)
            self.assertRegex(s.recv(4096).decode(), "^error \\d+\t/a/file\tcannot write the snapshot: "
                             "No space left on device\t\n$")
            for request in (b"pause", b"resume"):
                s.sendall(b"godwit 1 " + request + b"\n")
                self.assertEqual(s.recv(4096), b"ok\n")
        # By the limit on file sizes, the client's way: no file is left, nor what was there torn.
        self.path("there.snap", b"as it was")
        limits = (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        resource.prlimit(p.pid, resource.RLIMIT_FSIZE, limits)
        for name in ("new.snap", "there.snap"):
            r = self.call("save", "--run-dir", run_dir, "one", self.path(name))
            self.assertEqual(r.returncode, 126)
            self.assertRegex(r.stderr.decode(), "cannot write the snapshot: .*File too large")
        self.assertEqual(self.read("there.snap"), b"as it was")
        self.assertEqual(sorted(os.listdir(self.tmp.name)), ["guest.elf", "run", "there.snap"])
        self.assertEqual(self.call("stop", "--run-dir", run_dir, "one").returncode, 0)
        self.assertEqual(p.wait(60), 0)

    def test_a_save_at_the_end_to_a_full_disk(self):
        p = self.machine(UP_AND_COUNT, *STAYS, "--save-at-end", "end.snap")
        self.assertEqual(p.stdout.read(3), b"up\n")
        resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        p.terminate()
        self.assertEqual(p.wait(60), 125)
        self.assertEqual(p.stderr.read().decode(),
                         "godwit: error: cannot write the snapshot: end.snap: File too large\n")
        self.assertEqual(os.listdir(self.tmp.name), ["guest.elf"])

    def test_a_network_peer_that_goes_away(self):
        path = self.path("net")
        p = self.machine(UP_AND_COUNT, "--net", "socket:" + path)
        self.assertEqual(p.stdout.read(3), b"up\n")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            time.sleep(0.1)
        self.assertEqual(p.stderr.readline(), b"godwit: note: the network peer has hung up\n")
        with socket.socket(socket.AF_UNIX) as s:  # it was the one peer
            self.assertRaises(OSError, s.connect, path)
        p.terminate()
        self.assertEqual(p.wait(60), 143)
        self.assertEqual((p.stderr.read(), os.path.exists(path)), (b"", False))


if __name__ == "__main__":
    unittest.main()
