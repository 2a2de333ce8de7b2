"""A few RV64I encodings and a minimal ELF file around them, for guests of a few instructions."""
import struct

ZERO, RA, SP, T0, T1, T2, A0, A1, A7 = 0, 1, 2, 5, 6, 7, 10, 11, 17
RAM = 0x80000000
UART, POWER = 0x10000000, 0x100000


def i_type(op, f3, rd, rs1, imm):
    return (imm & 0xfff) << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op


def s_type(f3, rs1, rs2, imm):
    return (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (imm & 31) << 7 | 0x23


def addi(rd, rs1, imm):
    return i_type(0x13, 0, rd, rs1, imm)


def lui(rd, imm20):
    return (imm20 & 0xfffff) << 12 | rd << 7 | 0x37


def li(rd, value):
    """A 32-bit value, sign-extended."""
    low = (value & 0xfff) - (value & 0x800) * 2
    return [lui(rd, (value - low) >> 12), i_type(0x1b, 0, rd, rd, low)]  # lui, addiw


def sb(rs2, offset, rs1):
    return s_type(0, rs1, rs2, offset)


def sw(rs2, offset, rs1):
    return s_type(2, rs1, rs2, offset)


def jump(offset):
    o = offset & 0x1fffff
    low = (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20
    return (o >> 20 & 1) << 31 | low | (o >> 12 & 0xff) << 12 | 0x6f


def branch(f3, rs1, rs2, offset):
    o = offset & 0x1fff
    return (o >> 12) << 31 | (o >> 5 & 63) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | \
        (o >> 1 & 15) << 8 | (o >> 11 & 1) << 7 | 0x63


WFI, ECALL, NOP = 0x10500073, 0x73, 0x13
FOREVER = jump(0)


def flat(words):
    out = []
    for w in words:
        out += flat(w) if isinstance(w, list) else [w]
    return out


def power(value):
    return [lui(T0, POWER >> 12), li(T1, value), sw(T1, 0, T0)]


def say(text):
    out = [lui(T0, UART >> 12)]
    for c in text.encode():
        out += [addi(T1, ZERO, c), sb(T1, 0, T0)]
    return out


def elf(words, machine=243, at=RAM, symbols=()):
    code = b"".join(struct.pack("<I", w & 0xffffffff) for w in flat(words))
    ehdr_size, phdr_size = 64, 56
    offset = 0x1000
    names, table = b"\0", b"\0" * 24
    for name, value in symbols:
        table += struct.pack("<IBBHQQ", len(names), 0, 0, 1, value, 8)
        names += name.encode() + b"\0"
    sym_at = offset + len(code) + 64
    str_at = sym_at + len(table)
    sh_at = (str_at + len(names) + 7) & ~7
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    head = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, at, ehdr_size,
                               sh_at if symbols else 0, 0, ehdr_size, phdr_size, 1,
                               64, 3 if symbols else 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 7, offset, at, at, len(code), len(code) + 0x1000, 4096)
    out = head.ljust(offset, b"\0") + code
    if symbols:
        out = out.ljust(sym_at, b"\0") + table + names
        out = out.ljust(sh_at, b"\0") + b"\0" * 64
        out += struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, sym_at, len(table), 2, 1, 8, 24)
        out += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, str_at, len(names), 0, 0, 1, 0)
    return out
