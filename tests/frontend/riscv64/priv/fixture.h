/*
 * A vCPU with 1 MiB of RAM, a fake bus beside it, a clock that stands still and hooks that count.
 */
#ifndef PRIV_FIXTURE_H
#define PRIV_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/decode.h"
#include "tests/frontend/riscv64/priv/fake_events.h"
#include "frontend/riscv64/priv.h"

enum {
    RAM_BASE = 0x40000000,
    RAM_SIZE = 1 << 20,
    MMIO_BASE = 0x10000000, /* 4 KiB that answer reads with mmio_value */
    ROOT = RAM_BASE,        /* top page table; below it one table a level, a page each */
    DATA = RAM_BASE + 0x80000,
};

/* Bits of a PTE. */
enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
enum { RWX = R | W | X, ALL = V | R | W | X | A | D };

struct fixture {
    struct rv_cpu cpu;
    struct gw_ram ram;
    struct gw_bus bus;
    struct gw_events events;
    uint64_t mmio_value;
    unsigned flushes, fences;
    uint64_t flush_vaddr, flush_asid;
    int flush_vaddr_all, flush_asid_all;
    uint8_t page_flags[RAM_SIZE / GW_PAGE_SIZE];
    _Alignas(4096) uint8_t mem[RAM_SIZE];
};

/* A machine's CPU in M-mode with all of memory granted to S and U. The same storage each time. */
struct fixture *fixture_new(const char *options, bool firmware);
struct fixture *fixture_user(void);

/* PTE `index` of the table at paddr. */
uint64_t *pte_at(struct fixture *f, uint64_t table, uint64_t index);
uint64_t pte_make(uint64_t paddr, uint64_t bits);
/*
 * Maps vaddr by a leaf at `level` (0: 4 KiB), with pointers above it that carry no more than V.
 * Returns the leaf. Sets satp to mode, ASID 0.
 */
uint64_t *map(struct fixture *f, unsigned mode, uint64_t vaddr, unsigned level, uint64_t paddr,
              uint64_t bits);
uint64_t table_of_level(unsigned mode, unsigned level); /* where map() puts it */

/* Reads or writes a CSR that must be accessible. */
uint64_t csr_get(struct fixture *f, unsigned csr);
void csr_set(struct fixture *f, unsigned csr, uint64_t value);

/* The cause of the fault of one access, or OK. */
#define OK (-1)
int try_access(struct fixture *f, uint64_t vaddr, unsigned size, enum gw_access access,
               struct gw_xlate *out);

uint64_t random64(uint64_t *state);

#endif
