/* Arrays that grow. */
#include "translator/vec.h"

#include <stdlib.h>
#include <sys/mman.h>

bool vec_fix(struct vec *v, size_t elem, uint32_t most)
{
    void *p = mmap(NULL, elem * most, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    *v = (struct vec){.data = p, .cap = most, .fixed = elem * most};
    return true;
}

void vec_free(struct vec *v)
{
    if (v->fixed)
        munmap(v->data, v->fixed);
    else
        free(v->data);
    *v = (struct vec){0};
}

void *vec_push(struct vec *v, size_t elem, uint32_t n)
{
    if (!v->data || v->count + n > v->cap) {
        uint32_t cap = v->cap ? v->cap : 256;
        if (v->fixed)
            return NULL;
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
