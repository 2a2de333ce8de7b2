/*
 * The helpers of lifted code as the engine calls them; rv_helpers.inc says what each one does, and
 * csr.c, trap.c and mmu.c hold them.
 */
#include "frontend/riscv64/isa_parts.h"

/* A kernel sets SUM and clears it in each copy from or to user memory: the block goes on, by another map. */
static bool only_data_changes(struct rv_cpu *cpu, uint64_t value)
{
    const uint64_t data = RV_MSTATUS_SUM | RV_MSTATUS_MXR;
    uint64_t changed = (cpu->c.mstatus ^ value) & RV_SSTATUS_STORED;
    const struct gw_hooks *hooks = cpu->run.hooks;
    if (!changed || changed & ~data || cpu->run.view_dirty || !hooks || !hooks->data_view)
        return false;
    cpu->c.mstatus ^= changed;
    hooks->data_view(cpu, changed);
    return true;
}

uint64_t rv_h_sstatus_write(void *cpu, uint64_t value, uint64_t b, uint64_t c)
{
    return only_data_changes(cpu, value) ? 0 : rv_sstatus_write(cpu, value);
}

const struct gw_helper rv_helper_table[RV_HELPER_COUNT] = {
#define RV_HELPER(NAME, function, argc, bits)                                                      \
    [RV_HELPER_##NAME] = {.name = #function, .fn = function, .flags = (bits), .args = (argc)},
#include "frontend/riscv64/rv_helpers.inc"
#undef RV_HELPER
};
