/* The source of entropy, seeded. */
#include <stdlib.h>

#include "tests/devices/fuzz/fuzz_devices.h"
#include "devices/virtio/rng.h"

void fz_attach(struct fz_world *w)
{
    struct virtio_rng_config cfg = {.seeded = true};
    struct gw_error err = {0};
    if (virtio_rng_attach(w->v, &cfg, &err) != GW_OK)
        abort();
}

void fz_between(struct fz_world *w)
{
}

void fz_host(struct fz_world *w, struct fz_bytes *input)
{
}
