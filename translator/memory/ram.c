/* Accesses to RAM by C: see ram.h. */
#include "translator/memory/ram.h"

#include <endian.h>

uint64_t ram_page_number(const struct gw_bus *bus, uint64_t paddr)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < bus->ram_count; k++) {
        const struct gw_ram *r = &bus->ram[k];
        if (paddr - r->base < r->size)
            return n + ((paddr - r->base) >> GW_PAGE_SHIFT);
        n += r->size >> GW_PAGE_SHIFT;
    }
    return ~UINT64_C(0);
}

uint64_t ram_pages(const struct gw_bus *bus)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < bus->ram_count; k++)
        n += bus->ram[k].size >> GW_PAGE_SHIFT;
    return n;
}

/* Bytes in any order to those who look meanwhile, but each of them one that was stored. */
static uint64_t load_bytes(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)__atomic_load_n(p + i, __ATOMIC_RELAXED) << (8 * i);
    return v;
}

static void store_bytes(uint8_t *p, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        __atomic_store_n(p + i, (uint8_t)(v >> (8 * i)), __ATOMIC_RELAXED);
}

uint64_t ram_load(const uint8_t *p, unsigned size)
{
    if (size & (size - 1) || (uintptr_t)p & (size - 1))
        return load_bytes(p, size);
    switch (size) {
    case 1: return __atomic_load_n(p, __ATOMIC_RELAXED);
    case 2: return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED));
    case 4: return le32toh(__atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED));
    default: return le64toh(__atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED));
    }
}

void ram_store(uint8_t *p, unsigned size, uint64_t v)
{
    if (size & (size - 1) || (uintptr_t)p & (size - 1)) {
        store_bytes(p, size, v);
        return;
    }
    switch (size) {
    case 1: __atomic_store_n(p, (uint8_t)v, __ATOMIC_RELAXED); break;
    case 2: __atomic_store_n((uint16_t *)(void *)p, htole16((uint16_t)v), __ATOMIC_RELAXED); break;
    case 4: __atomic_store_n((uint32_t *)(void *)p, htole32((uint32_t)v), __ATOMIC_RELAXED); break;
    default: __atomic_store_n((uint64_t *)(void *)p, htole64(v), __ATOMIC_RELAXED); break;
    }
}

bool ram_swap(void *p, unsigned size, uint64_t *old, uint64_t value)
{
    bool done;
    switch (size) {
#define SIZE(bytes, type, little)                                                                  \
    case bytes: {                                                                                  \
        type expected = little((type)*old);                                                        \
        done = __atomic_compare_exchange_n((type *)p, &expected, little((type)value), false,       \
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                    \
        *old = little(expected);                                                                   \
        return done;                                                                               \
    }
        SIZE(1, uint8_t, )
        SIZE(2, uint16_t, htole16)
        SIZE(4, uint32_t, htole32)
        SIZE(8, uint64_t, htole64)
#undef SIZE
    }
    return false;
}
