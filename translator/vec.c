/* Arrays that grow. */
#include "translator/vec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    BIG = 128
          << 10, /* bytes from which on an array has pages of its own, which move without a copy */
    STEP =
        64 << 10, /* of those, bytes that get memory at once: a fault for each page takes longer */
};

static void *pages_new(size_t bytes, int flags)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool vec_fix(struct vec *v, size_t elem, uint32_t most)
{
    void *p = pages_new(elem * most, MAP_NORESERVE);
    if (p)
        *v = (struct vec){.data = p, .mapped = elem * most, .fixed = true};
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
    v->cap = v->count;
    return true;
}

/* More of its pages get memory, for n more elements at least. False: there are no more. */
static bool populate(struct vec *v, size_t elem, uint32_t n)
{
    size_t first = ((size_t)v->cap + 1) * elem / STEP * STEP, need = ((size_t)v->count + n) * elem;
    size_t end = (need + STEP - 1) / STEP * STEP;
    if (need > v->mapped)
        return false;
    end = end < v->mapped ? end : v->mapped;
    /* advice: where the kernel doesn't know it, the pages fault in one by one */
    madvise((uint8_t *)v->data + first, end - first, MADV_POPULATE_WRITE);
    v->cap = (uint32_t)(end / elem);
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
        v->cap = cap;
    }
    return true;
}

void *vec_push_slow(struct vec *v, size_t elem, uint32_t n)
{
    if (!v->mapped || !populate(v, elem, n)) {
        uint32_t cap = v->cap ? v->cap : 256;
        if (v->fixed)
            return NULL;
        while (cap < v->count + n)
            cap *= 2;
        if (!grow(v, elem, cap) || (v->mapped && !populate(v, elem, n)))
            return NULL;
    }
    return vec_push(v, elem, n);
}
