/*
 * The panic device: a guest's kernel writes what befell it, a set of events, and reads which events
 * the device knows. What follows is for the machine to do. It holds no state. vCPU thread.
 */
#ifndef DEV_PVPANIC_H
#define DEV_PVPANIC_H

#include "godwit/device.h"

enum {
    DEV_PVPANIC_PANICKED = 1,
    DEV_PVPANIC_CRASH_LOADED = 2, /* panicked, and a crash kernel takes over */
    DEV_PVPANIC_SHUTDOWN = 4,
    DEV_PVPANIC_EVENTS = 7,
};

struct dev_pvpanic {
    struct gw_device d;
    void (*report)(void *context, unsigned events); /* a set, not empty, of known ones */
    void *context;
};

extern const struct gw_device_class dev_pvpanic_class;

#endif
