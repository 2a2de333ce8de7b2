"""Machines by name: the run directory, the control socket and the verbs that use them."""
import json
import os
import pty
import signal
import socket
import stat
import subprocess
import time
import unittest

from harness import PROGRAM, CliTest
from rvasm import addi, branch, elf, jump, lui, power, say

UP_AND_COUNT = [say("up\n"), addi(5, 5, 1), jump(-4)]


class Machines(CliTest):
    def setUp(self):
        super().setUp()
        self.dir = self.path("run")
        self.names = []
        self.addCleanup(self.kill_all)

    def kill_all(self):
        for name in self.names:
            self.verb("stop", "--force", name)

    def verb(self, verb, *args, **kw):
        return self.call(verb, "--run-dir", self.dir, *args, **kw)

    def ok(self, verb, *args):
        r = self.verb(verb, *args)
        self.assertEqual(r.returncode, 0, (verb, args, r.stderr))
        return r.stdout.decode()

    def refused(self, status, pattern, verb, *args):
        return self.fails(status, pattern, verb, "--run-dir", self.dir, *args)

    def start(self, name="one", words=None, args=()):
        self.names.append(name)
        guest = self.path("guest.elf", elf(words or UP_AND_COUNT))
        out = self.ok("run", "-D", "--name", name, "-k", guest, "-b", "none", "-m", "16M", *args)
        self.assertEqual(out, name + "\n")

    def ps(self, *args):
        return {m["name"]: m for m in json.loads(self.ok("ps", "--json", *args))}

    def test_descriptors_of_who_starts_a_machine_are_not_its_own(self):
        """A script's pipe ends with the script, and names that stand for descriptors are of use before."""
        for args in ((), ("--no-sandbox",)):
            name = "two" if args else "one"
            self.names.append(name)
            reads, writes = os.pipe()
            disk = os.open(self.path("disk", bytes(1 << 20)), os.O_RDONLY)
            guest = self.path("guest.elf", elf(UP_AND_COUNT))
            r = subprocess.run([PROGRAM, "run", "--run-dir", self.dir, "-D", "--name", name, "-k",
                                guest, "-b", "none", "-m", "16M", "-d", f"/dev/fd/{disk}", *args],
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                               check=False, pass_fds=[writes, disk])
            self.assertEqual(r.returncode, 0, r.stderr)
            for fd in (writes, disk):
                os.close(fd)
            os.set_blocking(reads, False)
            self.assertEqual(os.read(reads, 1), b"")
            os.close(reads)
            self.assertEqual(self.ps()[name]["state"], "running")

    def test_machines_whose_processes_are_held_hide_no_others(self):
        """Whoever stops processes, a debugger or a freezer of groups, leaves a list that is soon there."""
        for name in ("one", "three", "two"):
            self.start(name)
        held = [m["pid"] for name, m in self.ps().items() if name != "two"]
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        before = time.monotonic()
        states = {name: m["state"] for name, m in self.ps().items()}
        took = time.monotonic() - before
        for pid in held:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(states, {"one": "busy", "three": "busy", "two": "running"})
        self.assertLess(took, 20)

    def connect(self, name="one"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(100)
        while True:
            try:
                s.connect(os.path.join(self.dir, name + ".own/sock"))
                break
            except BlockingIOError:  # more at once than wait to be accepted
                time.sleep(0.01)
        self.addCleanup(s.close)
        return s

    def ask(self, s, text):
        s.sendall(text if isinstance(text, bytes) else text.encode())
        return self.lines(s)

    def lines(self, s):
        """An answer's lines, the last one its end."""
        out = b""
        while not out.split(b"\n")[-2:-1] or not out.split(b"\n")[-2].startswith((b"ok", b"error")):
            more = s.recv(4096)
            if not more:
                return None
            out += more
        return out.decode().splitlines()

    def insns(self, s):
        lines = self.ask(s, "godwit 1 status\n")
        return int(next(x for x in lines if x.startswith("=insns=")).split("=")[2])

    def test_the_run_directory_is_ours_alone(self):
        self.start()
        self.assertEqual(stat.S_IMODE(os.stat(self.dir).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.dir + "/one.own/sock").st_mode), 0o700)
        os.chmod(self.dir, 0o755)
        self.refused(125, "others may use it", "ps")
        self.refused(125, "others may use it", "run", "--name", "x", "-k", self.path("guest.elf"))
        os.chmod(self.dir, 0o700)
        os.symlink(self.dir, self.path("link"))
        self.fails(125, "cannot use the run directory", "ps", "--run-dir", self.path("link"))
        self.fails(125, "cannot make the run directory", "ps", "--run-dir", "/nowhere/at/all")

    def test_pause_holds_the_guest_and_resume_lets_it_go(self):
        self.start()
        self.ok("pause", "one")
        before = self.ps()["one"]
        self.assertEqual(before["state"], "paused")
        time.sleep(0.1)
        after = self.ps()["one"]
        self.assertEqual((before["insns"], before["vm_ns"]), (after["insns"], after["vm_ns"]))
        self.ok("pause", "one")
        self.ok("resume", "one")
        deadline = time.monotonic() + 100
        while self.ps()["one"]["insns"] == after["insns"]:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual((self.ps()["one"]["state"], self.ps()["one"]["status"]), ("running", None))
        self.assertIn("retired_insns", self.ok("stats", "one"))

    def test_stop_wait_and_rm(self):
        self.start()
        with subprocess.Popen([PROGRAM, "wait", "--run-dir", self.dir, "--json", "one"],
                              stdout=subprocess.PIPE) as waiter:
            time.sleep(0.1)
            self.ok("stop", "one")
            self.assertEqual(json.loads(waiter.communicate(timeout=100)[0])["ended"], "stop")
            self.assertEqual(waiter.returncode, 0)
        self.assertEqual(self.ps(), {})
        self.assertEqual(self.ps("-a")["one"]["state"], "stop")
        self.assertEqual(self.verb("wait", "one").returncode, 0)
        self.refused(127, "no machine of that name", "pause", "one")
        self.ok("rm", "one")
        self.assertEqual(self.ps("-a"), {})
        self.refused(127, "no machine of that name", "rm", "one")
        self.refused(127, "no machine of that name", "wait", "one")
        self.assertEqual(os.listdir(self.dir), [])

    def test_wait_ends_as_the_machine_did(self):
        self.start(words=[say("x"), power(7 << 16 | 0x3333)])
        self.assertEqual(self.verb("wait", "one").returncode, 7)
        one = self.ps("-a")["one"]
        self.assertEqual((one["state"], one["status"]), ("exit", 7))
        self.assertRegex(self.ok("ps", "-a"), r"\none +0 +exit +7 ")

    def test_a_killed_machine_leaves_its_name_free(self):
        self.start()
        self.refused(125, "a machine of that name runs", "run", "--name", "one", "-b", "none", "-k",
                     self.path("guest.elf"))
        self.refused(125, "a machine of that name runs", "rm", "one")
        self.ok("stop", "--force", "one")
        one = self.ps("-a")["one"]
        self.assertEqual((one["state"], one["status"]), ("killed", 137))
        self.assertFalse(os.path.exists(self.dir + "/one.own/sock"))
        self.start()
        self.assertEqual(self.ps()["one"]["state"], "running")

    def test_what_cannot_start_says_so_at_once(self):
        self.refused(127, "kernel", "run", "-D", "--name", "x", "-k", self.path("none"))
        for bad in ("", "a b", "../x", "-x", "x" * 64, ".x"):
            self.refused(125, "name", "run", "-D", "--name=" + bad, "-k", self.path("none"))
        self.refused(127, "no machine of that name", "console", "../../etc")

    def test_the_console_keeps_what_was_said_and_takes_what_is_typed(self):
        # Reads the serial port for ever and says every byte again, to 0x10000000.
        lui_t0 = 0x100002b7                     # lui t0, 0x10000
        poll = [0x0052c303, 0x00137313,         # lbu t1, 5(t0); andi t1, t1, 1
                0xfe030ce3,                     # beqz t1, -8
                0x0002c383, 0x00728023]         # lbu t2, 0(t0); sb t2, 0(t0)
        echo = [say("hello\n"), lui_t0, *poll, jump(-20)]
        self.start(words=echo)
        with subprocess.Popen([PROGRAM, "console", "--run-dir", self.dir, "one"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as c:
            self.assertEqual(c.stdout.read(6), b"hello\n")
            for text in (b"abc", b"x" * 3000, b"end"):
                c.stdin.write(text)
                c.stdin.flush()
                self.assertEqual(c.stdout.read(len(text)), text)
            self.refused(125, "somebody else is at its console", "console", "one")
            self.ok("stop", "one")
            self.assertEqual(c.wait(timeout=100), 0)

    def test_a_console_that_is_read_late_loses_nothing(self):
        # Their socket takes a few hundred single bytes; the guest says 8192 of them, once it has been
        # sent one itself, while nobody reads.
        lui_t0 = 0x100002b7
        poll = [0x0052c303, 0x00137313, 0xfe030ce3]  # lbu t1, 5(t0); andi t1, t1, 1; beqz t1, -8
        flood = [0x07800393, 0x00002337,             # li t2, 'x'; lui t1, 2
                 0x00728023, 0x00004eb7,             # sb t2, 0(t0); lui t4, 4
                 0xfffe8e93, 0xfe0e9ee3,             # addi t4, t4, -1; bnez t4, -4: each by itself
                 0xfff30313, 0xfe0316e3]             # addi t1, t1, -1; bnez t1, -20
        self.start(words=[say("hello\n"), lui_t0, *poll, *flood, say("end"), jump(0)])
        s = self.connect()
        s.sendall(b"godwit 1 console\n")
        got = b""
        while not got.endswith(b"hello\n"):
            got += s.recv(4096)
        other = self.connect()
        before = self.insns(other)
        s.sendall(b"!")
        while self.insns(other) < before + 300000000:
            pass
        got = b""
        while not got.endswith(b"end"):
            more = s.recv(65536)
            self.assertTrue(more, "the connection was lost after %d bytes" % len(got))
            got += more
        self.assertEqual(got[-8195:], b"x" * 8192 + b"end")
        s.close()

    def test_the_console_is_detached_by_its_menu(self):
        self.start()
        main, side = pty.openpty()
        with subprocess.Popen([PROGRAM, "console", "--run-dir", self.dir, "one"], stdin=side,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as c:
            self.assertEqual(c.stdout.read(3), b"up\n")
            os.write(main, b"\x1dd")
            self.assertEqual(c.wait(timeout=100), 0)
        self.assertEqual(self.ps()["one"]["state"], "running")
        os.close(main)
        os.close(side)

    def test_the_console_ends_with_its_input_once_the_guest_has_answered(self):
        poll = [0x0052c303, 0x00137313, 0xfe030ce3]  # lbu t1, 5(t0); andi t1, t1, 1; beqz t1, -8
        echo = [0x0002c383, 0x00728023]              # lbu t2, 0(t0); sb t2, 0(t0)
        self.start(words=[say("hello\n"), 0x100002b7, *poll, *echo, jump(-20)])
        self.assertEqual(self.verb("console", "one", stdin=b"abc").stdout, b"hello\nabc")
        self.assertEqual(self.verb("console", "one", stdin=b"").stdout, b"hello\nabc")  # kept
        with subprocess.Popen([PROGRAM, "console", "--run-dir", self.dir, "one"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as c:
            self.assertEqual(c.stdout.read(9), b"hello\nabc")
            time.sleep(1.5)  # silence alone is no end
            c.stdin.write(b"xy")
            c.stdin.flush()
            self.assertEqual(c.stdout.read(2), b"xy")
            c.stdin.close()
            self.assertEqual((c.stdout.read(), c.wait(timeout=100)), (b"", 0))
        # Never silent, and read by somebody who leaves; not so fast that a reader whom the host keeps from
        # its processor falls behind and is dropped.
        pause = [lui(7, 50), addi(7, 7, -1), branch(1, 7, 0, -4)]
        self.start("two", words=[*say("x"), *pause, jump(-16)])
        with subprocess.Popen([PROGRAM, "console", "--run-dir", self.dir, "two"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as c:
            self.assertEqual(c.stdout.read(1), b"x")
            c.stdout.close()
            self.assertEqual(c.wait(timeout=100), 128 + signal.SIGPIPE)
        full = os.open("/dev/full", os.O_RDWR)
        r = subprocess.run([PROGRAM, "console", "--run-dir", self.dir, "two"], stdin=subprocess.PIPE,
                           stdout=full, stderr=subprocess.PIPE, timeout=100, check=False)
        os.close(full)
        self.assertEqual((r.returncode, r.stderr.decode()),
                         (125, "godwit: error: cannot write: standard output: No space left on device\n"))

    def test_a_panic_can_hold_the_machine(self):
        words = [say("Kernel panic - not syncing: why\n"), addi(5, 5, 1), jump(-4)]
        self.start(words=words, args=("--on-panic", "pause"))
        deadline = time.monotonic() + 100
        while self.ps()["one"]["state"] != "paused":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.ok("save", "one", self.path("p.snap"))

    def test_reset_starts_anew(self):
        self.start()
        with subprocess.Popen([PROGRAM, "console", "--run-dir", self.dir, "one"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as c:
            self.assertEqual(c.stdout.read(3), b"up\n")
            self.ok("reset", "one")
            self.assertEqual(c.stdout.read(3), b"up\n")
            self.ok("stop", "one")

    def test_a_running_machine_is_saved_and_goes_on_elsewhere(self):
        self.start()
        os.chdir(self.tmp.name)
        self.addCleanup(os.chdir, "/")
        self.ok("save", "one", "x.snap")
        self.ok("pause", "one")
        self.ok("save", "one", self.path("y.snap"))
        self.ok("save", "one", self.path("z.snap"))
        self.assertEqual(self.read("y.snap"), self.read("z.snap"))
        self.assertEqual(self.ps()["one"]["state"], "paused")
        self.refused(126, "cannot write the snapshot", "save", "one", "/nowhere/x")
        at = self.ps()["one"]["insns"]
        self.names.append("two")
        self.assertEqual(self.ok("restore", "-D", "--name", "two", self.path("z.snap")), "two\n")
        deadline = time.monotonic() + 100
        while self.ps()["two"]["insns"] <= at:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.call("snap", "verify", self.path("x.snap")).returncode, 0)

    def test_a_save_leaves_no_trace_in_a_run_that_can_be_repeated(self):
        self.start(args=("--deterministic",))
        self.ok("save", "one", self.path("a.snap"))
        info = json.loads(self.call("snap", "--json", "info", self.path("a.snap")).stdout)
        self.assertTrue(info["manifest"]["deterministic"])
        self.ok("pause", "one")
        ahead = self.ps()["one"]["insns"] + (1 << 22)
        self.ok("stop", "one")
        hashes = []
        for cmd in (["run", "--deterministic", "-k", self.path("guest.elf"), "-b", "none", "-m",
                     "16M"], ["restore"]):
            out = self.path("end.snap")
            tail = [self.path("a.snap")] if cmd == ["restore"] else []
            r = self.call(*cmd, "-q", "--stop-insn", str(ahead), "--save-at-end", out, *tail)
            self.assertEqual(r.returncode, 0, r.stderr)
            hashes.append(self.call("snap", "verify", out).stdout)
        self.assertEqual(hashes[0], hashes[1])

    def test_a_foreground_machine_has_a_name_too(self):
        guest = self.path("guest.elf", elf(UP_AND_COUNT))
        with subprocess.Popen([PROGRAM, "run", "--run-dir", self.dir, "--name", "fore", "-k", guest,
                               "-b", "none", "-m", "16M"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as p:
            self.assertEqual(p.stdout.read(3), b"up\n")
            self.refused(125, "its console is where it was started", "console", "fore")
            self.ok("pause", "fore")
            self.assertEqual(self.ps()["fore"]["pid"], p.pid)
            p.send_signal(signal.SIGTERM)  # a paused machine ends as well
            self.assertEqual(p.wait(timeout=100), 128 + signal.SIGTERM)

    def test_hostile_clients_are_told_off_or_dropped(self):
        self.start()
        s = self.connect()
        self.assertRegex(self.ask(s, "godwit 1 frobnicate\n")[0], "^error .*knows no such request")
        self.assertRegex(self.ask(s, "godwit 2 pause\n")[0], "^error .*does not speak")
        self.assertRegex(self.ask(s, "GET / HTTP/1.1\n")[0], "^error .*not a request")
        self.assertRegex(self.ask(s, b"\x00\xff\n")[0], "^error .*not a request")
        self.assertRegex(self.ask(s, "godwit 1 save relative\n")[0], "^error .*must come with")
        s.sendall(b"godwit 1 pau")
        time.sleep(0.05)
        s.sendall(b"se\ngodwit 1 resume\n")
        both = b""
        while len(both) < 6:
            both += s.recv(6)
        self.assertEqual(both, b"ok\nok\n")
        long = self.connect()
        try:
            long.sendall(b"x" * 100_000)
            self.assertIsNone(self.lines(long))
        except (BrokenPipeError, ConnectionResetError):
            pass
        crowd = [self.connect() for _ in range(60)]
        self.assertEqual(self.ask(s, "godwit 1 status\n")[-1], "ok")
        for c in crowd:
            c.close()
        for _ in range(200):  # who asks and leaves at once
            c = self.connect()
            c.sendall(b"godwit 1 stats\n")
            c.close()
        self.assertEqual(self.ps()["one"]["state"], "running")


unittest.main()
