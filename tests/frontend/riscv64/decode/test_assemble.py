"""tools/assemble.py: what it makes is what GNU's assembler makes, and errors name the line.

    test_assemble.py TABLE SOURCE...
"""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tools"))
import assemble as assembler
import gen_decode

GNU = [shutil.which("riscv64-linux-gnu-" + n) for n in ("as", "ld", "objcopy")]

# Beside the sources: both ends of what fits, and every pseudo-instruction.
EXTRA = """
.equ K, 3
.globl _start
_start:
start: li a0, 2047; li a1, -2048
""".replace("; ", "\n") + "\n".join(
    [f"li a2, {v}" for v in ("2048", "-2049", "0x7fffffff", "-0x80000000", "0x12345800", "~0", "K*4+1")]
    + ["lla t0, end", "lla t0, start", "mv s0, s1", "neg a0, a1", "beqz a0, end", "bltz t6, start",
       "bnez a0, end", "jal start", "jal zero, end", "j end", "ret", "lw a0, 4+K(sp)", "sd ra, -2048(sp)",
       "slli a0, a0, 63", "csrw satp, t0", "csrrs a0, mhartid, zero", "sfence.vma zero,zero", "mulw a0, a1, a2", "lui a0, 0xfffff", "auipc a0, 0", "ecall", "xori a0, a0, 'x'",
       "end: add a0, a0, a1", "sltu a0, a1, a2 # and a comment", '.asciz "a # is no comment \\"\\\\ \\n"', ".byte 1, K, 0xff"]) + "\n"

BAD = ("addi a0, a0, 2048", "addi a0, a0", "li a0, 0x80000000", "li a9, 1", "nosuch a0", "j nowhere",
       "lw a0, 4", "slli a0, a0, 64", "lw a0, UNKNOWN(sp)", ".nosuch 1", "c.addi a0, 1",
       "vadd.vv v0, v1, v2", '.asciz "\\q"', '.asciz "a', "li a0, __import__('os')")


def gnu(text):
    """The same by GNU's assembler."""
    with tempfile.TemporaryDirectory() as tmp:
        source, obj, elf, out = (os.path.join(tmp, n) for n in ("s", "o", "elf", "out"))
        with open(source, "w", encoding="ascii") as f:
            f.write(text)
        for i, args in enumerate((["-march=rv64im_zicsr", "-mno-relax", source, "-o", obj],
                                  ["--no-relax", "-Ttext=0", obj, "-o", elf],
                                  ["-O", "binary", "-j", ".text", elf, out])):
            subprocess.run([GNU[i], *args], check=True)
        with open(out, "rb") as f:
            return f.read()


def main(table_path, sources):
    table = gen_decode.read_table(table_path)

    def assemble(text, name):
        return assembler.Assembler(table).run(text.splitlines(), name)

    for line in BAD:
        try:
            assemble("# first\n" + line, "bad.s")
        except assembler.SourceError as e:
            assert str(e).startswith("bad.s:2: error: "), (line, e)
        else:
            sys.exit(f"taken: {line}")
    texts = [EXTRA]
    for source in sources:
        with open(source, encoding="ascii") as f:
            texts.append(f.read())
    for i, text in enumerate(texts):
        ours = assemble(text, str(i))
        if all(GNU):
            theirs = gnu(text)  # filled up to a whole word
            assert ours == theirs[:len(ours)] and len(theirs) - len(ours) < 4, i
    if not all(GNU):
        print("skipped: there is no GNU assembler for riscv64 to compare with")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
