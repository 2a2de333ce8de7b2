/*
 * Memory for generated code: one piece of it, mapped twice, so that no address is ever writable and
 * executable (W^X). It is filled from the start; who owns it keeps `used`.
 */
#ifndef TRANSLATOR_CODE_CODE_MEM_H
#define TRANSLATOR_CODE_CODE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/status.h"

enum { CODE_CACHE_FLOOR = 1 << 20 }; /* a cache whose size nobody gave has this much at least */

struct code_mem {
    uint8_t *rw;
    uint64_t rx; /* where the same bytes run */
    size_t size, used, populated;
};

enum gw_status code_mem_open(struct code_mem *m, size_t size, struct gw_error *err);
void code_mem_close(struct code_mem *m);
/* Makes [used, used+need) cheap to touch; false: full. */
bool code_mem_reserve(struct code_mem *m, size_t need);

#endif
