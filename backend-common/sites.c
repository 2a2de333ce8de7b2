#include "backend-common/sites.h"

/* A site spans so many bytes; displacements beyond are not followed; so many sites take more accesses. */
enum { SPAN_MAX = 512, DISP_MAX = 1 << 24, OPEN_MAX = 4 };

/* Pages that may be written may be read as well (a page map's promise), so one store makes the whole
 * site look at the map for writes. */
static void join(struct site *s, const struct ir_insn *in, int64_t lo, int64_t hi)
{
    s->lo = lo;
    s->hi = hi;
    s->count++;
    s->write |= in->op == IR_ST;
}

static bool fits(struct site *s, const struct ir_insn *in, int64_t disp)
{
    int64_t end = disp + (1 << (in->aux & IR_SIZE_MASK));
    int64_t lo = disp < s->lo ? disp : s->lo, hi = end > s->hi ? end : s->hi;
    if (hi - lo > SPAN_MAX)
        return false;
    join(s, in, lo, hi);
    return true;
}

/* The site that the access joins, an old one from `open` on or a new one; 0: there is no room. */
static unsigned join_any(struct sites *s, const struct ir_insn *in, unsigned open)
{
    ir_val root = s->root[in->a];
    int64_t disp = s->disp[in->a] + in->imm;
    unsigned k = s->count, last = k > OPEN_MAX ? k - OPEN_MAX : 0;
    last = last < open ? open : last;
    while (--k >= last && k)
        if (s->site[k].root == root && fits(&s->site[k], in, disp))
            return k;
    if (s->count == GW_SITES)
        return 0;
    k = s->count++;
    s->site[k] = (struct site){.root = root};
    join(&s->site[k], in, disp, disp + (1 << (in->aux & IR_SIZE_MASK)));
    return k;
}

static bool is_near(int64_t disp)
{
    return disp > -DISP_MAX && disp < DISP_MAX;
}

void sites_find(struct sites *s, const struct ir_block *b, bool on)
{
    unsigned open = 0; /* sites before this one take no more */
    s->on = on;
    s->count = 1;
    if (!on)
        return;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct ir_insn *in = &b->insn[i];
        s->root[i] = (ir_val)i;
        s->disp[i] = 0;
        s->of[i] = 0;
        if (in->op == IR_CALL || in->op == IR_AMO || in->op == IR_CAS) {
            open = s->count;
        } else if (in->op == IR_ADD && in->type == IR_I64) {
            const struct ir_insn *k = &b->insn[in->b];
            if (k->op == IR_CONST && is_near(k->imm) && is_near(s->disp[in->a])) {
                s->root[i] = s->root[in->a];
                s->disp[i] = s->disp[in->a] + (int32_t)k->imm;
            }
        } else if ((in->op == IR_LD && !(in->aux & IR_ALIGNED)) || in->op == IR_ST) {
            if (is_near(in->imm))
                s->of[i] = (uint8_t)join_any(s, in, open);
        }
    }
}
