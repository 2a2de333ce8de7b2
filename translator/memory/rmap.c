/* Reverse lists: see rmap.h. */
#include "translator/memory/rmap.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_DEPTH = 4 };

static struct rmap_node *node(const struct rmap *r, uint32_t k)
{
    return (struct rmap_node *)r->nodes.data + (k - 1);
}

bool rmap_open(struct rmap *r, uint64_t pages, uint32_t most)
{
    r->pages = pages;
    r->most = most;
    r->head = calloc(pages, sizeof *r->head);
    return r->head;
}

void rmap_close(struct rmap *r)
{
    free(r->head);
    vec_free(&r->nodes);
}

void rmap_forget(struct rmap *r)
{
    memset(r->head, 0, r->pages * sizeof *r->head);
    r->nodes.count = 0;
    r->spare = 0;
}

bool rmap_has(const struct rmap *r, uint64_t page, uint32_t map, uint64_t index)
{
    uint32_t depth = 0;
    for (uint32_t k = r->head[page]; k && depth < LOOK_DEPTH; k = node(r, k)->next, depth++)
        if (node(r, k)->index == index && node(r, k)->map == map)
            return true;
    return false;
}

bool rmap_is_full(const struct rmap *r)
{
    return !r->spare && r->nodes.count >= r->most;
}

bool rmap_add(struct rmap *r, uint64_t page, uint32_t map, uint64_t index)
{
    uint32_t k = r->spare;
    if (k)
        r->spare = node(r, k)->next;
    else if (vec_push(&r->nodes, sizeof(struct rmap_node), 1))
        k = r->nodes.count;
    else
        return false;
    *node(r, k) = (struct rmap_node){.index = index, .map = map, .next = r->head[page]};
    r->head[page] = k;
    return true;
}

bool rmap_take(struct rmap *r, uint64_t page, struct rmap_node *out)
{
    uint32_t k = r->head[page];
    if (!k)
        return false;
    *out = *node(r, k);
    r->head[page] = out->next;
    node(r, k)->next = r->spare;
    r->spare = k;
    return true;
}
