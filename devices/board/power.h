/*
 * The test device of SiFive's boards: a write ends the run or asks for a reset. What that means is
 * for the machine to do; the device only says it. vCPU thread.
 */
#ifndef DEV_POWER_H
#define DEV_POWER_H

#include "godwit/device.h"

enum dev_power_request { DEV_POWER_OFF, DEV_POWER_FAIL, DEV_POWER_RESET };

struct dev_power {
    struct gw_device d;
    void (*request)(void *context, enum dev_power_request what, unsigned code);
    void *context;
};

extern const struct gw_device_class dev_power_class;

#endif
