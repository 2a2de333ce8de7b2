/*
 * The core-local interruptor at SiFive's layout: msip at 0, mtimecmp at 0x4000, mtime at 0xbff8,
 * for one hart. mtime counts at 10 MHz of VM time. vCPU thread.
 */
#ifndef DEV_CLINT_H
#define DEV_CLINT_H

#include "godwit/device.h"

#define DEV_TIMEBASE_HZ 10000000ull

struct dev_clint {
    struct gw_device d;
    struct gw_irq soft, timer; /* MSIP and MTIP of hart 0 */
    struct gw_timer alarm;
    uint64_t mtimecmp;
    uint32_t msip;
};

extern const struct gw_device_class dev_clint_class;

#endif
