/* Arrays that grow. */
#ifndef TRANSLATOR_VEC_H
#define TRANSLATOR_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vec {
    void *data;          /* NULL: nothing yet */
    uint32_t count, cap; /* elements, and how many there is memory for */
    size_t mapped;       /* bytes of pages of its own, which get memory in steps; 0: of the heap */
    bool fixed;          /* elements stay where they are */
};

/* Of an empty array: at most `most` elements, that never are moved, so that they can be read while others
 * are added. Address space for all of them is taken, memory when it is used. False: there is none. */
bool vec_fix(struct vec *v, size_t elem, uint32_t most);
void vec_free(struct vec *v);

void *vec_push_slow(struct vec *v, size_t elem, uint32_t n); /* for vec_push */

/* Room for n more elements of elem bytes at the end, not initialised. NULL: out of memory, or fixed and
 * full. */
static inline void *vec_push(struct vec *v, size_t elem, uint32_t n)
{
    if (!v->data || n > v->cap - v->count)
        return vec_push_slow(v, elem, n);
    void *at = (uint8_t *)v->data + v->count * elem;
    v->count += n;
    return at;
}

#endif
