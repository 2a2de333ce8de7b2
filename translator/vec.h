/* Arrays that grow, of elements that may be moved. */
#ifndef TRANSLATOR_VEC_H
#define TRANSLATOR_VEC_H

#include <stddef.h>
#include <stdint.h>

struct vec {
    void *data; /* NULL: nothing yet; free() it at the end */
    uint32_t count, cap;
};

/* Room for n more elements of elem bytes at the end, not initialised. NULL: out of memory. */
void *vec_push(struct vec *v, size_t elem, uint32_t n);

#endif
