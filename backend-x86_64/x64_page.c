#include "backend-x86_64/x64_page.h"

#include "backend-x86_64/x64.h"

void x64_page_index(struct x64_buf *e, int t, int ta)
{
    if (e->features & X64_F_BMI1) {
        x64_vrr(e, X_W | OP_BEXTR, t, R_INDEX, ta);
        return;
    }
    x64_mov(e, t, ta);
    x64_shift_ri(e, X_W, EXT_SHL, t, 64 - 48);
    x64_shift_ri(e, X_W, EXT_SHR, t, 64 - 48 + GW_PAGE_SHIFT);
}

void x64_test_align(struct x64_buf *e, int ta, unsigned size)
{
    x64_rr(e, OP_GROUP3_B, EXT_TEST_I, ta);
    x64_u8(e, size - 1);
}

/* t = the map's entry that t is the index of. */
static void load_entry(struct x64_buf *e, int t, bool write)
{
    x64_load(e, t, x64_sib(write ? R_WRITE : R_READ, t, 3, 0));
}

static void lookup_tlb(struct x64 *x, struct cold_path *c, const struct x64_lookup *l)
{
    struct x64_buf *e = &x->e;
    int t = c->access.scratch;
    x64_rr(e, X_W | OP_MOV, t, l->ta);
    x64_shift_ri(e, X_W, EXT_SHR, t, GW_PAGE_SHIFT - 4);
    x64_alu_ri(e, 0, EXT_AND, t, ((1 << GW_TLB_BITS) - 1) << 4);
    x64_rr(e, X_W | OP_ADD, t, l->write ? R_WRITE : R_READ);
    x64_load(e, R_INDEX, x64_at(t, offsetof(struct gw_tlb_entry, tag)));
    x64_rr(e, X_W | OP_XOR, R_INDEX, l->ta);
    x64_rr(e, X_W | OP_GROUP3, EXT_TEST_I, R_INDEX);
    x64_u32(e, (uint32_t)(~GW_PAGE_MASK | (l->size - 1)));
    c->from[FROM_NOT_INLINE] = x64_jcc(e, CC_NE);
    x64_load(e, t, x64_at(t, offsetof(struct gw_tlb_entry, addend)));
}
_Static_assert(sizeof(struct gw_tlb_entry) == 1 << 4, "as lookup_tlb scales it");

void x64_lookup(struct x64 *x, struct cold_path *c, const struct x64_lookup *l)
{
    struct x64_buf *e = &x->e;
    int t = c->access.scratch;
    if (x->mem == GW_MEM_TLB) {
        lookup_tlb(x, c, l);
        return;
    }
    if (l->size > 1) {
        x64_test_align(e, l->ta, l->size);
        c->from[l->aligned_only ? FROM_FAULT : FROM_MISALIGNED] = x64_jcc(e, CC_NE);
    }
    x64_page_index(e, t, l->ta);
    load_entry(e, t, l->write);
    x64_rr(e, X_W | OP_TEST, t, t);
    c->from[FROM_NOT_INLINE] = x64_jcc(e, CC_E);
    c->access.at = x64_pos(e);
}

/* The page of all of a site, if they are on one; the access is the site's first. */
static void look_up_site(struct x64 *x, struct cold_path *c, const struct site *s, int ta)
{
    struct x64_buf *e = &x->e;
    int t = c->access.scratch;
    int64_t low = sites_low(&x->sites, s, &x->b->insn[x->p.i]);
    x64_lea(e, 0, t, ta, low);
    x64_alu_ri(e, 0, EXT_AND, t, (int32_t)GW_PAGE_MASK);
    x64_alu_ri(e, 0, EXT_CMP, t, (int32_t)(GW_PAGE_SIZE - (s->hi - s->lo)));
    c->from[FROM_MISALIGNED] = x64_jcc(e, CC_A);
    if (low)
        x64_lea(e, X_W, t, ta, low);
    x64_page_index(e, t, low ? t : ta);
    load_entry(e, t, s->write);
}

void x64_site_lookup(struct x64 *x, struct cold_path *c, struct site *s, int ta)
{
    struct x64_buf *e = &x->e;
    int t = c->access.scratch;
    struct x64_mem slot = x64_state(sites_slot(&x->sites, s));
    c->access.first = s->done++ == 0;
    if (c->access.first)
        look_up_site(x, c, s, ta);
    else
        x64_load(e, t, slot);
    x64_rr(e, X_W | OP_TEST, t, t);
    c->from[FROM_NOT_INLINE] = x64_jcc(e, CC_E);
    if (c->access.first)
        x64_store(e, t, slot);
    c->access.at = x64_pos(e);
}

void x64_look_again(struct x64 *x, const struct cold_path *c, bool write, int64_t disp)
{
    struct x64_buf *e = &x->e;
    int t = c->access.scratch;
    x64_lea(e, X_W, t, c->access.address, disp);
    x64_call_to(e, x64_thunk(x, T_LOOKUP + (unsigned)t + write * 3u));
    x64_link(e, x64_jcc(e, CC_NE), c->access.at);
}

void x64_empty_site(struct x64 *x, const struct site *s)
{
    x64_mov_mi(&x->e, X_W, x64_state(sites_slot(&x->sites, s)), 0);
}
