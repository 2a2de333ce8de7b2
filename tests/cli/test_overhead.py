"""--overhead-max: guests that would make Godwit use much memory, and the most that it does use."""
import json
import os
import struct
import sys
import unittest

import rvasm
from harness import CliTest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "tools"))
import assemble
import gen_decode

TABLE = gen_decode.read_table(os.path.join(TOP, "frontend", "riscv64", "rv64.decode"))
MIB = 1 << 20
RAM = 16 * MIB
TOUCHED = 3 * MIB  # of it, at most
SANITIZED = bool(os.environ.get("GODWIT_SANITIZE"))

# Entered in S mode at 0x80000000. Sv48: each GiB of the lower half is the memory, from 0x80000000;
# s2 is satp with ASID 0.
PAGING = """
    li s0, 0x404000         # two tables, at 0x80800000
    slli s0, s0, 9
    li t0, 0x1000
    add s1, s0, t0
    li t1, 0x20200401       # a pointer to the second
    li t2, 256
root:
    sd t1, 0(s0)
    addi s0, s0, 8
    addi t2, t2, -1
    bnez t2, root
    li t1, 0x200000cf       # V R W X A D
    li t2, 512
gib:
    sd t1, 0(s1)
    addi s1, s1, 8
    addi t2, t2, -1
    bnez t2, gib
    li s2, 9
    slli s2, s2, 60
    li t0, 0x80800
    add s2, s2, t0
    csrw satp, s2
    sfence.vma zero,zero
"""
OFF = """
    csrw satp, zero
    sfence.vma zero,zero
    li t0, 0x100000
    li t1, 0x5555
    sw t1, 0(t0)
here:
    j here
"""
# A page of each GiB.
SPARSE = PAGING + """
    li t0, 0x900000
    li t1, 0x40000000
    li t2, 0x8000
touch:
    ld t3, 0(t0)
    sd t3, 0(t0)
    add t0, t0, t1
    addi t2, t2, -1
    bnez t2, touch
""" + OFF
# Many address spaces; in each some pages, here and there.
SPACES = PAGING + """
    li s3, 1
    slli s3, s3, 44         # one ASID further
    li s4, 0x800
space:
    csrw satp, s2
    li t0, 0x900000
    li t1, 0x8000000
    slli t1, t1, 8
    li t2, 16
touch:
    sd t2, 0(t0)
    add t0, t0, t1
    addi t2, t2, -1
    bnez t2, touch
    add s2, s2, s3
    addi s4, s4, -1
    bnez s4, space
""" + OFF
# 2^18 blocks of one instruction.
BLOCKS = """
    li t0, 0x404000         # from 0x80800000
    slli t0, t0, 9
    mv s0, t0
    li t1, 0x00050263       # beq a0, zero, the next instruction
    li t2, 0x40000
    li a0, 1
write:
    sw t1, 0(t0)
    addi t0, t0, 4
    addi t2, t2, -1
    bnez t2, write
    li t1, 0x00008067       # ret
    sw t1, 0(t0)
    fence.i
    jalr ra, 0(s0)
    li a0, 0
    jalr ra, 0(s0)
""" + OFF


class Overhead(CliTest):
    def peak(self, text, most, engine):
        code = assemble.Assembler(TABLE).run(text.splitlines(), "guest")
        guest = self.path("g.elf", rvasm.elf(list(struct.unpack(f"<{len(code) // 4}I", code))))
        args = ["--overhead-max", f"{most}M"] if most else []
        r = self.call("run", "-k", guest, "-m", f"{RAM // MIB}M", "--engine", engine, "--report",
                      self.path("report"), "--timeout", "100s", "--stats", *args, timeout=120)
        self.assertEqual(r.returncode, 0, r.stderr)
        stats = {w[-2]: w[-1] for w in (line.split() for line in r.stderr.decode().splitlines())}
        return json.loads(self.read("report")), stats

    def test_the_most_is_kept_to(self):
        for name, text, most, counter in (("sparse", SPARSE, 24, "map_drops"),
                                          ("spaces", SPACES, 24, "map_drops"),
                                          ("blocks", BLOCKS, 15, "code_flushes"),
                                          ("blocks", BLOCKS, 40, "code_flushes")):
            for engine in ("jit", "interp"):
                with self.subTest(guest=name, engine=engine, most=most):
                    report, stats = self.peak(text, most, engine)
                    self.assertGreater(int(stats[counter]), 1, stats)
                    if not SANITIZED:
                        self.assertLess(report["peak_rss_bytes"], TOUCHED + most * MIB)
                        self.assertLess(report["overhead_bytes"], most * MIB)

    def test_too_small(self):
        kernel = self.path("k", rvasm.elf([rvasm.power(0x5555), rvasm.FOREVER]))
        self.fails(125, "the least with this much memory is 15M\nhint: --overhead-max 15M\n", "run",
                   "-k", kernel, "--overhead-max", "14M")
        self.fails(125, "too small: --overhead-max: the least is 13M", "exec", "--overhead-max",
                   "12M", "/nonexistent")
        r = self.call("run", "-k", kernel, "-b", "none", "--overhead-max", "15M")
        self.assertEqual((r.returncode, r.stderr), (0, b""))


if __name__ == "__main__":
    unittest.main()
