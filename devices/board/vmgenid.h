/*
 * The generation of a machine: 16 random bytes that are others after a restore or a fork, when the
 * guest goes on with a past that another machine has too. Its kernel then takes fresh randomness, and
 * tells whoever asked to know. Known as a VM generation id. vCPU thread.
 */
#ifndef DEV_VMGENID_H
#define DEV_VMGENID_H

#include "godwit/device.h"

enum { DEV_VMGENID_BYTES = 16 };

/* Events of the source "vmgenid". */
enum dev_vmgenid_event { DEV_VMGENID_NEW /* DEV_VMGENID_BYTES: the new generation's id */ };

struct dev_vmgenid {
    struct gw_device d;
    uint16_t source;
    /* state */
    uint8_t id[DEV_VMGENID_BYTES]; /* set by the machine after dev_new() */
    uint8_t raised;                /* the guest was told and has not looked yet */
};

extern const struct gw_device_class dev_vmgenid_class;

/* Any thread: the machine is another from now on. */
void dev_vmgenid_renew(struct dev_vmgenid *g, const uint8_t id[DEV_VMGENID_BYTES]);

#endif
