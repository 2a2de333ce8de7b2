/*
 * Sites: accesses off one base share one lookup of their page.
 *
 * Addresses are taken apart into a root value and a displacement. Accesses of a block that have a
 * root in common and lie close together form a site. Its first access looks up the page of them all,
 * once it is sure that they are on one page, and leaves the addend in a slot; the others take it from
 * there, without any look at their address. A slot of 0 means that each access is on its own.
 *
 * A slot lives within one pass through the block. What may change page maps ends all sites (calls,
 * atomics), or empties the slots (what accesses memory for a block in C).
 */
#include "backend-x86_64/x64.h"

enum { SPAN_MAX = 512, DISP_MAX = 1 << 24, OPEN_MAX = 4 };

/* Pages that may be written may be read as well (a page map's promise), so one store makes the whole
 * site look at the map for writes. */
static void join(struct x64_site *s, const struct ir_insn *in, int64_t lo, int64_t hi)
{
    s->lo = lo;
    s->hi = hi;
    s->count++;
    s->write |= in->op == IR_ST;
}

static bool fits(struct x64_site *s, const struct ir_insn *in, int64_t disp)
{
    int64_t end = disp + (1 << (in->aux & IR_SIZE_MASK));
    int64_t lo = disp < s->lo ? disp : s->lo, hi = end > s->hi ? end : s->hi;
    if (hi - lo > SPAN_MAX)
        return false;
    join(s, in, lo, hi);
    return true;
}

void x64_find_sites(struct x64 *x)
{
    const struct ir_block *b = x->b;
    unsigned open = 0; /* sites before this one take no more */
    x->site_count = 1; /* 0: on its own */
    if (x->mem != GW_MEM_FLAT)
        return;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct ir_insn *in = &b->insn[i];
        x->root[i] = (ir_val)i;
        x->disp[i] = 0;
        x->site_of[i] = 0;
        if (in->op == IR_CALL || in->op == IR_AMO || in->op == IR_CAS) {
            open = x->site_count;
        } else if (in->op == IR_ADD && in->type == IR_I64) {
            int64_t k;
            if (x64_is_const(x, in->b, &k) && k > -DISP_MAX && k < DISP_MAX &&
                x->disp[in->a] > -DISP_MAX && x->disp[in->a] < DISP_MAX) {
                x->root[i] = x->root[in->a];
                x->disp[i] = x->disp[in->a] + (int32_t)k;
            }
        } else if ((in->op == IR_LD && !(in->aux & IR_ALIGNED)) || in->op == IR_ST) {
            if (in->imm <= -DISP_MAX || in->imm >= DISP_MAX)
                continue;
            ir_val root = x->root[in->a];
            int64_t disp = x->disp[in->a] + in->imm;
            unsigned s = x->site_count, last = s > OPEN_MAX ? s - OPEN_MAX : 0;
            last = last < open ? open : last;
            while (--s >= last && s)
                if (x->site[s].root == root && fits(&x->site[s], in, disp))
                    break;
            if (s < last || !s) {
                if (x->site_count == X64_SITES)
                    continue;
                s = x->site_count++;
                x->site[s] = (struct x64_site){.root = root};
                join(&x->site[s], in, disp, disp + (1 << (in->aux & IR_SIZE_MASK)));
            }
            x->site_of[i] = (uint8_t)s;
        }
    }
}

void x64_page_index(struct x64_buf *e, uint32_t features, int t, int ta)
{
    if (features & X64_F_BMI1) {
        x64_vrr(e, X_MAP_38 | X_W | 0xf7, t, R13, ta);
        return;
    }
    if (t != ta)
        x64_rr(e, X_W | 0x8b, t, ta);
    x64_shift_ri(e, X_W, 4, t, 16);
    x64_shift_ri(e, X_W, 5, t, 28);
}
