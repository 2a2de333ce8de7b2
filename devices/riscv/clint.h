/*
 * The core-local interruptor at SiFive's layout: msip at 0, mtimecmp at 0x4000, mtime at 0xbff8;
 * hart h's msip at 4h, its mtimecmp at 0x4000 + 8h. mtime counts at 10 MHz of VM time, plus what the
 * guest has added to it by writing mtime. A vCPU thread, under the device lock.
 */
#ifndef DEV_CLINT_H
#define DEV_CLINT_H

#include "godwit/device.h"
#include "devices/riscv/harts.h"

#define DEV_TIMEBASE_HZ 10000000ull

struct dev_clint_hart {
    struct dev_clint *clint;
    unsigned index;
    struct gw_timer alarm;
};

struct dev_clint {
    struct gw_device d;
    unsigned harts; /* 1 unless set; what is above reads 0 */
    struct gw_irq soft[DEV_MAX_HARTS], timer[DEV_MAX_HARTS]; /* MSIP and MTIP */
    struct dev_clint_hart hart[DEV_MAX_HARTS];
    /* The harts' time CSRs show mtime (Priv. 1.13, 3.1.10): told whenever mtime departs from VM time
     * by another number of ticks, modulo 2^64. May be NULL. */
    void (*time_moved)(void *context, uint64_t offset_ticks);
    void *context;
    uint64_t mtimecmp[DEV_MAX_HARTS];
    uint64_t mtime_offset; /* ticks that mtime is ahead of VM time, modulo 2^64 */
    uint32_t msip[DEV_MAX_HARTS];
};

extern const struct gw_device_class dev_clint_class;

#endif
