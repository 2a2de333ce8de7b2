"""Machines of several CPUs, on small bare-metal guests: how they start, end, are saved and repeated."""
import json
import os
import unittest

from harness import CliTest
from rvasm import A0, FOREVER, T0, T1, T2, WFI, ZERO, addi, elf, flat, i_type, jump, power, say, sw

WAYS = (("--clock", "host"), ("--clock", "insns"), ("--deterministic",))


def branch(f3, rs1, rs2, offset):
    o = offset & 0x1fff
    return ((o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 |
            (o >> 1 & 0xf) << 8 | (o >> 11 & 1) << 7 | 0x63)


def amoadd(rd, rs1, rs2):
    return 0x0000302f | rs2 << 20 | rs1 << 15 | rd << 7


FLAGS = 1 << 12 | T0 << 7 | 0x17  # auipc t0, 1: a page above the first instruction
MINE = [i_type(0x13, 1, T1, A0, 3), 0x33 | T0 << 7 | T0 << 15 | T1 << 20]  # t0 += 8 * a0
MARK = [addi(T2, ZERO, 1), sw(T2, 0, T0)]


def all_of(harts):
    """Every hart marks a word of its own; hart 0 waits for all of them and says so."""
    wait = []
    for h in range(1, harts):
        wait += [i_type(0x03, 2, T1, T0, 8 * h), branch(0, T1, ZERO, -4)]
    others = [WFI, jump(-4)]
    head = [FLAGS, *MINE, *MARK, None]
    first = [FLAGS, addi(T0, T0, -4 * len(head))]  # the same page, from another pc
    body = first + wait + say("all\n") + power(0x5555)
    head[-1] = branch(1, A0, ZERO, 4 * (len(flat(body)) + 1))
    return head + body + others


# Each hart counts in x5, and adds to a word that all share.
COUNT = [1 << 12 | T1 << 7 | 0x17, addi(T2, ZERO, 1), addi(T0, T0, 1), amoadd(ZERO, T1, T2),
         jump(-8)]


class Cpus(CliTest):
    def guest(self, words, *args, status=0, cpus=4):
        r = self.call("run", "-k", self.path("guest.elf", elf(words)), "-b", "none", "-m", "16M", "-c",
                      str(cpus), "--timeout", "30s", "--report", self.path("report"), *args)
        self.assertEqual(r.returncode, status, r.stderr)
        return r, json.loads(self.read("report"))

    def test_all_start_at_the_entry_with_their_numbers(self):
        for cpus in (2, 4, 8):
            for engine in ("jit", "interp"):
                for how in WAYS:
                    # Harts race in their memory by right, which TSan sees the interpreter do.
                    if os.environ.get("GODWIT_SANITIZE") == "thread" and engine == "interp":
                        continue
                    with self.subTest(cpus=cpus, engine=engine, how=how):
                        r, report = self.guest(all_of(cpus), *how, "--engine", engine, cpus=cpus)
                        self.assertEqual((r.stdout, report["ended"]), (b"all\n", "poweroff"))

    def test_one_too_few_never_says_it(self):
        _, report = self.guest(all_of(3), "--timeout", "300ms", cpus=2, status=124)
        self.assertEqual(report["ended"], "timeout")

    def test_numbers_that_cannot_be(self):
        k = self.path("k", elf([FOREVER]))
        for n in ("0", "9", "-1", "two", "", "4294967297", "1.5"):
            with self.subTest(n=n):
                self.fails(125, "must be 1 to 8", "run", "-k", k, "-c", n)

    def test_where_each_of_them_was(self):
        for how in WAYS:
            r, report = self.guest([FOREVER], *how, "--stop-insn", "300000")
            for h in range(4):
                self.assertIn(b"cpu %d: pc 0x80000000 " % h, r.stderr)
            self.assertGreaterEqual(report["insns"], 300_000)
            if how[-1] != "host":
                self.assertEqual(report["insns"], 300_000)

    def test_firmware_starts_the_first_alone(self):
        for how in WAYS:
            r = self.call("run", "-k", self.path("g", elf([FOREVER])), "-m", "16M", "-c", "3", *how,
                          "--stop-insn", "100000")
            self.assertRegex(r.stderr, b"cpu 0: pc 0x80000000 (.|\n)*cpu 1: stopped\n.*cpu 2: stopped\n")

    def save(self, name, *args):
        p = self.path(name)
        self.guest(COUNT, *args, "-q", "--save-at-end", p)
        return p

    def restored(self, p, *args):
        r = self.call("restore", "-q", *args, p)
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_save_restore_save_gives_the_same_file(self):
        for how in WAYS:
            for insns in (1, 777, 300_001):
                with self.subTest(how=how, insns=insns):
                    a, b = self.save("a", *how, "--stop-insn", str(insns)), self.path("b")
                    self.restored(a, "--stop-insn", "1", "--save-at-end", b, "--engine", "interp")
                    self.assertEqual(self.read("a"), self.read("b"))
        info = json.loads(self.call("snap", "--json", "info", a).stdout)
        self.assertEqual(info["manifest"]["cpus"], 4)
        self.assertIn("cpu3", [s["name"] for s in info["sections"]])
        self.fails(125, "no such option", "restore", "-c", "2", a)

    def test_all_go_on_after_a_restore(self):
        for how in WAYS:
            a, b = self.save("a", *how, "--stop-insn", "1000001"), self.path("b")
            self.restored(a, "--stop-insn", "20000000", "--save-at-end", b)
            d = json.loads(self.call("snap", "--json", "diff", a, b).stdout)
            moved = {x["at"] for x in d}
            for h in range(4):
                self.assertIn(f"cpu{h}.x[5]", moved, how)

    def test_a_repeatable_run_is_the_same_each_time(self):
        def end(*args):
            p = self.save("s", "--deterministic", "--stop-insn", "9000000", *args)
            return json.loads(self.call("snap", "--json", "verify", p).stdout)["state_hash"]

        straight = end()
        self.assertEqual(end(), straight)
        self.assertEqual(end("--engine", "interp"), straight)
        self.assertEqual(end("--max-block", "1"), straight)
        middle = self.save("m", "--deterministic", "--stop-insn", "4000000")
        p = self.path("e")
        self.restored(middle, "--stop-insn", "9000000", "--save-at-end", p)
        self.assertEqual(json.loads(self.call("snap", "--json", "verify", p).stdout)["state_hash"],
                         straight)


if __name__ == "__main__":
    unittest.main()
