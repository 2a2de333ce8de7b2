/*
 * IR as text, and back. One table says how each operation looks; printer and parser both walk it,
 * so the round trip is exact for every block that ir_verify accepts.
 *
 *     block 0x80000000 bytes 8 flags 0x2 round rne fp 0
 *     @0 0x0 4
 *       %0 = get i64 [80:8]
 *       %1 = ld i64 s4 [%0 + 16]
 *     @1 0x4 4
 *       brcc i64 ne %1, %0, 0x80000040
 *       jmp 0x80000008
 *
 * "@" starts a guest instruction: index, offset from the block's pc, bytes.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "godwit/ir.h"

/*
 * Letters of a shape: a b c d an operand; T type; C condition, R rounding, S size with sign, Z
 * size, N number (all of aux); O memory order, M kind of a minimum, each with its space, or nothing;
 * X imm in hex, I imm as a signed addend, U imm in decimal, K atomic kind, W integer kind, F fence
 * sets. The rest stands for itself.
 */
static const char *shape_of(enum ir_op op)
{
    switch (op) {
    case IR_CONST: return "X";
    case IR_GET: return "T [U:Z]";
    case IR_PUT: return "T [U:Z] a";
    case IR_SETCC: return "T C a, b";
    case IR_SELECT: return "T C a, b, c, d";
    case IR_LD: return "T S [aI]O";
    case IR_ST: return "T S [aI]O, b";
    case IR_AMO: return "K Z [a]O, b";
    case IR_CAS: return "Z [a]O, b, c";
    case IR_ZERO: return "[a]";
    case IR_FENCE: return "F";
    case IR_CALL: return "U a, b, c";
    case IR_BRCC: return "T C a, b, X";
    case IR_JMP: return "X";
    case IR_JMPR:
    case IR_LEAVE: return "a";
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV: return "T R a, b";
    case IR_FSQRT:
    case IR_F2H:
    case IR_F2F: return "T R a";
    case IR_FRINT: return "T R U a";
    case IR_FMA: return "T R U a, b, c";
    case IR_FMIN:
    case IR_FMAX: return "TM a, b";
    case IR_FEQ:
    case IR_FLT:
    case IR_FLE:
    case IR_FSGNJ: return "T N a, b";
    case IR_F2I:
    case IR_I2F: return "T W R a";
    case IR_FPSET: return "a";
    case IR_FPGET:
    case IR_NOP: return "";
    default: return ir_op_info[op].args == 2 ? "T a, b" : "T a";
    }
}

static const char *const type_names[] = {
    [IR_VOID] = "void", [IR_W32] = "w32", [IR_I64] = "i64", [IR_F32] = "f32", [IR_F64] = "f64"};
static const char *const cond_names[] = {
    [IR_EQ] = "eq",   [IR_NE] = "ne", [IR_LT] = "lt", [IR_GE] = "ge",   [IR_LTU] = "ltu",
    [IR_GEU] = "geu", [IR_LE] = "le", [IR_GT] = "gt", [IR_LEU] = "leu", [IR_GTU] = "gtu"};
static const char *const round_names[] = {
    [IR_RNE] = "rne", [IR_RTZ] = "rtz", [IR_RDN] = "rdn", [IR_RUP] = "rup", [IR_RMM] = "rmm"};
static const char *const amo_names[] = {
    [IR_AMO_SWAP] = "swap", [IR_AMO_ADD] = "add",   [IR_AMO_AND] = "and",
    [IR_AMO_OR] = "or",     [IR_AMO_XOR] = "xor",   [IR_AMO_MIN] = "min",
    [IR_AMO_MAX] = "max",   [IR_AMO_MINU] = "minu", [IR_AMO_MAXU] = "maxu"};
static const char *const int_names[] = {
    [IR_INT_W] = "w", [IR_INT_WU] = "wu", [IR_INT_L] = "l", [IR_INT_LU] = "lu"};
static const char *const order_names[] = {
    [IR_ORDER_ACQUIRE] = "acquire", [IR_ORDER_RELEASE] = "release", [IR_ORDER_SEQ] = "seq"};
static const char *const minmax_names[] = {
    [IR_MINMAX_PROPAGATE] = "propagate", [IR_MINMAX_SECOND] = "second"};
/* bits of IR_FENCE_*, lowest first */
static const char fence_letters[] = "wroi";

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *name_in(const char *const *table, size_t count, uint64_t i)
{
    return i < count && table[i] ? table[i] : "?";
}

/* --- printing --------------------------------------------------------------------------------- */

struct out {
    char *buf;
    size_t size, used; /* used may exceed size: what would have been written */
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
    va_list ap;
    size_t left = o->used < o->size ? o->size - o->used : 0;
    va_start(ap, fmt);
    int n = vsnprintf(left ? o->buf + o->used : NULL, left, fmt, ap);
    va_end(ap);
    if (n > 0)
        o->used += (size_t)n;
}

static void put_operand(struct out *o, ir_val v)
{
    if (v == IR_NONE)
        put(o, "-");
    else
        put(o, "%%%u", v);
}

static void put_set(struct out *o, unsigned set)
{
    if (!set)
        put(o, "0");
    for (unsigned i = 4; i-- > 0;)
        if (set >> i & 1)
            put(o, "%c", fence_letters[i]);
}

static void put_field(struct out *o, const struct ir_insn *in, char letter)
{
    switch (letter) {
    case 'a': put_operand(o, in->a); break;
    case 'b': put_operand(o, in->b); break;
    case 'c': put_operand(o, in->c); break;
    case 'd': put_operand(o, in->d); break;
    case 'T': put(o, "%s", name_in(type_names, COUNT(type_names), in->type)); break;
    case 'C': put(o, "%s", name_in(cond_names, COUNT(cond_names), in->aux)); break;
    case 'R': put(o, "%s", name_in(round_names, COUNT(round_names), in->aux)); break;
    case 'S':
        put(o, "%c%u%s", in->aux & IR_SIGN ? 's' : 'u', 1u << (in->aux & IR_SIZE_MASK),
            in->aux & IR_ALIGNED ? "a" : "");
        break;
    case 'Z': put(o, "%u", 1u << (in->aux & 31)); break;
    case 'N': put(o, "%u", in->aux); break;
    case 'O':
        if (in->order)
            put(o, " %s", name_in(order_names, COUNT(order_names), in->order));
        break;
    case 'M':
        if (in->imm)
            put(o, " %s", name_in(minmax_names, COUNT(minmax_names), (uint64_t)in->imm));
        break;
    case 'X': put(o, "0x%" PRIx64, (uint64_t)in->imm); break;
    case 'I':
        if (in->imm)
            put(o, " %c %" PRIu64, in->imm < 0 ? '-' : '+',
                in->imm < 0 ? 0 - (uint64_t)in->imm : (uint64_t)in->imm);
        break;
    case 'U': put(o, "%" PRIu64, (uint64_t)in->imm); break;
    case 'K': put(o, "%s", name_in(amo_names, COUNT(amo_names), (uint64_t)in->imm)); break;
    case 'W': put(o, "%s", name_in(int_names, COUNT(int_names), (uint64_t)in->imm)); break;
    case 'F':
        put_set(o, (unsigned)in->imm >> 4 & 15);
        put(o, " ");
        put_set(o, (unsigned)in->imm & 15);
        break;
    default: put(o, "%c", letter); break;
    }
}

static void put_insn(struct out *o, const struct ir_insn *in, uint32_t index)
{
    if (in->op >= IR_OP_COUNT) {
        put(o, "  ?\n");
        return;
    }
    put(o, "  ");
    if (ir_op_info[in->op].result != 'V')
        put(o, "%%%u = ", index);
    const char *shape = shape_of((enum ir_op)in->op);
    put(o, "%s%s", ir_op_info[in->op].text, *shape ? " " : "");
    for (const char *p = shape; *p; p++)
        put_field(o, in, *p);
    put(o, "\n");
}

size_t ir_print(const struct ir_block *b, char *buf, size_t size)
{
    struct out o = {buf, size, 0};
    uint32_t guest = 0;

    put(&o, "block 0x%" PRIx64 " bytes %u flags 0x%x round %s fp %u", b->pc, b->code_bytes,
        b->flags, b->fp_round < COUNT(round_names) ? round_names[b->fp_round] : "off", b->uses_fp);
    if (b->fp_model)
        put(&o, " model 0x%x", b->fp_model);
    if (b->anywhere)
        put(&o, " anywhere");
    put(&o, "\n");
    for (uint32_t i = 0; i <= b->count; i++) {
        uint32_t upto = i < b->count ? b->insn[i].guest + 1u : b->guest_count;
        for (; guest < upto && guest < b->guest_count; guest++)
            put(&o, "@%u 0x%x %u\n", guest, b->guest[guest].pc_offset, b->guest[guest].len);
        if (i < b->count)
            put_insn(&o, &b->insn[i], i);
    }
    return o.used;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct in {
    const char *p;
    const char *what; /* first thing that was wrong, or NULL */
};

static void wrong(struct in *in, const char *what)
{
    if (!in->what)
        in->what = what;
}

/* Blanks in a shape stand for one or more. */
static void skip_blanks(struct in *in)
{
    while (*in->p == ' ')
        in->p++;
}

static void expect(struct in *in, const char *text)
{
    size_t n = strlen(text);
    skip_blanks(in);
    if (strncmp(in->p, text, n) != 0)
        wrong(in, "unexpected text");
    else
        in->p += n;
}

static bool accept(struct in *in, const char *text)
{
    size_t n = strlen(text);
    skip_blanks(in);
    if (strncmp(in->p, text, n) != 0)
        return false;
    in->p += n;
    return true;
}

static uint64_t number(struct in *in, uint64_t max)
{
    char *end;
    skip_blanks(in);
    if (!isdigit((unsigned char)*in->p)) {
        wrong(in, "number expected");
        return 0;
    }
    uint64_t v = strtoull(in->p, &end, 0);
    in->p = end;
    if (v > max)
        wrong(in, "number out of range");
    return v;
}

static unsigned word_of(struct in *in, const char *const *table, size_t count)
{
    skip_blanks(in);
    size_t n = 0;
    while (isalnum((unsigned char)in->p[n]))
        n++;
    for (size_t i = 0; i < count; i++) {
        if (table[i] && strlen(table[i]) == n && strncmp(table[i], in->p, n) == 0) {
            in->p += n;
            return (unsigned)i;
        }
    }
    wrong(in, "unknown word");
    return 0;
}

static ir_val operand(struct in *in)
{
    if (accept(in, "-"))
        return IR_NONE;
    expect(in, "%");
    return (ir_val)number(in, IR_MAX_INSNS - 1);
}

static uint8_t size_log2(struct in *in)
{
    uint64_t bytes = number(in, 8);
    if (bytes == 0 || (bytes & (bytes - 1)) != 0)
        wrong(in, "size expected");
    return bytes ? (uint8_t)__builtin_ctzll(bytes) : 0;
}

static unsigned fence_set(struct in *in)
{
    unsigned set = 0;
    skip_blanks(in);
    if (accept(in, "0"))
        return 0;
    for (const char *at; *in->p && (at = strchr(fence_letters, *in->p)) != NULL; in->p++)
        set |= 1u << (at - fence_letters);
    if (!set)
        wrong(in, "fence set expected");
    return set;
}

static void read_field(struct in *in, struct ir_insn *i, char letter)
{
    switch (letter) {
    case 'a': i->a = operand(in); break;
    case 'b': i->b = operand(in); break;
    case 'c': i->c = operand(in); break;
    case 'd': i->d = operand(in); break;
    case 'T': i->type = (uint8_t)word_of(in, type_names, COUNT(type_names)); break;
    case 'C': i->aux = (uint8_t)word_of(in, cond_names, COUNT(cond_names)); break;
    case 'R': i->aux = (uint8_t)word_of(in, round_names, COUNT(round_names)); break;
    case 'S':
        i->aux = accept(in, "s") ? IR_SIGN : 0;
        if (!i->aux)
            expect(in, "u");
        i->aux |= size_log2(in);
        if (*in->p == 'a') {
            i->aux |= IR_ALIGNED;
            in->p++;
        }
        break;
    case 'Z': i->aux = size_log2(in); break;
    case 'N': i->aux = (uint8_t)number(in, UINT8_MAX); break;
    case 'O':
        if (*in->p == ' ')
            i->order = (uint8_t)word_of(in, order_names, COUNT(order_names));
        break;
    case 'M':
        if (in->p[0] == ' ' && in->p[1] != '%')
            i->imm = word_of(in, minmax_names, COUNT(minmax_names));
        break;
    case 'X':
    case 'U': i->imm = (int64_t)number(in, UINT64_MAX); break;
    case 'I':
        if (accept(in, "+"))
            i->imm = (int64_t)number(in, UINT64_MAX);
        else if (accept(in, "-"))
            i->imm = (int64_t)(0 - number(in, UINT64_MAX));
        break;
    case 'K': i->imm = word_of(in, amo_names, COUNT(amo_names)); break;
    case 'W': i->imm = word_of(in, int_names, COUNT(int_names)); break;
    case 'F':
        i->imm = fence_set(in) << 4;
        i->imm |= fence_set(in);
        break;
    case ' ': skip_blanks(in); break;
    default: {
        char text[2] = {letter, 0};
        expect(in, text);
        break;
    }
    }
}

/* The type of operations whose text doesn't say it. */
static uint8_t implied_type(enum ir_op op)
{
    switch (op) {
    case IR_CONST:
    case IR_AMO:
    case IR_CAS:
    case IR_FPGET:
    case IR_CALL: return IR_I64;
    default: return IR_VOID;
    }
}

static void read_insn(struct in *in, struct ir_block *b)
{
    struct ir_insn i = {.a = IR_NONE, .b = IR_NONE, .c = IR_NONE, .d = IR_NONE};
    bool result = accept(in, "%");
    uint32_t op = 0;
    size_t n = 0;

    if (result) {
        if (number(in, IR_MAX_INSNS) != b->count)
            wrong(in, "wrong value number");
        expect(in, "=");
    }
    skip_blanks(in);
    while (isalnum((unsigned char)in->p[n]))
        n++;
    while (op < IR_OP_COUNT &&
           (strlen(ir_op_info[op].text) != n || strncmp(ir_op_info[op].text, in->p, n) != 0))
        op++;
    if (op == IR_OP_COUNT) {
        wrong(in, "unknown operation");
        return;
    }
    if (result != (ir_op_info[op].result != 'V'))
        wrong(in, result ? "operation without a result" : "result expected");
    if (b->guest_count == 0)
        wrong(in, "instruction before the first @");
    if (b->count >= IR_MAX_INSNS) {
        wrong(in, "too many instructions");
        return;
    }
    in->p += n;
    i.op = (uint8_t)op;
    i.type = implied_type((enum ir_op)op);
    i.guest = (uint16_t)(b->guest_count - 1);
    if (ir_op_info[op].flags & IRF_FP)
        i.fp_model = b->fp_model;
    for (const char *p = shape_of((enum ir_op)op); *p; p++)
        read_field(in, &i, *p);
    b->insn[b->count++] = i;
}

static void read_guest(struct in *in, struct ir_block *b)
{
    if (b->guest_count == IR_MAX_GUEST) {
        wrong(in, "too many guest instructions");
        return;
    }
    if (number(in, IR_MAX_GUEST) != b->guest_count)
        wrong(in, "wrong guest instruction number");
    struct ir_guest_insn *g = &b->guest[b->guest_count++];
    g->pc_offset = (uint32_t)number(in, UINT32_MAX);
    g->len = (uint8_t)number(in, UINT8_MAX);
}

static void read_header(struct in *in, struct ir_block *b)
{
    expect(in, "block");
    ir_begin(b, number(in, UINT64_MAX), 0);
    b->limit = 0;
    expect(in, "bytes");
    b->code_bytes = (uint32_t)number(in, UINT32_MAX);
    expect(in, "flags");
    b->flags = (uint32_t)number(in, UINT32_MAX);
    expect(in, "round");
    if (accept(in, "off"))
        b->fp_round = IR_FP_OFF;
    else
        b->fp_round = (uint8_t)word_of(in, round_names, COUNT(round_names));
    expect(in, "fp");
    b->uses_fp = (uint8_t)number(in, UINT8_MAX);
    if (accept(in, "model"))
        b->fp_model = (uint8_t)number(in, UINT8_MAX);
    b->anywhere = accept(in, "anywhere");
}

enum gw_status ir_parse(struct ir_block *b, const char *text, struct gw_error *err)
{
    struct in in = {.p = text};
    unsigned line = 1;

    read_header(&in, b);
    while (!in.what) {
        skip_blanks(&in);
        if (*in.p != '\n') {
            if (*in.p)
                wrong(&in, "end of line expected");
            break;
        }
        line++;
        in.p++;
        skip_blanks(&in);
        if (*in.p == 0)
            break;
        if (*in.p == '\n')
            continue;
        if (accept(&in, "@"))
            read_guest(&in, b);
        else
            read_insn(&in, b);
    }
    if (in.what) {
        char object[32];
        snprintf(object, sizeof object, "line %u", line);
        return gw_fail(err, GW_ERR_FORMAT, object, "bad IR text: %s", in.what);
    }
    return GW_OK;
}
