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

/*
 * The same in three steps, the one in the middle without the lock, so that others go on meanwhile.
 * translate_begin notes where code memory ends, and false where all has to be done under the lock.
 * translate_apart makes the block, for a place that is likely to be its own. translate_end gives it its place:
 * if another vCPU's block has taken that, it is made once more, which takes as many bytes, with the lock let go
 * for a while.
 *
 * The bytes must be the guest's still when the block becomes one that can be found: the caller is inside all
 * the time, so its pages are not protected anew, and looks whether they are protected as they were.
 */
bool translate_open(struct engine *e);
bool translate_begin(struct engine *e);
/* False: *fault is that of the next page. */
bool translate_apart(struct engine *e, uint64_t pc, const uint8_t *bytes, uint32_t size,
                     struct gw_fault *fault);
/* What it was made of, until the next one. */
const uint8_t *translate_bytes(const struct engine *e);
/* NO_TB: e->needs_stop. A block that is not wanted any more is left as it is: stale. */
uint32_t translate_end(struct engine *e);

#endif
