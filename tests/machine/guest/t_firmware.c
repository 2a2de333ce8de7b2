/* What firmware finds on the board: fw_cfg, and an empty PCI bus. */
#include "guest.h"

#define FW_CFG  UINT64_C(0x10100000)
#define ECAM    UINT64_C(0x30000000)
#define PCI_IO  UINT64_C(0x3000000)
#define PCI_MEM UINT64_C(0x40000000)

#define DATA     ((volatile uint8_t *)FW_CFG)
#define SELECTOR (*(volatile uint16_t *)(FW_CFG + 8))

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct dma {
    uint32_t control, length;
    uint64_t address;
};

/* Registers and descriptors are big-endian. */
static uint64_t swap(uint64_t v, unsigned size)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < size; i++)
        r = r << 8 | (v >> (8 * i) & 0xff);
    return r;
}

static void select(unsigned key)
{
    SELECTOR = (uint16_t)swap(key, 2);
}

static uint32_t start(uint32_t control, uint32_t length, uint64_t address)
{
    static volatile struct dma d;
    d.control = (uint32_t)swap(control, 4);
    d.length = (uint32_t)swap(length, 4);
    d.address = swap(address, 8);
    *mmio64(FW_CFG + 16) = swap(addr(&d), 8);
    return (uint32_t)swap(d.control, 4);
}

static void data_register(void)
{
    select(0);
    CHECK_EQ(*DATA, 'Q');
    CHECK_EQ(*DATA, 'E');
    CHECK_EQ(*DATA, 'M');
    CHECK_EQ(*DATA, 'U');
    CHECK_EQ(*DATA, 0); /* beyond the end */
    select(0);
    CHECK_EQ(*mmio32(FW_CFG), 0x554d4551); /* bytes in their order */
    select(1);
    CHECK_EQ(*mmio32(FW_CFG) & 3, 3);
    select(5);
    CHECK_EQ(*(volatile uint16_t *)FW_CFG, 1); /* one CPU */
    CHECK_EQ(*mmio64(FW_CFG + 16), swap(UINT64_C(0x51454d5520434647), 8));
    select(0x7fff);
    CHECK_EQ(*mmio64(FW_CFG), 0);
}

static void by_dma(void)
{
    static uint8_t to[64];
    for (unsigned i = 0; i < sizeof to; i++)
        to[i] = 0xaa;
    CHECK_EQ(start(DMA_SELECT | DMA_READ, 8, addr(to)), 0);
    CHECK_EQ(to[0], 'Q');
    CHECK_EQ(to[3], 'U');
    CHECK_EQ(to[7], 0); /* zeros beyond the end */
    CHECK_EQ(to[8], 0xaa);
    CHECK_EQ(start(DMA_SELECT | DMA_SKIP, 2, 0), 0);
    CHECK_EQ(*DATA, 'M'); /* one offset for both */
    CHECK_EQ(start(DMA_READ, 1, addr(to)), 0);
    CHECK_EQ(to[0], 'U');
    CHECK_EQ(start(DMA_READ | DMA_SELECT | 0x19 << 16, 4, addr(to)), 0);
    CHECK_EQ(to[0] | to[1] | to[2], 0); /* the count of files is big-endian and small */
    CHECK_EQ(start(DMA_WRITE | DMA_SELECT, 4, addr(to)) & DMA_ERROR, DMA_ERROR);
    /* buffers that are no memory, or wrap; QEMU writes into what there is of them */
    CHECK_EQ(start(DMA_READ | DMA_SELECT, 4, FW_CFG + 0x100000000) & DMA_ERROR, DMA_ERROR);
    if (guest_on_peer())
        return;
    CHECK_EQ(start(DMA_READ | DMA_SELECT, 16, ALL_ONES - 7), DMA_ERROR);
    CHECK_EQ(start(DMA_READ | DMA_SELECT, 0xffffffff, addr(to)), DMA_ERROR);
    CHECK_EQ(start(DMA_READ | DMA_SELECT, 24, FW_CFG), DMA_ERROR); /* its own registers */
    *mmio64(FW_CFG + 16) = swap(FW_CFG + 16, 8);                   /* a descriptor there */
    *mmio64(FW_CFG + 16) = ALL_ONES;
    select(0);
    CHECK_EQ(*DATA, 'Q');
}

static void pci(void)
{
    CHECK_EQ(*mmio32(ECAM), 0x00081b36); /* the host bridge itself */
    CHECK_EQ(*(volatile uint16_t *)(ECAM + 2), 0x0008);
    CHECK_EQ(*mmio32(ECAM + 8) >> 16, 0x0600);
    CHECK_EQ(*(volatile uint8_t *)(ECAM + 14) & 0x7f, 0);
    CHECK_EQ(*mmio32(ECAM + (20 << 15)), 0xffffffff); /* an empty slot */
    CHECK_EQ(*(volatile uint8_t *)(ECAM + (20 << 15)), 0xff);
    *mmio32(ECAM + (20 << 15) + 0x10) = 5;
    CHECK_EQ(*mmio32(ECAM + (20 << 15) + 0x10), 0xffffffff);
    CHECK_EQ(*mmio32(ECAM + (255 << 20)), 0xffffffff); /* another bus */
    *mmio32(ECAM + 0x10) = 0xffffffff;                 /* it has no windows of its own */
    CHECK_EQ(*mmio32(ECAM + 0x10), 0);
    if (guest_on_peer()) /* QEMU answers with zeros where no device is */
        return;
    CHECK_EQ(*mmio32(PCI_IO), 0xffffffff);
    CHECK_EQ(*mmio64(PCI_MEM + 0x3ffffff8), ALL_ONES);
    CHECK_EQ(*(volatile uint16_t *)UINT64_C(0x400000000), 0xffff);
    *mmio32(PCI_MEM) = 0;
}

void guest_main(void)
{
    data_register();
    by_dma();
    pci();
}
