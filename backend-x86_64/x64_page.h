/* How a guest address becomes a host address, in the modes of host_backend.h. */
#ifndef X64_PAGE_H
#define X64_PAGE_H

#include "backend-x86_64/x64_block.h"

/* FLAT: t = bits 47:12 of ta. */
void x64_page_index(struct x64_buf *e, int t, int ta);
/* Flags: NE when ta is not aligned to the size. */
void x64_test_align(struct x64_buf *e, int ta, unsigned size);

/* An access whose page is looked up: leaves host - guest of the address in ta in c->access.scratch, and
 * fills in the path's branches and position. */
struct x64_lookup {
    int ta;
    unsigned size;
    bool write;
    bool aligned_only; /* a misaligned address is for the slow path alone */
};
void x64_lookup(struct x64 *x, struct cold_path *c, const struct x64_lookup *l);
/* The same for one of a site, whose address is ta + insn.imm. */
void x64_site_lookup(struct x64 *x, struct cold_path *c, struct site *s, int ta);

/* Their cold paths: an access whose page the block did not look up, or which is misaligned, may still be
 * inline: then it goes on at the access. c's branches by what leads there: */
enum { FROM_MISALIGNED, FROM_NOT_INLINE, FROM_FAULT /* aligned_only */ };
/* disp: from the address register. Leaves the address in c->access.scratch. */
void x64_look_again(struct x64 *x, const struct cold_path *c, bool write, int64_t disp);
void x64_empty_site(struct x64 *x, const struct site *s);

#endif
