/*
 * Sites: accesses off one base share one lookup of their page.
 *
 * Addresses are taken apart into a root value and a displacement. Accesses of a block that have a
 * root in common and lie close together form a site. Its first access looks up the page of them all,
 * once it is sure that they are on one page, and leaves the addend in run.site; the others take it from
 * there, without any look at their address. A slot of 0 means that each access is on its own.
 *
 * A slot lives within one pass through the block. What may change page maps ends all sites (calls,
 * atomics), or empties the slots (what accesses memory for a block in C).
 *
 * What is emitted for all this is the backend's.
 */
#ifndef BACKEND_COMMON_SITES_H
#define BACKEND_COMMON_SITES_H

#include "godwit/ir.h"
#include "godwit/vcpu.h"

/* Byte displacements are from the root. */
struct site {
    int64_t lo, hi; /* of the bytes that its accesses touch */
    ir_val root;
    uint16_t count; /* accesses */
    uint16_t done;  /* of those, lowered: the backend counts */
    bool write;     /* one of them stores */
};

struct sites {
    bool on;        /* flat maps: else nothing shares a lookup */
    uint16_t count; /* the first is none */
    struct site site[GW_SITES];
    uint8_t of[IR_MAX_INSNS];  /* of a load or store; 0: on its own */
    ir_val root[IR_MAX_INSNS]; /* value = root + disp */
    int32_t disp[IR_MAX_INSNS];
};

/* Of a block after ir_liveness. on: the block's pages are looked up in flat maps. */
void sites_find(struct sites *s, const struct ir_block *b, bool on);

/* Whose lookup the load or store shares; NULL: it has its own. */
static inline struct site *sites_at(struct sites *s, uint32_t insn)
{
    struct site *site = s->on ? &s->site[s->of[insn]] : NULL;
    return site && site != s->site && site->count > 1 ? site : NULL;
}

/* From the access's address operand to the site's lowest byte. */
static inline int64_t sites_low(const struct sites *s, const struct site *site,
                                const struct ir_insn *access)
{
    return site->lo - s->disp[access->a];
}

/* State offset of the site's addend. */
static inline uint32_t sites_slot(const struct sites *s, const struct site *site)
{
    return GW_VCPU_OFFSET + (uint32_t)offsetof(struct gw_vcpu, site) +
           8 * (uint32_t)(site - s->site);
}

#endif
