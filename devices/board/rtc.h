/* Goldfish real-time clock: ns since 1970, which the guest may set, and an alarm. vCPU thread. */
#ifndef DEV_RTC_H
#define DEV_RTC_H

#include "godwit/device.h"

struct dev_rtc {
    struct gw_device d;
    struct gw_timer alarm;
    uint64_t offset_ns; /* wall clock at VM time 0; set by the machine after dev_new() */
    uint64_t set_ns;    /* what the guest's time is ahead of that, modulo 2^64; 0 until it sets it.
                           Outlives resets, as a clock with a battery does */
    uint64_t alarm_ns;  /* guest's time */
    uint32_t time_high; /* latched by a read of the low half */
    uint32_t set_high;  /* written, for the low half to come */
    uint8_t alarm_running, irq_pending, irq_enabled;
};

extern const struct gw_device_class dev_rtc_class;

#endif
