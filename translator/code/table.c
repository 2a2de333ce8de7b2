/* The table of blocks: see table.h. */
#include "translator/code/table.h"

#include <sys/mman.h>

enum { FIRST_BITS = 10 };

/* As one word, atomic: a block's number + 1 in the low half, its tag in the high one. 0: empty. */
typedef uint64_t slot;

struct tb_table {
    struct tb_table *before; /* smaller, and perhaps still looked at; or NULL */
    uint32_t bits;           /* 1 << bits slots */
    slot slot[];
};

/* Blocks that there may be in it: half of the slots, so that what is not there is soon missed; where that costs much
 * memory, three quarters. */
static uint32_t most_of(const struct tb_table *t)
{
    enum { LARGE_BITS = 16 };
    return t->bits < LARGE_BITS ? 1u << (t->bits - 1) : 3u << (t->bits - 2);
}

static size_t bytes_of(uint32_t bits)
{
    return sizeof(struct tb_table) + (sizeof(slot) << bits);
}

/* populate: MAP_POPULATE, where all pages of it come into use at once; or 0. */
static struct tb_table *table_new(uint32_t bits, int populate)
{
    struct tb_table *t = mmap(NULL, bytes_of(bits), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | populate, -1, 0);
    if (t == MAP_FAILED)
        return NULL;
    t->bits = bits;
    return t;
}

static void free_all(struct tb_table *t)
{
    while (t) {
        struct tb_table *before = t->before;
        munmap(t, bytes_of(t->bits));
        t = before;
    }
}

bool table_open(struct code_cache *c)
{
    c->table = table_new(FIRST_BITS, 0);
    return c->table != NULL;
}

void table_close(struct code_cache *c)
{
    free_all(c->table);
}

void table_clear(struct code_cache *c)
{
    free_all(c->table->before);
    c->table->before = NULL;
    memset(c->table->slot, 0, sizeof(slot) << c->table->bits);
    c->table_count = 0;
}

/* Low half: where to look; high half: the tag. */
static uint64_t key(uint64_t pc, uint64_t paddr, uint32_t flags, bool anywhere)
{
    uint64_t k = (anywhere ? 0 : pc >> GW_PAGE_SHIFT) ^
                 (paddr >> GW_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)flags << 40;
    k *= UINT64_C(0xd6e8feb86659fd93);
    k ^= k >> 32;
    return ((k + (pc & GW_PAGE_MASK) * UINT64_C(0x9e3779b100000000)) & ~UINT64_C(0xffffffff)) |
           (uint32_t)(k + ((pc & GW_PAGE_MASK) >> 1));
}

/* Who finds the slot finds the block whole. */
static void place(struct code_cache *c, struct tb_table *in, uint32_t tb)
{
    const struct tb *t = cc_tb(c, tb);
    uint64_t k = key(t->pc, t->paddr, t->flags, t->anywhere);
    uint32_t mask = (1u << in->bits) - 1, i = (uint32_t)k & mask;
    while (in->slot[i])
        i = (i + 1) & mask;
    __atomic_store_n(&in->slot[i], k >> 32 << 32 | (tb + 1), __ATOMIC_RELEASE);
}

/* Others may be looking at the one there was: it is kept until they are all outside. */
static bool grow(struct code_cache *c)
{
    struct tb_table *old = c->table, *fresh = table_new(old->bits + 1, MAP_POPULATE);
    if (!fresh)
        return false;
    fresh->before = c->fixed ? old : NULL;
    for (uint32_t i = 0; i < 1u << old->bits; i++)
        if (old->slot[i])
            place(c, fresh, (uint32_t)old->slot[i] - 1);
    __atomic_store_n(&c->table, fresh, __ATOMIC_RELEASE);
    if (!c->fixed)
        free_all(old);
    return true;
}

void table_add(struct code_cache *c, uint32_t i)
{
    if (c->table_count < most_of(c->table) || grow(c)) {
        place(c, c->table, i);
        c->table_count++;
    }
}

struct table_look table_look(const struct code_cache *c, const struct tb_id *id)
{
    const struct tb_table *in = __atomic_load_n(&c->table, __ATOMIC_ACQUIRE);
    uint64_t k = key(id->pc, id->paddr, id->flags, id->anywhere);
    return (struct table_look){
        .in = in, .id = id, .at = (uint32_t)k & ((1u << in->bits) - 1), .tag = (uint32_t)(k >> 32)};
}

uint32_t table_next(const struct code_cache *c, struct table_look *look)
{
    const struct tb_id *id = look->id;
    uint32_t mask = (1u << look->in->bits) - 1;
    slot s;
    while ((s = __atomic_load_n(&look->in->slot[look->at], __ATOMIC_ACQUIRE))) {
        uint32_t i = (uint32_t)s - 1;
        const struct tb *tb = cc_tb(c, i);
        bool same = s >> 32 == look->tag && (tb->pc == id->pc || id->anywhere) &&
                    tb->anywhere == id->anywhere && tb->paddr == id->paddr &&
                    tb->flags == id->flags && tb->paddr2 == id->paddr2;
        look->at = (look->at + 1) & mask;
        if (same)
            return i;
    }
    return NO_TB;
}
