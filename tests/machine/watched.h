/*
 * A machine that is watched by a test: it runs watched.s, in some way, and a client of the test's is
 * told of its stops. See watched.s for what the guest does and where its data are.
 */
#ifndef TESTS_MACHINE_WATCHED_H
#define TESTS_MACHINE_WATCHED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine/machine.h"

#define RAM        UINT64_C(0x80000000)
#define RAM_BYTES  (UINT64_C(64) << 20)
#define HIGH       UINT64_C(0x40000000)  /* S mode sees memory this far above where it is */
#define UNMARKED   UINT64_C(0x100000000) /* and again there, by an entry that nobody uses */
#define NOTHING    UINT64_C(0x140000000) /* no entry */
#define DATA       UINT64_C(0x80100000)
#define ROOT_ENTRY UINT64_C(0x80200020) /* of UNMARKED */
enum {
    DATA_BYTES = 4096,
    ROUNDS_BEGUN = 0,
    ROUNDS_ENDED = 8,
    TIMER = 24,
    DEVICE = 40 /* a hash and a count */
};

struct way {
    const char *name;
    unsigned harts, tick, rounds;
    const char *options[6][2]; /* of godwit run */
};
enum { ROUNDS = 4000, LONG_RUN = 100000, TICK = 20, SLOW_TICK = 2000 };
/* Each engine; one hart and two, by threads and in turns. */
extern const struct way watched_ways[];
extern const unsigned watched_way_count;
bool is_repeatable(const struct way *way);

/* Addresses, as S mode has them; back: as M mode, which returns there. */
struct places {
    uint64_t loop, callee, patch, finish, trap, back;
};

struct watched {
    const struct way *way;
    struct gw_debug *d;
    struct places at;
    /* The test's; stopped() runs on a thread of the machine's. */
    void (*offered)(struct watched *w);
    void (*stopped)(struct watched *w, const struct gw_debug_stop *stop);
    void *test;
    unsigned stops;
    bool ended; /* the machine told so */
    struct machine_result result;
};

/* Runs the machine to its end on this thread; fails the test if that is not a power-off. */
void watched_run(struct watched *w);

/* Its client from now on. When it is offered. */
void watched_attach(struct watched *w);

/* ---- for the client, while the machine is stopped; they fail the test ------------------------ */

uint64_t reg(struct watched *w, unsigned unit, const char *name);
bool set_reg(struct watched *w, unsigned unit, const char *name, uint64_t value);
/* 8 bytes of physical memory. */
uint64_t word(struct watched *w, uint64_t paddr);
void add_break(struct watched *w, int unit, uint64_t pc);
void remove_break(struct watched *w, int unit, uint64_t pc);
/* All units run; or as plan says. */
void go_on(struct watched *w, const struct gw_debug_plan *plan);

/* Instructions retired by a unit, and by all of them. */
uint64_t insns_of(struct watched *w, unsigned unit);
uint64_t retired_by_all(struct watched *w);

#define expect(w, what, got, want) expect_at((w), (what), (got), (want), __FILE__, __LINE__)
void expect_at(const struct watched *w, const char *what, uint64_t got, uint64_t want,
               const char *file, int line);

#endif
