/*
 * Where code is fetched: the fetch TLB, which holds the host pages of the last pages that this vCPU
 * found code on. A flush of a page drops its slot, whatever the ASID; global pages outlive a flush of
 * one ASID. Pages are put into the table of executed ones as they enter (spaces.h).
 *
 * Derived data, of one vCPU and its thread's.
 */
#ifndef TRANSLATOR_CODE_FETCH_H
#define TRANSLATOR_CODE_FETCH_H

#include "godwit/ir.h"
#include "translator/pages.h"
#include "translator/parts.h"

/* FETCH_COPY: bytes that no block goes beyond, nor what is looked at to make one. */
enum { ITLB_SIZE = 256, FETCH_COPY = IR_MAX_GUEST * 4 + 128 };

struct itlb_entry {
    uint64_t vpage, key;
    uint64_t ppage;
    uint8_t *host; /* of the page */
    bool global;
    bool split; /* PMP and the like: another byte of the page may not be fetched */
};

struct fetches {
    struct itlb_entry itlb[ITLB_SIZE];
    struct page_span large;
    bool filled;                          /* since all was dropped */
    _Alignas(8) uint8_t copy[FETCH_COPY]; /* of what a block of a program with threads is made of */
};

/* Drops everything. */
void fetch_forget(struct fetches *f);
/* global_too: all of them are meant, not those of one ASID. */
void fetch_flush(struct fetches *f, uint64_t vpage, bool all, bool global_too);
/* Fetch translation of vaddr's page, good until the next call; NULL: *fault. */
const struct itlb_entry *fetch_page(struct engine *e, uint64_t vaddr, struct gw_fault *fault);
/* May all bytes of the instruction at pc be fetched, as far as they are in its page, which is split?
 * Leaves *it, which is fetch_page's of pc, alone. */
bool fetch_allowed(struct engine *e, uint64_t pc, const struct itlb_entry *it,
                   struct gw_fault *fault);

#endif
