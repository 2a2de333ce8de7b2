/* A driver that does not know FLUSH: 200 sectors, one after the other, and then it says so. */
#include "virtio.h"

enum { DISK = 2, SECTORS = 200 };

static _Alignas(4096) struct vq q;
static struct {
    uint32_t type, reserved;
    uint64_t sector;
} header = {.type = 1};
static volatile uint8_t status;
static uint8_t data[512];

void guest_main(void)
{
    unsigned slot = virtio_find(DISK);
    virtio_start(slot, 0, 0, &q);
    q.desc[0] = (struct vq_desc){addr(&header), 16, VQ_NEXT, 1};
    q.desc[1] = (struct vq_desc){addr(data), sizeof data, VQ_NEXT, 2};
    q.desc[2] = (struct vq_desc){addr(&status), 1, VQ_WRITE, 0};
    for (unsigned i = 0; i < SECTORS; i++) {
        header.sector = 8 * i;
        for (unsigned k = 0; k < sizeof data; k++)
            data[k] = (uint8_t)(i + 1);
        status = 0xee;
        virtio_offer(&q, 0);
        virtio_notify(slot, 0);
        virtio_wait(&q, (uint16_t)(i + 1));
        CHECK_EQ(status, 0);
    }
    say("up\n");
    for (;;)
        __asm__ volatile("wfi");
}
