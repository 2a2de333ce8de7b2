/*
 * A toy kind of virtio device: what is readable in a chain comes back in what is writable, each byte
 * changed by a key. The key is byte 0 of the configuration space; guest and outside set it.
 */
#ifndef TESTS_TOY_ECHO_H
#define TESTS_TOY_ECHO_H

#include "devices/virtio/dev.h"

/* Events. */
enum toy_echo_event {
    TOY_ECHO_KEY, /* 1 byte */
};

extern const struct virtio_kind toy_echo_kind;

/* Makes an empty virtio device an echo. Before the vCPU starts. */
enum gw_status toy_echo_attach(struct virtio_dev *v, uint8_t key, struct gw_error *err);
/* Any thread: a key from outside. */
void toy_echo_set(const struct virtio_dev *v, uint8_t key);

#endif
