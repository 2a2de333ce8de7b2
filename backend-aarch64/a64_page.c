#include "backend-aarch64/a64_page.h"

#define ABOVE_47 (UINT64_C(0xffff) << 48)
_Static_assert(GW_USER_BITS == 47, "with a window's base less than it, sums have no more than 48");

/* What is less than this, added to an address, leads not far from it: of blocks with IR_MAX_INSNS additions,
 * 2^35 away at most. */
enum { FAR = 1 << 24 };

static uint64_t less_than_far(uint64_t most)
{
    return most < FAR ? most : UINT64_MAX;
}

/* The most that the value can be, as an unsigned number, or UINT64_MAX. most: of those before it. */
static uint64_t most_of(const struct ir_block *b, const struct ir_insn *in, const uint32_t *most)
{
    const struct ir_insn *k = ir_op_info[in->op].args == 2 ? &b->insn[in->b] : in;
    switch (in->op) {
    case IR_CONST: return less_than_far((uint64_t)in->imm);
    case IR_AND: return k->op == IR_CONST ? less_than_far((uint64_t)k->imm) : UINT64_MAX;
    case IR_SHL:
        return k->op == IR_CONST ? less_than_far((uint64_t)most[in->a] << (k->imm & 31))
                                 : UINT64_MAX;
    case IR_ADD: return less_than_far((uint64_t)most[in->a] + most[in->b]);
    case IR_ZEXT8: return UINT8_MAX;
    case IR_ZEXT16: return UINT16_MAX;
    case IR_LD:
        if (in->type != IR_I64 || in->aux & IR_SIGN || (in->aux & IR_SIZE_MASK) > 1)
            return UINT64_MAX;
        return in->aux & IR_SIZE_MASK ? UINT16_MAX : UINT8_MAX;
    default: return UINT64_MAX;
    }
}

/* Each value's own number, or that of another which it is a displacement or a small index away from. */
static void find_near(struct a64 *x)
{
    uint32_t most[IR_MAX_INSNS]; /* UINT32_MAX: FAR or more */
    for (uint32_t i = 0; i < x->b->count; i++) {
        const struct ir_insn *in = &x->b->insn[i];
        most[i] = (uint32_t)most_of(x->b, in, most);
        x->near[i] = (ir_val)i;
        if (x->sites.root[i] != i)
            x->near[i] = x->near[in->a];
        else if (in->op == IR_ADD && in->type == IR_I64 && most[in->b] < FAR)
            x->near[i] = x->near[in->a];
        else if (in->op == IR_ADD && in->type == IR_I64 && most[in->a] < FAR)
            x->near[i] = x->near[in->b];
    }
}

void a64_begin_pages(struct a64 *x)
{
    sites_find(&x->sites, x->b, x->mem != GW_MEM_TLB);
    if (x->mem == GW_MEM_USER)
        find_near(x);
    x->inside_count = 0;
    x->based = IR_NONE;
}

static uint64_t low_bits(unsigned size)
{
    return (UINT64_C(1) << size) - 1;
}

/* --- USER ---------------------------------------------------------------------------------------- */

static void test_inside(struct a64 *x, struct cold_path *c, int ta)
{
    a64_bits(&x->e, A64_UBFM, X16, ta, GW_USER_BITS, 63);
    c->from[FROM_NOWHERE] = a64_cb(&x->e, A64_CBNZ, X16);
}

/* Was one near it looked at in this block? It is from now on. */
static bool known_inside(struct a64 *x, ir_val near)
{
    enum { KEPT = sizeof x->inside / sizeof x->inside[0] };
    for (unsigned k = 0; k < KEPT && k < x->inside_count; k++)
        if (x->inside[k] == near)
            return true;
    x->inside[x->inside_count++ % KEPT] = near;
    return false;
}

void a64_base_on(struct a64 *x, const struct ir_insn *in, int r)
{
    a64_rrr(&x->e, A64_ADD, X30, R_READ, r);
    x->based = x->sites.root[in->a];
    x->based_disp = x->sites.disp[in->a];
}

struct a64_place a64_user_place(struct a64 *x, struct cold_path *c, const struct ir_insn *in,
                                int ra, uint32_t op)
{
    const ir_val root = x->sites.root[in->a];
    if (!known_inside(x, x->near[in->a]))
        test_inside(x, c, ra);
    if (in->imm == 0)
        return (struct a64_place){R_READ, ra, 0};
    const int64_t disp = in->imm + x->sites.disp[in->a];
    if (x->based == root && a64_reaches(op, disp - x->based_disp))
        return (struct a64_place){X30, -1, disp - x->based_disp};
    if (a64_reaches(op, in->imm)) {
        a64_base_on(x, in, ra);
        c->access.first = true;
        return (struct a64_place){X30, -1, in->imm};
    }
    a64_add_constant(&x->e, X16, ra, in->imm);
    return (struct a64_place){R_READ, X16, 0};
}

/* --- FLAT ---------------------------------------------------------------------------------------- */

/* x17 = the addend of address a; a branch where it is empty. */
static uint32_t load_entry(struct a64_buf *e, int a, bool write)
{
    a64_bits(e, A64_UBFM, X17, a, GW_PAGE_SHIFT, 47);
    a64_mem_index(e, A64_LDR, X17, write ? R_WRITE : R_READ, X17, A64_LSL_X, true);
    return a64_cb(e, A64_CBZ, X17);
}

/* The host address in x17. An addend is of whole pages, so it is as aligned as the guest's. */
static void lookup_flat(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write)
{
    struct a64_buf *e = &x->e;
    c->from[FROM_NOT_INLINE] = load_entry(e, ta, write);
    a64_rrr(e, A64_ADD, X17, X17, ta);
    a64_logical(e, A64_ANDSI, A64_ZR, X17, ABOVE_47 | low_bits(size));
    c->from[FROM_MISALIGNED] = a64_bcond(e, A64_NE);
}

/* Branches if more than `room` bytes of the page lie ahead of address a. */
static uint32_t near_end(struct a64_buf *e, int a, uint64_t room)
{
    a64_logical(e, A64_ANDI, X17, a, GW_PAGE_MASK);
    a64_imm12(e, A64_SUBSI, A64_ZR, X17, room);
    return a64_bcond(e, A64_HI);
}

/* The slot holds the host address of the site's lowest byte, which is in x16 then. */
static void look_up_site(struct a64 *x, struct cold_path *c, const struct site *s, int ra)
{
    struct a64_buf *e = &x->e;
    const int64_t low = sites_low(&x->sites, s, &x->b->insn[x->p.i]);
    int a = ra;
    if (low) {
        a = X16;
        a64_add_constant(e, X16, ra, low);
    }
    c->from[FROM_MISALIGNED] = near_end(e, a, GW_PAGE_SIZE - (uint64_t)(s->hi - s->lo));
    c->from[FROM_NOT_INLINE] = load_entry(e, a, s->write);
    a64_rrr(e, A64_ADD, X16, X17, a);
    a64_bits(e, A64_UBFM, X17, X16, 48, 63);
    c->from[FROM_NOWHERE] = a64_cb(e, A64_CBNZ, X17);
    a64_store(e, X16, sites_slot(&x->sites, s));
}

struct a64_place a64_flat_place(struct a64 *x, struct cold_path *c, const struct ir_insn *in,
                                int ra, uint32_t op)
{
    struct a64_buf *e = &x->e;
    struct site *s = sites_at(&x->sites, x->p.i);
    int a = ra;
    if (s) {
        const int64_t disp = in->imm + x->sites.disp[in->a] - s->lo;
        c->access.first = s->done++ == 0;
        if (c->access.first) {
            look_up_site(x, c, s, ra);
        } else {
            a64_load(e, X16, sites_slot(&x->sites, s));
            c->from[FROM_NOT_INLINE] = a64_cb(e, A64_CBZ, X16);
        }
        if (a64_reaches(op, disp))
            return (struct a64_place){X16, -1, disp};
        a64_add_constant(e, X16, X16, disp);
        return (struct a64_place){X16, -1, 0};
    }
    if (in->imm) {
        a = X16;
        a64_add_constant(e, X16, ra, in->imm);
    }
    lookup_flat(x, c, a, in->aux & IR_SIZE_MASK, in->op == IR_ST);
    return (struct a64_place){X17, -1, 0};
}

void a64_emit_lookup(struct a64_buf *e, unsigned size, bool write)
{
    uint32_t crosses = size ? near_end(e, X16, GW_PAGE_SIZE - (UINT64_C(1) << size)) : 0;
    uint32_t none = load_entry(e, X16, write);
    a64_rrr(e, A64_ADD, X17, X17, X16);
    a64_logical(e, A64_ANDSI, A64_ZR, X17, ABOVE_47);
    a64_cond(e, A64_CSEL, X17, X17, A64_ZR, A64_EQ);
    a64_link(e, none, a64_pos(e));
    a64_r(e, A64_RET, X30);
    if (!size)
        return;
    a64_link(e, crosses, a64_pos(e));
    a64_move(e, X17, A64_ZR);
    a64_r(e, A64_RET, X30);
}

/* --- TLB ----------------------------------------------------------------------------------------- */

static void lookup_tlb(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write)
{
    struct a64_buf *e = &x->e;
    a64_bits(e, A64_UBFM, X16, ta, GW_PAGE_SHIFT, GW_PAGE_SHIFT + GW_TLB_BITS - 1);
    a64_shifted(e, A64_ADD, X16, write ? R_WRITE : R_READ, X16, A64_LSL_BY, 4);
    a64_pair(e, A64_LDP, X16, X17, X16, 0);
    a64_rrr(e, A64_EOR, X16, X16, ta);
    a64_logical(e, A64_ANDSI, A64_ZR, X16, ~(uint64_t)GW_PAGE_MASK | low_bits(size));
    c->from[FROM_NOT_INLINE] = a64_bcond(e, A64_NE);
}
_Static_assert(sizeof(struct gw_tlb_entry) == 1 << 4, "as lookup_tlb scales it");

/* --- any of them --------------------------------------------------------------------------------- */

struct a64_place a64_lookup(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                            bool aligned)
{
    switch (x->mem) {
    case GW_MEM_FLAT: lookup_flat(x, c, ta, size, write); return (struct a64_place){X17, -1, 0};
    case GW_MEM_TLB: lookup_tlb(x, c, ta, size, write); return (struct a64_place){X17, ta, 0};
    default: break;
    }
    if (size && aligned) {
        a64_logical(&x->e, A64_ANDSI, A64_ZR, ta, low_bits(size));
        c->from[FROM_MISALIGNED] = a64_bcond(&x->e, A64_NE);
    }
    test_inside(x, c, ta);
    return (struct a64_place){R_READ, ta, 0};
}

void a64_lookup_x16(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                    bool aligned)
{
    struct a64_place at = a64_lookup(x, c, ta, size, write, aligned);
    if (at.index < 0)
        a64_move(&x->e, X16, at.base);
    else
        a64_rrr(&x->e, A64_ADD, X16, at.base, at.index);
}
