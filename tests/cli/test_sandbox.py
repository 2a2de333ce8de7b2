"""Machines that are locked in: every thread has its filter, and what needs names still works."""
import array
import contextlib
import glob
import os
import pty
import pwd
import re
import select
import signal
import socket
import subprocess
import time
import unittest

from harness import DOCTOR, PROGRAM, CliTest
from rvasm import addi, elf, jump, power, say

UP_AND_COUNT = [say("up\n"), addi(5, 5, 1), jump(-4)]
SANDBOX = re.search(r"^sandbox of machines +(yes|no) +(.+)$", DOCTOR, re.M)


def status(pid, task, key):
    with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as f:
        return re.search(f"^{key}:\\s*(\\d+)$", f.read(), re.M)[1]


def fields(task, key):
    with open(f"/proc/{task}/status", encoding="utf-8") as f:
        return re.search(f"^{key}:[ \t]*(.*)$", f.read(), re.M)[1].split()


class Sandbox(CliTest):
    def machine(self, *args, words=None, stdin=subprocess.PIPE, before=()):
        guest = self.path("guest.elf", elf(words or UP_AND_COUNT))
        p = subprocess.Popen([*before, PROGRAM, "run", "-k", guest, "-b", "none", "-m", "16M", *args],
                             stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             cwd=self.tmp.name)

        def end():
            p.kill()
            p.communicate()
        self.addCleanup(end)
        self.assertEqual(p.stdout.read(3), b"up\n", p.stderr)
        return p

    def named(self, *args, **kw):
        self.dir = self.path("run")
        return self.machine("--name", "one", "--run-dir", self.dir, *args, **kw)

    def verb(self, verb, *args):
        return self.call(verb, "--run-dir", self.dir, *args)

    def filters(self, p):
        return {status(p.pid, t, "Seccomp") for t in os.listdir(f"/proc/{p.pid}/task")}

    def eventually(self, what):
        deadline = time.monotonic() + 60
        while not what():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_every_thread_has_a_filter(self):
        if SANDBOX[1] == "no":
            self.skipTest(SANDBOX[2])
        nets = [()] + ([("--net", "user")] if glob.glob(os.path.dirname(PROGRAM) + "/godwit-net.so")
                       else [])
        for net in nets:
            p = self.machine(*net)
            self.assertEqual(self.filters(p), {"2"}, net)
            self.assertEqual(status(p.pid, p.pid, "NoNewPrivs"), "1")
            # The first CPU's, control, lines; the network's.
            self.assertEqual(len(os.listdir(f"/proc/{p.pid}/task")), 4 if net else 3)

    def test_root_is_given_up_by_every_thread_and_by_the_broker(self):
        if SANDBOX[1] == "no" or os.geteuid() != 0:
            self.skipTest("needs root and a sandbox")
        name = re.search(r"^root is given up +yes +machines go on as (\w+) ", DOCTOR, re.M)[1]
        usual = [str(pwd.getpwnam(name).pw_uid)] * 4
        nets = [()] + ([("--net", "user")] if glob.glob(os.path.dirname(PROGRAM) + "/godwit-net.so")
                       else [])
        for net in nets:
            for args, uid in (((), usual), (("--user", "4711:4712"), ["4711"] * 4)):
                p = self.named(*args, *net, "-c", "2", "--save-at-end", "end.snap",
                               "--serial", "stdio", "--serial", "unix:" + self.path("line"),
                               words=[0x00051063, *UP_AND_COUNT])  # bnez a0, .: of the second CPU
                with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="ascii") as f:
                    broker = f.read().split()
                self.assertEqual(len(broker), 1)
                for t in os.listdir(f"/proc/{p.pid}/task") + broker:
                    self.assertEqual(fields(t, "Uid"), uid)
                    self.assertEqual(fields(t, "Groups"), [])
                    for key, value in (("CapEff", "0" * 16), ("CapPrm", "0" * 16),
                                       ("CapBnd", "0" * 16), ("NoNewPrivs", "1"), ("Seccomp", "2")):
                        self.assertEqual(fields(t, key), [value], (t, key))
                self.assertEqual(os.stat(self.dir + "/one.own").st_uid, int(uid[0]))
                self.assertEqual(self.verb("save", "one", self.path("a.snap")).returncode, 0)
                self.assertEqual(self.verb("stop", "one").returncode, 0)
                self.assertEqual(p.wait(), 0, p.stderr.read())
                self.assertEqual(os.listdir(self.dir + "/one.own"), [])
                self.assertFalse(os.path.exists(self.path("line")))
                for snap in ("a.snap", "end.snap"):
                    self.assertEqual(self.call("snap", "verify", self.path(snap)).returncode, 0)
                    os.unlink(self.path(snap))

    def test_what_the_machines_user_cannot_make_is_known_at_the_start(self):
        if SANDBOX[1] == "no" or os.geteuid() != 0:
            self.skipTest("needs root and a sandbox")
        guest = self.path("guest.elf", elf(UP_AND_COUNT))  # would never end
        os.mkdir(self.path("roots"), 0o755)
        run = ("run", "-k", guest, "-b", "none", "-m", "16M")
        for how in (("--save-at-end=",), ("--on-panic=save=",)):
            self.fails(125, "cannot write the snapshot: .*/roots/x: Permission denied\n"
                       "hint: --user root, or a directory that the user 4711 may write to", *run, "--user",
                       "4711:4711", how[0] + self.path("roots/x"))
        p = self.machine("--user", "root", "--save-at-end", "roots/x")
        p.terminate()
        self.assertEqual(p.wait(), 143)
        self.assertEqual(os.listdir(self.path("roots")), ["x"])
        p = self.machine("--serial", "stdio", "--serial", "unix:roots/line")
        p.terminate()
        self.assertEqual(p.wait(), 143)
        self.assertRegex(p.stderr.read(), b"note: roots/line will stay when the machine is gone: ")
        self.assertEqual(sorted(os.listdir(self.path("roots"))), ["line", "x"])
        self.fails(125, "cannot run as that user: not-there: there is none", *run, "--user", "not-there")
        self.fails(125, "--no-sandbox leaves the machine everything", *run, "--user", "nobody",
                   "--no-sandbox")

    def blocked(self, *args):
        """Standard error takes nothing: who has something to say says it when we have looked. The filter that
        is there by then, and what is said."""
        r, w = os.pipe()
        os.set_blocking(w, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(w, bytes(4096))
        os.set_blocking(w, True)
        with subprocess.Popen([PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=w) as p:
            os.close(w)
            deadline = time.monotonic() + 20
            while (found := status(p.pid, p.pid, "Seccomp")) != "2" and time.monotonic() < deadline:
                time.sleep(0.01)
            with open(r, "rb") as f:
                return found, f.read().lstrip(bytes(1)).decode(), p.wait()

    def test_files_are_looked_into_behind_the_lock(self):
        if SANDBOX[1] == "no":
            self.skipTest(SANDBOX[2])
        junk, guest = self.path("junk", b"junk" * 4096), self.path("guest.elf", elf(UP_AND_COUNT))
        disk, snap = self.path("disk", bytes(1 << 20)), self.path("a.snap")
        torn = elf(UP_AND_COUNT)
        short = self.path("short.elf", torn[:len(torn) - 8])
        run = ["run", "-b", "none", "-m", "16M"]
        self.assertEqual(self.call(*run, "-k", guest, "--stop-insn", "999", "--save-at-end", snap)
                         .returncode, 0)
        data = bytearray(self.read("a.snap"))
        data[data.rindex(b"\x28\xb5\x2f\xfd") + 9] ^= 1  # within the last chunk of memory
        bad = self.path("bad.snap", bytes(data))
        for args, said in (([*run, "-k", junk], "neither a RISC-V Linux Image nor an ELF file"),
                           ([*run, "-k", short], "cut short"),
                           ([*run, "-c", "2", "-k", junk], "neither a RISC-V"),
                           (["run", "-m", "16M", "-b", short], "cut short"),
                           ([*run, "-k", guest, "--dtb", junk], "device tree"),
                           (["run", "--dtb", junk, "--dump-dtb", self.path("x")], "device tree"),
                           ([*run, "-k", guest, "-d", f"{disk},overlay={junk}"], "not an overlay"),
                           (["disasm", short], "cut short"),
                           (["restore", bad], "cannot use the snapshot")):
            found, err, code = self.blocked(*args)
            self.assertEqual(found, "2", args)
            self.assertIn(said, err, args)
            self.assertIn(code, (125, 126), args)

    def test_no_sandbox_leaves_every_call(self):
        p = self.machine("--no-sandbox")
        self.assertEqual(self.filters(p), {"0"})

    def test_a_reset_reads_files_whose_names_are_gone(self):
        p = self.named()
        os.unlink(self.path("guest.elf"))
        self.assertEqual(self.verb("reset", "one").returncode, 0)
        self.assertEqual(p.stdout.read(3), b"up\n")

    def test_a_save_by_name_leaves_the_file_alone(self):
        p = self.named()
        r = self.verb("save", "one", self.path("a.snap"))
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        self.assertEqual(self.call("snap", "verify", self.path("a.snap")).returncode, 0)
        r = self.verb("save", "one", self.path("no/such/directory"))
        self.assertEqual(r.returncode, 126)
        self.assertRegex(r.stderr.decode(), "cannot write the snapshot: .*No such file")
        self.assertEqual(sorted(os.listdir(self.tmp.name)), ["a.snap", "guest.elf", "run"])
        p.terminate()
        self.assertEqual(p.wait(), 143)
        self.assertEqual(sorted(os.listdir(self.dir)), ["one.ended", "one.grants", "one.lock", "one.own"])
        self.assertEqual(os.listdir(self.dir + "/one.own"), [])

    def has_unnamed_file(self, pid):
        for link in glob.glob(f"/proc/{pid}/fd/*"):
            try:
                if re.match(re.escape(self.tmp.name) + ".*[(]deleted[)]", os.readlink(link)):
                    return True
            except OSError:  # is gone again
                pass
        return False

    def test_a_save_whose_client_dies_leaves_nothing(self):
        p = self.named()
        before = sorted(os.listdir(self.tmp.name))
        p.send_signal(signal.SIGSTOP)
        with subprocess.Popen([PROGRAM, "save", "--run-dir", self.dir, "one", self.path("a.snap")]) as c:
            self.eventually(lambda: self.has_unnamed_file(c.pid))
            c.kill()
        p.send_signal(signal.SIGCONT)
        self.assertEqual(sorted(os.listdir(self.tmp.name)), before)
        # One save at a time: the first may have been asked for before its client died.
        self.eventually(lambda: self.verb("save", "one", self.path("a.snap")).returncode == 0)
        for _ in range(2):  # a file of that name is replaced by the whole new one
            self.assertEqual(self.verb("save", "one", self.path("a.snap")).returncode, 0)
            self.assertEqual(self.call("snap", "verify", self.path("a.snap")).returncode, 0)
        self.assertEqual(sorted(os.listdir(self.tmp.name)), sorted([*before, "a.snap"]))
        os.mkdir(self.path("d"))
        self.assertEqual(self.verb("save", "one", self.path("d")).returncode, 126)
        self.assertEqual(sorted(os.listdir(self.tmp.name)), sorted([*before, "a.snap", "d"]))

    def test_files_that_cannot_be_saved_to_are_refused(self):
        self.named()
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(self.dir + "/one.own/sock")
                of = self.tmp.name if flags & os.O_DIRECTORY else self.path("guest.elf")
                fd = os.open(of, flags)
                s.sendmsg([b"godwit 1 save x\n"],
                          [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd] * 3))])
                os.close(fd)
                self.assertRegex(s.recv(4096), b"^error .*cannot write the snapshot")
        self.assertEqual(self.verb("pause", "one").returncode, 0)

    def test_saves_at_the_end_and_the_report(self):
        self.path("report", "x" * 10000)  # of another run: nothing of it stays
        p = self.machine("--save-at-end", "end.snap", "--report", "report",
                         words=[say("up\n"), power(0x5555)])
        self.assertEqual(p.wait(), 0)
        self.assertEqual(self.call("snap", "verify", self.path("end.snap")).returncode, 0)
        self.assertRegex(self.read("report"), rb'^\{"ended": "poweroff", .*\}\n$')
        self.assertEqual(sorted(os.listdir(self.tmp.name)), ["end.snap", "guest.elf", "report"])

    def test_a_report_that_cannot_be_written_is_known_at_the_start(self):
        guest = self.path("guest.elf", elf(UP_AND_COUNT))  # would never end
        self.fails(125, "cannot write the report: .*No such file", "run", "-k", guest, "-b", "none",
                   "-m", "16M", "--report", self.path("no/such/report"))

    def test_the_menu_saves(self):
        main, side = pty.openpty()
        p = self.machine(stdin=side, before=["setsid", "-c"])  # the terminal is its own
        os.write(main, b"\x1ds")
        said = b""
        while b"saved to" not in said:
            self.assertTrue(select.select([p.stderr], [], [], 60)[0], said)
            said += os.read(p.stderr.fileno(), 4096)
            self.assertNotIn(b"error", said)
        name = re.search(rb"saved to (godwit-\d+\.snap)", said)[1].decode()
        self.assertEqual(self.call("snap", "verify", self.path(name)).returncode, 0)
        os.write(main, b"\x1dq")
        self.assertEqual(p.wait(), 0)
        os.close(main)
        os.close(side)

    def test_sockets_are_removed_however_it_ends(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            p = self.machine("--serial", "stdio", "--serial", "unix:" + self.path("sock"))
            self.assertTrue(os.path.exists(self.path("sock")))
            p.send_signal(how)
            p.wait()
            if how == signal.SIGKILL and SANDBOX[1] == "no":
                continue
            self.eventually(lambda: not os.path.exists(self.path("sock")))


if __name__ == "__main__":
    unittest.main()
