/*
 * A toy device on the bus: a value that the guest and the outside set, and an alarm. It shows what a
 * device is made of, and all that there is of it lies in this folder.
 *
 *   0   4 bytes  VALUE
 *   8   8 bytes  ALARM: VM time in ns at which the interrupt comes; 0: never
 *   16  4 bytes  PENDING: 1 while it is there; a write takes it back
 */
#ifndef TESTS_TOY_CLOCK_H
#define TESTS_TOY_CLOCK_H

#include "godwit/device.h"

enum { TOY_VALUE = 0, TOY_ALARM = 8, TOY_PENDING = 16 };

/* Events. */
enum toy_event {
    TOY_SET, /* 4 bytes: the value, which comes with an interrupt */
};

extern const struct gw_device_class toy_clock_class;

/* Any thread: a value from outside. */
void toy_clock_set(const struct gw_device *d, uint32_t value);

#endif
