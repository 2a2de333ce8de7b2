"""Saving and restoring, on small bare-metal guests, and the verb snap."""
import json
import os
import subprocess
import time
import unittest

from harness import CliTest, PROGRAM
from rvasm import addi, elf, jump, power, say

# Counts in x5 for ever.
COUNT = [say("up\n"), addi(5, 5, 1), jump(-4)]


class Snap(CliTest):
    def saved(self, name="a", insns=10_001, engine="jit", words=None, args=()):
        p = self.path(name)
        guest = self.path("guest.elf", elf(words or COUNT))
        r = self.call("run", "-q", "-k", guest, "-b", "none", "-m", "16M", "--engine", engine,
                      "--stop-insn", str(insns), "--save-at-end", p, *args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return p

    def restored(self, p, *args, status=0):
        r = self.call("restore", "-q", *args, p)
        self.assertEqual(r.returncode, status, r.stderr)
        return r

    def test_a_saved_machine_goes_on_where_it_was(self):
        a = self.saved()
        for engine in ("jit", "interp"):
            with self.subTest(engine=engine):
                b = self.path("b")
                self.restored(a, "--stop-insn", "20001", "--save-at-end", b, "--engine", engine)
                d = json.loads(self.call("snap", "--json", "diff", a, b).stdout)
                at = {x["at"]: (int(x["a"], 0), int(x["b"], 0)) for x in d
                      if x["at"] in ("vcpu0.retired_insns", "cpu0.x[5]")}
                self.assertEqual(at["vcpu0.retired_insns"], (10_001, 20_001))
                before, after = at["cpu0.x[5]"]
                self.assertEqual(after - before, 5_000)

    def test_save_restore_save_gives_the_same_file(self):
        for engine in ("jit", "interp"):
            for insns in (1, 2, 3, 50, 777, 123_456):
                a, b = self.saved(insns=insns, engine=engine), self.path("b")
                other = "interp" if engine == "jit" else "jit"
                self.restored(a, "--stop-insn", "1", "--save-at-end", b, "--engine", other)
                self.assertEqual(self.read("a"), self.read("b"), (engine, insns))
                self.assertEqual(self.call("snap", "diff", a, b).returncode, 0)

    def test_the_console_goes_on(self):
        words = [say("one "), say("two\n"), power(0x5555)]
        whole = self.call("run", "-k", self.path("g", elf(words)), "-b", "none", "-m", "16M")
        for insns in range(1, 20, 3):
            a = self.saved(insns=insns, words=words)
            rest = self.restored(a).stdout
            self.assertTrue(whole.stdout.endswith(rest))
        self.assertNotEqual(rest, whole.stdout)

    def test_a_save_replaces_files_alone(self):
        """Whoever may remove a device, a pipe or a link to one keeps it."""
        guest, pipe, link = self.path("g", elf(COUNT)), self.path("pipe"), self.path("link")
        os.mkfifo(pipe)
        os.symlink("/proc/self/fd/1", link)
        for p, why in ((pipe, "not a regular file"), (self.tmp.name, "not a regular file"),
                       (link, "a symbolic link")):
            before = os.lstat(p)
            self.fails(125, f"cannot write the snapshot: {p}: {why}\n\\Z", "run", "-q", "-k", guest,
                       "-b", "none", "-m", "16M", "--stop-insn", "9", "--save-at-end", p)
            self.assertTrue(os.path.samestat(before, os.lstat(p)), p)
        self.saved("file")
        first = self.read("file")
        self.saved("file", insns=20_001)
        self.assertNotEqual(first, self.read("file"))

    def test_what_ends_the_run_is_saved_too(self):
        p = self.path("end")
        r = self.call("run", "-k", self.path("g", elf([power(0x5555)])), "-b", "none", "-m", "16M",
                      "--save-at-end", p)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(self.call("snap", "verify", p).returncode, 0)
        self.fails(125, "save-at-end|cannot write the snapshot", "run", "-q", "-k",
                   self.path("g"), "-b", "none", "-m", "16M", "--save-at-end", "/nowhere/x")

    def test_info_verify_and_ls(self):
        a = self.saved()
        info = json.loads(self.call("snap", "--json", "info", a).stdout)
        self.assertEqual(info["manifest"]["machine"], "virt-1")
        self.assertEqual(info["manifest"]["memory_bytes"], 16 << 20)
        names = [s["name"] for s in info["sections"]]
        self.assertEqual(names[0], "manifest")
        self.assertIn("cpu0", names)
        text = self.call("snap", "verify", a).stdout.decode()
        self.assertIn(info["state_hash"], text)
        self.path("other", "no snapshot")
        listing = self.call("snap", "ls", self.tmp.name).stdout.decode().splitlines()
        self.assertEqual([l.split()[0] for l in listing], ["a"])
        self.assertIn(info["state_hash"], listing[0])
        os.rename(self.path("a"), self.path("a \"b\" \x1b\u00e4"))
        for words in (["--json", "ls", self.tmp.name], ["ls", self.tmp.name, "--json"]):
            rows = json.loads(self.call("snap", *words).stdout)
            self.assertEqual([(r["file"], r["state_hash"], r["memory_bytes"], r["machine"]) for r in rows],
                             [("a \"b\" \x1b\u00e4", info["state_hash"], 16 << 20, "virt-1")])
        os.mkdir(self.path("empty"))
        self.assertEqual(json.loads(self.call("snap", "ls", "--json", self.path("empty")).stdout), [])
        r = subprocess.run([PROGRAM, "snap", "ls"], cwd=self.tmp.name, capture_output=True, check=False)
        self.assertIn(info["state_hash"].encode(), r.stdout)
        self.fails(125, "ls: takes one directory|takes one directory.*ls", "snap", "ls", "x", "y")

    def test_broken_files_are_one_clear_line(self):
        a = self.saved()
        whole = self.read("a")
        for n in (0, 7, 39, 40, 100, len(whole) // 2, len(whole) - 1):
            self.fails(126, "a snapshot|cut short", "restore", self.path("cut", whole[:n]))
        for at in (0, 12, 60, 300, len(whole) // 2, len(whole) - 3):
            bad = bytearray(whole)
            bad[at] ^= 0x10
            self.fails(126, "snapshot|seal is broken", "restore", self.path("bad", bytes(bad)))
            self.fails(126, "snapshot", "snap", "verify", self.path("bad"))
        self.fails(126, "not a snapshot of ours", "restore", self.path("guest.elf"))
        self.fails(127, "cannot open the snapshot", "restore", self.path("none"))
        self.fails(126, "not a regular file", "snap", "info", self.tmp.name)
        self.fails(125, "restore needs FILE", "restore")
        self.fails(125, "snap has ls, info", "snap", "frobnicate", a)
        self.fails(125, "takes two files", "snap", "diff", a)

    def test_flash_fw_cfg_and_a_second_port_are_saved(self):
        flash = self.path("flash", b"\x11" * 4096 + b"\xff" * ((32 << 20) - 4096))
        blob, out2 = self.path("blob", b"abc"), self.path("out2")
        a = self.saved(args=("--flash", "1=" + flash, "--fw-cfg", "opt/x=" + blob, "--serial",
                             "stdio", "--serial", "file:" + out2))
        b = self.path("b")
        self.restored(a, "--stop-insn", "1", "--save-at-end", b)
        self.assertEqual(self.read("a"), self.read("b"))
        os.unlink(flash)  # what is in the bank is in the snapshot
        self.restored(a, "--stop-insn", "20000")
        os.utime(blob, (1, 1))
        self.restored(a, "--stop-insn", "20000")
        self.path("blob", b"abd")
        self.fails(125, "written to since", "restore", a)
        one = self.saved("one")
        self.fails(125, "saved with 1 serial", "restore", "--serial", "stdio", "--serial",
                   "file:" + out2, one)

    def test_other_files_of_firmware_are_another_machine(self):
        blob, flash = self.path("blob", b"abc"), self.path("flash", b"\xff" * (32 << 20))
        x, y = ("--fw-cfg", "opt/x=" + blob), ("--fw-cfg", "opt/y=" + blob)
        a, bare = self.saved(args=(*x, *y)), self.saved("bare")
        self.restored(a, *x, *y, "--stop-insn", "20000")
        self.fails(125, "saved with 2 file", "restore", *x, a)
        self.fails(125, "opt/y: the machine was saved with opt/x in its place",
                   "restore", *y, *x, a)
        self.fails(125, "saved with 0 file", "restore", *x, bare)
        self.fails(125, "saved with no file in bank 1", "restore", "--flash", f"1={flash},rw", bare)

    def test_flash_with_rw_must_be_the_one_of_the_save(self):
        flash = self.path("flash", b"\xff" * (32 << 20))
        a = self.saved(args=("--flash", "1=" + flash + ",rw"))
        self.restored(a, "--stop-insn", "20000")
        os.utime(flash, (1, 1))
        self.restored(a, "--stop-insn", "20000")
        self.poke(flash, 12345678, b"x")
        self.fails(125, "written to since", "restore", a)

    def poke(self, p, at, data):
        with open(p, "r+b") as f:
            f.seek(at)
            f.write(data)

    def test_an_overlay_must_be_the_one_of_the_save(self):
        disk, over = self.path("a disk", bytes(1 << 20)), self.path("over")
        a = self.saved(args=("-d", f"{disk},overlay={over}"))
        self.restored(a, "--stop-insn", "20000")
        self.restored(a, "--stop-insn", "20000")
        for p in (over, disk):
            os.utime(p, (1, 1))
            self.restored(a, "--stop-insn", "20000")
        copy = self.path("copy", self.read("over"))
        self.restored(a, "--stop-insn", "20000", "-d", f"{disk},overlay={copy}")
        self.poke(over, 24, b"another state, as a write leaves it"[:8])
        self.fails(125, "written to since.*\nhint: godwit restore -d COPY,overlay=COPY", "restore", a)
        self.poke(disk, 100000, b"x")
        self.fails(125, "cannot use the overlay: .*the disk is not the one .*\nhint: -d '.*/a disk',overlay=OTHER",
                   "restore", "-d", f"{disk},overlay={copy}", a)
        self.fails(125, "cannot use the overlay: .*the disk is not the one", "run", "-k",
                   self.path("guest.elf"), "-b", "none", "-m", "16M", "-d", f"{disk},overlay={copy}")

    def test_a_large_disk_is_known_by_samples(self):
        disk = self.path("disk", bytes(4096))
        os.truncate(disk, 100 << 20)
        a, rw = self.saved(args=("-d", disk)), self.saved("rw", args=("-d", disk + ",rw"))
        os.utime(disk, (1, 1))
        self.restored(a, "--stop-insn", "20000")
        # A machine wrote to it perhaps, where no sample is.
        self.fails(125, "it was touched, if not written to where no sample is, since.*\n"
                        "hint: godwit restore -d COPY,rw ", "restore", rw)
        copy = self.path("copy", bytes(4096))
        os.truncate(copy, 100 << 20)
        self.restored(rw, "--stop-insn", "20000", "-d", copy + ",rw")
        self.poke(disk, 1024, b"y")
        self.fails(125, "it was written to since.*\nhint: godwit restore -d COPY,rw ", "restore", rw)
        self.poke(disk, 1024, b"x")
        self.fails(125, "written to since.*\nhint: godwit restore -d COPY ", "restore", a)

    def manifest(self, p):
        return json.loads(self.call("snap", "--json", "info", p).stdout)["manifest"]

    def test_two_ends_of_a_wire_have_two_addresses_and_keep_them(self):
        wire, guest = self.path("wire"), self.path("guest.elf", elf(COUNT))
        run = ("run", "-q", "-k", guest, "-b", "none", "-m", "16M", "--net", "socket:" + wire)
        a, b, c = self.path("a"), self.path("b"), self.path("c")
        p = subprocess.Popen([PROGRAM, *run, "--timeout", "3s", "--save-at-end", a],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        while not os.path.exists(wire):
            self.assertIsNone(p.poll())
            time.sleep(0.01)
        self.assertEqual(self.call(*run, "--stop-insn", "9", "--save-at-end", b).returncode, 0)
        self.assertEqual(p.wait(), 124)
        one, other = self.manifest(a)["mac"], self.manifest(b)["mac"]
        self.assertNotEqual(one, other)
        self.restored(a, "--stop-insn", "1", "--save-at-end", c)
        self.assertEqual(self.manifest(c)["mac"], one)

    def test_net_none_is_no_network(self):
        wire, b = self.path("wire"), self.path("b")
        a = self.saved(args=("--net", "socket:" + wire))
        self.restored(a, "--net", "none", "--stop-insn", "20000", "--save-at-end", b)
        self.assertFalse(os.path.exists(wire))
        kept = self.manifest(b) # the card stays, with its cable out
        self.assertEqual((kept["net"], kept["mac"]), ("none", self.manifest(a)["mac"]))
        self.restored(b, "--stop-insn", "30000", "--save-at-end", a)
        self.assertFalse(os.path.exists(wire))
        none = self.saved("none", args=("--net", "none"))
        self.assertNotIn("net", self.manifest(none))

    def test_a_panic_can_be_saved(self):
        words = [say("Kernel panic - not syncing: why\n"), addi(5, 5, 1), jump(-4)]
        p = self.path("panic")
        r = self.call("run", "-q", "-k", self.path("g", elf(words)), "-b", "none", "-m", "16M",
                      "--on-panic", "save=" + p)
        self.assertEqual(r.returncode, 123, r.stderr)
        self.assertEqual(self.call("snap", "verify", p).returncode, 0)
        self.fails(125, "exit, pause or save=FILE", "run", "--on-panic", "dance")

    def test_a_disk_must_be_the_one_of_the_save(self):
        disk = self.path("disk", bytes(1 << 20))
        a = self.saved(args=("-d", disk))
        self.restored(a, "--stop-insn", "20000")
        with open(disk, "ab") as f:
            f.write(bytes(512))
        self.fails(125, "it had 1048576 bytes", "restore", a)
        os.truncate(disk, 1 << 20)
        self.restored(a, "--stop-insn", "20000")  # what is in it is the same
        self.poke(disk, 1 << 19, b"x")
        self.fails(125, "written to since", "restore", a)
        copy = self.path("copy", bytes(1 << 20))
        self.restored(a, "--stop-insn", "20000", "-d", copy)
        self.fails(125, "of the kind temporary", "restore", "-d", copy + ",rw", a)
        self.fails(125, "saved with 1 disk", "restore", "-d", copy, "-d", disk, a)
        os.unlink(disk)
        self.fails(127, "cannot open the disk", "restore", a)


unittest.main()
