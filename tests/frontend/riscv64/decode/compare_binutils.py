#!/usr/bin/env python3
"""Compare our disassembler with binutils' objdump (2.42 or later, which knows all our extensions).

    compare_binutils.py DISASM_TOOL [OBJDUMP...]

OBJDUMP is a command, with its arguments if it needs any (a loader and a library path, say); without
it the environment variable GODWIT_OBJDUMP is a path or is split like a shell command; without
that, riscv64-linux-gnu-objdump is looked for. Exit status 77 means that there is none.

What is compared: all 16-bit encodings, 200 words of each pattern, 10^6 random 32-bit words; with
ABI names, and the patterns with numeric names too. objdump is told our extensions by the attributes
of the ELF files that are written here, so that it refuses what we refuse.
"""

import os
import random
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

ARCH = ("rv64i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicbom1p0_zicbop1p0_zicboz1p0_zicond1p0_zicsr2p0_"
        "zifencei2p0_zihintntl1p0_zihintpause2p0_zimop1p0_zabha1p0_zacas1p0_zawrs1p0_zfa1p0_"
        "zfh1p0_zfhmin1p0_zcb1p0_zcmop1p0_zba1p0_zbb1p0_zbc1p0_zbkb1p0_zbkc1p0_zbkx1p0_zbs1p0_"
        "zknd1p0_zkne1p0_zknh1p0_svinval1p0")
SKIP = 77
SHOWN = 20

# objdump knows these by the base ISA's name, whatever the attributes say. They were never ratified
# (URET, HRET, SFENCE.VM), or are of debug mode (DRET) and illegal outside of it.
# The last two are Svinval's, but need the hypervisor.
ALWAYS_KNOWN = {"uret", "hret", "dret", "sfence.vm", "hinval.vvma", "hinval.gvma"}

# C.ADDI16SP with an immediate of 0 is reserved (vol. I, "C"): illegal to us; objdump prints it.
RESERVED = {0x6101: "c.addi16sp\tsp,0"}

# So are AES64KS1I's round numbers above 10.
RESERVED_ROUND = re.compile(r"aes64ks1i\t.*,0x[b-f]$")


def elf_file(code):
    """A relocatable RV64 ELF with .text and .riscv.attributes and nothing else."""
    attributes = b"\x05" + ARCH.encode() + b"\0"                    # Tag_RISCV_arch
    attributes = b"\x01" + struct.pack("<I", 5 + len(attributes)) + attributes  # Tag_File
    attributes = b"riscv\0" + attributes
    attributes = b"A" + struct.pack("<I", 4 + len(attributes)) + attributes
    names = b"\0.text\0.riscv.attributes\0.shstrtab\0"
    contents = code + attributes + names
    contents += bytes(-len(contents) % 8)

    def section(name, kind, flags, offset, size):
        return struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, 64 + offset, size, 0, 0, 1, 0)

    headers = section(0, 0, 0, -64, 0)
    headers += section(1, 1, 6, 0, len(code))                       # PROGBITS, ALLOC | EXECINSTR
    headers += section(7, 0x70000003, 0, len(code), len(attributes))
    headers += section(25, 3, 0, len(code) + len(attributes), len(names))
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    ident += struct.pack("<HHIQQQIHHHHHH", 1, 243, 1, 0, 0, 64 + len(contents), 5, 64, 0, 0, 64,
                         4, 3)
    return ident + contents + headers


def find_objdump(arguments):
    command = arguments
    if not command:
        given = os.environ.get("GODWIT_OBJDUMP", "")
        command = [given] if os.path.exists(given) else shlex.split(given)
    if not command:
        found = shutil.which("riscv64-linux-gnu-objdump")
        command = [found] if found else []
    if not command:
        return None, "no objdump given (GODWIT_OBJDUMP)"
    try:
        version = subprocess.run(command + ["--version"], capture_output=True, text=True,
                                 check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        return None, f"{' '.join(command)} does not run: {error}"
    match = re.search(r"(\d+)\.(\d+)", version)
    if not match or (int(match.group(1)), int(match.group(2))) < (2, 42):
        return None, f"'{version}' is too old: 2.42 or later is needed"
    return command, version


LINE = re.compile(r"\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$")
TARGET = re.compile(r"(?:0x)?([0-9a-f]+) <[^>]*>$")


def normal(text):
    """objdump's text without comments and symbols; what it does not know is just .insn."""
    text = text.split(" #")[0].split("\t#")[0].rstrip()
    if text.split("\t")[0] in ALWAYS_KNOWN:
        return ".insn"
    if re.match(r"\.(insn|[248]byte|word|short)\b", text):
        return ".insn"
    return TARGET.sub(r"0x\1", text)


def theirs(objdump, words, stride, numeric):
    """Their text of each word; words lie `stride` bytes apart, zeros between."""
    code = b"".join(struct.pack("<I", word)[:min(stride, 4)].ljust(stride, b"\0")
                    for word in words)
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(elf_file(code))
        file.flush()
        mode = "no-aliases,numeric" if numeric else "no-aliases"
        output = subprocess.run(objdump + ["-dz", "-M", mode, file.name], capture_output=True,
                                text=True, check=True).stdout
    texts = {}
    for line in output.splitlines():
        match = LINE.match(line)
        if match:
            address = int(match.group(1), 16)
            if address % stride == 0:
                texts[address // stride] = normal(match.group(2))
    if len(texts) != len(words):
        sys.exit(f"objdump lists {len(texts)} of {len(words)} words")
    return [texts[index] for index in range(len(words))]


def ours(tool, words, stride, numeric):
    lines = "".join(f"{index * stride:x} {word:x}\n" for index, word in enumerate(words))
    output = subprocess.run([tool] + ["--numeric"] * numeric, input=lines, capture_output=True,
                            text=True, check=True).stdout
    return [".insn" if text.startswith(".insn\t") else text for text in output.splitlines()]


def compare(objdump, tool, what, words, stride, numeric=False):
    words = list(words)
    differing = []
    known = excepted = 0
    for word, our, their in zip(words, ours(tool, words, stride, numeric),
                                theirs(objdump, words, stride, numeric), strict=True):
        known += our != ".insn"
        if our == ".insn" and (RESERVED.get(word) == their or RESERVED_ROUND.match(their)):
            excepted += 1
            continue
        if our != their:
            differing.append(f"  {word:08x}  ours: {our!r}  binutils: {their!r}")
    print(f"{what}: {len(words)} words, {known} of them instructions, {len(differing)} differ"
          + f" ({excepted} reserved, which binutils prints)" * bool(excepted))
    for line in differing[:SHOWN]:
        print(line)
    return not differing


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    tool = arguments[0]
    objdump, message = find_objdump(arguments[1:])
    if not objdump:
        print(f"skipped: {message}")
        return SKIP
    print(f"against {message}")

    rng = random.Random(20240411)
    patterns = subprocess.run([tool, "--patterns", "200", "1"], capture_output=True, text=True,
                              check=True).stdout.split()
    patterns = [int(word, 16) for word in patterns]
    wide = [word for word in patterns if word & 3 == 3]
    # Words whose low five bits are all ones begin an instruction of 48 bits or more: objdump takes
    # more than the word, so they are compared with room between them.
    short, long = [], []
    for _ in range(1000000):
        word = rng.getrandbits(32) | 3
        (long if word & 31 == 31 else short).append(word)
    results = [
        compare(objdump, tool, "16-bit", (word for word in range(65536) if word & 3 != 3), 2),
        compare(objdump, tool, "patterns", wide, 4),
        compare(objdump, tool, "patterns, numeric", wide, 4, True),
        compare(objdump, tool, "16-bit, numeric",
                (word for word in patterns if word & 3 != 3), 2, True),
        compare(objdump, tool, "random", short, 4),
        compare(objdump, tool, "random, longer forms", long, 24),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
