#include "backend-x86_64/x64_mem.h"

#include <string.h>

#include "backend-x86_64/x64_page.h"

static bool is_float(const struct ir_insn *in)
{
    return in->type == IR_F32 || in->type == IR_F64;
}

static unsigned scalar(const struct ir_insn *in)
{
    return in->type == IR_F64 ? X_SD : X_SS;
}

/* t += imm; the host's displacements are too short for it. */
static void add_wide(struct x64 *x, int t, uint64_t imm)
{
    int u = x64_temp(x);
    x64_mov_ri(&x->e, u, imm);
    x64_rr(&x->e, X_W | OP_ADD, t, u);
    place_release(&x->p, u);
}

/* The address in a register that the cold path can read: a, or a + disp in a temporary. */
static int address(struct x64 *x, const struct ir_insn *in)
{
    int ra = x64_use(x, in->a), t = ra;
    if (in->imm == 0)
        return ra;
    if (!place_last_use(&x->p, in->a)) {
        t = x64_temp(x);
        place_release(&x->p, ra);
    }
    if (x64_fits32(in->imm)) {
        x64_rm(&x->e, X_W | OP_LEA, t, x64_at(ra, in->imm), 0);
    } else if (t == ra) {
        add_wide(x, t, (uint64_t)in->imm);
    } else {
        x64_mov_ri(&x->e, t, (uint64_t)in->imm);
        x64_rr(&x->e, X_W | OP_ADD, t, ra);
    }
    return t;
}

/* Host address of an access at guest address base + disp; addend: host - guest. */
static struct x64_mem host_at(int addend, int base, int64_t disp)
{
    return x64_sib(addend, base, 0, disp);
}

/* --- loads --------------------------------------------------------------------------------------- */

static void load_insn(struct x64 *x, const struct ir_insn *in, int d, struct x64_mem m)
{
    static const unsigned op[8] = {
        OP_MOVZX_B,       OP_MOVZX_W,       OP_MOV,    X_W | OP_MOV,
        X_W | OP_MOVSX_B, X_W | OP_MOVSX_W, OP_MOVSXD, X_W | OP_MOV,
    };
    if (is_float(in))
        x64_op2_m(&x->e, scalar(in) | OP_MOVS, d, m);
    else
        x64_rm(&x->e, op[in->aux & (IR_SIZE_MASK | IR_SIGN)], d, m, 0);
}

/* The result's register is chosen before the first branch to the cold path: making room for it may
 * take moves, and those must be on every way to the end. It is written by the access alone, so it may
 * be the address or the temporary. */
static void lower_load(struct x64 *x, const struct ir_insn *in)
{
    struct x64_lookup look = {.size = 1u << (in->aux & IR_SIZE_MASK),
                              .aligned_only = in->aux & IR_ALIGNED};
    bool user = x->mem == GW_MEM_USER;
    struct site *site = sites_at(&x->sites, x->p.i);
    bool direct = site || (user && x64_fits32(in->imm) && !look.aligned_only);
    if (in->order & IR_ORDER_RELEASE)
        x64_full_fence(&x->e);
    struct cold_path *c = x64_cold(x, COLD_ACCESS);
    look.ta = direct ? x64_use(x, in->a) : address(x, in);
    int t = user ? R_READ : x64_temp(x);
    x64_done(x, in->a);
    if (!user)
        place_offer(&x->p, t);
    int d = is_float(in) ? x64_deff(x, 0) : x64_def(x, 0);
    c->access = (struct cold_access){.address = (int8_t)look.ta,
                                     .scratch = (int8_t)t,
                                     .dest = (int8_t)d,
                                     .thunk = (uint16_t)(T_LOAD + slow_load(in))};
    if (site) {
        x64_site_lookup(x, c, site, look.ta);
    } else if (!user) {
        x64_lookup(x, c, &look);
    } else if (look.aligned_only) {
        x64_test_align(&x->e, look.ta, look.size);
        c->from[FROM_FAULT] = x64_jcc(&x->e, CC_NE);
    }
    c->access.row = x64_row(x, GW_ROW_ACCESS);
    load_insn(x, in, d, host_at(t, look.ta, direct ? in->imm : 0));
    c->back = x64_pos(&x->e);
    if (user && !look.aligned_only) /* a fault leaves by the signal handler */
        cold_drop(&x->cold, c);
}

/* --- stores -------------------------------------------------------------------------------------- */

static void store_insn(struct x64 *x, const struct ir_insn *in, const struct place_operand *v,
                       struct x64_mem m)
{
    static const unsigned op[4] = {OP_MOV_MR_B, X_66 | OP_MOV_MR, OP_MOV_MR, X_W | OP_MOV_MR};
    static const unsigned op_imm[4] = {OP_MOV_MI_B, X_66 | OP_MOV_MI, OP_MOV_MI, X_W | OP_MOV_MI};
    static const uint8_t imm_bytes[4] = {1, 2, 4, 4};
    unsigned size = in->aux & IR_SIZE_MASK;
    if (is_float(in)) {
        x64_op2_m(&x->e, scalar(in) | OP_MOVS_MR, v->reg, m);
    } else if (v->kind == OPERAND_REG) {
        x64_rm(&x->e, op[size], v->reg, m, 0);
    } else {
        x64_rm(&x->e, op_imm[size], 0, m, imm_bytes[size]);
        memcpy(x->e.p, &v->imm, imm_bytes[size]);
        x->e.p += imm_bytes[size];
    }
}

/* What is stored: in a register, or a constant that an instruction can take. */
static struct place_operand store_value(struct x64 *x, ir_val v)
{
    int64_t imm;
    if (place_reg(&x->p, v) < 0 && place_is_const(&x->p, v, &imm))
        return x64_operand(x, v);
    return place_register(x64_use(x, v));
}

static void lower_store(struct x64 *x, const struct ir_insn *in)
{
    struct x64_lookup look = {.size = 1u << (in->aux & IR_SIZE_MASK), .write = true};
    struct cold_path *c = x64_cold(x, COLD_ACCESS);
    struct site *site = sites_at(&x->sites, x->p.i);
    bool user = x->mem == GW_MEM_USER;
    bool direct = site || (user && x64_fits32(in->imm));
    look.ta = direct ? x64_use(x, in->a) : address(x, in);
    c->access = (struct cold_access){.address = (int8_t)look.ta,
                                     .scratch = R_READ,
                                     .thunk = (uint16_t)(T_STORE + (in->aux & IR_SIZE_MASK)),
                                     .value = store_value(x, in->b)};
    if (!user) {
        c->access.scratch = (int8_t)x64_temp(x);
        if (site)
            x64_site_lookup(x, c, site, look.ta);
        else
            x64_lookup(x, c, &look);
    }
    c->access.row = x64_row(x, GW_ROW_ACCESS);
    store_insn(x, in, &c->access.value, host_at(c->access.scratch, look.ta, direct ? in->imm : 0));
    c->back = x64_pos(&x->e);
    if (user)
        cold_drop(&x->cold, c);
    x64_done(x, in->a);
    x64_done(x, in->b);
}

/* --- zeros --------------------------------------------------------------------------------------- */

/* All of it lies on one page, so that a store of the byte itself faults if any would; in user mode
 * another thread may take the page away behind it. */
static void lower_zero(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    struct x64_lookup look = {.size = 1, .write = true};
    bool user = x->mem == GW_MEM_USER;
    struct cold_path *c = x64_cold(x, COLD_ACCESS);
    look.ta = x64_use(x, in->a);
    int base = user ? R_READ : x64_temp(x), block = x64_temp(x), z = x64_tempf(x);
    c->access = (struct cold_access){
        .address = (int8_t)look.ta, .scratch = (int8_t)base, .thunk = (uint16_t)T_ZERO};
    x64_op3(e, OP_XORPS, z, z, z);
    if (!user)
        x64_lookup(x, c, &look);
    c->access.row = x64_row(x, GW_ROW_ACCESS);
    x64_rm(e, OP_MOV_MI_B, 0, host_at(base, look.ta, 0), 1);
    x64_u8(e, 0);
    x64_mov(e, block, look.ta);
    x64_alu_ri(e, X_W, EXT_AND, block, -IR_ZERO_BYTES);
    for (int i = 0; i < IR_ZERO_BYTES; i += 16) {
        if (user)
            x64_row(x, GW_ROW_ACCESS);
        x64_op2_m(e, OP_MOVUPS_MR, z, host_at(base, block, i));
    }
    c->back = x64_pos(e);
    x64_done(x, in->a);
}

/* --- cold paths ---------------------------------------------------------------------------------- */

/* The access by the runtime, which may change page maps. */
static void slow_access(struct x64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    const struct place_operand *v = &c->access.value;
    if (in->op == IR_ST) {
        if (is_float(in))
            x64_storeq_sse(e, v->reg, X64_RUN(slow_value));
        else if (v->kind == OPERAND_CONST)
            x64_mov_mi(e, X_W, X64_RUN(slow_value), v->imm);
        else
            x64_store(e, v->reg, X64_RUN(slow_value));
    }
    x64_call_to(e, x64_thunk(x, c->access.thunk));
    x64_row(x, GW_ROW_CALL);
    if (in->op == IR_LD) {
        if (is_float(in))
            x64_loadq_sse(e, c->access.dest, X64_RUN(slow_value));
        else
            x64_load(e, c->access.dest, X64_RUN(slow_value));
    }
    x64_cold_back(x, c);
}

/* What may still be inline is looked at again. Returns the register with the address. */
static int on_its_own(struct x64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    if (c->from[FROM_MISALIGNED]) {
        x64_link(e, c->from[FROM_MISALIGNED], x64_pos(e));
        x64_look_again(x, c, in->op == IR_ST, 0);
    }
    if (c->from[FROM_NOT_INLINE])
        x64_link(e, c->from[FROM_NOT_INLINE], x64_pos(e));
    if (c->from[FROM_FAULT])
        x64_link(e, c->from[FROM_FAULT], x64_pos(e));
    if (x->mem != GW_MEM_USER)
        x->job->rows[c->access.row].slow_offset = x64_pos(e);
    return c->access.address;
}

/* The same for an access of a site, whose slot may be empty, or that lies on a page of its own. */
static int of_site(struct x64 *x, const struct cold_path *c, const struct ir_insn *in,
                   const struct site *s)
{
    struct x64_buf *e = &x->e;
    x64_cold_here(x, c);
    if (c->access.first)
        x64_empty_site(x, s);
    x64_look_again(x, c, in->op == IR_ST, in->imm);
    uint32_t have_address = x64_jmp8(e);
    x->job->rows[c->access.row].slow_offset = x64_pos(e);
    x64_lea(e, X_W, c->access.scratch, c->access.address, in->imm);
    x64_link8(e, have_address);
    return c->access.scratch;
}

void x64_cold_access(struct x64 *x, const struct cold_path *c)
{
    const struct ir_insn *in = &x->b->insn[c->insn];
    const struct site *s = sites_at(&x->sites, c->insn);
    if (x->mem == GW_MEM_USER && !c->from[FROM_FAULT])
        return; /* a fault leaves by the signal handler */
    int address = s ? of_site(x, c, in, s) : on_its_own(x, c, in);
    x64_store(&x->e, address, X64_RUN(slow_addr));
    slow_access(x, c, in);
}

/* --- fences -------------------------------------------------------------------------------------- */

static void lower_fence(struct x64 *x, const struct ir_insn *in)
{
    unsigned pred = (unsigned)in->imm >> 4, succ = (unsigned)in->imm & 15;
    if (!(pred & (IR_FENCE_W | IR_FENCE_O)) || !(succ & (IR_FENCE_R | IR_FENCE_I)))
        return; /* TSO keeps every other order */
    x64_full_fence(&x->e);
}

bool x64_lower_mem(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_LD: lower_load(x, in); return true;
    case IR_ST: lower_store(x, in); return true;
    case IR_ZERO: lower_zero(x, in); return true;
    case IR_FENCE: lower_fence(x, in); return true;
    default: return false;
    }
}
