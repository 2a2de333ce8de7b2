/*
 * The differential fuzzer: one random program runs in several engines (IR interpreter, JIT in
 * several settings) from one state, and everything that a guest can see must come out equal.
 *
 * A program is a straight run of instructions that branch among themselves, and ends in one that
 * stops. It runs in a small address space, the same in all engines of a kind:
 *
 *     FZ_CODE   64 pages, a program in each turn
 *     FZ_TRAP   the trap handlers of machine modes: csrw mie, x0 (in M-mode); wfi; j .-4
 *     FZ_DATA   page 0 and 1: read and written; 2: read only; 3: absent, MMIO in bare M-mode
 */
#ifndef TESTS_FUZZ_FZ_H
#define TESTS_FUZZ_FZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "translator/engine.h"
#include "frontend/riscv64/rv_cpu.h"

enum {
    FZ_CODE = 0x113000, /* no number that corner cases make: what lies there is kept for long */
    FZ_CODE_PAGES = 64,
    FZ_TRAP = 0x15b000,
    FZ_TABLES = 0x160000,
    FZ_DATA = 0x200000,
    FZ_DATA_PAGES = 3,
    FZ_END = FZ_DATA + FZ_DATA_PAGES * 4096,
    FZ_MAX_INSNS = 96,
    FZ_STATES = 3,
    FZ_LOOP_INSNS = 400,
};
#define FZ_HIGH39 UINT64_C(0xffffffc000000000)
#define FZ_HIGH48 UINT64_C(0xffff800000000000)

/* --- random numbers --------------------------------------------------------------------------- */
uint64_t fz_random(uint64_t *rng);
static inline uint32_t fz_below(uint64_t *rng, uint32_t n)
{
    return (uint32_t)((fz_random(rng) >> 32) * n >> 32);
}
static inline bool fz_percent(uint64_t *rng, uint32_t n)
{
    return fz_below(rng, 100) < n;
}
uint64_t fz_value(uint64_t *rng); /* often a corner of some width */
uint64_t fz_float(uint64_t *rng); /* an F64, or an F32 well or badly boxed; often special */

/* --- programs --------------------------------------------------------------------------------- */

/* Where and how a program runs. */
enum fz_view {
    FZ_V_USER,
    FZ_V_M_BARE,
    FZ_V_S_BARE,
    FZ_V_S39_LOW,
    FZ_V_S39_HIGH,
    FZ_V_U39,
    FZ_V_S48_LOW,
    FZ_V_S48_HIGH,
    FZ_V_U48,
    FZ_V_COUNT
};
extern const char *const fz_view_names[FZ_V_COUNT];

struct fz_program {
    uint64_t seed;
    enum fz_view view;
    uint64_t pc;   /* virtual */
    uint32_t page; /* of FZ_CODE where it starts */
    uint32_t count;
    uint32_t word[FZ_MAX_INSNS];
    uint16_t at[FZ_MAX_INSNS + 1]; /* offsets; the last is the size */
    bool loops;                    /* may run forever: exact stops only */
    uint32_t pointers;             /* mask of integer registers that hold addresses of data */
};

/* What differs between runs of one program. */
struct fz_state {
    uint64_t x[32], f[32];
    uint64_t fcsr;
    uint8_t fs; /* mstatus.FS */
    bool delegate;
    uint64_t max_insns;
    bool exact;
    uint64_t data_seed; /* of the data pages */
    uint64_t irq_at;    /* an interrupt comes after so many instructions; 0: never */
};

struct fz_gen_options {
    uint32_t loop_insns; /* the most that a program runs which may run forever */
    bool oracle;         /* only what runs alike on Linux, and cannot fault */
    bool lr_double;      /* LR and SC of one width: what becomes of a pair of two is left open */
};

void fz_generate(struct fz_program *p, uint64_t seed, enum fz_view view, uint32_t page,
                 const struct fz_gen_options *opt);
void fz_generate_state(struct fz_state *s, const struct fz_program *p, uint64_t seed,
                       const struct fz_gen_options *opt);
/* The base of the views' addresses: physical address + this = virtual address. */
uint64_t fz_view_base(enum fz_view v);
/* Writes the program's bytes; out holds at[count] bytes. */
void fz_program_bytes(const struct fz_program *p, uint8_t *out);
/* Makes instruction i do nothing. */
void fz_drop(struct fz_program *p, uint32_t i);
bool fz_is_nop(const struct fz_program *p, uint32_t i);

/* --- environments ----------------------------------------------------------------------------- */

/* One engine with its guest. */
struct fz_config {
    const char *name;
    bool user;
    bool interp;
    bool tlb;
    bool no_fold;
    uint32_t features_off;
    size_t code_cache_bytes;
    unsigned max_guest_insns;
    unsigned trace;
    bool fp_traps; /* exceptions trap whenever they can */
};
enum { FZ_MAX_CONFIGS = 32 };
extern const struct fz_config fz_configs[];
extern const unsigned fz_config_count;

struct fz_env;
struct fz_env *fz_env_new(const struct fz_config *cfg);
void fz_env_free(struct fz_env *env);
void fz_env_load(struct fz_env *env, const struct fz_program *p);
/* Did a program write to the page tables or trap handlers? What is seen of that before a fence is
 * left open; they are as they were at the next load. */
bool fz_env_damaged(const struct fz_env *env);
/* Did a program write to code, its own or what lies beside it, or to a page that it had run? What is
 * seen of that before FENCE.I is left open too. The code pages are as they were afterwards. */
bool fz_env_rewritten(struct fz_env *env);

/* All that came of a run. */
struct fz_outcome {
    enum engine_stop stop;
    uint64_t retired;
    struct gw_fault fault; /* user mode */
    uint64_t mmio_hash;
    const struct rv_cpu *cpu;
    const uint8_t *data[FZ_DATA_PAGES];
};
void fz_env_run(struct fz_env *env, const struct fz_program *p, const struct fz_state *s,
                struct fz_outcome *out);
/* NULL: equal; else what differs, in buf. */
const char *fz_compare(const struct fz_outcome *a, const struct fz_outcome *b, char *buf,
                       size_t size);
/* `digest` and what the outcome is; the same wherever it is the same. */
uint64_t fz_digest(uint64_t digest, const struct fz_outcome *o);
/* Prints the last translations of the program: used with a fresh engine. */
void fz_env_dump(const struct fz_config *cfg, const struct fz_program *p, const struct fz_state *s);

/* --- against QEMU ----------------------------------------------------------------------------- */
int fz_oracle(const char *qemu, uint64_t insns, uint64_t seed, bool verbose);

#endif
