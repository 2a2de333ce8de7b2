/*
 * What stands behind a serial port: somewhere to put bytes, somewhere to get them. The host side
 * (console.h) implements it, tests fake it. All calls on the vCPU thread, none blocks.
 */
#ifndef DEV_SERIAL_H
#define DEV_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dev_serial {
    bool (*room)(void *context);                           /* put() would keep a byte */
    void (*put)(void *context, uint8_t byte);              /* dropped where there is no room */
    size_t (*get)(void *context, uint8_t *to, size_t max); /* bytes waiting, at most max */
    void *context;
};

#endif
