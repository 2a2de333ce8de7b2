/*
 * Dead code and dead state writes, in one backward pass.
 *
 * Model: `over` remembers, per 8-byte granule of state, which bytes are written later with nothing
 * between that could observe them. It is direct-mapped by granule; a collision only forgets. Every
 * point where state must be exact (a fault, an exit, a call, the end) forgets all, by epoch.
 */
#include <string.h>

#include "godwit/vcpu.h"
#include "translator/ir/pass.h"

enum { GRANULES = 256 };

struct overwritten {
    uint32_t epoch[GRANULES];
    uint32_t granule[GRANULES];
    uint8_t bytes[GRANULES];
    uint32_t now;
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

static void count_use(struct ir_block *b, ir_val v)
{
    if (v != IR_NONE && b->insn[v].uses < UINT16_MAX)
        b->insn[v].uses++;
}

void ir_liveness(struct ir_block *b)
{
    struct overwritten over;

    memset(over.epoch, 0, sizeof over.epoch);
    over.now = 1;
    for (uint32_t i = 0; i < b->count; i++)
        b->insn[i].uses = 0;
    for (uint32_t i = b->count; i-- > 0;) {
        struct ir_insn *in = &b->insn[i];
        uint8_t flags = ir_op_info[in->op].flags;

        if (in->op == IR_NOP)
            continue;
        if (in->uses == 0 && !(flags & KEPT)) {
            remove_insn(in);
            continue;
        }
        if (in->op == IR_PUT && put_is_dead(&over, in)) {
            remove_insn(in);
            continue;
        }
        if (in->op == IR_GET)
            observe(&over, in);
        if (flags & OBSERVES)
            over.now++;
        count_use(b, in->a);
        count_use(b, in->b);
        count_use(b, in->c);
        count_use(b, in->d);
    }
}

uint32_t ir_live_count(const struct ir_block *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++)
        n += b->insn[i].op != IR_NOP;
    return n;
}
