#include "backend-x86_64/x64_branch.h"

#include <assert.h>
#include <string.h>

#include "backend-common/tally.h"
#include "backend-x86_64/x64_call.h"
#include "backend-x86_64/x64_compare.h"

#define NO_PAGE UINT64_C(0x5555555555555000) /* no address, and wants all of 64 bits */

/* Code that other threads run meanwhile is patched by aligned stores. Pads so that what comes
 * `before` bytes on is aligned. */
static void align_to(struct x64 *x, unsigned before, unsigned size)
{
    while (x->job->cfg->shared && (x64_pos(&x->e) + before) & (size - 1))
        x64_u8(&x->e, OP_NOP);
}

static void align_field(struct x64 *x, unsigned before)
{
    align_to(x, before, 4);
}

/* The jump that a link patches; returns where its displacement is. */
static uint32_t link_jump(struct x64 *x)
{
    align_field(x, 1);
    return x64_jmp(&x->e);
}

static void add_pages(struct x64 *x, unsigned ext, uint64_t target)
{
    int32_t pages = exits_pages(x->job, target);
    if (pages)
        x64_alu_mi(&x->e, X_W, ext, X64_RUN(page), pages);
}

/* What the guard of a link that was never made looks at, and what it wants there: the number of no link, and no
 * generation. Nobody passes it: who does may stand ahead of the jump when that gets its target. */
#define NO_GEN X64_RUN(exit_link)
enum { POISON = -1 };

/* cmp dword [NO_GEN], POISON: patched to what guards the link. Returns where its value is. */
static uint32_t link_guard(struct x64 *x)
{
    align_field(x, 6);
    x64_rm(&x->e, OP_GROUP1_I32, EXT_CMP, NO_GEN, 4);
    x64_u32(&x->e, (uint32_t)POISON);
    return x64_pos(&x->e) - 4;
}

/* mov rax, NO_PAGE; cmp [run.page], rax: patched likewise. */
static uint32_t page_guard(struct x64 *x)
{
    align_to(x, 2, 8);
    x64_mov_ri(&x->e, RAX, NO_PAGE);
    uint32_t at = x64_pos(&x->e) - 8;
    x64_rm(&x->e, X_W | OP_CMP_MR, RAX, X64_RUN(page), 0);
    return at;
}

/* A branch to another page: from[1] and from[2] leave where the guard does not hold; from[0], which is what
 * is patched, behind it. There run.page is the target's already. */
static void guarded_jump(struct x64 *x, struct gw_link_desc *l, uint32_t *from)
{
    l->gen_offset = link_guard(x);
    from[1] = x64_jcc(&x->e, CC_NE);
    if (x->b->anywhere) {
        l->page_offset = page_guard(x);
        from[2] = x64_jcc(&x->e, CC_NE);
        add_pages(x, EXT_ADD, l->target);
    }
    l->jump_offset = from[0] = link_jump(x);
}

/* A link that is made for the first time: from now on, who does not pass its guard asks the jump cache. */
static void lead_to_jump_cache(uint8_t *block, const struct gw_link_desc *link)
{
    uint8_t *at = block + link->stub_offset + link->stub_jump;
    int32_t disp, none = (int32_t)NO_GEN.disp;
    if (memcmp(block + link->gen_offset - 4, &none, 4) != 0)
        return;
    memcpy(&disp, at, 4);
    __atomic_store_n((int32_t *)(void *)at, disp - X64_JUMP_OR_EXIT_AHEAD, __ATOMIC_RELAXED);
}

static void put32(uint8_t *at, uint32_t v)
{
    __atomic_store_n((uint32_t *)(void *)at, v, __ATOMIC_RELAXED);
}

/* Whoever passed the old guard has left when it gets another value; nobody passes it before all else of the link
 * is what goes with that. */
static void patch_guard(uint8_t *block, const struct gw_link_desc *link, bool gen_global,
                        uint32_t gen, uint64_t page)
{
    struct x64_mem m = gen_global ? X64_RUN(gen_global) : X64_RUN(gen_space);
    lead_to_jump_cache(block, link);
    if (link->page_offset)
        __atomic_store_n((uint64_t *)(void *)(block + link->page_offset), page, __ATOMIC_RELAXED);
    /* its displacement chooses the generation */
    put32(block + link->gen_offset - 4, (uint32_t)m.disp);
    put32(block + link->gen_offset, gen);
}

void x64_patch(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link, uint64_t target,
               bool gen_global, uint32_t gen, uint64_t page)
{
    uint32_t to = target ? (uint32_t)(target - (block_rx + link->jump_offset + 4))
                         : link->stub_offset - (link->jump_offset + 4);
    if (link->gen_offset && target)
        patch_guard(block, link, gen_global, gen, page);
    put32(block + link->jump_offset, to);
    if (link->gen_offset && !target) /* from now on nobody passes the guard */
        put32(block + link->gen_offset, (uint32_t)POISON);
}

/* Ends the hot path (from == 0: an unconditional jump here) or one of its branches. */
static void link_out(struct x64 *x, uint32_t from, uint64_t target)
{
    uint32_t link = exits_link(x->job, target);
    struct gw_link_desc *l = &x->job->links[link];
    bool guarded = exits_need_guard(x->job, target);
    struct cold_path *c = x64_cold(x, from && guarded ? COLD_GUARD : COLD_EXIT);
    c->link = link;
    if (!guarded) {
        l->jump_offset = c->from[0] = from ? from : link_jump(x);
    } else if (from) { /* the guard stands beside the hot path */
        c->from[0] = from;
    } else {
        guarded_jump(x, l, c->from);
    }
}

/* Where an unlinked branch goes: asks the run loop for its target. So does one whose guard does not hold,
 * unless the jump cache knows where it leads in this address space (lead_to_jump_cache). from: of
 * guarded_jump. */
static void exit_stub(struct x64 *x, uint32_t link, const uint32_t *from)
{
    struct gw_link_desc *l = &x->job->links[link];
    l->stub_offset = x64_pos(&x->e);
    if (l->page_offset)
        add_pages(x, EXT_SUB, l->target);
    for (unsigned k = 0; k < COLD_BRANCHES; k++)
        if (from[k])
            x64_link(&x->e, from[k], k ? x64_pos(&x->e) : l->stub_offset);
    x64_set_pc(x, l->target);
    x64_mov_ri(&x->e, RAX, x->job->link_base + link);
    if (l->gen_offset)
        align_field(x, 1);
    x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_LINK));
    l->stub_jump = (x64_pos(&x->e) - 4 - l->stub_offset) & 0xff;
}

static void guarded_exit(struct x64 *x, uint32_t link)
{
    uint32_t from[COLD_BRANCHES] = {0};
    guarded_jump(x, &x->job->links[link], from);
    exit_stub(x, link, from);
}

static void no_budget(struct x64 *x, const struct cold_path *c)
{
    struct gw_tally *t = tally_new(x->job);
    const uint32_t before = x->e.insns;
    x64_tally(x, t);
    x64_budget(x, EXT_ADD, (int32_t)x->b->guest_count);
    x64_set_pc(x, x->b->pc);
    x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_BUDGET));
    if (t)
        tally_exit(t, x->job, c->passed, x->e.insns - before);
}

static void side_exit(struct x64 *x, const struct cold_path *c, uint64_t target)
{
    struct gw_tally *t = tally_new(x->job);
    const uint32_t before = x->e.insns;
    const bool beside = c->refund || exits_need_guard(x->job, target);
    x64_tally(x, t);
    if (c->refund)
        x64_budget(x, EXT_ADD, c->refund);
    link_out(x, 0, target);
    if (t)
        tally_exit(t, x->job, c->passed, beside ? x->e.insns - before : 0);
}

void x64_cold_branch(struct x64 *x, const struct cold_path *c)
{
    if (c->kind != COLD_EXIT)
        x64_cold_here(x, c);
    switch (c->kind) {
    case COLD_BUDGET: no_budget(x, c); break;
    case COLD_REFUND: side_exit(x, c, (uint64_t)x->b->insn[c->insn].imm); break;
    case COLD_MISS:
        x64_store(&x->e, c->target, X64_RUN(pc));
        x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_INDIRECT));
        break;
    case COLD_GUARD: guarded_exit(x, c->link); break;
    default: exit_stub(x, c->link, c->from); break;
    }
}

void x64_enter_block(struct x64 *x)
{
    x64_tally(x, x->entered = tally_new(x->job));
    x64_budget(x, EXT_SUB, (int32_t)x->b->guest_count);
    struct cold_path *c = x64_cold(x, COLD_BUDGET);
    c->from[0] = x64_jcc(&x->e, CC_S);
    c->passed = x->e.insns;
}

static void lower_brcc(struct x64 *x, const struct ir_insn *in)
{
    uint64_t target = (uint64_t)in->imm;
    unsigned cc = x64_compare(x, in->type, in->aux, in->a, in->b);
    uint32_t left = exits_refund(x->job, in->guest);
    if (!left && !exits_need_guard(x->job, target))
        align_field(x, 2);
    uint32_t from = x64_jcc(&x->e, cc);
    if (!left && !x->entered) {
        link_out(x, from, target);
        return;
    }
    struct cold_path *c = x64_cold(x, COLD_REFUND);
    c->from[0] = from;
    c->refund = (int32_t)left;
    c->passed = x->e.insns;
}

static void lower_jmpr(struct x64 *x, const struct ir_insn *in)
{
    place_take(&x->p, RCX);
    place_take(&x->p, RDX);
    int t = x64_use(x, in->a);
    struct x64_buf *e = &x->e;
    x64_zext32(e, RCX, t);
    x64_load(e, RDX, X64_RUN(jump_cache));
    /* entry = cache + ((pc >> 1) & mask) * 16 */
    x64_alu_ri(e, 0, EXT_AND, RCX, ((1 << GW_JC_BITS) - 1) << 1);
    x64_rm(e, X_W | OP_CMP_MR, t, x64_sib(RDX, RCX, 3, offsetof(struct gw_jump_entry, pc)), 0);
    struct cold_path *c = x64_cold(x, COLD_MISS);
    c->target = (int8_t)t;
    c->from[0] = x64_jcc(e, CC_NE);
    x64_rm(e, OP_GROUP5, EXT_JMP, x64_sib(RDX, RCX, 3, offsetof(struct gw_jump_entry, code)), 0);
    x64_done(x, in->a);
}
_Static_assert(sizeof(struct gw_jump_entry) == 16 && offsetof(struct gw_jump_entry, pc) == 0,
               "as lower_jmpr scales it, and a door reads it");

/* rdx and rcx are lower_jmpr's, T_JUMP_OR_EXIT's or enter's. */
void x64_door(uint8_t out[GW_DOOR_BYTES], uint64_t base, uint64_t target)
{
    uint8_t bytes[GW_DOOR_BYTES + X64_MAX_INSN];
    struct x64_buf e = {.start = bytes, .p = bytes, .end = bytes + sizeof bytes, .base = base};
    x64_load(&e, RAX, x64_sib(RDX, RCX, 3, 0));
    x64_alu_ri(&e, X_W, EXT_AND, RAX, -(int32_t)GW_PAGE_SIZE);
    x64_store(&e, RAX, X64_RUN(page));
    x64_jmp_to(&e, target);
    assert(!e.full && x64_pos(&e) <= GW_DOOR_BYTES);
    memcpy(out, bytes, x64_pos(&e));
}

static void lower_leave(struct x64 *x, const struct ir_insn *in)
{
    int64_t imm;
    if (x64_ends_block(x, &x->b->insn[in->a])) { /* its thunk goes on by itself */
        x64_done(x, in->a);
        return;
    }
    if (place_is_const(&x->p, in->a, &imm))
        x64_set_pc(x, (uint64_t)imm);
    else
        x64_store(&x->e, x64_use(x, in->a), X64_RUN(pc));
    x64_done(x, in->a);
    x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_LEAVE));
}

bool x64_lower_branch(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_BRCC: lower_brcc(x, in); return true;
    case IR_JMP: link_out(x, 0, (uint64_t)in->imm); return true;
    case IR_JMPR: lower_jmpr(x, in); return true;
    case IR_LEAVE: lower_leave(x, in); return true;
    default: return false;
    }
}
