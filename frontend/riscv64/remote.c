/*
 * What others ask of a hart: bits that anybody may set, and for fences a ring of what they are about,
 * which one thread at a time fills (that which holds the device lock). The hart takes them on its own
 * thread before it runs guest code again.
 */
#include "frontend/riscv64/priv.h"

#define FENCE_PAGES 64 /* pages of a fence that are flushed one by one; more than that: all */

void rv_remote_post(struct rv_cpu *cpu, uint32_t bits)
{
    __atomic_fetch_or(&cpu->remote, bits, __ATOMIC_SEQ_CST);
    gw_events_kick(cpu->cfg.events, &cpu->run.attention);
}

/* The ring before the bit: who sees the bit sees what it is about. */
void rv_remote_fence(struct rv_cpu *cpu, const struct rv_fence *f)
{
    uint32_t at = cpu->fences_asked;
    if (at - __atomic_load_n(&cpu->fences_done, __ATOMIC_ACQUIRE) == RV_FENCES) {
        rv_remote_post(cpu, RV_REMOTE_FENCE_ALL);
        return;
    }
    cpu->fence[at % RV_FENCES] = *f;
    __atomic_store_n(&cpu->fences_asked, at + 1, __ATOMIC_RELEASE);
    rv_remote_post(cpu, RV_REMOTE_FENCE);
}

bool rv_remote_done(const struct rv_cpu *cpu, uint32_t bits)
{
    return !(__atomic_load_n(&cpu->remote, __ATOMIC_SEQ_CST) & (bits | RV_REMOTE_BUSY));
}

/* SBI 2.0, chapter 8: a range of no size, or of all sizes, is everything. */
void rv_fence(struct rv_cpu *cpu, const struct rv_fence *f)
{
    const struct gw_hooks *hooks = cpu->run.hooks;
    uint64_t first = f->vaddr >> GW_PAGE_SHIFT, pages;
    if (!hooks)
        return;
    pages = ((f->vaddr + f->size - 1) >> GW_PAGE_SHIFT) - first + 1;
    if (f->size == 0 || f->vaddr + f->size - 1 < f->vaddr || pages > FENCE_PAGES) {
        hooks->flush(cpu, 0, GW_FLUSH_TABLES, f->asid, f->asid_all);
        return;
    }
    for (uint64_t i = 0; i < pages; i++)
        hooks->flush(cpu, (first + i) << GW_PAGE_SHIFT, 0, f->asid, f->asid_all);
}

static void do_fences(struct rv_cpu *cpu, bool all)
{
    uint32_t end = __atomic_load_n(&cpu->fences_asked, __ATOMIC_ACQUIRE);
    if (all && cpu->run.hooks)
        cpu->run.hooks->flush(cpu, 0, GW_FLUSH_TABLES, 0, 1);
    for (uint32_t i = cpu->fences_done; !all && i != end; i++)
        rv_fence(cpu, &cpu->fence[i % RV_FENCES]);
    __atomic_store_n(&cpu->fences_done, end, __ATOMIC_RELEASE);
}

/* Takes all bits before it does anything, so what is asked meanwhile is done again. */
static void do_remote(struct rv_cpu *cpu)
{
    uint32_t bits = __atomic_exchange_n(&cpu->remote, RV_REMOTE_BUSY, __ATOMIC_SEQ_CST);
    if (bits & RV_REMOTE_SSI)
        cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_SSI);
    if (bits & RV_REMOTE_STI)
        cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_STI);
    if (bits & (RV_REMOTE_FENCE | RV_REMOTE_FENCE_ALL))
        do_fences(cpu, bits & RV_REMOTE_FENCE_ALL);
    if (bits & RV_REMOTE_FENCE_I && cpu->run.hooks)
        cpu->run.hooks->fence_i(cpu);
    if (bits & RV_REMOTE_TIME)
        cpu->d.timer_due = false;
    cpu->run.view_dirty = 1;
    __atomic_fetch_and(&cpu->remote, ~(uint32_t)RV_REMOTE_BUSY, __ATOMIC_SEQ_CST);
}

bool rv_remote_posted(const struct rv_cpu *cpu)
{
    return __atomic_load_n(&cpu->remote, __ATOMIC_SEQ_CST) != 0;
}

void rv_remote_look(struct rv_cpu *cpu)
{
    if (rv_remote_posted(cpu))
        do_remote(cpu);
}
