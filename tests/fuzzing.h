/*
 * What fuzz targets share. A target is LLVMFuzzerTestOneInput(); libFuzzer calls it, or fuzz_main.c
 * with random inputs. An input is a list of choices that the target makes with fz_take(), so that
 * random bytes come far without a corpus.
 */
#ifndef TESTS_FUZZING_H
#define TESTS_FUZZING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fz_bytes {
    const uint8_t *at, *end;
};

/* The next size bytes, at most 8, as a little-endian number; zeros beyond the input's end. */
static inline uint64_t fz_take(struct fz_bytes *b, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size && b->at < b->end; i++)
        v |= (uint64_t)*b->at++ << (8 * i);
    return v;
}

/* A number that is often on some border. */
static inline uint64_t fz_number(struct fz_bytes *b)
{
    static const uint64_t odd[] = {0,      1,          7,           0x7f,      0xff,
                                   0xffff, 0x7fffffff, UINT32_MAX,  INT64_MAX, UINT64_MAX,
                                   0x1000, 0x80000000, 0xfffffff0u, 56,        (uint64_t)-4096};
    uint64_t how = fz_take(b, 1);
    if (how < sizeof odd / sizeof odd[0])
        return odd[how];
    return fz_take(b, how < 0x60 ? 1 : how < 0xa0 ? 2 : how < 0xe0 ? 4 : 8);
}

/* Does to a file of `size` bytes what the input says: numbers in it are replaced, pieces are cut out
 * or are there twice. Returns its new size, at most max. */
static inline size_t fz_edit(struct fz_bytes *b, uint8_t *file, size_t size, size_t max)
{
    while (b->at < b->end && size) {
        unsigned how = (unsigned)fz_take(b, 1), width = 1u << (how >> 3 & 3);
        size_t at = fz_take(b, size > 256 && how & 0x20 ? 3 : 1) % size, n;
        uint64_t v;
        switch (how & 7) {
        case 0: file[at] ^= (uint8_t)(1u << (how >> 3 & 7)); break;
        case 1: /* cut out; or, from there on */
        case 2:
            n = how & 0x80 ? size - at : (size_t)fz_take(b, 2) % (size - at);
            memmove(file + at, file + at + n, size - at - n);
            size -= n;
            break;
        case 3: /* twice */
            n = (size_t)fz_take(b, 2) % (size - at);
            if (n <= max - size) {
                memmove(file + at + n, file + at, size - at);
                size += n;
            }
            break;
        default:
            v = fz_number(b);
            if (how & 0x40)
                v = __builtin_bswap64(v) >> (64 - 8 * width);
            for (unsigned i = 0; i < width && at + i < size; i++)
                file[at + i] = (uint8_t)(v >> (8 * i));
            break;
        }
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
