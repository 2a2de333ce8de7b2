/*
 * What a toy program runs in: the same guest memory in user mode (a window of host memory) and in a
 * machine (a bus with one RAM region and one register), with the IR interpreter or generated code.
 */
#ifndef TESTS_TOY_WORLD_H
#define TESTS_TOY_WORLD_H

#include "translator/engine.h"
#include "tests/frontend/toy/toy_guest.h"

/* Guest memory is [TOY_RAM, TOY_RAM + TOY_RAM_SIZE); programs start at TOY_RAM, data at TOY_DATA.
 * User mode's window has TOY_WINDOW bytes, none outside of the RAM accessible. */
#define TOY_RAM      UINT64_C(0x10000)
#define TOY_RAM_SIZE UINT64_C(0x8000)
#define TOY_DATA     UINT64_C(0x14000)
#define TOY_WINDOW   UINT64_C(0x100000)
/* Machine: eight bytes that keep the sum of what is stored to them. */
#define TOY_SUM UINT64_C(0x80000)

struct toy_setup {
    bool user, jit;
    bool no_flat;       /* machine: the tagged TLB instead of flat maps */
    bool no_fold;       /* builder folds nothing */
    bool count_host;    /* counts host instructions that are executed */
    unsigned max_guest; /* instructions in a block; 0: the engine's default */
    uint64_t slice;     /* instructions in one call of engine_run; exact */
    FILE *dump;         /* NULL, or where decode and ir go */
};

struct toy_world {
    struct toy_setup setup;
    struct toy_cpu *cpu;
    uint8_t *window; /* host memory of the guest address 0 */
    struct gw_bus bus;
    struct gw_ram ram;
    uint8_t page_flags[TOY_RAM_SIZE / GW_PAGE_SIZE];
    uint64_t sum;
    struct engine_dump dump;
    struct engine *engine;
};

/* Everything that must not depend on how a program was run. */
struct toy_result {
    enum engine_stop stop;
    uint64_t r[16];
    uint64_t pc, retired, sum, traps, fp_flags;
    struct gw_fault fault; /* user mode, ENGINE_FAULT */
    uint8_t ram[TOY_RAM_SIZE];
};

/* False: this host does not run the backend's code. */
bool toy_can_jit(void);
/* Instructions, from this many bytes behind TOY_RAM on. */
void toy_put_code(struct toy_world *w, size_t at, const uint32_t *code, size_t words);
void toy_open(struct toy_world *w, const struct toy_setup *setup, const uint32_t *code,
              size_t words);
void toy_close(struct toy_world *w);
/* Runs until the program halts or faults, at most `most` instructions. System calls add 1000 to r0 and
 * go on. */
void toy_run(struct toy_world *w, uint64_t most, struct toy_result *out);

#endif
