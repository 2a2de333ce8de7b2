/* A device under a fuzzer: an input is a list of what a driver and the host's side do. */
#ifndef TESTS_FUZZ_DEVICES_H
#define TESTS_FUZZ_DEVICES_H

#include <stddef.h>
#include <stdint.h>

#include "devices/clock.h"
#include "tests/fuzzing.h"
#include "devices/memory_bus.h"
#include "devices/registry.h"
#include "devices/virtio/mmio.h"

enum { FZ_RAM_BYTES = 1 << 20, FZ_QUEUES = 8 };
#define FZ_RAM_BASE UINT64_C(0x80000000)

struct fz_world {
    struct gw_events *events;
    struct dev_bus bus;
    struct gw_device *d;
    struct virtio_dev *v;
    uint64_t insns;
};

/* Each target's own. */
void fz_attach(struct fz_world *w);                       /* once */
void fz_between(struct fz_world *w);                      /* before each input: a fresh host side */
void fz_host(struct fz_world *w, struct fz_bytes *input); /* the host's side does something */

#endif
