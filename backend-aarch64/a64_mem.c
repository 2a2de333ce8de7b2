/*
 * Accesses. Linux on AArch64 ignores bits 63:56 of an address, so an address that is no guest's does not fault
 * by itself: each way to look one up sees to all of its bits.
 *   USER  what has more than GW_USER_BITS is left to the cold path
 *   FLAT  the map goes by bits 47:12; with others than those of the page the host address has bits above 47
 *   TLB   tags are whole
 */
#include "backend-aarch64/a64_mem.h"

static bool is_float(const struct ir_insn *in)
{
    return in->type == IR_F32 || in->type == IR_F64;
}

/* The address in a register that the cold path can read: a, or a + disp in a temporary. */
static int address(struct a64 *x, const struct ir_insn *in)
{
    int ra = a64_use(x, in->a), t = ra;
    if (in->imm == 0)
        return ra;
    if (!place_last_use(&x->p, in->a)) {
        t = place_temp(&x->p, REG_INT);
        place_release(&x->p, ra);
        x->p.lock |= reg_bit(t);
    }
    a64_add_constant(&x->e, t, ra, in->imm);
    return t;
}

static void test_alignment(struct a64 *x, struct cold_path *c, int ta, unsigned size)
{
    a64_logical(&x->e, A64_ANDSI, A64_ZR, ta, (UINT64_C(1) << size) - 1);
    c->from[FROM_MISALIGNED] = a64_bcond(&x->e, A64_NE);
}

static struct a64_place lookup_flat(struct a64 *x, struct cold_path *c, int ta, bool write)
{
    struct a64_buf *e = &x->e;
    a64_bits(e, A64_UBFM, X16, ta, GW_PAGE_SHIFT, 47);
    a64_mem_index(e, A64_LDR, X16, write ? R_WRITE : R_READ, X16, A64_LSL_X, true);
    c->from[FROM_NOT_INLINE] = a64_cb(e, A64_CBZ, X16);
    a64_rrr(e, A64_ADD, X16, X16, ta);
    a64_bits(e, A64_UBFM, X17, X16, 48, 63);
    c->from[FROM_NOWHERE] = a64_cb(e, A64_CBNZ, X17);
    return (struct a64_place){X16, -1};
}

static struct a64_place lookup_tlb(struct a64 *x, struct cold_path *c, int ta, unsigned size,
                                   bool write)
{
    struct a64_buf *e = &x->e;
    a64_bits(e, A64_UBFM, X16, ta, GW_PAGE_SHIFT, GW_PAGE_SHIFT + GW_TLB_BITS - 1);
    a64_shifted(e, A64_ADD, X16, write ? R_WRITE : R_READ, X16, A64_LSL_BY, 4);
    a64_pair(e, A64_LDP, X16, X17, X16, 0);
    a64_rrr(e, A64_EOR, X16, X16, ta);
    a64_logical(e, A64_ANDSI, A64_ZR, X16, ~(uint64_t)GW_PAGE_MASK | ((UINT64_C(1) << size) - 1));
    c->from[FROM_NOT_INLINE] = a64_bcond(e, A64_NE);
    return (struct a64_place){X17, ta};
}
_Static_assert(sizeof(struct gw_tlb_entry) == 1 << 4, "as lookup_tlb scales it");

struct a64_place a64_lookup(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                            bool aligned)
{
    if (size && (x->mem == GW_MEM_FLAT || (x->mem == GW_MEM_USER && aligned)))
        test_alignment(x, c, ta, size);
    switch (x->mem) {
    case GW_MEM_FLAT: return lookup_flat(x, c, ta, write);
    case GW_MEM_TLB: return lookup_tlb(x, c, ta, size, write);
    default:
        a64_bits(&x->e, A64_UBFM, X16, ta, GW_USER_BITS, 63);
        c->from[FROM_NOWHERE] = a64_cb(&x->e, A64_CBNZ, X16);
        return (struct a64_place){R_READ, ta};
    }
}

void a64_lookup_x16(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                    bool aligned)
{
    struct a64_place at = a64_lookup(x, c, ta, size, write, aligned);
    if (at.index >= 0)
        a64_rrr(&x->e, A64_ADD, X16, at.base, at.index);
}

static void access_insn(struct a64 *x, uint32_t op, int reg, struct a64_place at)
{
    if (at.index < 0)
        a64_mem(&x->e, op, reg, at.base, 0);
    else
        a64_mem_index(&x->e, op, reg, at.base, at.index, A64_LSL_X, false);
}

/* --- loads --------------------------------------------------------------------------------------- */

/* The result is written by the access alone, so it may be the address; and it is chosen ahead of the first
 * branch to the cold path, as making room may take moves. */
static void lower_load(struct a64 *x, const struct ir_insn *in)
{
    static const uint32_t op[8] = {A64_LDRB,  A64_LDRH,  A64_LDRW,  A64_LDR,
                                   A64_LDRSB, A64_LDRSH, A64_LDRSW, A64_LDR};
    const unsigned size = in->aux & IR_SIZE_MASK;
    struct cold_path *c = a64_cold(x, COLD_ACCESS);
    int ta = address(x, in);
    a64_done(x, in->a);
    place_offer(&x->p, ta);
    int d = place_def(&x->p, is_float(in) ? REG_VEC : REG_INT, 0);
    c->access = (struct cold_access){
        .address = (int8_t)ta, .dest = (int8_t)d, .thunk = (uint16_t)(T_LOAD + slow_load(in))};
    if (in->order & IR_ORDER_RELEASE)
        a64_word(&x->e, A64_DMB_ISH);
    struct a64_place at = a64_lookup(x, c, ta, size, false, in->aux & IR_ALIGNED);
    c->access.row = a64_row(x, GW_ROW_ACCESS);
    if (is_float(in))
        access_insn(x, in->type == IR_F64 ? A64_LDRD : A64_LDRS, d, at);
    else
        access_insn(x, op[in->aux & (IR_SIZE_MASK | IR_SIGN)], d, at);
    c->back = a64_pos(&x->e);
    if (in->order & IR_ORDER_ACQUIRE)
        a64_word(&x->e, A64_DMB_ISHLD);
}

/* --- stores -------------------------------------------------------------------------------------- */

static void lower_store(struct a64 *x, const struct ir_insn *in)
{
    static const uint32_t op[4] = {A64_STRB, A64_STRH, A64_STRW, A64_STR};
    const unsigned size = in->aux & IR_SIZE_MASK;
    struct cold_path *c = a64_cold(x, COLD_ACCESS);
    int ta = address(x, in);
    int v = is_float(in) ? a64_use(x, in->b) : a64_use_or_zero(x, in->b);
    c->access = (struct cold_access){
        .address = (int8_t)ta, .thunk = (uint16_t)(T_STORE + size), .value = place_register(v)};
    if (in->order & IR_ORDER_RELEASE)
        a64_word(&x->e, A64_DMB_ISH);
    struct a64_place at = a64_lookup(x, c, ta, size, true, false);
    c->access.row = a64_row(x, GW_ROW_ACCESS);
    if (is_float(in))
        access_insn(x, in->type == IR_F64 ? A64_STRD : A64_STRS, v, at);
    else
        access_insn(x, op[size], v, at);
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

/* The access by the runtime, which may change page maps. */
void a64_cold_access(struct a64 *x, const struct cold_path *c)
{
    struct a64_buf *e = &x->e;
    const struct ir_insn *in = &x->b->insn[c->insn];
    a64_cold_here(x, c);
    if (x->mem != GW_MEM_USER)
        x->job->rows[c->access.row].slow_offset = a64_pos(e) & (GW_BLOCK_BYTES - 1);
    a64_store(e, c->access.address, A64_RUN(slow_addr));
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
