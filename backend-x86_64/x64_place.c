#include "backend-x86_64/x64_place.h"

static bool is_vector(int reg)
{
    return reg_class_of(reg) == REG_VEC;
}

static void move(void *code, int to, int from)
{
    struct x64_buf *e = &((struct x64 *)code)->e;
    if (is_vector(to))
        x64_movf(e, to, from);
    else
        x64_mov(e, to, from);
}

static void load(void *code, int to, uint32_t offset, unsigned size)
{
    static const unsigned op[] = {OP_MOVZX_B, OP_MOVZX_W, OP_MOV, X_W | OP_MOV};
    struct x64_buf *e = &((struct x64 *)code)->e;
    struct x64_mem m = x64_state(offset);
    if (!is_vector(to))
        x64_rm(e, op[size], to, m, 0);
    else if (size == 3)
        x64_loadq(e, to, m);
    else
        x64_rm(e, X_SS | OP_MOVS, to, m, 0);
}

static void store(void *code, int from, uint32_t offset, unsigned size)
{
    static const unsigned op[] = {OP_MOV_MR_B, X_66 | OP_MOV_MR, OP_MOV_MR, X_W | OP_MOV_MR};
    struct x64_buf *e = &((struct x64 *)code)->e;
    struct x64_mem m = x64_state(offset);
    if (!is_vector(from))
        x64_rm(e, op[size], from, m, 0);
    else if (size == 3)
        x64_storeq(e, from, m);
    else
        x64_rm(e, X_SS | OP_MOVS_MR, from, m, 0);
}

static void constant(void *code, int to, uint64_t value, bool keep_flags)
{
    struct x64_buf *e = &((struct x64 *)code)->e;
    if (!value && !keep_flags)
        x64_zero(e, to);
    else
        x64_mov_ri(e, to, value);
}

static bool store_constant(void *code, uint32_t offset, unsigned size, uint64_t value)
{
    struct x64_buf *e = &((struct x64 *)code)->e;
    if (size != 2 && !(size == 3 && x64_fits32((int64_t)value)))
        return false;
    x64_mov_mi(e, size == 3 ? X_W : 0, x64_state(offset), (int32_t)value);
    return true;
}

const struct place_target x64_place_target = {
    .move = move,
    .load = load,
    .store = store,
    .constant = constant,
    .store_constant = store_constant,
    .constant_min = INT32_MIN,
    .constant_max = INT32_MAX,
    .memory_operands = true,
};

/* --- NaNs that wait ------------------------------------------------------------------------------ */

void x64_test_nans(void *code, const struct nans_test *t)
{
    struct x64 *x = code;
    struct cold_path *c = x64_cold(x, COLD_NANS);
    for (unsigned k = 0; k < t->pairs; k++) {
        x64_ucomis(&x->e, t->single, t->pair[k].a, t->pair[k].b);
        c->from[k] = x64_jcc(&x->e, CC_P);
    }
    c->nans.pending = t->pending;
    c->nans.singles = t->singles;
    c->back = x64_pos(&x->e);
}

void x64_cold_nans(struct x64 *x, const struct cold_path *c)
{
    struct x64_buf *e = &x->e;
    x64_cold_here(x, c);
    for (reg_set m = c->nans.pending; m; m &= m - 1) {
        int r = reg_first(m);
        bool single = c->nans.singles & reg_bit(r);
        x64_rr(e, (single ? 0u : X_66) | OP_UCOMIS, r, r);
        uint32_t number = x64_jcc(e, CC_NP);
        x64_loadq_sse(e, r, x64_k(x, single ? K_NAN32 : K_NAN64));
        x64_link(e, number, x64_pos(e));
    }
    x64_cold_back(x, c);
}
_Static_assert((int)COLD_BRANCHES >= (int)NANS_PAIRS, "a branch for each pair");
