/* Arrays that grow. */
#include "translator/vec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BIG = 128 << 10 }; /* bytes from which on an array has pages of its own, which move without a copy */

static void *pages_new(size_t bytes, int flags)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool vec_fix(struct vec *v, size_t elem, uint32_t most)
{
    void *p = pages_new(elem * most, MAP_NORESERVE);
    if (p)
        *v = (struct vec){.data = p, .cap = most, .mapped = elem * most, .fixed = true};
    return p != NULL;
}

void vec_free(struct vec *v)
{
    if (v->mapped)
        munmap(v->data, v->mapped);
    else
        free(v->data);
    *v = (struct vec){0};
}

static bool grow_mapped(struct vec *v, size_t elem, size_t bytes)
{
    void *p = v->mapped ? mremap(v->data, v->mapped, bytes, MREMAP_MAYMOVE) : pages_new(bytes, 0);
    if (!p || p == MAP_FAILED)
        return false;
    if (!v->mapped && v->data) {
        memcpy(p, v->data, v->count * elem);
        free(v->data);
    }
    v->data = p;
    v->mapped = bytes;
    return true;
}

static bool grow(struct vec *v, size_t elem, uint32_t cap)
{
    if (cap * elem >= BIG) {
        if (!grow_mapped(v, elem, cap * elem))
            return false;
    } else {
        void *p = realloc(v->data, cap * elem);
        if (!p)
            return false;
        v->data = p;
    }
    v->cap = cap;
    return true;
}

void *vec_push_slow(struct vec *v, size_t elem, uint32_t n)
{
    uint32_t cap = v->cap ? v->cap : 256;
    if (v->fixed)
        return NULL;
    while (cap < v->count + n)
        cap *= 2;
    if (!grow(v, elem, cap))
        return NULL;
    return vec_push(v, elem, n);
}
