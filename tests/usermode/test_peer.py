"""Godwit in the place of others: called as qemu-riscv64, and started by the kernel (binfmt_misc)."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

GODWIT, PROGRAMS = sys.argv[1:3]
FOLDER = "/proc/sys/fs/binfmt_misc"


def can_mount():
    mount = f"mount -t binfmt_misc binfmt_misc {FOLDER} && test -w {FOLDER}/register"
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True,
                                                check=False).returncode == 0


class Peer(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.tmp = tmp.name
        self.start = os.path.join(PROGRAMS, "um_start")

    def call(self, argv, **env):
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": os.environ["PATH"], **env})


class QemuUser(Peer):
    def setUp(self):
        super().setUp()
        self.qemu = []
        for name, program in (("qemu-riscv64", "godwit"), ("qemu-riscv64-static", "godwit-exec")):
            target = os.path.join(os.path.dirname(GODWIT), program)
            link = os.path.join(self.tmp, name)
            if os.path.exists(target):  # sanitizers cannot be linked as the second is
                os.symlink(target, link)
                self.qemu.append(link)

    def runs(self, words, pattern, status=0, **env):
        for q in self.qemu:
            r = self.call([q, *words], **env)
            self.assertEqual((r.returncode, r.stderr), (status, ""), (q, words))
            self.assertRegex(r.stdout, pattern, (q, words))

    def fails(self, words, pattern, **env):
        for q in self.qemu:
            r = self.call([q, *words], **env)
            self.assertEqual((r.returncode, r.stdout), (125, ""), (q, words))
            self.assertRegex(r.stderr, pattern)

    def test_options_do_what_they_do_there(self):
        args = os.path.join(PROGRAMS, "um_args")
        self.runs(["-0", "name", args, "-x", "--", "b"], r"^0:name\n1:-x\n2:--\n3:b\n", 4)
        self.runs(["--", args, "a"], rf"^0:{re.escape(args)}\n1:a\n", 2)
        self.runs(["-E", "A=1,UM_TEST=2", "-U", "HOME", args], "env 2 home unset", 1, HOME="/")
        self.runs(["-r", "9.8.7", self.start], r"uname 9\.8\.7 riscv64\n")
        self.runs(["--r", "9.8.7", self.start], r"uname 9\.8\.7 riscv64\n")
        self.runs(["-cpu", "rv64,zba=true,zbb=false", self.start], "uname")
        self.runs(["-B", "0x10000000", "-R", "0x40000000", self.start], "stack 1\n")
        self.runs(["-one-insn-per-tb", self.start], "uname")
        self.runs(["-s", "4M", "-R", "4G", self.start], "stack 1\n")
        self.fails(["-seed", "1M", self.start], "cannot take the value of -seed: 1M: not a number")
        self.fails(["-R", "4096", self.start], "address-space")
        self.fails(["-s", "x", self.start], "cannot take the value of -s: x: not a number")

    def test_stack_has_the_size(self):
        self.runs(["-s", "8388608", self.start], "deep 1\n", DEEP="1")
        for q in self.qemu:
            self.assertEqual(self.call([q, "-s", "1048576", self.start], DEEP="1").returncode, -11)

    def test_a_seed_makes_the_random_bytes(self):
        seen = set()
        for q in self.qemu:
            for seed in ("1", "1", "2"):
                seen.add(self.call([q, "-seed", seed, self.start]).stdout.split("random ")[1].split()[0])
        self.assertEqual(len(seen), 2)

    def test_variables_say_the_same_and_options_win(self):
        self.runs([self.start], r"argv0 other\nuname 1\.2 ", QEMU_UNAME="1.2", QEMU_ARGV0="other")
        self.runs(["-r", "3.4", self.start], r"uname 3\.4 ", QEMU_UNAME="1.2")
        self.fails([self.start], "nothing.zzz", QEMU_CPU="nothing.zzz")

    def test_logs(self):
        log = os.path.join(self.tmp, "log")
        for q in self.qemu:
            r = self.call([q, "-d", "in_asm,strace", "-D", log, os.path.join(PROGRAMS, "um_raw")])
            self.assertEqual((r.stdout, r.stderr), ("raw\n", ""))
            with open(log, encoding="utf-8") as f:
                text = f.read()
            self.assertIn("write(1", text)
            self.assertIn("auipc", text)
            r = self.call([q, "-d", "exec", os.path.join(PROGRAMS, "um_raw")])
            self.assertIn("-d exec: there is no such log here", r.stderr)

    def test_asks_that_start_nothing(self):
        self.runs(["-version"], "godwit")
        self.runs(["--version"], "godwit")
        self.runs(["-help"], r"(?s)-L path +QEMU_LD_PREFIX.*Refused: -g")
        self.runs(["-cpu", "help"], "^rv64\nmax\n$")
        self.runs(["-d", "help"], "in_asm")

    def test_what_is_not_there_is_refused_by_name(self):
        for words in (["-g", "1234"], ["-plugin", "x.so"], ["-trace", "x"]):
            self.fails([*words, self.start], f"cannot do it: {words[0]}: ")
        self.fails(["-nosuch", self.start], "-nosuch: no such option\nhint: qemu-riscv64 -help")
        self.fails(["-L"], "needs a value: -L: path")
        self.fails([], "exec needs PROG")


class Sysroot(Peer):
    """Found by itself, by a variable, by an option."""

    def tree(self):
        root = os.path.join(self.tmp, "root")
        os.makedirs(os.path.join(root, "opt"))
        shutil.copy(os.path.join(PROGRAMS, "um_args"), os.path.join(root, "opt/inside"))
        return root

    def test_the_program_itself_is_looked_up_there_first(self):
        root = self.tree()
        for env, words in (({}, ["-L", root]), ({"GODWIT_SYSROOT": root}, []), ({"QEMU_LD_PREFIX": root}, [])):
            r = self.call([GODWIT, "exec", *words, "/opt/inside", "a"], **env)
            self.assertEqual((r.returncode, r.stderr), (2, ""))
            self.assertTrue(r.stdout.startswith("0:/opt/inside\n1:a\n"), r.stdout)
        r = self.call([GODWIT, "exec", "-L", "/nowhere", "/opt/inside"], GODWIT_SYSROOT=root)
        self.assertEqual(r.returncode, 127)

    def test_a_missing_interpreter_names_its_package(self):
        r = self.call([GODWIT, "exec", "-L", "/nowhere", os.path.join(PROGRAMS, "um_dynamic")])
        if os.path.exists("/lib/ld-linux-riscv64-lp64d.so.1"):
            self.skipTest("this host starts such programs itself")
        self.assertEqual(r.returncode, 126)
        self.assertIn("hint: apt-get install libc6-riscv64-cross, or give -L SYSROOT", r.stderr)

    @unittest.skipUnless(os.path.exists("/usr/riscv64-linux-gnu/lib/ld-linux-riscv64-lp64d.so.1"), "no library")
    def test_the_cross_library_is_found(self):
        r = self.call([GODWIT, "exec", os.path.join(PROGRAMS, "um_dynamic"), "a"])
        self.assertEqual((r.returncode, r.stderr), (2, ""))


class Binfmt(Peer):
    def test_words(self):
        r = self.call([GODWIT, "binfmt", "become"])
        self.assertEqual((r.returncode, r.stdout), (125, ""))
        self.assertIn("hint: godwit binfmt status", r.stderr)

    @unittest.skipUnless(can_mount(), "binfmt_misc cannot be mounted here")
    def test_the_kernel_starts_programs(self):
        if not os.path.exists(os.path.join(os.path.dirname(GODWIT), "godwit-binfmt")):
            self.skipTest("sanitizers cannot be linked into one file")
        root = os.path.join(self.tmp, "root")
        os.mkdir(root)
        shutil.copy(self.start, os.path.join(root, "start"))
        script = os.path.join(self.tmp, "script")
        with open(script, "w", encoding="utf-8") as f:
            f.write(f"#!{self.start}\n")
        os.chmod(script, 0o755)
        hidden = os.path.join(self.tmp, "hidden")  # may be run, not read
        shutil.copy(self.start, hidden)
        os.chmod(hidden, 0o711)
        os.chmod(self.tmp, 0o755)
        setuid = os.path.join(self.tmp, "setuid")
        shutil.copy(self.start, setuid)
        os.chmod(setuid, 0o4755)
        steps = f"""
            exec 2>&1
            mount -t binfmt_misc binfmt_misc {FOLDER}
            {GODWIT} binfmt status; echo "nothing $?"
            {GODWIT} binfmt register; echo "registered $?"
            {GODWIT} binfmt register; echo "again $?"
            {GODWIT} binfmt status --json
            echo; echo "-- direct"; bash -c 'exec -a renamed {self.start}'
            echo "-- chroot"; chroot {root} /start
            echo "-- inside"; {self.start} {root} /start
            echo "-- user"; setpriv --reuid 65534 --regid 65534 --clear-groups {hidden}
            echo "-- setuid"; GODWIT_SYSROOT={self.tmp} setpriv --reuid 65534 --regid 65534 --clear-groups {setuid}
            echo "-- end"
            {GODWIT} binfmt unregister; echo "gone $?"
            {GODWIT} binfmt unregister; echo "gone $?"
            {self.start}; echo "none $?"
        """
        out = self.call(["unshare", "-m", "bash", "-c", steps]).stdout
        self.assertIn("nothing 1\nregistered 0\nagain 0\n", out)
        entries = json.loads(re.search(r"^\{.*\}$", out, re.M)[0])["entries"]
        self.assertEqual([(e["name"], e["enabled"], e["flags"]) for e in entries], [("godwit-riscv64", True, "POCF")])
        parts = dict(re.findall(r"^-- (\w+)\n((?:(?!-- ).*\n)*)", out, re.M))
        self.assertIn("argv0 renamed\n", parts["direct"])
        for part in ("chroot", "inside"):
            self.assertIn("argv0 /start\n", parts[part], out)
        self.assertIn(f"argv0 {hidden}\n", parts["user"], out)
        self.assertIn("secure 0\n", parts["user"])
        self.assertIn("secure 1\n", parts["setuid"], out)
        self.assertIn("gone 0\ngodwit: note: godwit-riscv64 was not registered\ngone 0\n", out)
        self.assertIn("none 126\n", out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
