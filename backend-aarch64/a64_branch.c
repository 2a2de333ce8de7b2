#include "backend-aarch64/a64_branch.h"

#include <assert.h>

#include "backend-aarch64/a64_compare.h"
#include "backend-aarch64/a64_detect.h"
#include "backend-common/tally.h"

#define NO_PAGE UINT64_C(0x5555555555555000) /* no address */

/* What the guard of a link that was never made looks at, and what it wants there: the upper half of a number of a
 * link, which is 0, and no generation. Nobody passes it, be it that one of the two is read before it changes and
 * the other one after that: who passes may stand ahead of the jump when that gets its target. */
#define NO_GEN (A64_RUN(exit_link) + 4)
#define POISON UINT32_MAX

/* Words that are patched stand beside the code that loads them. */
static void data32(struct a64 *x, uint32_t v)
{
    a64_word(&x->e, v);
    x->e.insns--;
}

static void add_pages(struct a64 *x, bool back, uint64_t target)
{
    int64_t pages = exits_pages(x->job, target);
    if (!pages)
        return;
    a64_load(&x->e, X16, A64_RUN(page));
    a64_add_constant(&x->e, X16, X16, back ? -pages : pages);
    a64_store(&x->e, X16, A64_RUN(page));
}

static uint32_t load_beside(struct a64 *x, uint32_t op, int reg)
{
    return a64_cb(&x->e, op, reg); /* of that form */
}

/* A branch to another page: from[1] and from[2] leave where the guard does not hold; from[0], which is what
 * is patched, behind it. There run.page is the target's already. */
static void guarded_jump(struct a64 *x, struct gw_link_desc *l, uint32_t *from)
{
    struct a64_buf *e = &x->e;
    uint32_t which = load_beside(x, A64_LDRW_LIT, X16), page = 0;
    a64_mem_index(e, A64_LDRW, X16, R_STATE, X16, A64_LSL_X, false);
    uint32_t gen = load_beside(x, A64_LDRW_LIT, X17);
    a64_rrr(e, a64_w(A64_SUBS), A64_ZR, X16, X17);
    from[1] = a64_bcond(e, A64_NE);
    if (x->b->anywhere) {
        page = load_beside(x, A64_LDR_LIT, X17);
        a64_load(e, X16, A64_RUN(page));
        a64_rrr(e, A64_SUBS, A64_ZR, X16, X17);
        from[2] = a64_bcond(e, A64_NE);
        add_pages(x, false, l->target);
    }
    l->jump_offset = from[0] = a64_b(e);
    if (a64_pos(e) & 4)
        data32(x, A64_NOP);
    a64_link(e, which, a64_pos(e));
    data32(x, NO_GEN);
    a64_link(e, gen, a64_pos(e));
    l->gen_offset = a64_pos(e);
    data32(x, POISON);
    if (!x->b->anywhere)
        return;
    a64_link(e, page, a64_pos(e));
    l->page_offset = a64_pos(e);
    data32(x, (uint32_t)NO_PAGE);
    data32(x, (uint32_t)(NO_PAGE >> 32));
}

static uint32_t insn_at(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void aim(uint8_t *at, int64_t distance)
{
    __atomic_store_n((uint32_t *)(void *)at, a64_aimed(insn_at(at), distance), __ATOMIC_RELAXED);
}

/* A link that is made for the first time: from now on, who does not pass its guard asks the jump cache. */
static void lead_to_jump_cache(uint8_t *block, const struct gw_link_desc *link)
{
    uint8_t *at = block + link->stub_offset + link->stub_jump;
    if (insn_at(block + link->gen_offset - 4) != NO_GEN)
        return;
    int64_t steps = (int32_t)(insn_at(at) << 6) >> 6;
    aim(at, 4 * steps - A64_JUMP_OR_EXIT_AHEAD);
}

/* A branch with a condition that does not reach `to` goes by the jump ahead of its stub. */
static void by_veneer(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link,
                      uint64_t to)
{
    const uint32_t at = link->stub_offset - 4;
    aim(block + at, (int64_t)(to - (block_rx + at)));
    a64_flush(block_rx + at, 4);
    aim(block + link->jump_offset, (int64_t)at - (int64_t)link->jump_offset);
}

static void put32(uint8_t *at, uint32_t v)
{
    __atomic_store_n((uint32_t *)(void *)at, v, __ATOMIC_RELAXED);
}

/* The words are loaded as data, in any order: so none of the guard's is what anybody passes while the jump is to
 * get a target (links.h). */
static void patch_guard(uint8_t *block, const struct gw_link_desc *link, bool gen_global,
                        uint32_t gen, uint64_t page)
{
    lead_to_jump_cache(block, link);
    if (link->page_offset)
        __atomic_store_n((uint64_t *)(void *)(block + link->page_offset), page, __ATOMIC_RELAXED);
    put32(block + link->gen_offset - 4, gen_global ? A64_RUN(gen_global) : A64_RUN(gen_space));
    put32(block + link->gen_offset, gen);
}

/* Nobody passes it from now on, whichever of the two words is read first. */
static void poison(uint8_t *block, const struct gw_link_desc *link)
{
    put32(block + link->gen_offset, POISON);
    if (link->page_offset)
        __atomic_store_n((uint64_t *)(void *)(block + link->page_offset), NO_PAGE,
                         __ATOMIC_RELAXED);
}

void a64_patch(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link, uint64_t target,
               bool gen_global, uint32_t gen, uint64_t page)
{
    if (link->gen_offset && target)
        patch_guard(block, link, gen_global, gen, page);
    const uint64_t to = target ? target : block_rx + link->stub_offset;
    const int64_t distance = (int64_t)(to - (block_rx + link->jump_offset));
    if (a64_aimed(insn_at(block + link->jump_offset), distance))
        aim(block + link->jump_offset, distance);
    else
        by_veneer(block, block_rx, link, to);
    if (link->gen_offset && !target)
        poison(block, link);
}

/* Arm names the instructions that may change while other threads run them ("Concurrent modification and
 * execution of instructions"): B is one of them, those with a condition are not. */
static bool conditions_are_patched(const struct a64 *x)
{
    return !x->job->cfg->shared;
}

/* Ends the hot path (from == 0: an unconditional jump here) or one of its branches. What is patched is the
 * branch itself, or a jump that it leads to, beside the hot path. */
static void link_out(struct a64 *x, uint32_t from, uint64_t target)
{
    uint32_t link = exits_link(x->job, target);
    struct gw_link_desc *l = &x->job->links[link];
    bool guarded = exits_need_guard(x->job, target);
    bool itself = from && !guarded && conditions_are_patched(x);
    struct cold_path *c = a64_cold(x, from && !itself ? COLD_GUARD : COLD_EXIT);
    c->link = link;
    if (itself)
        l->jump_offset = c->from[0] = from;
    else if (from)
        c->from[0] = from;
    else if (guarded)
        guarded_jump(x, l, c->from);
    else
        l->jump_offset = c->from[0] = a64_b(&x->e);
}

static bool is_conditional(const struct a64 *x, uint32_t at)
{
    return !x->e.full && (insn_at(x->e.start + at) & 0x7c000000) != A64_B;
}

/* Where an unlinked branch goes: asks the run loop for its target. So does one whose guard does not hold,
 * unless the jump cache knows where it leads in this address space (lead_to_jump_cache). from: of
 * guarded_jump. */
static void exit_stub(struct a64 *x, uint32_t link, const uint32_t *from)
{
    struct gw_link_desc *l = &x->job->links[link];
    if (is_conditional(x, l->jump_offset))
        a64_b(&x->e); /* by_veneer */
    l->stub_offset = a64_pos(&x->e) & 0xffffff;
    if (l->page_offset)
        add_pages(x, true, l->target);
    for (unsigned k = 0; k < COLD_BRANCHES; k++)
        if (from[k])
            a64_link(&x->e, from[k], k ? a64_pos(&x->e) : l->stub_offset);
    a64_set_pc(x, l->target);
    a64_constant_of_two(&x->e, X17, x->job->link_base + link); /* code is as long at any place */
    l->stub_jump = (a64_pos(&x->e) - l->stub_offset) & 0xff;
    a64_to(&x->e, A64_B, a64_thunk(x, T_EXIT_LINK));
}

static void branch_beside(struct a64 *x, uint32_t link)
{
    struct gw_link_desc *l = &x->job->links[link];
    uint32_t from[COLD_BRANCHES] = {0};
    if (exits_need_guard(x->job, l->target))
        guarded_jump(x, l, from);
    else
        l->jump_offset = from[0] = a64_b(&x->e);
    exit_stub(x, link, from);
}

static void no_budget(struct a64 *x, const struct cold_path *c)
{
    struct gw_tally *t = tally_new(x->job);
    const uint32_t before = x->e.insns;
    a64_tally(x, t);
    a64_imm12(&x->e, A64_ADDI, R_BUDGET, R_BUDGET, x->b->guest_count);
    a64_set_pc(x, x->b->pc);
    a64_to(&x->e, A64_B, a64_thunk(x, T_EXIT_BUDGET));
    if (t)
        tally_exit(t, x->job, c->passed, x->e.insns - before);
}

static void side_exit(struct a64 *x, const struct cold_path *c, uint64_t target)
{
    struct gw_tally *t = tally_new(x->job);
    const uint32_t before = x->e.insns;
    const bool beside = c->refund || exits_need_guard(x->job, target) || !conditions_are_patched(x);
    a64_tally(x, t);
    if (c->refund)
        a64_imm12(&x->e, A64_ADDI, R_BUDGET, R_BUDGET, (uint64_t)c->refund);
    link_out(x, 0, target);
    if (t)
        tally_exit(t, x->job, c->passed, beside ? x->e.insns - before : 0);
}

void a64_cold_branch(struct a64 *x, const struct cold_path *c)
{
    struct a64_buf *e = &x->e;
    if (c->kind != COLD_EXIT)
        a64_cold_here(x, c);
    switch (c->kind) {
    case COLD_BUDGET: no_budget(x, c); break;
    case COLD_REFUND: side_exit(x, c, (uint64_t)x->b->insn[c->insn].imm); break;
    case COLD_MISS:
        a64_store(e, c->target, A64_RUN(pc));
        a64_to(e, A64_B, a64_thunk(x, T_EXIT_INDIRECT));
        break;
    case COLD_GUARD: branch_beside(x, c->link); break;
    default: exit_stub(x, c->link, c->from); break;
    }
}

void a64_enter_block(struct a64 *x)
{
    a64_tally(x, x->entered = tally_new(x->job));
    a64_imm12(&x->e, A64_SUBSI, R_BUDGET, R_BUDGET, x->b->guest_count);
    struct cold_path *c = a64_cold(x, COLD_BUDGET);
    c->from[0] = a64_bcond(&x->e, A64_MI);
    c->passed = x->e.insns;
}

static void lower_brcc(struct a64 *x, const struct ir_insn *in)
{
    uint32_t left = exits_refund(x->job, in->guest);
    uint32_t from = a64_branch_if(x, in);
    if (!left && !x->entered) {
        link_out(x, from, (uint64_t)in->imm);
        return;
    }
    struct cold_path *c = a64_cold(x, COLD_REFUND);
    c->from[0] = from;
    c->refund = (int32_t)left;
    c->passed = x->e.insns;
}

/* x2 is the jump cache's entry, for a64_door. */
static void lower_jmpr(struct a64 *x, const struct ir_insn *in)
{
    struct a64_buf *e = &x->e;
    place_take(&x->p, 1);
    place_take(&x->p, 2);
    int t = a64_use(x, in->a);
    a64_bits(e, A64_UBFM, 2, t, 1, GW_JC_BITS);
    a64_load(e, 1, A64_RUN(jump_cache));
    a64_shifted(e, A64_ADD, 2, 1, 2, A64_LSL_BY, 4);
    a64_pair(e, A64_LDP, X16, X17, 2, 0);
    a64_rrr(e, A64_SUBS, A64_ZR, X16, t);
    struct cold_path *c = a64_cold(x, COLD_MISS);
    c->target = (int8_t)t;
    c->from[0] = a64_bcond(e, A64_NE);
    a64_r(e, A64_BR, X17);
    a64_done(x, in->a);
}
_Static_assert(sizeof(struct gw_jump_entry) == 16 && offsetof(struct gw_jump_entry, pc) == 0,
               "as lower_jmpr scales it, and a door reads it");

/* x2 is lower_jmpr's, T_EXIT_LINK's way in by the jump cache, or enter's. */
void a64_door(uint8_t out[GW_DOOR_BYTES], uint64_t base, uint64_t target)
{
    struct a64_buf e = {.start = out, .p = out, .end = out + GW_DOOR_BYTES, .base = base};
    a64_mem(&e, A64_LDR, X16, 2, 0);
    a64_logical(&e, A64_ANDI, X16, X16, ~(uint64_t)GW_PAGE_MASK);
    a64_mem(&e, A64_STR, X16, R_STATE, A64_RUN(page));
    a64_to(&e, A64_B, target);
    assert(!e.full);
}

static void lower_leave(struct a64 *x, const struct ir_insn *in)
{
    int64_t imm;
    if (place_is_const(&x->p, in->a, &imm))
        a64_set_pc(x, (uint64_t)imm);
    else
        a64_store(&x->e, a64_use(x, in->a), A64_RUN(pc));
    a64_done(x, in->a);
    a64_to(&x->e, A64_B, a64_thunk(x, T_EXIT_LEAVE));
}

bool a64_lower_branch(struct a64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_BRCC: lower_brcc(x, in); return true;
    case IR_JMP: link_out(x, 0, (uint64_t)in->imm); return true;
    case IR_JMPR: lower_jmpr(x, in); return true;
    case IR_LEAVE: lower_leave(x, in); return true;
    default: return false;
    }
}
