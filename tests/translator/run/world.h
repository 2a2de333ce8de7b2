/*
 * A small machine for tests of the engine: 4 MiB of RAM, one hart in M-mode at reset, no device.
 * Each test runs in all the ways in which an engine can run.
 */
#ifndef TESTS_JIT_WORLD_H
#define TESTS_JIT_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/host_backend.h"
#include "translator/engine.h"
#include "frontend/riscv64/rv_cpu.h"

#define W_RAM       UINT64_C(0x80000000)
#define W_RAM_BYTES UINT64_C(0x400000)

struct world_way {
    const char *name;
    bool interp, no_flat, no_fold, moving_code;
    uint32_t features_off;
    size_t code_cache_bytes;
    unsigned max_guest_insns, trace;
    enum engine_fp_traps fp_traps;
    bool shared; /* in a world for two vCPUs, of which it is the first, or the only one */
    const struct guest_isa *isa; /* NULL: RV64 */
};
extern const struct world_way world_ways[];
extern const unsigned world_way_count;

struct world {
    struct rv_cpu *cpu;
    struct engine *engine;
    struct engine_world *world; /* way->shared */
    uint8_t *ram;
    uint8_t flags[W_RAM_BYTES / 4096];
    struct gw_ram region;
    struct gw_bus bus;
    const struct world_way *way;
    uint64_t tables;      /* page tables made so far end here */
    struct world *beside; /* the first vCPU of the world that this is the second of */
};

/* That of this host; and whether its FP exceptions can be made to trap. */
const struct host_backend *world_backend(void);
bool world_fp_traps(void);
/* Does it look at all bits of an address, so that one which is no guest's faults without a check? */
bool world_faults_by_itself(void);

/* Cleared memory, a CPU after reset with PMP open. Fails the test if it can't be had. */
void world_open(struct world *w, const struct world_way *way);
void world_close(struct world *w);
/* A second vCPU, with the memory of the first, whose way is a shared one; closed before that. It has no bus, flags,
 * or page tables of its own. */
void world_open_beside(struct world *w, struct world *first);
/* That vCPU runs next on this thread. Of two. */
void world_turn(const struct world *w);
/* Fails the test, and says in which way of running. */
void world_expect(const struct world *w, const char *what, uint64_t got, uint64_t want);
/* Copies code to RAM, and tells the engine as DMA would. */
void world_code(struct world *w, uint64_t paddr, const uint32_t *words, unsigned count);
void world_poke(struct world *w, uint64_t paddr, uint64_t value); /* 8 bytes; tells nobody */
uint64_t world_peek(const struct world *w, uint64_t paddr);
/* Page tables: a new root of 3 or 4 levels; pages are added with PTE bits (V, A, D are set). */
uint64_t world_root(struct world *w);
void world_map(struct world *w, uint64_t root, unsigned levels, uint64_t vaddr, uint64_t paddr,
               unsigned bits);
void world_satp(struct world *w, uint64_t root, unsigned levels, unsigned asid);

enum { PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32 };

/* --- instructions ----------------------------------------------------------------------------- */

enum { X0, RA, SP, T0 = 5, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5 };

static inline uint32_t i_i(unsigned opcode, unsigned f3, unsigned rd, unsigned rs1, int imm)
{
    return opcode | rd << 7 | f3 << 12 | rs1 << 15 | (uint32_t)imm << 20;
}
static inline uint32_t i_addi(unsigned rd, unsigned rs1, int imm)
{
    return i_i(0x13, 0, rd, rs1, imm);
}
static inline uint32_t i_add(unsigned rd, unsigned a, unsigned b)
{
    return 0x33 | rd << 7 | a << 15 | b << 20;
}
static inline uint32_t i_mul(unsigned rd, unsigned a, unsigned b)
{
    return i_add(rd, a, b) | 1u << 25;
}
static inline uint32_t i_ld(unsigned rd, unsigned base, int imm)
{
    return i_i(0x03, 3, rd, base, imm);
}
static inline uint32_t i_store(unsigned f3, unsigned rs, unsigned base, int imm)
{
    return 0x23 | ((uint32_t)imm & 31) << 7 | f3 << 12 | base << 15 | rs << 20 |
           ((uint32_t)imm >> 5 & 127) << 25;
}
static inline uint32_t i_sd(unsigned rs, unsigned base, int imm)
{
    return i_store(3, rs, base, imm);
}
static inline uint32_t i_lui(unsigned rd, uint32_t value)
{
    return 0x37 | rd << 7 | (value & 0xfffff000);
}
static inline uint32_t i_jal(unsigned rd, int off)
{
    uint32_t u = (uint32_t)off;
    return 0x6f | rd << 7 | (u >> 20 & 1) << 31 | (u >> 1 & 0x3ff) << 21 | (u >> 11 & 1) << 20 |
           (u >> 12 & 0xff) << 12;
}
static inline uint32_t i_jalr(unsigned rd, unsigned rs1, int imm)
{
    return i_i(0x67, 0, rd, rs1, imm);
}
static inline uint32_t i_branch(unsigned f3, unsigned a, unsigned b, int off)
{
    uint32_t u = (uint32_t)off;
    return 0x63 | f3 << 12 | a << 15 | b << 20 | (u >> 12 & 1) << 31 | (u >> 5 & 63) << 25 |
           (u >> 1 & 15) << 8 | (u >> 11 & 1) << 7;
}
static inline uint32_t i_csrrw(unsigned rd, unsigned csr, unsigned rs1)
{
    return i_i(0x73, 1, rd, rs1, (int)csr);
}
static inline uint32_t i_amo(unsigned f5, bool wide, unsigned rd, unsigned rs1, unsigned rs2)
{
    return 0x2f | rd << 7 | (wide ? 3u : 2u) << 12 | rs1 << 15 | rs2 << 20 | f5 << 27;
}

enum {
    I_NOP = 0x13,
    I_WFI = 0x10500073,
    I_ECALL = 0x73,
    I_FENCE_I = 0x100f,
    I_SFENCE = 0x12000073, /* sfence.vma x0, x0 */
    I_MRET = 0x30200073,
    CSR_MIE = 0x304,
};

#endif
