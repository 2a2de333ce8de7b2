/*
 * The helpers of lifted code as the engine calls them; rv_helpers.inc says what each one does, and
 * csr.c, trap.c and mmu.c hold them.
 */
#include "frontend/riscv64/isa_parts.h"

uint64_t rv_h_sstatus_write(void *cpu, uint64_t value, uint64_t b, uint64_t c)
{
    bool changed = true;
    rv_csr_write(cpu, RV_CSR_SSTATUS, value, &changed);
    return changed;
}

const struct gw_helper rv_helper_table[RV_HELPER_COUNT] = {
#define RV_HELPER(NAME, function, argc, bits)                                                      \
    [RV_HELPER_##NAME] = {.name = #function, .fn = function, .flags = (bits), .args = (argc)},
#include "frontend/riscv64/rv_helpers.inc"
#undef RV_HELPER
};
