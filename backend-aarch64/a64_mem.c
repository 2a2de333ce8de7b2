#include "backend-aarch64/a64_mem.h"

#include "backend-aarch64/a64_page.h"

static bool is_float(const struct ir_insn *in)
{
    return in->type == IR_F32 || in->type == IR_F64;
}

/* By the rules of its mode, which may take the displacement along; others want the whole address. */
static bool takes_displacement(const struct a64 *x, const struct ir_insn *in)
{
    return x->mem != GW_MEM_TLB && !(in->aux & IR_ALIGNED);
}

/* The address in a register that the cold path can read: a, or a + disp in a temporary. */
static int address(struct a64 *x, const struct ir_insn *in)
{
    int ra = a64_use(x, in->a), t = ra;
    if (in->imm == 0 || takes_displacement(x, in))
        return ra;
    if (!place_last_use(&x->p, in->a)) {
        t = place_temp(&x->p, REG_INT);
        place_release(&x->p, ra);
        x->p.lock |= reg_bit(t);
    }
    a64_add_constant(&x->e, t, ra, in->imm);
    return t;
}

static uint32_t opcode(const struct ir_insn *in)
{
    static const uint32_t load[8] = {A64_LDRB,  A64_LDRH,  A64_LDRW,  A64_LDR,
                                     A64_LDRSB, A64_LDRSH, A64_LDRSW, A64_LDR},
                          store[4] = {A64_STRB, A64_STRH, A64_STRW, A64_STR};
    if (in->op == IR_LD) {
        if (is_float(in))
            return in->type == IR_F64 ? A64_LDRD : A64_LDRS;
        return load[in->aux & (IR_SIZE_MASK | IR_SIGN)];
    }
    if (is_float(in))
        return in->type == IR_F64 ? A64_STRD : A64_STRS;
    return store[in->aux & IR_SIZE_MASK];
}

static struct a64_place find(struct a64 *x, struct cold_path *c, const struct ir_insn *in, int ta)
{
    if (!takes_displacement(x, in))
        return a64_lookup(x, c, ta, in->aux & IR_SIZE_MASK, in->op == IR_ST, in->aux & IR_ALIGNED);
    return x->mem == GW_MEM_USER ? a64_user_place(x, c, in, ta, opcode(in))
                                 : a64_flat_place(x, c, in, ta, opcode(in));
}

/* r: the register that is loaded or stored. */
static void access_insn(struct a64 *x, const struct ir_insn *in, int r, struct a64_place at)
{
    if (at.index < 0)
        a64_mem(&x->e, opcode(in), r, at.base, at.disp);
    else
        a64_mem_index(&x->e, opcode(in), r, at.base, at.index, A64_LSL_X, false);
}

/* --- loads --------------------------------------------------------------------------------------- */

/* The result is written by the access alone, so it may be the address; and it is chosen ahead of the first
 * branch to the cold path, as making room may take moves. */
static void lower_load(struct a64 *x, const struct ir_insn *in)
{
    struct cold_path *c = a64_cold(x, COLD_ACCESS);
    int ta = address(x, in);
    a64_done(x, in->a);
    place_offer(&x->p, ta);
    int d = place_def(&x->p, is_float(in) ? REG_VEC : REG_INT, 0);
    c->access = (struct cold_access){
        .address = (int8_t)ta, .dest = (int8_t)d, .thunk = (uint16_t)(T_LOAD + slow_load(in))};
    if (in->order & IR_ORDER_RELEASE)
        a64_word(&x->e, A64_DMB_ISH);
    struct a64_place at = find(x, c, in, ta);
    c->access.row = a64_row(x, GW_ROW_ACCESS);
    access_insn(x, in, d, at);
    c->back = a64_pos(&x->e);
    if (in->order & IR_ORDER_ACQUIRE)
        a64_word(&x->e, A64_DMB_ISHLD);
}

/* --- stores -------------------------------------------------------------------------------------- */

static void lower_store(struct a64 *x, const struct ir_insn *in)
{
    const unsigned size = in->aux & IR_SIZE_MASK;
    struct cold_path *c = a64_cold(x, COLD_ACCESS);
    int ta = address(x, in);
    int v = is_float(in) ? a64_use(x, in->b) : a64_use_or_zero(x, in->b);
    c->access = (struct cold_access){
        .address = (int8_t)ta, .thunk = (uint16_t)(T_STORE + size), .value = place_register(v)};
    if (in->order & IR_ORDER_RELEASE)
        a64_word(&x->e, A64_DMB_ISH);
    struct a64_place at = find(x, c, in, ta);
    c->access.row = a64_row(x, GW_ROW_ACCESS);
    access_insn(x, in, v, at);
    c->back = a64_pos(&x->e);
    if (in->order & IR_ORDER_ACQUIRE)
        a64_word(&x->e, A64_DMB_ISH);
    a64_done(x, in->a);
    a64_done(x, in->b);
}

/* --- zeros --------------------------------------------------------------------------------------- */

/* All of it lies on one page, so that a store of the byte itself faults if any would; in user mode
 * another thread may take the page away behind it. */
static void lower_zero(struct a64 *x, const struct ir_insn *in)
{
    struct a64_buf *e = &x->e;
    struct cold_path *c = a64_cold(x, COLD_ACCESS);
    int ta = a64_use(x, in->a);
    c->access = (struct cold_access){.address = (int8_t)ta, .thunk = (uint16_t)T_ZERO};
    a64_lookup_x16(x, c, ta, 0, true, false);
    c->access.row = a64_row(x, GW_ROW_ACCESS);
    a64_mem(e, A64_STRB, A64_ZR, X16, 0);
    a64_logical(e, A64_ANDI, X17, ta, IR_ZERO_BYTES - 1);
    a64_rrr(e, A64_SUB, X16, X16, X17);
    for (int i = 0; i < IR_ZERO_BYTES; i += 16) {
        if (x->mem == GW_MEM_USER)
            a64_row(x, GW_ROW_ACCESS);
        a64_pair(e, A64_STP, A64_ZR, A64_ZR, X16, i);
    }
    c->back = a64_pos(e);
    a64_done(x, in->a);
}

/* --- cold paths ---------------------------------------------------------------------------------- */

static int8_t data_register(const struct cold_path *c, const struct ir_insn *in)
{
    return in->op == IR_LD ? c->access.dest : c->access.value.reg;
}

/* x17: where it is, or 0. */
static void inline_after_all(struct a64 *x, const struct cold_path *c, const struct ir_insn *in,
                             struct a64_place at)
{
    struct a64_buf *e = &x->e;
    uint32_t not = a64_cb(e, at.index < 0 ? A64_CBZ : A64_CBNZ, X17);
    a64_row(x, GW_ROW_ACCESS);
    access_insn(x, in, data_register(c, in), at);
    a64_cold_back(x, c);
    a64_link(e, not, a64_pos(e));
}

/* USER: a value out of the window may be less than a displacement away. Only x16 is the address. */
static void user_again(struct a64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    a64_add_constant(&x->e, X16, c->access.address, in->imm);
    if (!in->imm)
        return;
    if (c->access.first)
        a64_base_on(x, in, c->access.address);
    a64_bits(&x->e, A64_UBFM, X17, X16, GW_USER_BITS, 63);
    inline_after_all(x, c, in, (struct a64_place){R_READ, X16, 0});
}

/* FLAT: misaligned on one page, or of a site whose accesses are on two. */
static void flat_again(struct a64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    struct a64_buf *e = &x->e;
    const unsigned thunk = T_LOOKUP + (in->op == IR_ST) * 4u + (in->aux & IR_SIZE_MASK);
    struct site *s = sites_at(&x->sites, c->insn);
    const uint32_t row = x->job->row_count;
    uint32_t empty = c->from[FROM_NOT_INLINE];
    if (s) { /* its accesses are on their own now */
        a64_cold_here(x, c);
        if (c->access.first)
            a64_store(e, A64_ZR, sites_slot(&x->sites, s));
        empty = 0;
    } else {
        a64_link(e, c->from[FROM_MISALIGNED], a64_pos(e));
    }
    a64_add_constant(e, X16, c->access.address, in->imm);
    a64_to(e, A64_BL, a64_thunk(x, thunk));
    inline_after_all(x, c, in, (struct a64_place){X17, -1, 0});
    if (row < x->job->row_count)
        x->job->rows[row].slow_offset = a64_pos(e) & (GW_BLOCK_BYTES - 1);
    x->job->rows[c->access.row].slow_offset = a64_pos(e) & (GW_BLOCK_BYTES - 1);
    if (empty)
        a64_link(e, empty, a64_pos(e));
    a64_add_constant(e, X16, c->access.address, in->imm);
}

/* The access by the runtime, which may change page maps. */
void a64_cold_access(struct a64 *x, const struct cold_path *c)
{
    struct a64_buf *e = &x->e;
    const struct ir_insn *in = &x->b->insn[c->insn];
    int address = c->access.address;
    if (takes_displacement(x, in)) {
        if (x->mem == GW_MEM_USER && !c->from[FROM_NOWHERE])
            return; /* a fault leaves by the signal handler */
        if (x->mem == GW_MEM_USER) {
            a64_cold_here(x, c);
            user_again(x, c, in);
        } else {
            flat_again(x, c, in);
        }
        address = X16;
    } else {
        a64_cold_here(x, c);
        if (x->mem != GW_MEM_USER)
            x->job->rows[c->access.row].slow_offset = a64_pos(e) & (GW_BLOCK_BYTES - 1);
    }
    a64_store(e, address, A64_RUN(slow_addr));
    if (in->op == IR_ST)
        a64_store(e, c->access.value.reg, A64_RUN(slow_value));
    a64_to(e, A64_BL, a64_thunk(x, c->access.thunk));
    a64_row(x, GW_ROW_CALL);
    if (in->op == IR_LD)
        a64_load(e, c->access.dest, A64_RUN(slow_value));
    a64_cold_back(x, c);
}

/* --- fences -------------------------------------------------------------------------------------- */

static void lower_fence(struct a64 *x, const struct ir_insn *in)
{
    const unsigned reads = IR_FENCE_R | IR_FENCE_I, writes = IR_FENCE_W | IR_FENCE_O;
    const unsigned pred = (unsigned)in->imm >> 4, succ = (unsigned)in->imm & 15;
    if (!pred || !succ)
        return;
    if (!(pred & writes))
        a64_word(&x->e, A64_DMB_ISHLD);
    else if (!(pred & reads) && !(succ & reads))
        a64_word(&x->e, A64_DMB_ISHST);
    else
        a64_word(&x->e, A64_DMB_ISH);
}

bool a64_lower_mem(struct a64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_LD: lower_load(x, in); return true;
    case IR_ST: lower_store(x, in); return true;
    case IR_ZERO: lower_zero(x, in); return true;
    case IR_FENCE: lower_fence(x, in); return true;
    default: return false;
    }
}
