/* Lowering of accesses to guest memory. */
#ifndef A64_MEM_H
#define A64_MEM_H

#include "backend-aarch64/a64_block.h"

/* Why an access leaves to its cold path: index of cold_path.from. */
enum { FROM_MISALIGNED, FROM_NOT_INLINE, FROM_NOWHERE };

/* Where it is: [base + index], or [base]. */
struct a64_place {
    int base, index; /* index < 0: none */
};

/* Looks up guest address ta for an access of 1 << size bytes; by x16 and x17. aligned: misaligned addresses
 * are left to the cold path in user mode too. */
struct a64_place a64_lookup(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                            bool aligned);
/* The same, with the host address in x16. */
void a64_lookup_x16(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                    bool aligned);

bool a64_lower_mem(struct a64 *x, const struct ir_insn *in);
void a64_cold_access(struct a64 *x, const struct cold_path *c);

#endif
