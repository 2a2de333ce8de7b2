/* What a block's translation leaves beside its bytes: rows of the side table, links. */
#ifndef BACKEND_COMMON_EXITS_H
#define BACKEND_COMMON_EXITS_H

#include "godwit/bus.h"
#include "godwit/host_backend.h"

/* Index of a new row. *full: there is no room. */
static inline uint32_t exits_row(struct gw_compile_job *job, enum gw_row_kind kind,
                                 uint32_t position, uint16_t guest, bool *full)
{
    if (job->row_count >= IR_MAX_INSNS) {
        *full = true;
        return 0;
    }
    job->rows[job->row_count] = (struct gw_row){
        .host_offset = position & (GW_BLOCK_BYTES - 1), .guest = guest & 0x7ff, .kind = kind & 1};
    return job->row_count++;
}

/* Index of a new link to the guest pc. A block has no more than there is room for. */
static inline uint32_t exits_link(struct gw_compile_job *job, uint64_t target)
{
    job->links[job->link_count] = (struct gw_link_desc){.target = target};
    return job->link_count++;
}

/* A link may be followed without a guard when the target lies on the block's own page: whoever runs
 * this block has that page mapped. A block that starts at the very end of a page may reach into
 * the next one, and so needs the guard too. */
static inline bool exits_need_guard(const struct gw_compile_job *job, uint64_t target)
{
    if (job->cfg->mem == GW_MEM_USER)
        return false;
    const struct guest_isa *isa = job->cfg->isa;
    unsigned left = GW_PAGE_SIZE - (unsigned)(target & GW_PAGE_MASK);
    return (target ^ job->block->pc) >> GW_PAGE_SHIFT || left < isa->max_insn_bytes ||
           left < isa->max_group_bytes;
}

/* Of a block that runs anywhere: how far the guest address is from the page that it begins on. */
static inline int32_t exits_distance(const struct gw_compile_job *job, uint64_t address)
{
    return (int32_t)(uint32_t)(address - (job->block->pc & ~(uint64_t)GW_PAGE_MASK));
}

/* And how far it is from that page to the target's. */
static inline int32_t exits_pages(const struct gw_compile_job *job, uint64_t target)
{
    return exits_distance(job, target & ~(uint64_t)GW_PAGE_MASK);
}

/* What a side exit at the guest instruction gives back to the budget: those behind it. */
static inline uint32_t exits_refund(const struct gw_compile_job *job, uint16_t guest)
{
    return job->block->guest_count - 1 - guest;
}

#endif
