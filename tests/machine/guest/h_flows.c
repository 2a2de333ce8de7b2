/* A guest that opens 4000 flows: a datagram to the gateway from each of so many ports. */
#include "virtio.h"

enum { CARD = 1, TRANSMIT = 1, FLOWS = 4000, VNET_BYTES = 12, FRAME_BYTES = 14 + 20 + 8 + 18 };

static _Alignas(4096) struct vq q;
static uint8_t frame[VNET_BYTES + FRAME_BYTES];

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* To 10.0.2.2 port 9, from 10.0.2.15; UDP without a checksum. */
static void make_frame(void)
{
    static const uint8_t ethernet[14] = {0x52, 0x55, 10,   0,    2,    2, 0x52,
                                         0x54, 0,    0x12, 0x34, 0x56, 8, 0};
    static const uint8_t addresses[8] = {10, 0, 2, 15, 10, 0, 2, 2};
    uint8_t *ip = frame + VNET_BYTES + 14, *udp = ip + 20;
    uint32_t sum = 0;
    for (unsigned i = 0; i < 14; i++)
        frame[VNET_BYTES + i] = ethernet[i];
    ip[0] = 0x45;
    put16(ip + 2, FRAME_BYTES - 14);
    ip[8] = 64;
    ip[9] = 17;
    for (unsigned i = 0; i < 8; i++)
        ip[12 + i] = addresses[i];
    for (unsigned i = 0; i < 20; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~(sum + (sum >> 16)));
    put16(udp + 2, 9);
    put16(udp + 4, 8 + 18);
}

void guest_main(void)
{
    unsigned slot = virtio_find(CARD);
    virtio_start(slot, 0, TRANSMIT, &q);
    make_frame();
    q.desc[0] = (struct vq_desc){addr(frame), sizeof frame, 0, 0};
    for (unsigned i = 0; i < FLOWS; i++) {
        put16(frame + VNET_BYTES + 14 + 20, 10000 + i);
        virtio_offer(&q, 0);
        virtio_notify(slot, TRANSMIT);
        virtio_wait(&q, (uint16_t)(i + 1));
    }
    say("up\n");
    for (;;)
        ;
}
