/*
 * Reverse lists: for each page of RAM, where write entries of it may be in a vCPU's page maps. A list may
 * name entries that are long gone, or another page's by now; it lacks none. The vCPU's thread; others
 * while the world is stopped.
 */
#ifndef TRANSLATOR_MEMORY_RMAP_H
#define TRANSLATOR_MEMORY_RMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "translator/vec.h"

struct rmap_node {
    uint64_t index; /* of the entry, in that map */
    uint32_t map, next;
};

struct rmap {
    uint64_t pages; /* page numbers are below this */
    uint32_t most;  /* nodes */
    /* Numbers of nodes, from 1; 0: none. */
    uint32_t *head, spare;
    struct vec nodes;
};

/* False: out of memory. */
bool rmap_open(struct rmap *r, uint64_t pages, uint32_t most);
void rmap_close(struct rmap *r);
/* All lists are empty. */
void rmap_forget(struct rmap *r);

/* Near the head of the page's list, so that one which is filled again and again is on it once. */
bool rmap_has(const struct rmap *r, uint64_t page, uint32_t map, uint64_t index);
/* No more nodes may be had, until lists are emptied. */
bool rmap_is_full(const struct rmap *r);
/* False: out of memory. */
bool rmap_add(struct rmap *r, uint64_t page, uint32_t map, uint64_t index);
/* Takes a node off the page's list. False: it is empty. */
bool rmap_take(struct rmap *r, uint64_t page, struct rmap_node *out);

#endif
