/* From guest bytes to a block in the code cache: lift, passes, then the backend or the interpreter. */
#ifndef TRANSLATOR_CODE_TRANSLATE_H
#define TRANSLATOR_CODE_TRANSLATE_H

#include "translator/code/cache.h"

/*
 * Makes the block at pc, under e->flags and of the kind that e->ir->anywhere says, of the `size` bytes there: to the end of its page, and as many
 * behind it as an instruction that begins on the page may take. limit: most guest instructions; 0: the usual.
 * Gives its number; it is not in any list or table yet, and knows no physical address or hash. NO_TB:
 * *fault is that of the next page, or e->needs_stop: the cache is full, and others may be in it. May
 * empty the cache. Under the world's lock.
 */
uint32_t translate(struct engine *e, uint64_t pc, const uint8_t *bytes, uint32_t size,
                   uint32_t limit, struct gw_fault *fault);

#endif
