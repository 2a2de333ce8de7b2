/*
 * Programs on several harts. Hart 0 runs guest_main(); the others wait in start.S, asleep, until
 * harts_run() gives them a function. All run in M mode with interrupts off, each on its own stack,
 * and each may use ctx_run() with a context of its own.
 */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include "guest.h"

enum { ALL_HARTS = (1 << HARTS) - 1, LINE = 128, TICKS_PER_MS = 10000 };

/* Runs f(hart) on each hart of the set, 0 among them, and returns when all are back. */
void harts_run(unsigned set, void (*f)(unsigned hart));
/* Waits for all harts of the set that harts_run() was given. */
void barrier(void);
/* The same asleep, for where there are fewer CPUs than harts; a software interrupt may be left over,
 * and one that was sent by a hart that left earlier may be gone. */
void barrier_asleep(void);

static inline unsigned hart_id(void)
{
    return (unsigned)csr_read(mhartid);
}

static inline volatile uint32_t *msip_of(unsigned hart)
{
    return mmio32(CLINT_BASE + 4 * hart);
}

static inline volatile uint64_t *mtimecmp_of(unsigned hart)
{
    return mmio64(CLINT_BASE + 0x4000 + 8 * hart);
}

/* What was written before is seen by whoever the interrupt wakes. */
static inline void ipi(unsigned hart)
{
    __asm__ volatile("fence rw, rw" ::: "memory");
    *msip_of(hart) = 1;
}

static inline bool ipi_pending(void)
{
    return csr_read(mip) & BIT(IRQ_MSI);
}

/* After this a new one is a new one: what its sender wrote is seen by what follows. */
static inline void ipi_clear(void)
{
    *msip_of(hart_id()) = 0;
    __asm__ volatile("fence iorw, iorw" ::: "memory");
}

static inline void pause(void)
{
    __asm__ volatile(".word 0x0100000f" ::: "memory");
}

/* Asleep until a software interrupt has come, which is ended, or has come since the last one ended. */
static inline void ipi_await(void)
{
    uint64_t old = csr_swap(mie, BIT(IRQ_MSI));
    while (!ipi_pending())
        __asm__ volatile("wfi" ::: "memory");
    csr_write(mie, old);
    ipi_clear();
}

#define load(p)         __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)     __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define fetch_add(p, v) __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL)
#define swap(p, v)      __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL)
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        while (!(condition))                                                                       \
            pause();                                                                               \
    } while (0)

#endif
