/* A translation block: a piece of guest code, and what it became. */
#ifndef TRANSLATOR_CODE_BLOCK_H
#define TRANSLATOR_CODE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "translator/interp/interp.h"
#include "translator/pages.h"

#define NO_TB UINT32_MAX /* as a block's number, or a link's */

/* A block that is not LIVE is reachable neither by a link nor by a jump cache. */
enum tb_state { TB_LIVE, TB_STALE };

/*
 * Derived data, of the cache that it is in (cache.h). It is known by (pc, paddr, paddr2, flags), or if it
 * runs anywhere by all but pc. First what a lookup compares, so that it stays within a cache line or two.
 */
struct tb {
    uint64_t pc, paddr, paddr2; /* paddr2: second page of a straddling block, or NO_PADDR; user
                                   mode: paddr is pc */
    uint32_t flags;             /* tb_flags */
    uint8_t state;              /* enum tb_state; atomic */
    uint8_t once;               /* it runs once: nothing finds it again */
    uint8_t listed;             /* in the list of its first page: 1, of its second: 2 */
    uint8_t anywhere;           /* as ir_block.anywhere: pc is where it was made */
    union {
        struct {
            uint32_t code, size; /* offset into code memory, bytes */
        };
        size_t interp_at; /* where the interpreter's begins */
    };
    struct interp_block *interp;
    uint64_t hash; /* of the guest bytes; see pages.h */
    uint32_t row_first, row_count, link_first, link_count, guest_first;
    uint32_t in_first; /* list of links that lead here */
    uint16_t guest_count, code_bytes;
    uint32_t door; /* atomic; runs anywhere: offset into code memory of what jump caches hold; 0: none yet */
};

static inline enum tb_state tb_state(const struct tb *tb)
{
    return __atomic_load_n(&tb->state, __ATOMIC_SEQ_CST);
}
static inline void tb_becomes(struct tb *tb, enum tb_state state)
{
    __atomic_store_n(&tb->state, (uint8_t)state, __ATOMIC_SEQ_CST);
}

#endif
