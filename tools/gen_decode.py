#!/usr/bin/env python3
"""Turn an instruction table (frontend/riscv64/rv64.decode describes its syntax) into C.

    gen_decode.py TABLE OUTDIR

writes into OUTDIR
    rv_ops.inc       RV_OP(NAME, name, "na.me", EXT, format): a line for each operation
    rv_exts.inc      RV_EXT(NAME, "Name"): a line for each extension
    rv_ext_masks.h   RV_EXT_NAME: its bit in a 64-bit mask
    rv_tables.inc    RV_FIELD, RV_FORMAT, RV_PATTERN, RV_CSR records, for decode_tables.c
    rv_tree.c        the decoder: nested switches over the bits that tell patterns apart

A table that contradicts itself is refused with `file:line: error: ...` and exit status 1.
"""

import os
import re
import sys

SLOTS = ("rd", "rs1", "rs2", "rs3", "rm", "aqrl", "imm")
SLOT_BITS = {"rd": 5, "rs1": 5, "rs2": 5, "rs3": 5, "rm": 4, "aqrl": 2, "imm": 64}
KINDS = ("x", "f", "s", "u", "h", "hi", "a", "csr", "rm", "io", "fli")
MAX_EXTS = 64
SIGNED = ("s", "hi", "a")
REGISTERS = ("x", "f")
MAX_CONDITIONS = 2


class TableError(Exception):
    def __init__(self, where, message):
        super().__init__(f"{where}: error: {message}")


class Field:
    """Runs of bits, most significant first, then << shift, + add; or a constant."""

    def __init__(self, where, name, kind):
        self.where, self.name, self.kind = where, name, kind
        self.runs, self.shift, self.add, self.constant = [], 0, 0, None
        self.mask = 0

    @property
    def width(self):
        return sum(high - low + 1 for high, low in self.runs) + self.shift

    @property
    def top_bit(self):
        return max((high for high, _ in self.runs), default=-1)

    def extract(self, word):
        if self.constant is not None:
            return self.constant
        value = 0
        for high, low in self.runs:
            value = value << (high - low + 1) | (word >> low & ((1 << (high - low + 1)) - 1))
        value <<= self.shift
        if self.kind in SIGNED and value >> (self.width - 1) & 1:
            value -= 1 << self.width
        return value + self.add

    def insert(self, value):
        """The bits that the field has in a word when its value is `value`; None if it can't be."""
        value -= self.add
        bits, position = 0, self.width
        for high, low in self.runs:
            position -= high - low + 1
            bits |= (value >> position & ((1 << (high - low + 1)) - 1)) << low
        return bits if self.extract(bits) == value + self.add else None

    def expression(self):
        """C for the value in `w`, an uint32_t."""
        if self.constant is not None:
            return str(self.constant)
        parts, position = [], self.width
        for high, low in self.runs:
            bits = high - low + 1
            position -= bits
            mask = (1 << bits) - 1
            part = f"(w & {mask}u)" if low == 0 else f"(w >> {low} & {mask}u)"
            parts.append(part if position == 0 else f"{part} << {position}")
        value = " | ".join(parts)
        if self.kind in SIGNED:
            return f"sign_extend({value}, {self.width})"
        return f"({value}) + {self.add}" if self.add else value


class Format:
    def __init__(self, where, name, slots, text):
        self.where, self.name, self.slots, self.text = where, name, slots, text

    def fields(self):
        return [value for value in self.slots.values() if isinstance(value, Field)]


class Pattern:
    def __init__(self, where, name):
        self.where, self.name = where, name
        self.op = None          # name of the operation
        self.any, self.all = [], []  # extensions: one of these, and all of these
        self.format = None
        self.length = 0         # bits
        self.mask = self.match = self.ignored = 0
        self.conditions = []    # (Field, value that it must not have)
        self.hidden, self.text = False, ""
        self.group = None
        self.index = 0

    def merged_with(self, other):
        """(mask, match) of the words that both match, conditions aside; None if there are none."""
        if self.length != other.length or (self.match ^ other.match) & self.mask & other.mask:
            return None
        return self.mask | other.mask, self.match | other.match

    def excluded_by_condition(self, mask, match):
        return any(field.mask & ~mask == 0 and field.extract(match) == value
                   for field, value in self.conditions)

    def within(self, other):
        """All words of this pattern also match `other`, and not the reverse."""
        if other.mask & ~self.mask or (self.match ^ other.match) & other.mask:
            return False
        return self.mask != other.mask or bool(self.conditions and not other.conditions)


class Table:
    def __init__(self):
        self.exts, self.fields, self.formats, self.patterns = [], {}, {}, []
        self.ops = {}           # name -> the pattern that defines it
        self.csrs = {}          # number -> name
        self.index = {}         # instruction bits -> the runs that the decoder looks at first


def natural(where, text, what):
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise TableError(where, f"{what} '{text}' is not a number")
    return value


def c_name(name):
    return name.replace(".", "_")


# --- Reading --------------------------------------------------------------------------------------

NAME = re.compile(r"[a-z][a-z0-9_.]*$")


def check_name(where, name):
    if not NAME.match(name):
        raise TableError(where, f"'{name}' is not a name")


def read_ext(table, where, words, _text):
    for name in words:
        if name in table.exts:
            raise TableError(where, f"extension '{name}' is defined twice")
        if len(table.exts) == MAX_EXTS:
            raise TableError(where, f"more than {MAX_EXTS} extensions")
        table.exts.append(name)


def read_run(where, field, word):
    match = re.match(r"(\d+)(?::(\d+))?$", word)
    if not match:
        raise TableError(where, f"field '{field.name}': bad bit range '{word}'")
    high = int(match.group(1))
    low = int(match.group(2) or high)
    if high < low:
        raise TableError(where, f"field '{field.name}': range {word} is upside down")
    if high > 31:
        raise TableError(where, f"field '{field.name}': bit {high} is outside of the word")
    bits = ((1 << (high - low + 1)) - 1) << low
    if field.mask & bits:
        raise TableError(where, f"field '{field.name}': range {word} takes a bit twice")
    field.mask |= bits
    field.runs.append((high, low))


def read_field(table, where, words, _text):
    if len(words) < 3:
        raise TableError(where, "a field needs a name, a kind and bits")
    name, kind, rest = words[0], words[1], words[2:]
    check_name(where, name)
    if name in table.fields:
        raise TableError(where, f"field '{name}' is defined twice")
    if kind not in KINDS:
        raise TableError(where, f"field '{name}': unknown kind '{kind}'")
    field = Field(where, name, kind)
    if rest[0] == "=":
        field.constant = natural(where, " ".join(rest[1:]), "value")
        rest = []
    while rest and rest[-1][0] in "<+":
        word = rest.pop()
        if word[0] == "+":
            field.add = natural(where, word[1:], "addend")
        else:
            field.shift = natural(where, word[2:], "shift")
    for word in rest:
        read_run(where, field, word)
    if field.constant is None and not field.runs:
        raise TableError(where, f"field '{name}' has no bits")
    if field.width > 32:
        raise TableError(where, f"field '{name}' is wider than 32 bits")
    top = field.constant or field.add + (1 << field.width) - 1
    if kind in REGISTERS and top > 31:
        raise TableError(where, f"field '{name}' names registers above 31")
    table.fields[name] = field


def compile_text(table, where, text):
    """The text as C string pieces and field names, in order."""
    pieces = []
    for literal, name in re.findall(r"([^{}]+)|\{([^{}]*)\}", text):
        if literal:
            pieces.append(literal)
        elif name in table.fields:
            pieces.append(table.fields[name])
        else:
            raise TableError(where, f"unknown field '{name}' in the text")
    if text.count("{") != text.count("}") or text.count("{") != sum(
            isinstance(piece, Field) for piece in pieces):
        raise TableError(where, f"braces of the text '{text}' do not pair")
    return pieces


def read_format(table, where, words, text):
    if not words:
        raise TableError(where, "a format needs a name")
    name = words[0]
    check_name(where, name)
    if name in table.formats:
        raise TableError(where, f"format '{name}' is defined twice")
    slots = {}
    for word in words[1:]:
        slot, _, value = word.partition("=")
        if slot not in SLOTS:
            raise TableError(where, f"format '{name}': unknown operand '{slot}'")
        if slot in slots:
            raise TableError(where, f"format '{name}': operand '{slot}' is given twice")
        if value in table.fields:
            field = table.fields[value]
            if slot != "imm" and (field.kind in SIGNED or field.width > SLOT_BITS[slot]):
                raise TableError(where, f"format '{name}': field '{value}' does not fit '{slot}'")
            slots[slot] = field
        elif re.match(r"\d+$|-\d+$" if slot == "imm" else r"\d+$", value):
            if int(value) >> (15 if slot == "imm" else SLOT_BITS[slot]) not in (0, -1):
                raise TableError(where, f"format '{name}': {value} does not fit '{slot}'")
            slots[slot] = int(value)
        else:
            raise TableError(where, f"format '{name}': unknown field '{value}'")
    table.formats[name] = Format(where, name, slots, compile_text(table, where, text or ""))


def read_csr(table, where, words, _text):
    """csr NUMBER NAME, or csr FIRST:LAST NAME, where * in NAME counts up from 0 or from *N."""
    if len(words) != 2:
        raise TableError(where, "a csr needs a number and a name")
    first, _, last = words[0].partition(":")
    first = natural(where, first, "number")
    last = natural(where, last, "number") if last else first
    match = re.match(r"([a-z0-9]*)(?:\*(\d*)([a-z]*))?$", words[1])
    if not match or (last != first) != ("*" in words[1]):
        raise TableError(where, f"'{words[1]}' is not a name for {last - first + 1} registers")
    for number in range(first, last + 1):
        name = match.group(1)
        if "*" in words[1]:
            name += str(int(match.group(2) or 0) + number - first) + match.group(3)
        if number in table.csrs or number > 0xFFF:
            raise TableError(where, f"csr {number:#x} is defined twice or out of range")
        table.csrs[number] = name


def read_index(table, where, words, _text):
    if not words or words[0] not in ("16", "32") or int(words[0]) in table.index:
        raise TableError(where, "an index is for 16 or for 32 bits, once")
    field = Field(where, "index", "u")
    for word in words[1:]:
        read_run(where, field, word)
    if not field.runs or field.width > 12 or field.top_bit >= int(words[0]):
        raise TableError(where, "an index takes 1 to 12 bits of the instruction")
    table.index[int(words[0])] = field.runs


def read_bits(where, pattern, bits):
    pattern.length = len(bits)
    if pattern.length not in (16, 32):
        raise TableError(where, f"'{pattern.name}' has {len(bits)} bits, not 16 or 32")
    for character in bits:
        pattern.mask = pattern.mask << 1 | (character in "01")
        pattern.match = pattern.match << 1 | (character == "1")
        pattern.ignored = pattern.ignored << 1 | (character == "-")
    low = pattern.match & 3
    if pattern.mask & 3 != 3 or (low == 3) != (pattern.length == 32):
        raise TableError(where, f"'{pattern.name}': the two lowest bits do not fit its length")


def read_condition(table, where, pattern, word):
    match = re.match(r"([^!=]+)!=(.+)$", word)
    if not match:
        raise TableError(where, f"bad condition '{word}'")
    name, value = match.groups()
    if name not in table.fields:
        raise TableError(where, f"condition on unknown field '{name}'")
    field = table.fields[name]
    if field.top_bit >= pattern.length or field.constant is not None:
        raise TableError(where, f"condition on field '{name}', which is not in the word")
    value = natural(where, value, "value")
    if field.insert(value) is None:
        raise TableError(where, f"field '{name}' is never {value}")
    pattern.conditions.append((field, value))
    if len(pattern.conditions) > MAX_CONDITIONS:
        raise TableError(where, f"more than {MAX_CONDITIONS} conditions")


def check_coverage(where, pattern):
    covered = 0
    for field in pattern.format.fields():
        if field.top_bit >= pattern.length:
            raise TableError(where, f"format '{pattern.format.name}': field '{field.name}' lies "
                                    f"outside of the {pattern.length}-bit '{pattern.name}'")
        covered |= field.mask
    if covered & pattern.ignored:
        raise TableError(where, f"'{pattern.name}' ignores bits that its format uses")
    loose = ~(pattern.mask | pattern.ignored | covered) & ((1 << pattern.length) - 1)
    if loose:
        raise TableError(where, f"bits {loose:#x} of '{pattern.name}' are in no field of "
                                f"format '{pattern.format.name}'")


def read_pattern(table, where, words, text, group):
    pattern = Pattern(where, words.pop(0))
    check_name(where, pattern.name)
    if any(other.name == pattern.name for other in table.patterns):
        raise TableError(where, f"instruction '{pattern.name}' is defined twice")
    if words and words[0] == "=":
        words.pop(0)
        pattern.op = words.pop(0) if words else ""
    if len(words) < 3:
        raise TableError(where, f"'{pattern.name}' needs extensions, a format and bits")
    first, *rest = words.pop(0).split("+")
    pattern.any, pattern.all = first.split("/"), rest
    for ext in pattern.any + pattern.all:
        if ext not in table.exts:
            raise TableError(where, f"unknown extension '{ext}'")
    name = words.pop(0)
    if name not in table.formats:
        raise TableError(where, f"unknown format '{name}'")
    pattern.format = table.formats[name]
    bits = ""
    while words and re.match(r"[01.\-]+$", words[0]):
        bits += words.pop(0)
    read_bits(where, pattern, bits)
    if words and words[0] == "if":
        words.pop(0)
        while words and words[0] != "hidden":
            read_condition(table, where, pattern, words.pop(0))
    if words == ["hidden"]:
        pattern.hidden = True
        words = []
    if words:
        raise TableError(where, f"'{words[0]}' is not understood")
    check_coverage(where, pattern)
    pattern.text = pattern.format.text if text is None else compile_text(table, where, text)
    for piece in pattern.text:
        if isinstance(piece, Field) and piece.top_bit >= pattern.length:
            raise TableError(where, f"field '{piece.name}' of the text lies outside of the "
                                    f"{pattern.length}-bit '{pattern.name}'")
    pattern.group = group
    if pattern.op is None:
        if c_name(pattern.name) in map(c_name, table.ops) or pattern.name == "illegal":
            raise TableError(where, f"operation '{pattern.name}' is defined twice")
        pattern.op = pattern.name
        table.ops[pattern.name] = pattern
    pattern.index = len(table.patterns)
    table.patterns.append(pattern)


def read_table(path):
    table, group = Table(), None
    readers = {"ext": read_ext, "field": read_field, "format": read_format, "csr": read_csr,
               "index": read_index}
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        where = f"{os.path.basename(path)}:{number}"
        line, colon, text = line.partition("#")[0].partition(" :")
        words = line.split()
        text = text.strip() if colon else None
        if not words:
            continue
        if words == ["group"]:
            if group:
                raise TableError(where, "a group within a group")
            group = number
        elif words == ["end"]:
            if not group:
                raise TableError(where, "'end' without 'group'")
            group = None
        elif words[0] in readers:
            readers[words[0]](table, where, words[1:], text)
        else:
            read_pattern(table, where, words, text, group)
    if group:
        raise TableError(f"{os.path.basename(path)}:{group}", "the group has no 'end'")
    check_table(table)
    return table


def check_overlap(first, second):
    """Refuse words that both match, unless a group says that `first`, the earlier one, wins."""
    merged = first.merged_with(second)
    if merged is None or first.excluded_by_condition(*merged):
        return
    if second.excluded_by_condition(*merged):
        return
    if first.group is None or first.group != second.group:
        raise TableError(second.where, f"'{second.name}' overlaps '{first.name}' ({first.where})")
    if not first.within(second):
        raise TableError(second.where, f"'{first.name}' ({first.where}) comes before "
                                       f"'{second.name}' but is not more specific")


def check_table(table):
    for pattern in table.patterns:
        if pattern.op not in table.ops:
            raise TableError(pattern.where, f"unknown operation '{pattern.op}'")
    for index, second in enumerate(table.patterns):
        for first in table.patterns[:index]:
            check_overlap(first, second)
    if len(table.fields) > 120:
        raise TableError("table", "too many fields for the text encoding")


# --- Writing --------------------------------------------------------------------------------------

BANNER = "/* Written by tools/gen_decode.py from {}; not edited by hand. */\n"


def ext_mask(names):
    return " | ".join(f"RV_EXT_{name.upper()}" for name in names) or "0"


def write_ops(table, out):
    for name, pattern in table.ops.items():
        out.append(f'RV_OP({c_name(name).upper()}, {c_name(name)}, "{name}", '
                   f"{ext_mask(pattern.any)}, {pattern.format.name})")


def c_text(table, pieces):
    """Field n of the table is the byte 128 + n."""
    numbers = {name: index for index, name in enumerate(table.fields)}
    return '"' + "".join(f"\\{128 + numbers[piece.name]:o}" if isinstance(piece, Field) else piece
                         for piece in pieces) + '"'


def c_runs(field):
    return ", ".join(f"{{{high}, {low}}}" for high, low in field.runs)


def write_tables(table, out):
    field_number = {name: index for index, name in enumerate(table.fields)}
    format_number = {name: index for index, name in enumerate(table.formats)}
    out.append("#ifdef RV_FIELD")
    for field in table.fields.values():
        constant = field.add if field.constant is None else field.constant
        runs = c_runs(field) or "{0, 0}"
        out.append(f"RV_FIELD({field.name}, RV_KIND_{field.kind.upper()}, {len(field.runs)}, "
                   f"{field.shift}, {constant}, {runs})")
    out += ["#endif", "#ifdef RV_FORMAT"]
    for form in table.formats.values():
        slots = []
        for slot, value in form.slots.items():
            slots.append(f"{{RV_SLOT_{slot.upper()}, " + (
                f"{field_number[value.name]}, 0}}" if isinstance(value, Field) else
                f"RV_NO_FIELD, {value}}}"))
        out.append(f"RV_FORMAT({form.name}, {len(slots)}, {', '.join(slots) or '{0, 0, 0}'})")
    out += ["#endif", "#ifdef RV_PATTERN"]
    for pattern in table.patterns:
        conditions = ", ".join(f"{{{field_number[field.name]}, {value}}}"
                               for field, value in pattern.conditions) or "{0, 0}"
        out.append(f'RV_PATTERN("{pattern.name}", {pattern.mask:#x}, {pattern.match:#x}, '
                   f"{c_name(pattern.op).upper()}, {pattern.length // 8}, "
                   f"{ext_mask(pattern.any)}, {ext_mask(pattern.all)}, "
                   f"{format_number[pattern.format.name]}, {int(pattern.hidden)}, "
                   f"{c_text(table, pattern.text)}, {len(pattern.conditions)}, {conditions})")
    out += ["#endif", "#ifdef RV_CSR"]
    out += [f'RV_CSR({number:#05x}, "{table.csrs[number]}")' for number in sorted(table.csrs)]
    out.append("#endif")


def write_exts(table, out):
    out += [f'RV_EXT({name.upper()}, "{name}")' for name in table.exts]


def write_ext_masks(table, out):
    out += ["#ifndef RV_EXT_MASKS_H", "#define RV_EXT_MASKS_H", ""]
    out += [f"#define RV_EXT_{name.upper()} (UINT64_C(1) << {bit})"
            for bit, name in enumerate(table.exts)]
    out += ["", "#endif"]


def runs_of(mask):
    """The runs of ones in a mask, as (low bit, width)."""
    runs, bit = [], 0
    while mask >> bit:
        if mask >> bit & 1:
            width = 0
            while mask >> (bit + width) & 1:
                width += 1
            runs.append((bit, width))
            bit += width
        bit += 1
    return runs


def condition_c(field, value):
    return f"(w & {field.mask:#x}u) != {field.insert(value):#x}u"


class TreeWriter:
    """Emits nested switches. The first is over the bits that the table's index names, where a
    pattern that leaves some of them open appears under several values; below, each is over the run
    of bits, fixed by all remaining candidates, that tells most of them apart. (Tables of nodes
    instead of switches took longer, on cold code and in loops.)"""

    def __init__(self, out, shapes):
        self.out, self.shapes = out, shapes

    def line(self, depth, text):
        self.out.append("    " * depth + text)

    def leaf(self, depth, pattern, known):
        """Returns whether control can pass it."""
        tests = []
        rest = pattern.mask & ~known
        if rest:
            tests.append(f"(w & {rest:#x}u) == {pattern.match & rest:#x}u")
        tests += [condition_c(*condition) for condition in pattern.conditions]
        if tests:
            self.line(depth, f"if ({' && '.join(tests)}) {{")
        body = depth + bool(tests)
        self.line(body, f"id = {pattern.index}; /* {pattern.name} */")
        self.line(body, f"goto shape_{self.shapes[operand_code(pattern.format)]};")
        if tests:
            self.line(depth, "}")
        return bool(tests)

    def switch(self, depth, patterns, field, known):
        known |= field.mask
        groups = {}             # the patterns left -> the values that leave them
        for value in range(1 << field.width):
            bits = field.insert(value)
            chosen = tuple(pattern for pattern in patterns
                           if (pattern.match ^ bits) & pattern.mask & field.mask == 0)
            groups.setdefault(chosen, []).append(value)
        self.line(depth, f"switch ({field.expression()}) {{")
        for chosen, values in groups.items():
            if chosen:
                for value in values:
                    self.line(depth, f"case {value:#x}:")
                if self.node(depth + 1, chosen, known):
                    self.line(depth + 1, "break;")
        self.line(depth, "}")

    def node(self, depth, patterns, known):
        """Returns whether control can fall out of what was written."""
        common = ~known & 0xFFFFFFFF
        for pattern in patterns:
            common &= pattern.mask
        best, most = None, 1
        for low, width in runs_of(common):
            values = {pattern.match >> low & ((1 << width) - 1) for pattern in patterns}
            if len(values) > most:
                best, most = (low, width), len(values)
        if best is None:
            return all(self.leaf(depth, pattern, known) for pattern in patterns)
        low, width = best
        self.switch(depth, patterns, index_field([(low + width - 1, low)]), known)
        return True


def index_field(runs):
    field = Field(None, "index", "u")
    field.runs = runs
    field.mask = sum(((1 << (high - low + 1)) - 1) << low for high, low in runs)
    return field


def operand_code(form):
    """The statements that take a format's operands out of the word."""
    lines = []
    for slot, value in form.slots.items():
        if value != 0:
            code = value.expression() if isinstance(value, Field) else str(value)
            lines.append(f"    out->{slot} = {code};" if slot == "imm" else
                         f"    out->{slot} = (uint8_t)({code});")
    return "\n".join(sorted(lines))


def write_tree(table, out):
    shapes = {}                 # statements -> number; formats often share them
    for form in table.formats.values():
        if not any(pattern.format is form for pattern in table.patterns):
            raise TableError(form.where, f"format '{form.name}' is not used")
        shapes.setdefault(operand_code(form), len(shapes))
    ops = ", ".join(f"RV_OP_{c_name(pattern.op).upper()}" for pattern in table.patterns)
    out += ['#include "frontend/riscv64/decode.h"', '#include "frontend/riscv64/decode_tables.h"', "",
            f"static const uint16_t op_of_pattern[] = {{{ops}}};", "",
            "static inline int64_t sign_extend(uint32_t value, unsigned bits)", "{",
            "    return (int32_t)(value << (32 - bits)) >> (32 - bits);", "}", "",
            "unsigned rv_decode_pattern(struct rv_insn *out, uint32_t word)", "{",
            "    bool wide = (word & 3) == 3;",
            "    uint32_t w = wide ? word : word & 0xffff;", "    unsigned id;", "",
            "    *out = (struct rv_insn){.raw = w, .len = wide ? 4 : 2};"]
    tree = TreeWriter(out, shapes)
    for length in (32, 16):
        out.append("    if (wide) {" if length == 32 else "    } else {")
        patterns = [pattern for pattern in table.patterns if pattern.length == length]
        if length in table.index:
            tree.switch(2, patterns, index_field(table.index[length]), 0)
        else:
            tree.node(2, patterns, 0)
    out += ["    }", "    return RV_NO_PATTERN;"]
    for code, number in shapes.items():
        out += ["", f"shape_{number}:"] + [code] * bool(code) + ["    goto done;"]
    out += ["", "done:", "    out->op = op_of_pattern[id];", "    return id;", "}"]
    write_needs(table, out)


def write_needs(table, out):
    """What extensions each pattern needs, in two small tables: they are looked at for each
    instruction that is decoded."""
    needs = {}                  # (any, all) -> number
    numbers = [needs.setdefault((ext_mask(pattern.any), ext_mask(pattern.all)), len(needs))
               for pattern in table.patterns]
    out += ["", "static const struct {", "    uint64_t any, all;", "} needs[] = {"]
    out += [f"    {{{any_mask}, {all_mask}}}," for any_mask, all_mask in needs]
    out += ["};", "", "static const uint8_t needs_of_pattern[] = {"
            + ", ".join(map(str, numbers)) + "};", "",
            "bool rv_pattern_is_of(unsigned id, uint64_t ext)", "{",
            "    unsigned n = needs_of_pattern[id];",
            "    return needs[n].any & ext && !(needs[n].all & ~ext);", "}"]


def main(arguments):
    if len(arguments) != 3:
        print(f"usage: {arguments[0]} TABLE OUTDIR", file=sys.stderr)
        return 2
    path, outdir = arguments[1:]
    try:
        table = read_table(path)
        files = {}
        for name, write in (("rv_ops.inc", write_ops), ("rv_exts.inc", write_exts),
                            ("rv_ext_masks.h", write_ext_masks),
                            ("rv_tables.inc", write_tables), ("rv_tree.c", write_tree)):
            files[name] = [BANNER.format(os.path.basename(path))]
            write(table, files[name])
    except TableError as error:
        print(error, file=sys.stderr)
        return 1
    os.makedirs(outdir, exist_ok=True)
    for name, lines in files.items():
        with open(os.path.join(outdir, name), "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
