/* The table of blocks: see table.h. */
#include "translator/code/table.h"

#include <sys/mman.h>

enum { FIRST_BITS = 14 };

struct tb_slot {
    uint32_t tag;
    uint32_t tb; /* number + 1; 0: empty */
};

static struct tb_slot *slots_new(uint32_t bits)
{
    void *p = mmap(NULL, sizeof(struct tb_slot) << bits, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool table_open(struct code_cache *c)
{
    c->slot_bits = FIRST_BITS;
    c->slots = slots_new(FIRST_BITS);
    return c->slots != NULL;
}

void table_close(struct code_cache *c)
{
    if (c->slots)
        munmap(c->slots, sizeof *c->slots << c->slot_bits);
}

void table_clear(struct code_cache *c)
{
    memset(c->slots, 0, sizeof *c->slots << c->slot_bits);
    c->slot_count = 0;
}

/* Low half: where to look; high half: the tag. */
static uint64_t key(uint64_t pc, uint64_t paddr, uint32_t flags, bool anywhere)
{
    uint64_t k = (anywhere ? 0 : pc >> GW_PAGE_SHIFT) ^ (paddr >> GW_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)flags << 40;
    k *= UINT64_C(0xd6e8feb86659fd93);
    k ^= k >> 32;
    return ((k + (pc & GW_PAGE_MASK) * UINT64_C(0x9e3779b100000000)) & ~UINT64_C(0xffffffff)) |
           (uint32_t)(k + ((pc & GW_PAGE_MASK) >> 1));
}

static void place(struct code_cache *c, uint32_t tb)
{
    const struct tb *t = cc_tb(c, tb);
    uint64_t k = key(t->pc, t->paddr, t->flags, t->anywhere);
    uint32_t mask = (1u << c->slot_bits) - 1, i = (uint32_t)k & mask;
    while (c->slots[i].tb)
        i = (i + 1) & mask;
    c->slots[i] = (struct tb_slot){.tag = (uint32_t)(k >> 32), .tb = tb + 1};
    c->slot_count++;
}

static bool grow(struct code_cache *c)
{
    struct tb_slot *old = c->slots, *fresh = slots_new(c->slot_bits + 1);
    if (!fresh)
        return false;
    c->slots = fresh;
    c->slot_bits++;
    c->slot_count = 0;
    for (uint32_t i = 0; i < 1u << (c->slot_bits - 1); i++)
        if (old[i].tb)
            place(c, old[i].tb - 1);
    munmap(old, sizeof *old << (c->slot_bits - 1));
    return true;
}

void table_add(struct code_cache *c, uint32_t i)
{
    if (c->slot_count < 3u << (c->slot_bits - 2) || grow(c))
        place(c, i);
}

struct table_look table_look(const struct code_cache *c, const struct tb_id *id)
{
    uint64_t k = key(id->pc, id->paddr, id->flags, id->anywhere);
    return (struct table_look){
        .id = id, .at = (uint32_t)k & ((1u << c->slot_bits) - 1), .tag = (uint32_t)(k >> 32)};
}

uint32_t table_next(const struct code_cache *c, struct table_look *look)
{
    const struct tb_id *id = look->id;
    uint32_t mask = (1u << c->slot_bits) - 1, i;
    while ((i = c->slots[look->at].tb)) {
        const struct tb *tb = cc_tb(c, i - 1);
        bool same = c->slots[look->at].tag == look->tag &&
                    (tb->pc == id->pc || id->anywhere) && tb->anywhere == id->anywhere &&
                    tb->paddr == id->paddr && tb->flags == id->flags && tb->paddr2 == id->paddr2;
        look->at = (look->at + 1) & mask;
        if (same)
            return i - 1;
    }
    return NO_TB;
}
