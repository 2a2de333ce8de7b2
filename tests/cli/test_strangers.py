"""Snapshots from strangers: what one may open, and who said so."""
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import time
import unittest

from harness import EXEC, CONFIG, PROGRAM, CliTest
from rvasm import addi, elf, jump, power, say

COUNT = [say("up\n"), addi(5, 5, 1), jump(-4)]
RESET = [say("up\n"), [addi(5, 5, 1)] * 3000, power(0x7777), jump(0)]
WEIRD = "it's \x1b[31mred\n and \xff\u202e".encode("utf-8", "surrogateescape")


class Strangers(CliTest):
    def setUp(self):
        super().setUp()
        self.mine = os.path.join(self.tmp.name, "config")
        os.environ["XDG_CONFIG_HOME"] = self.mine
        self.addCleanup(os.environ.__setitem__, "XDG_CONFIG_HOME", CONFIG)

    def saved(self, name="a", *args, words=None, memory="16M"):
        p = self.path(name)
        guest = self.path("guest.elf", elf(words or COUNT))
        r = self.call("run", "-q", "-k", guest, "-b", "none", "-m", memory, "--stop-insn", "2001",
                      "--save-at-end", p, *args)
        self.assertEqual((r.returncode, b"not sealed" in r.stderr), (0, False), r.stderr)
        return p

    @contextlib.contextmanager
    def somebody_else(self, name="other"):
        os.environ["XDG_CONFIG_HOME"] = self.path(name)
        yield
        os.environ["XDG_CONFIG_HOME"] = self.mine

    def restored(self, p, *args, status=0, stop="4001"):
        r = self.call("restore", "-q", "--stop-insn", stop, *args, p)
        self.assertEqual(r.returncode, status, r.stderr)
        return r

    def refused(self, pattern, p, *args, status=125):
        """One line that says what is missing, and one that is a command; the command."""
        r = self.call("restore", "-q", "--stop-insn", "4001", *args, p)
        err = r.stderr.decode()
        self.assertEqual((r.returncode, r.stdout), (status, b""), err)
        self.assertRegex(err, r"\Agodwit: error: cannot restore: [^\n]+\n(hint: [^\n]+\n)?\Z")
        self.assertRegex(err, pattern)
        self.assertTrue(err.replace("\n", "").isprintable(), err)
        hint = re.search(r"^hint: (.*)$", err, re.M)
        return hint and hint[1]

    def obey(self, hint):
        self.assertTrue(hint.startswith("godwit "))
        r = subprocess.run(["bash", "-c", shlex.quote(PROGRAM) + hint[6:]], capture_output=True,
                           timeout=60, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)

    # ---- whose it is ---------------------------------------------------------------------------

    def test_ones_own_need_no_word(self):
        disk, over, blob = self.path("disk", bytes(1 << 20)), self.path("over"), self.path("b", "x")
        flash, wire = self.path("flash", b"\xff" * (32 << 20)), self.path("wire")
        a = self.saved("a", "-d", disk, "-d", f"{disk},overlay={over}", "--flash",
                       f"1={flash},rw", "--fw-cfg", "opt/x=" + blob, "--net", "socket:" + wire,
                       memory="768M")
        self.assertEqual(stat.S_IMODE(os.stat(self.mine + "/godwit/seal.key").st_mode), 0o600)
        self.restored(a)
        self.assertEqual(json.loads(self.call("snap", "--json", "info", a).stdout)["seal"], "good")

    def test_a_strangers_file_opens_nothing(self):
        disk, over, blob = self.path("disk", bytes(1 << 20)), self.path("over"), self.path("b", "x")
        flash, wire = self.path("flash", b"\xff" * (32 << 20)), self.path("wire")
        a = self.saved("a", "-d", disk, "-d", f"{disk},overlay={over}", "--flash",
                       f"1={flash},rw", "--fw-cfg", "opt/x=" + blob, "--net", "socket:" + wire,
                       memory="768M")
        os.unlink(over)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(wire)
        listener.listen(1)
        listener.settimeout(0)
        for p in (disk, blob, flash):  # whoever opens one of these waits for ever
            os.unlink(p)
            os.mkfifo(p)
        with self.somebody_else():
            hint = self.refused("sealed with a key that is not here", a)
        for option in (f"-d {disk} ", f"-d {disk},overlay={over} ", f"--flash 1={flash},rw ",
                       f"--fw-cfg opt/x={blob} ", f"--net socket:{wire} ", "-m 768M "):
            self.assertIn(option, hint)
        self.assertNotIn("guest.elf", hint)
        self.assertFalse(os.path.exists(over))
        self.assertRaises(BlockingIOError, listener.accept)

    def test_the_hint_is_the_command_that_says_yes(self):
        folder = os.path.join(self.tmp.name.encode(), b"a folder")
        os.mkdir(folder)
        disk = os.path.join(folder, WEIRD)
        with open(disk, "wb") as f:
            f.write(bytes(1 << 20))
        for args in (["-d", disk], ["-d", disk + b",rw"]):
            a = self.saved("a", *args, memory="640M")
            with self.somebody_else():
                self.obey(self.refused("wants what it was not given", a))
                self.obey(self.refused("wants", a, "-m", "1G"))

    def test_what_no_option_can_say_has_no_command(self):
        folder = self.path("a,rw")
        os.mkdir(folder)
        disk = os.path.join(folder, "disk")
        with open(disk, "wb") as f:
            f.write(bytes(1 << 20))
        os.chdir(folder)
        self.addCleanup(os.chdir, "/")
        a = self.saved("a", "-d", "disk")
        with self.somebody_else():
            self.assertEqual(self.refused("what --disk cannot say", a), "godwit snap info " + a)
            self.restored(a, "-d", "disk")

    def test_what_is_given_is_not_asked_for(self):
        disk, copy = self.path("disk", bytes(1 << 20)), self.path("copy", bytes(1 << 20))
        a = self.saved("a", "-d", disk, "--net", "socket:" + self.path("wire"))
        with self.somebody_else():
            self.refused("-d", a, "--net", "none")
            self.assertNotIn("-d", self.refused("--net", a, "-d", copy).split("godwit restore")[1]
                             .replace("-d " + copy, ""))
            self.restored(a, "-d", copy, "--net", "none")

    def test_what_names_nothing_needs_no_word(self):
        a = self.saved()
        with self.somebody_else():
            self.restored(a)  # its kernel is wanted at a reset alone

    def test_a_reset_says_what_it_lacks(self):
        a = self.saved(words=RESET)
        os.unlink(self.path("guest.elf"))
        os.mkfifo(self.path("guest.elf"))
        with self.somebody_else():
            r = self.call("restore", "-q", "--timeout", "20s", a)
            self.assertEqual(r.returncode, 125)
            self.assertRegex(r.stderr.decode(), r"godwit: error: cannot reset: .*guest.elf: the "
                             r"machine was restored without its kernel\nhint: godwit restore -k")
            os.unlink(self.path("guest.elf"))
            again = self.path("again.elf", elf([say("again\n"), power(0x5555)]))
            r = self.call("restore", "-q", "--timeout", "20s", "-k", again, a)
            self.assertEqual((r.returncode, r.stdout), (0, b"again\n"), r.stderr)

    def test_a_reset_says_what_was_not_there(self):
        a = self.saved(words=RESET)
        os.unlink(self.path("guest.elf"))
        self.fails_at_reset("cannot open the kernel: .*guest.elf: it was not there at the start", a)

    def fails_at_reset(self, pattern, p):
        r = self.call("restore", "-q", "--timeout", "20s", p)
        self.assertIn(r.returncode, (125, 127))
        self.assertRegex(r.stderr.decode(), pattern)

    # ---- memory ------------------------------------------------------------------------------

    def test_memory_is_bounded(self):
        a, b = self.saved(memory="768M"), self.saved("b", memory="512M")
        self.fails(125, "has 768M of memory", "restore", "-m", "512M", a)  # one's own, too
        self.restored(a, "-m", "768M")
        with self.somebody_else():
            self.refused("-m 768M", a)
            self.fails(125, "has 768M of memory", "restore", "-m", "767M", a)
            self.restored(a, "-m", "1G")
            self.restored(b)

    # ---- keys and seals ------------------------------------------------------------------------

    def test_keys_are_told_apart(self):
        disk = self.path("disk", bytes(1 << 20))
        a = self.saved("a", "-d", disk)
        key, wrong = self.mine + "/godwit/seal.key", self.path("wrong")
        with self.somebody_else():
            self.refused("a key that is not here, [0-9a-f]{32}, and wants", a)
            self.assertEqual(self.call("snap", "--seal-key", wrong, "seal", a).returncode, 0)
            a = self.saved_bytes_without_last_seal(a)
            self.refused("nor is that of --seal-key", a, "--seal-key", wrong)
            self.restored(a, "--seal-key", key)
            self.fails(127, "cannot use the key", "restore", "--seal-key", self.path("none"), a)
            self.fails(125, "not a key of ours", "restore", "--seal-key", self.safe("junk"), a)
            os.chmod(wrong, 0o644)
            self.fails(125, "others may read or change it", "restore", "--seal-key", wrong, a)
        os.chmod(key, 0o640)
        self.refused("others may read or change it", a)

    def safe(self, name):
        p = self.path(name, "junk")
        os.chmod(p, 0o600)
        return p

    def saved_bytes_without_last_seal(self, p):
        data = self.read(os.path.basename(p))
        grants = int.from_bytes(data[-128 + 12:-128 + 16], "little")
        return self.path("first", data[:-128 - grants])

    def test_no_seal_and_a_broken_one(self):
        disk = self.path("disk", bytes(1 << 20))
        a = self.saved("a", "-d", disk)
        whole = self.read("a")
        bare = self.saved_bytes_without_last_seal(a)
        self.refused("it is not sealed, and wants", bare)
        self.restored(bare, "-d", disk)
        changed = bytearray(whole)
        changed[-300] ^= 1  # in the grants, or what is before
        for at in (-5, -140):
            changed = bytearray(whole)
            changed[at] ^= 1
            self.fails(126, "its seal is broken", "restore", self.path("bad", bytes(changed)))
            self.fails(126, "its seal is broken", "snap", "verify", self.path("bad"))

    def test_a_change_with_right_checksums_is_found(self):
        """Somebody who knows the format names another file, and seals nothing."""
        disk, secret = self.path("disk", bytes(1 << 20)), self.path("disc", b"secret" * 4096)
        a = self.saved("a", "-d", disk)
        data = bytearray(self.read("a"))
        at = data.find(disk.encode() + b'"')
        data[at:at + len(disk)] = secret.encode()
        self.fails(126, "checksum", "restore", self.path("bad", bytes(data)))

    def test_a_team_has_a_key(self):
        disk, key = self.path("disk", bytes(1 << 20)), self.path("team.key")
        a = self.saved("a", "-d", disk)
        r = self.call("snap", "--seal-key", key, "seal", a)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("disks.0.path=" + disk, r.stdout.decode())
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        self.restored(a)
        with self.somebody_else():
            self.refused("a key that is not here", a)
            self.restored(a, "--seal-key", key)
            bare = self.saved_bytes_without_last_seal(self.saved_bytes_without_last_seal(a))
            self.refused("not sealed", bare)
            self.assertEqual(self.call("snap", "seal", bare).returncode, 0)
            self.restored(bare)

    def test_a_machine_cannot_grant_itself_anything(self):
        """godwit save seals what the machine was started with, whatever it wrote of itself."""
        disk, run_dir, guest = self.path("disk", bytes(1 << 20)), self.path("run"), self.path(
            "guest.elf", elf(COUNT))
        r = self.call("run", "--run-dir", run_dir, "-D", "--name", "one", "-k", guest, "-b", "none",
                      "-m", "16M", "-d", disk)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.addCleanup(self.call, "stop", "--run-dir", run_dir, "--force", "one")
        grants = [os.path.join(d, f) for d, _, files in os.walk(run_dir) for f in files
                  if f.endswith("grants")]
        with open(grants[0], encoding="utf-8") as f:
            self.assertIn("disks.0.path=" + disk, f.read())
        a = self.path("a")
        r = self.call("save", "--run-dir", run_dir, "one", a)
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        self.restored(a, stop="1")
        with open(grants[0], "w", encoding="utf-8") as f:
            f.write("")  # as if the machine had made its disk up
        self.assertEqual(self.call("save", "--run-dir", run_dir, "one", a).returncode, 0)
        self.refused("its seal says nothing of it, and wants .*-d", a)
        os.unlink(grants[0])
        r = self.call("save", "--run-dir", run_dir, "one", a)
        self.assertRegex(r.stderr.decode(), "note: .* is not sealed")
        self.refused("it is not sealed", a)

    def test_a_key_that_cannot_be_made_stops_no_save(self):
        os.environ["XDG_CONFIG_HOME"] = "/proc/nowhere"
        p, guest = self.path("a"), self.path("guest.elf", elf(COUNT))
        args = ("-k", guest, "-b", "none", "-m", "16M", "--stop-insn", "2001", "--save-at-end", p)
        r = self.call("run", *args)
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stderr.decode(), "note: .* is not sealed: .*cannot make the key")
        self.restored(p)

    # ---- what is printed -----------------------------------------------------------------------

    def test_names_are_printed_escaped(self):
        disk = os.path.join(self.tmp.name.encode(), WEIRD)
        with open(disk, "wb") as f:
            f.write(bytes(1 << 20))
        good = os.path.join(self.tmp.name.encode(), "it\x1b[31m\x9b\x7f\u202e\U000e0041".encode())
        with open(good, "wb") as f:
            f.write(bytes(1 << 20))
        a = self.saved("a", "-d", good, "-a", "\x1b]0;title\x07\x7f")
        for args in (("info", a), ("--json", "info", a), ("verify", a), ("ls", self.tmp.name),
                     ("seal", a), ("diff", a, a)):
            r = self.call("snap", *args)
            self.assertEqual(r.returncode, 0, r.stderr)
            text = (r.stdout + r.stderr).decode()
            self.assertTrue(text.replace("\n", "").isprintable(), text)
        info = json.loads(self.call("snap", "--json", "info", a).stdout)
        self.assertEqual(os.fsencode(info["manifest"]["disks"][0]["path"]), good)
        for command in (("restore", disk), ("run", "-k", disk), ("restore", "--stop-insn", "4001", "-d", disk, a),
                        ("snap", "info", disk), ("run", "-k", disk + b"none")):
            err = self.call(*command).stderr.decode()
            self.assertTrue(err.replace("\n", "").isprintable(), err)

    def test_no_file_makes_it_wait(self):
        fifo, a = self.path("fifo"), self.saved()
        os.mkfifo(fifo)
        for args in (["restore", fifo], ["snap", "info", fifo], ["snap", "diff", a, fifo],
                     ["run", "-k", fifo], ["run", "-k", a, "-i", fifo], ["run", "-b", fifo],
                     ["run", "-k", a, "--dtb", fifo], ["run", "--load", fifo + "@0x80000000"],
                     ["run", "-k", a, "--fw-cfg", "opt/x=" + fifo],
                     ["run", "-k", a, "-d", fifo], ["run", "-k", a, "--flash", "0=" + fifo],
                     ["run", "-k", a, "-d", f"{a},overlay={fifo}"], ["disasm", fifo],
                     *([["exec", fifo]] if EXEC else []),
                     ["restore", "--seal-key", fifo, a], ["snap", "--seal-key", fifo, "seal", a]):
            r = self.call(*args, timeout=20)
            self.assertIn(r.returncode, (125, 126), args)

    def test_time_runs_while_it_is_looked_into(self):
        """A process that is stopped, as one on a dead file system is, holds nobody up."""
        a = self.saved()
        r = self.call("restore", "--timeout", "1ms", "--stop-insn", "1000000000000", a)
        self.assertEqual(r.returncode, 124, r.stderr)


unittest.main()
