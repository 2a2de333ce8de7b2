/*
 * Dead code, dead state writes, and extensions that nobody looks at, in one backward pass.
 *
 * Model: `over` remembers, per 8-byte granule of state, which bytes are written later with nothing
 * between that could observe them. It is direct-mapped by granule; a collision only forgets. Every
 * point where state must be exact (a fault, an exit, a call, the end) forgets all, by epoch.
 *
 * WHOLE tells the values of which somebody uses more than the low 32 bits. An extension of those 32 that is
 * none of them is its operand to all who use it: the builder cannot know, since state holds nearly all
 * values until PUTs are found dead.
 */
#include <string.h>

#include "godwit/vcpu.h"
#include "translator/ir/pass.h"

enum { GRANULES = 128 };

struct overwritten {
    uint16_t epoch[GRANULES];
    uint32_t granule[GRANULES];
    uint8_t bytes[GRANULES];
    uint16_t now; /* not more of them than instructions */
};

enum { OBSERVES = IRF_MEM | IRF_EXIT | IRF_END, KEPT = IRF_SIDE | OBSERVES | IRF_FP };

/* Bytes of state that a GET or PUT covers, as a mask within granule `offset >> 3`; 0 when it spans
 * two granules. */
static uint8_t byte_mask(const struct ir_insn *in)
{
    unsigned first = (unsigned)in->imm & 7, size = 1u << in->aux;
    return first + size <= 8 ? (uint8_t)(((1u << size) - 1) << first) : 0;
}

static bool in_run(const struct ir_insn *in)
{
    return in->imm + 8 > GW_VCPU_OFFSET &&
           in->imm < (int64_t)(GW_VCPU_OFFSET + sizeof(struct gw_vcpu));
}

/* Is the PUT dead? If not, it makes what is before it dead. */
static bool put_is_dead(struct overwritten *o, const struct ir_insn *in)
{
    uint8_t mask = byte_mask(in);
    uint32_t granule = (uint32_t)in->imm >> 3, slot = granule % GRANULES;

    if (mask == 0 || in_run(in))
        return false;
    bool known = o->epoch[slot] == o->now && o->granule[slot] == granule;
    if (known && (o->bytes[slot] & mask) == mask)
        return true;
    o->bytes[slot] = known ? o->bytes[slot] | mask : mask;
    o->granule[slot] = granule;
    o->epoch[slot] = o->now;
    return false;
}

static void observe(struct overwritten *o, const struct ir_insn *in)
{
    uint32_t first = (uint32_t)in->imm >> 3;
    uint32_t last = ((uint32_t)in->imm + (1u << in->aux) - 1) >> 3;

    o->epoch[first % GRANULES] = 0;
    o->epoch[last % GRANULES] = 0;
}

static void remove_insn(struct ir_insn *in)
{
    *in = (struct ir_insn){.op = IR_NOP,
                           .type = IR_VOID,
                           .a = IR_NONE,
                           .b = IR_NONE,
                           .c = IR_NONE,
                           .d = IR_NONE,
                           .guest = in->guest};
}

/* Uses of each value by what has been seen of the block; WHOLE is set if somebody uses more than the low 32
 * bits. Apart from the instructions, so that it is cleared at once and stays close. */
enum { WHOLE = 0x8000 };
_Static_assert(4 * IR_MAX_INSNS < WHOLE, "uses never reach it");
struct uses {
    uint16_t of[IR_MAX_INSNS];
};

/* Where the upper half of its operands makes no difference to an operation: each WHOLE, or 0. */
struct spares {
    struct {
        uint16_t always;
        uint16_t as_own; /* if that of its result makes none */
    } of[2];             /* by whether its type is W32 */
    bool extends;        /* its result's low 32 bits are its operand's */
};
#define SPARES_ALL                                                                                 \
    {                                                                                              \
        .of = { {.always = WHOLE}, {.always = WHOLE} }                                             \
    }
#define SPARES_EXTENDS                                                                             \
    {                                                                                              \
        .of = {{.always = WHOLE}, {.always = WHOLE}}, .extends = true                              \
    }
#define SPARES_BY_TYPE                                                                             \
    {                                                                                              \
        .of[1].always = WHOLE                                                                      \
    }
#define SPARES_AS_OWN                                                                              \
    {                                                                                              \
        .of = { {.as_own = WHOLE}, {.always = WHOLE} }                                             \
    }
static const struct spares spares[IR_OP_COUNT] = {
    [IR_ADD] = SPARES_AS_OWN,     [IR_SUB] = SPARES_AS_OWN,       [IR_MUL] = SPARES_AS_OWN,
    [IR_AND] = SPARES_AS_OWN,     [IR_OR] = SPARES_AS_OWN,        [IR_XOR] = SPARES_AS_OWN,
    [IR_ANDN] = SPARES_AS_OWN,    [IR_MULHU] = SPARES_BY_TYPE,    [IR_MULHS] = SPARES_BY_TYPE,
    [IR_MULHSU] = SPARES_BY_TYPE, [IR_CLMUL] = SPARES_BY_TYPE,    [IR_CLMULH] = SPARES_BY_TYPE,
    [IR_DIVU] = SPARES_BY_TYPE,   [IR_DIVS] = SPARES_BY_TYPE,     [IR_REMU] = SPARES_BY_TYPE,
    [IR_REMS] = SPARES_BY_TYPE,   [IR_SHL] = SPARES_BY_TYPE,      [IR_SHR] = SPARES_BY_TYPE,
    [IR_SAR] = SPARES_BY_TYPE,    [IR_ROTL] = SPARES_BY_TYPE,     [IR_ROTR] = SPARES_BY_TYPE,
    [IR_SEXT8] = SPARES_ALL,      [IR_SEXT16] = SPARES_ALL,       [IR_SEXT32] = SPARES_EXTENDS,
    [IR_ZEXT8] = SPARES_ALL,      [IR_ZEXT16] = SPARES_ALL,       [IR_ZEXT32] = SPARES_EXTENDS,
    [IR_CLZ] = SPARES_BY_TYPE,    [IR_CTZ] = SPARES_BY_TYPE,      [IR_POPCNT] = SPARES_BY_TYPE,
    [IR_BSWAP] = SPARES_BY_TYPE,  [IR_BYTEMASK] = SPARES_BY_TYPE, [IR_SETCC] = SPARES_BY_TYPE,
    [IR_BRCC] = SPARES_BY_TYPE,
};

static inline void use(struct uses *u, ir_val v, unsigned how)
{
    if (v != IR_NONE)
        u->of[v] = (uint16_t)((u->of[v] | how) + 1);
}

static inline void replace(const struct ir_block *b, ir_val *operand)
{
    if (*operand != IR_NONE && b->insn[*operand].op == IR_NOP)
        *operand = b->insn[*operand].a;
}

/* Extensions that are to go are NOPs already, the first of them at `first`. All who use one use its operand
 * from now on; operands of those before it have been replaced. */
static void spare_extensions(struct ir_block *b, uint32_t first)
{
    for (uint32_t i = first; i < b->count; i++) {
        struct ir_insn *in = &b->insn[i];
        replace(b, &in->a);
        replace(b, &in->b);
        replace(b, &in->c);
        replace(b, &in->d);
        if (in->op == IR_NOP && in->a != IR_NONE)
            b->insn[in->a].uses = (uint16_t)(b->insn[in->a].uses + in->uses - 1);
    }
    for (uint32_t i = first; i < b->count; i++)
        if (b->insn[i].op == IR_NOP)
            remove_insn(&b->insn[i]);
}

void ir_liveness(struct ir_block *b)
{
    struct overwritten over;
    struct uses u;
    uint32_t first = b->count;

    memset(over.epoch, 0, sizeof over.epoch);
    over.now = 1;
    memset(u.of, 0, b->count * sizeof u.of[0]);
    for (uint32_t i = b->count; i-- > 0;) {
        struct ir_insn *in = &b->insn[i];
        const struct ir_op_info *info = &ir_op_info[in->op];
        unsigned whole = u.of[i] & WHOLE;

        in->uses = (uint16_t)(u.of[i] ^ whole);
        if (in->uses == 0 && !(info->flags & KEPT)) {
            remove_insn(in);
            continue;
        }
        if (in->op == IR_GET) {
            observe(&over, in);
            continue;
        }
        if (in->op == IR_PUT && put_is_dead(&over, in)) {
            remove_insn(in);
            continue;
        }
        if (info->flags & OBSERVES)
            over.now++;
        if (info->args == 0)
            continue;
        /* No branches for what it uses of its operands: they would be mispredicted. */
        const struct spares *s = &spares[in->op];
        bool w32 = in->type == IR_W32;
        unsigned how = WHOLE & ~(s->of[w32].always | (s->of[w32].as_own & ~whole));
        use(&u, in->a, how);
        use(&u, in->b, how);
        if (info->args > 2) {
            use(&u, in->c, how);
            use(&u, in->d, how);
        }
        if (s->extends && !whole) {
            in->op = IR_NOP;
            first = i;
        }
    }
    if (first < b->count)
        spare_extensions(b, first);
}

uint32_t ir_live_count(const struct ir_block *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++)
        n += b->insn[i].op != IR_NOP;
    return n;
}
