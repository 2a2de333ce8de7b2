/*
 * Runs that can be repeated. What the guest sees follows from the machine, its files and the seed,
 * whatever the engine, the host and its load, and whether the machine was saved on the way:
 *
 * - VM time is retired instructions, of all vCPUs, which take turns (turns.c). Between two instructions whose counts are the same everywhere
 *   (a trap, a CSR write that ends its block, an exact stop) the clock that devices read stands.
 * - The event queue and interrupts are looked at only at such counts. Nothing of the host's enters
 *   the queue but keys and signals, which no run of this kind repeats: disks do their
 *   work at once, and output waits for the host.
 * - What a TLB may keep is visible: a guest that changes a page table without a fence may or may
 *   not see the old entry. So all maps are emptied at fixed counts, and a machine rests, hence can
 *   be saved, at those counts alone: whoever restores it starts with empty maps too.
 */
#include <sys/random.h>

#include "devices/clock.h"
#include "frontend/riscv64/priv.h"
#include "machine/vm.h"

enum {
    PERIOD = 1u << 23,  /* instructions between two flushes */
    SETTLE_ROUNDS = 64, /* of events that make events */
};

/* Up to the next look: exact, and a function of the machine's state alone. */
uint64_t vm_repeat_limit(struct vm *m, uint64_t retired, uint64_t own)
{
    uint64_t limit = VM_REPEAT_STEP, left = PERIOD - retired % PERIOD, until;
    uint64_t deadline = gw_events_next_deadline(m->board->events);
    until = dev_events_insns_until(m->board->events, own < deadline ? own : deadline, retired);
    if (until < limit)
        limit = until;
    if (m->spec->stop_insn > retired && !m->spec->save_at_end &&
        m->spec->stop_insn - retired < limit)
        limit = m->spec->stop_insn - retired;
    return left < limit ? left : limit;
}

/* Nothing is left in the queue, so a machine that is saved here misses nothing. */
void vm_repeat_settle(struct vm *m, uint64_t retired)
{
    for (unsigned i = 0; i < SETTLE_ROUNDS && !dev_events_idle(m->board->events); i++)
        gw_events_run(m->board->events, retired);
    if (retired % PERIOD == 0 && retired != m->flushed_at) {
        m->flushed_at = retired; /* not again while the CPU waits here */
        for (unsigned i = 0; i < m->cpus; i++) {
            struct rv_cpu *cpu = m->vcpu[i].cpu;
            cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
            cpu->run.view_dirty = 1;
        }
    }
}

bool vm_repeat_rests(const struct vm *m, uint64_t retired)
{
    return retired % PERIOD == 0;
}

/* A run that is saved at its end goes on to where a save leaves no trace. */
bool vm_repeat_may_stop(const struct vm *m, uint64_t retired)
{
    return !m->spec->deterministic || !m->spec->save_at_end || vm_repeat_rests(m, retired);
}

/* SplitMix64 (Steele, Lea, Flood 2014) from the seed: enough for a device tree's rng-seed, which
 * the guest mixes anew. */
static void seed_bytes(const struct vm *m, uint8_t *to, size_t size)
{
    uint64_t state = m->spec->seed, z = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0) {
            state += UINT64_C(0x9e3779b97f4a7c15);
            z = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
            z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
            z ^= z >> 31;
        }
        to[i] = (uint8_t)(z >> (8 * (i % 8)));
    }
}

void vm_fresh_bytes(const struct vm *m, uint8_t *to, size_t size)
{
    seed_bytes(m, to, size);
    if (!m->spec->clock_insns && getrandom(to, size, GRND_NONBLOCK) < 0)
        to[0] = 0;
}
