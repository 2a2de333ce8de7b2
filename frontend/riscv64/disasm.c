/* Instructions as text, in the words of binutils with -M no-aliases. */
#include "frontend/riscv64/decode_tables.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Text that does not fit is counted and dropped, as snprintf does. */
struct sink {
    char *buf;
    size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct sink *sink, const char *format, ...)
{
    size_t room = sink->length < sink->size ? sink->size - sink->length : 0;
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(room ? sink->buf + sink->length : NULL, room, format, arguments);
    va_end(arguments);
    sink->length += written > 0 ? (size_t)written : 0;
}

/* RISC-V ABIs Specification, "Register Convention". */
static const char x_names[32][5] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char f_names[32][5] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

static void put_register(struct sink *sink, uint8_t kind, unsigned number, unsigned flags)
{
    if (flags & RV_DISASM_NUMERIC)
        put(sink, "%c%u", kind == RV_KIND_F ? 'f' : 'x', number);
    else
        put(sink, "%s", kind == RV_KIND_F ? f_names[number] : x_names[number]);
}

static void put_rounding(struct sink *sink, unsigned rm)
{
    static const char names[8][8] = {"rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown"};

    if (rm != 7)
        put(sink, ",%s", names[rm]);
}

static void put_io_set(struct sink *sink, unsigned set)
{
    put(sink, "%s%s%s%s%s", set & 8 ? "i" : "", set & 4 ? "o" : "", set & 2 ? "r" : "",
        set & 1 ? "w" : "", set ? "" : "unknown");
}

static void put_csr(struct sink *sink, unsigned number)
{
    const char *name = rv_csr_name(number);

    if (name)
        put(sink, "%s", name);
    else
        put(sink, "0x%x", number);
}

/* Unpriv. 20240411, 23.1, table of FLI's constants, in C's hexadecimal notation. */
static void put_fli(struct sink *sink, unsigned number)
{
    static const char texts[32][11] = {
        "-0x1p+0",  "min",      "0x1p-16",  "0x1p-15",  "0x1p-8",   "0x1p-7",   "0x1p-4",
        "0x1p-3",   "0x1p-2",   "0x1.4p-2", "0x1.8p-2", "0x1.cp-2", "0x1p-1",   "0x1.4p-1",
        "0x1.8p-1", "0x1.cp-1", "0x1p+0",   "0x1.4p+0", "0x1.8p+0", "0x1.cp+0", "0x1p+1",
        "0x1.4p+1", "0x1.8p+1", "0x1p+2",   "0x1p+3",   "0x1p+4",   "0x1p+7",   "0x1p+8",
        "0x1p+15",  "0x1p+16",  "inf",      "nan",
    };

    put(sink, "%s", texts[number]);
}

static void put_field(struct sink *sink, uint64_t pc, size_t field, uint32_t word, unsigned flags)
{
    int64_t value = rv_field_value(field, word);
    uint8_t kind = rv_field(field)->kind;

    switch ((enum rv_kind)kind) {
    case RV_KIND_X:
    case RV_KIND_F: put_register(sink, kind, (unsigned)value, flags); break;
    case RV_KIND_S:
    case RV_KIND_U: put(sink, "%" PRId64, value); break;
    case RV_KIND_H: put(sink, "0x%" PRIx64, (uint64_t)value); break;
    case RV_KIND_HI: put(sink, "0x%x", (unsigned)(value >> 12) & 0xfffff); break;
    case RV_KIND_A: put(sink, "0x%" PRIx64, pc + (uint64_t)value); break;
    case RV_KIND_CSR: put_csr(sink, (unsigned)value); break;
    case RV_KIND_RM: put_rounding(sink, (unsigned)value); break;
    case RV_KIND_IO: put_io_set(sink, (unsigned)value); break;
    case RV_KIND_FLI: put_fli(sink, (unsigned)value); break;
    }
}

size_t rv_disasm_as(char *buf, size_t size, uint64_t pc, uint32_t word, unsigned flags)
{
    static const char ordering[4][6] = {"", ".rl", ".aq", ".aqrl"};
    struct sink sink = {buf, size, 0};
    struct rv_insn insn;
    unsigned index = rv_decode_pattern(&insn, word);
    const struct rv_pattern *pattern = index == RV_NO_PATTERN ? NULL : rv_pattern(index);

    if (size)
        buf[0] = '\0';
    if (!insn.raw) {
        /* All zeros is illegal by definition (vol. I, "Base Instruction-Length Encoding"). */
        put(&sink, "c.unimp");
    } else if (!pattern || pattern->hidden) {
        put(&sink, ".insn\t%u, 0x%0*" PRIx32, insn.len, insn.len * 2, insn.raw);
    } else {
        put(&sink, "%s%s", pattern->name, ordering[insn.aqrl]);
        for (const char *c = pattern->text; *c; c++) {
            if (c == pattern->text)
                put(&sink, "\t");
            if ((unsigned char)*c >= 128)
                put_field(&sink, pc, (unsigned char)*c - 128u, insn.raw, flags);
            else
                put(&sink, "%c", *c);
        }
    }
    return sink.length;
}

size_t rv_disasm(char *buf, size_t size, uint64_t pc, uint32_t word)
{
    return rv_disasm_as(buf, size, pc, word, 0);
}
