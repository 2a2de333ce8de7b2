/*
 * virtio-net (VIRTIO 1.2, 5.1): one pair of queues, mergeable receive buffers, checksums left to
 * us, large segments where the back end takes them. Frames from the back end enter as events. A
 * frame on its way is not state: it is lost when a machine is moved, as frames are.
 */
#ifndef DEV_VIRTIO_NET_H
#define DEV_VIRTIO_NET_H

#include "godwit/counter.h"
#include "godwit/net.h"
#include "devices/virtio/dev.h"

/* Events of a network card. */
enum virtio_net_event {
    VIRTIO_NET_FRAME, /* for the guest: its bytes, as many as net.h allows */
    VIRTIO_NET_GO_ON, /* with what waits in the ring: the back end has room */
    VIRTIO_NET_LINK,  /* the cable: 1 byte, 1 is up; then a few words for the user, or none */
};

struct virtio_net_config {
    uint8_t mac[6];
    /* What is said to the user when the cable is lost. vCPU thread; may be NULL. */
    void (*note)(void *context, const char *text);
    void *context;
};

extern const struct virtio_kind virtio_net_kind;

/* Makes an empty virtio device a network card. Before the vCPU starts. */
enum gw_status virtio_net_attach(struct virtio_dev *v, const struct virtio_net_config *cfg,
                                 struct gw_error *err);
/* Of a card that is plugged into something: it may begin. See gw_net_backend_ops. */
enum gw_status virtio_net_start(struct virtio_dev *v, struct gw_error *err);
/* What a back end is to be opened with, and then plugged in. The device closes it at the end. */
struct gw_net_port virtio_net_port(struct virtio_dev *v);
const uint8_t *virtio_net_mac(const struct virtio_dev *v);           /* 6 bytes */
void virtio_net_set_mac(struct virtio_dev *v, const uint8_t mac[6]); /* before the vCPU starts */
void virtio_net_plug(struct virtio_dev *v, struct gw_net_backend *backend);
/* Its state was loaded, and may be that of another cable: the guest learns of this one. */
void virtio_net_look_at_cable(struct virtio_dev *v);

struct virtio_net_stats {
    uint64_t rx_frames, rx_bytes, rx_lost, tx_frames, tx_bytes, tx_refused, errors;
};
extern const struct counter_desc virtio_net_counters; /* of struct virtio_net_stats */
const struct virtio_net_stats *virtio_net_stats(const struct virtio_dev *v);

#endif
