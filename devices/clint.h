/*
 * The core-local interruptor at SiFive's layout: msip at 0, mtimecmp at 0x4000, mtime at 0xbff8,
 * for one hart. mtime counts at 10 MHz of VM time, plus what the guest has added to it by writing
 * mtime. vCPU thread.
 */
#ifndef DEV_CLINT_H
#define DEV_CLINT_H

#include "godwit/device.h"

#define DEV_TIMEBASE_HZ 10000000ull

struct dev_clint {
    struct gw_device d;
    struct gw_irq soft, timer; /* MSIP and MTIP of hart 0 */
    struct gw_timer alarm;
    /* The hart's time CSR shows mtime (Priv. 1.13, 3.1.10): told whenever mtime departs from VM time
     * by another number of ticks, modulo 2^64. May be NULL. */
    void (*time_moved)(void *context, uint64_t offset_ticks);
    void *context;
    uint64_t mtimecmp;
    uint64_t mtime_offset; /* ticks that mtime is ahead of VM time, modulo 2^64 */
    uint32_t msip;
};

extern const struct gw_device_class dev_clint_class;

#endif
