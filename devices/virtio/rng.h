/*
 * virtio-rng (VIRTIO 1.2, 5.4). Entropy comes from the host by an event, so a recorded run has it
 * too; or from a generator of the device's own that a seed starts, for runs that can be repeated
 * (and not for secrets).
 */
#ifndef DEV_VIRTIO_RNG_H
#define DEV_VIRTIO_RNG_H

#include "devices/host/io_thread.h"
#include "devices/virtio/dev.h"

/* Events of a source of entropy. */
enum virtio_rng_event {
    VIRTIO_RNG_BYTES, /* what the host gave, up to 1024 bytes; none: it is asked again */
    VIRTIO_RNG_GO_ON, /* with what waits in the ring; seeded */
};

struct virtio_rng_config {
    struct dev_io *io; /* where the host is asked */
    bool seeded;
    uint64_t seed;
};

extern const struct virtio_kind virtio_rng_kind;

/* Makes an empty virtio device a source of entropy. Before the vCPU starts. */
enum gw_status virtio_rng_attach(struct virtio_dev *v, const struct virtio_rng_config *cfg,
                                 struct gw_error *err);

#endif
