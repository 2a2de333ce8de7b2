/* Arrays that grow. */
#include "translator/vec.h"

#include <stdlib.h>

void *vec_push(struct vec *v, size_t elem, uint32_t n)
{
    if (!v->data || v->count + n > v->cap) {
        uint32_t cap = v->cap ? v->cap : 256;
        while (cap < v->count + n)
            cap *= 2;
        void *p = realloc(v->data, cap * elem);
        if (!p)
            return NULL;
        v->data = p;
        v->cap = cap;
    }
    void *at = (uint8_t *)v->data + v->count * elem;
    v->count += n;
    return at;
}
