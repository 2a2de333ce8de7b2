#!/usr/bin/env python3
"""A small assembler for programs of ours that run in the guest.

    assemble.py TABLE SOURCE OUTPUT [--binary]

TABLE is frontend/riscv64/rv64.decode: what the decoder reads says how to encode, too. SOURCE is in
the syntax of GNU's assembler, of which this is understood: labels, the instructions of 32 bits on
integer registers, the pseudo-instructions li (32 bits), lla, mv, j, jal, ret, beqz, bnez, bltz, neg
and csrw, and .equ, .asciz and .byte. OUTPUT gets the bytes as a list of numbers for a C array,
or as they are. The code is position-independent.
"""
import ast
import os
import re
import struct
import sys

import gen_decode

ABI = ("zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 "
       "t3 t4 t5 t6").split()
KINDS = ("x", "s", "u", "h", "a", "hi", "csr")  # of the operands that are understood
REGISTERS = {name: i for i, name in enumerate(ABI)}


class SourceError(Exception):
    pass


def instructions(table):
    """Name -> (pattern, regular expression of its operands, their fields)."""
    found = {}
    for p in table.patterns:
        fields = [piece for piece in p.text if isinstance(piece, gen_decode.Field)]
        if p.length != 32 or p.hidden or p.name != p.op or any(f.kind not in KINDS for f in fields):
            continue
        text = "".join(r"([^,()]*)" if isinstance(piece, gen_decode.Field) else re.escape(piece)
                       for piece in p.text)
        found[p.name] = (p, re.compile(text), fields)
    return found


class Assembler:
    def __init__(self, table):
        self.instructions = instructions(table)
        self.csrs = {name: number for number, name in table.csrs.items()}
        self.symbols, self.constants = {}, {}
        self.out, self.final = bytearray(), False

    # ---- values ----

    def number(self, text):
        """A constant expression: numbers, and names that .equ has defined, joined by operators."""
        def replace(match):
            if match.group() not in self.constants:
                raise SourceError(f"unknown name '{match.group()}'")
            return str(self.constants[match.group()])
        text = re.sub(r"'(.)'", lambda match: str(ord(match.group(1))), text)
        text = re.sub(r"\b[A-Za-z_]\w*\b", replace, text)
        if not re.fullmatch(r"[\w\s()+*|<>~-]+", text):
            raise SourceError(f"'{text}' is no number")
        try:
            return int(eval(text, {"__builtins__": {}}))  # digits and operators alone: see above
        except (SyntaxError, TypeError, ValueError) as e:
            raise SourceError(f"'{text}' is no number") from e

    def address(self, name):
        """Of a label; of one that is yet to come, on the first pass, any."""
        if name in self.symbols:
            return self.symbols[name]
        if self.final:
            raise SourceError(f"unknown label '{name}'")
        return len(self.out)

    def operand(self, field, text):
        text = text.strip()
        if field.kind == "x":
            if text not in REGISTERS:
                raise SourceError(f"'{text}' is no register")
            value = REGISTERS[text]
        elif field.kind == "a":
            value = self.address(text) - len(self.out)
        elif field.kind == "csr" and text in self.csrs:
            value = self.csrs[text]
        elif field.kind == "hi":
            value = self.number(text) << 12
            value -= (value & 1 << 31) << 1
        else:
            value = self.number(text)
        bits = field.insert(value)
        if bits is None:
            raise SourceError(f"'{text}' does not fit")
        return bits

    # ---- lines ----

    def emit(self, name, *operands):
        if name not in self.instructions:
            raise SourceError(f"unknown instruction '{name}'")
        pattern, regex, fields = self.instructions[name]
        match = regex.fullmatch(",".join(operands) if len(operands) != 1 else operands[0])
        if not match:
            raise SourceError(f"the operands of '{name}' are not understood")
        word = pattern.match
        for field, text in zip(fields, match.groups()):
            word |= self.operand(field, text)
        self.out += struct.pack("<I", word)

    def load_immediate(self, rd, text):
        value = self.number(text)
        if not -1 << 31 <= value < 1 << 31:
            raise SourceError(f"'{text}' has more than 32 bits")
        low = (value & 0xfff) - ((value & 0x800) << 1)
        if low == value:
            self.emit("addi", rd, "zero", str(value))
            return
        self.emit("lui", rd, str((value - low) >> 12 & 0xfffff))
        if low:
            self.emit("addiw", rd, rd, str(low))

    def load_address(self, rd, label):
        offset = self.address(label) - len(self.out)
        low = (offset & 0xfff) - ((offset & 0x800) << 1)
        self.emit("auipc", rd, str((offset - low) >> 12 & 0xfffff))
        self.emit("addi", rd, rd, str(low))

    def instruction(self, name, text):
        ops = [op.strip() for op in text.split(",")] if text else []
        pseudo = {
            ("li", 2): lambda: self.load_immediate(*ops),
            ("lla", 2): lambda: self.load_address(*ops),
            ("mv", 2): lambda: self.emit("addi", ops[0], ops[1], "0"),
            ("neg", 2): lambda: self.emit("sub", ops[0], "zero", ops[1]),
            ("j", 1): lambda: self.emit("jal", "zero", ops[0]),
            ("jal", 1): lambda: self.emit("jal", "ra", ops[0]),
            ("ret", 0): lambda: self.emit("jalr", "zero,0(ra)"),
            ("beqz", 2): lambda: self.emit("beq", ops[0], "zero", ops[1]),
            ("bnez", 2): lambda: self.emit("bne", ops[0], "zero", ops[1]),
            ("csrw", 2): lambda: self.emit("csrrw", "zero", *ops),
            ("bltz", 2): lambda: self.emit("blt", ops[0], "zero", ops[1]),
        }
        pseudo.get((name, len(ops)), lambda: self.emit(name, *ops))()

    def directive(self, name, text):
        if name == ".equ":
            symbol, _, value = text.partition(",")
            self.constants[symbol.strip()] = self.number(value.strip())
        elif name == ".asciz":
            if not re.fullmatch(r'"(\\[n"\\]|[^"\\])*"', text):
                raise SourceError(f"{text} is no string")
            self.out += ast.literal_eval("b" + text) + b"\0"
        elif name == ".byte":
            self.out += bytes(self.number(v.strip()) for v in text.split(","))
        elif name not in (".globl", ".text"):
            raise SourceError(f"unknown directive '{name}'")

    def line(self, text):
        # a comment begins at the first # outside of a string
        text = re.match(r'(?:"(?:\\.|[^"\\])*"|[^#"])*', text).group().strip()
        label = re.match(r"([A-Za-z_]\w*):\s*", text)
        if label:
            self.symbols[label.group(1)] = len(self.out)
            text = text[label.end():]
        name, _, rest = text.partition(" ")
        if name.startswith("."):
            self.directive(name, rest.strip())
        elif name:
            self.instruction(name, rest.strip())

    def run(self, lines, source):
        for final in (False, True):
            self.final, self.out = final, bytearray()
            for number, text in enumerate(lines, 1):
                try:
                    self.line(text)
                except SourceError as e:
                    raise SourceError(f"{source}:{number}: error: {e}") from e
        return bytes(self.out)


def main(arguments):
    binary = "--binary" in arguments
    names = [a for a in arguments if a != "--binary"]
    if len(names) != 3:
        sys.exit("usage: assemble.py TABLE SOURCE OUTPUT [--binary]")
    table, source, output = names
    with open(source, encoding="ascii") as f:
        lines = f.read().splitlines()
    try:
        code = Assembler(gen_decode.read_table(table)).run(lines, os.path.basename(source))
    except (SourceError, gen_decode.TableError) as e:
        sys.exit(str(e))
    with open(output, "wb") as f:
        if binary:
            f.write(code)
            return
        for i in range(0, len(code), 16):
            f.write(b"".join(b"%d," % b for b in code[i:i + 16]) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
