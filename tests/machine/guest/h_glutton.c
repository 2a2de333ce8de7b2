/*
 * A driver that wants of its disk what no driver does: 32 writes at once, each as large as the disk, and
 * each again as soon as it is done. What the host's side of the machine can do meanwhile is what
 * obey.py looks at.
 */
#include "virtio.h"

enum { DISK = 2, REQUESTS = 32, SEGMENT = 8 << 20, MOST = 253, INDIRECT = 1 << 28 };

static _Alignas(4096) struct vq q;
static struct vq_desc table[REQUESTS][MOST + 2];
static struct {
    uint32_t type, reserved;
    uint64_t sector;
} header = {.type = 1};
static uint8_t status[REQUESTS];

static void make_request(unsigned k, unsigned segments)
{
    table[k][0] = (struct vq_desc){addr(&header), 16, VQ_NEXT, 1};
    for (unsigned i = 0; i < segments; i++)
        table[k][1 + i] =
            (struct vq_desc){UINT64_C(0x81000000), SEGMENT, VQ_NEXT, (uint16_t)(i + 2)};
    table[k][1 + segments] = (struct vq_desc){addr(&status[k]), 1, VQ_WRITE, 0};
    q.desc[k] = (struct vq_desc){addr(table[k]), 16 * (segments + 2), VQ_INDIRECT, 0};
    virtio_offer(&q, (uint16_t)k);
}

void guest_main(void)
{
    unsigned slot = virtio_find(DISK);
    uint64_t bytes;
    virtio_start(slot, INDIRECT, 0, &q);
    bytes = ((uint64_t)*virtio_reg(slot, 0x104) << 32 | *virtio_reg(slot, 0x100)) * 512;
    for (unsigned k = 0; k < REQUESTS; k++)
        make_request(k, bytes / SEGMENT > MOST ? MOST : (unsigned)(bytes / SEGMENT));
    say("up\n");
    virtio_notify(slot, 0);
    for (uint16_t seen = 0;;) {
        for (; seen != q.used.index; seen++)
            virtio_offer(&q, (uint16_t)q.used.ring[seen % VQ_SIZE].id);
        virtio_notify(slot, 0);
    }
}
