/*
 * A machine in which little is as it is after a reset: each device of the board and each hart is
 * brought into a state of its own. Then all is quiet for a while, in which the machine is saved.
 * What is found there afterwards is said on the serial port. Runs in M mode, on one hart or on four.
 */
#include "say.h"
#include "smp.h"
#include "virtio.h"

#define FW_CFG   UINT64_C(0x10100000)
#define FLASH0   UINT64_C(0x20000000)
#define FLASH1   UINT64_C(0x22000000)
#define ECAM     UINT64_C(0x30000000)
#define RTC_BASE UINT64_C(0x101000)
#define UART2    UINT64_C(0x10009000)
#define MTIME    UINT64_C(0x665544332211)
#define BOTH(v)  ((v) | (uint32_t)(v) << 16)

enum { QUIET = 6000000, QUIET_ALONE = 12000000 }; /* rounds of two instructions */
enum { REQUESTS = 12, SECTOR = 512, FRAME = 60000, FRAMES = 6 };

/* The machine looks here for a test program's result. */
extern volatile uint64_t tohost;
volatile uint64_t tohost;

static unsigned harts;

/* ---- harts ------------------------------------------------------------------------------------- */

#define CSRS(X)                                                                                    \
    X(mstatus)                                                                                     \
    X(mtvec)                                                                                       \
    X(medeleg)                                                                                     \
    X(mideleg)                                                                                     \
    X(mie)                                                                                         \
    X(mip)                                                                                         \
    X(mscratch)                                                                                    \
    X(mepc)                                                                                        \
    X(mcause)                                                                                      \
    X(mtval)                                                                                       \
    X(stvec)                                                                                       \
    X(sepc)                                                                                        \
    X(scause)                                                                                      \
    X(stval)                                                                                       \
    X(sscratch)                                                                                    \
    X(satp)                                                                                        \
    X(mcounteren)                                                                                  \
    X(scounteren)                                                                                  \
    X(mcountinhibit)                                                                               \
    X(0x30a)                                                                                       \
    X(0x10a)                                                                                       \
    X(0x14d)                                                                                       \
    X(pmpcfg0)                                                                                     \
    X(pmpcfg2)                                                                                     \
    X(pmpaddr1)                                                                                    \
    X(pmpaddr9)                                                                                    \
    X(pmpaddr15)                                                                                   \
    X(mhpmevent3)                                                                                  \
    X(mhpmevent4)                                                                                  \
    X(mhpmevent6)                                                                                  \
    X(mhpmcounter5)
/* These go on. */
#define MOVING(X)                                                                                  \
    X(mcycle)                                                                                      \
    X(minstret)                                                                                    \
    X(mhpmcounter3)                                                                                \
    X(mhpmcounter4)                                                                                \
    X(time)

#define ONE(name) +1
enum { CSR_COUNT = 0 CSRS(ONE), MOVING_COUNT = 0 MOVING(ONE) };
#define NAME(name) #name,
static const char *const csr_names[] = {CSRS(NAME) MOVING(NAME)};

static struct hart {
    struct ctx c;
    uint64_t f[32], fcsr, csr[CSR_COUNT + MOVING_COUNT];
    uint64_t msip, pad[3];
} hart[HARTS] __attribute__((aligned(128)));
static uint64_t reserved[HARTS][16] __attribute__((aligned(128)));
static struct space space[HARTS];

/* Quiet, with a reservation: x5 rounds; x6 gets what SC says. */
SNIPPET(snip_reserved, "lr.d x6, (x7)\n"
                       "1: addi x5, x5, -1\n"
                       "bnez x5, 1b\n"
                       "sc.d x6, x8, (x7)\n"
                       "ecall");
/* The same with a store in each round, for hart modes with page tables. */
SNIPPET(snip_stores, "1: addi x5, x5, -1\n"
                     "sd x5, (x7)\n"
                     "bnez x5, 1b\n"
                     "ecall");
SNIPPET(snip_asleep, "wfi\n"
                     "ecall");

#define FP_ALL(insn)                                                                               \
    __asm__ volatile(".option push\n.option arch, +d\n"                                            \
                     ".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" insn " f\\r, (8*\\r)(%0)\n" \
                     ".endr\n"                                                                     \
                     ".irp r, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n" insn              \
                     " f\\r, (8*\\r)(%0)\n.endr\n"                                                 \
                     ".option pop" ::"r"(h->f)                                                     \
                     : "memory")

static void set_fp(struct hart *h, unsigned n)
{
    for (unsigned i = 0; i < 32; i++)
        h->f[i] = UINT64_C(0x3ff0000000000001) + ((uint64_t)n << 40) + ((uint64_t)i << 32);
    csr_set(mstatus, MSTATUS_FS);
    FP_ALL("fld");
    csr_write(0x003, (2u << 5) | (5u + n)); /* fcsr */
}

static void get_fp(struct hart *h)
{
    csr_set(mstatus, MSTATUS_FS);
    FP_ALL("fsd");
    h->fcsr = csr_read(0x003);
}

static void set_csrs(unsigned n)
{
    csr_write(medeleg, 0xb008 + (n & 1));
    csr_write(mideleg, 0x222);
    csr_write(stvec, 0x80abc000 + 16 * n);
    csr_write(sepc, 0x123456780 + 16 * n);
    csr_write(scause, 13 + n);
    csr_write(stval, 0xdead000 + n);
    csr_write(sscratch, 0x5c5c + n);
    csr_write(mcounteren, 7);
    csr_write(scounteren, 5);
    csr_write(0x30a, BIT(63) | BIT(61) | 0xf0); /* menvcfg */
    csr_write(0x10a, 0xf0);                     /* senvcfg */
    csr_write(0x14d, BIT(60) + n);              /* stimecmp */
    csr_write(pmpaddr1, 0x24000000 + n);
    csr_write(pmpaddr9, 0x25000000 + n);
    csr_write(pmpaddr15, 0x26001fff);
    csr_set(pmpcfg0, 0x0a00);
    csr_write(pmpcfg2, UINT64_C(0x9900000000000b00)); /* the last one is locked */
    csr_write(mhpmevent3, 1);
    csr_write(mhpmevent4, BIT(60) | BIT(62) | 2); /* not in S mode, nor in M mode */
    csr_write(mhpmevent6, 0x77);
    csr_write(mhpmcounter3, 1000 + n);
    csr_write(mhpmcounter4, 2000 + n);
    csr_write(mhpmcounter5, 3000 + n);
    csr_write(mcycle, UINT64_C(1) << 40);
    csr_write(minstret, UINT64_C(1) << 41);
    csr_write(mcountinhibit, n == 1 ? BIT(5) | 1 : BIT(5));
    csr_set(mip, 2);
}

static void get_csrs(struct hart *h)
{
    uint64_t *to = h->csr;
#define GET(name) *to++ = csr_read(name);
    CSRS(GET)
    MOVING(GET)
}

/* With page tables of its own: its snippets at 4 MiB, its data at 8. */
static uint64_t map(unsigned n, int levels, uint64_t user)
{
    struct space *s = &space[n];
    space_map(s, 0x800000, addr(reserved[n]) & ~(uint64_t)(PAGE - 1), PTE_RW | user);
    csr_write(satp, space_satp(s));
    sfence_all();
    return space_snippets(s, 0x400000, PTE_RX | user);
}

/* Hart 0 is in M mode with a reservation, 1 in S mode, 2 in U mode, and 3 is asleep. One that is
 * alone is as 2 is. */
static void be_quiet(unsigned n)
{
    struct hart *h = &hart[n];
    struct ctx *c = &h->c;
    unsigned as = harts == 1 ? 2 : n;
    uint64_t at = addr(reserved[n]) & (PAGE - 1), moved = 0;
    if (as == 1 || as == 2)
        moved = map(n, as == 1 ? 3 : 4, as == 2 ? PTE_U : 0);
    for (unsigned i = 1; i < 32; i++)
        c->x[i] = UINT64_C(0x0101010101010101) * i + n;
    reserved[n][0] = UINT64_C(0x1234567800000000) + n;
    c->x[5] = harts == 1 ? QUIET_ALONE : SETTING->exact ? QUIET : 10 * QUIET;
    c->x[7] = as == 1 || as == 2 ? 0x800000 + at : addr(reserved[n]);
    c->mode = as == 1 ? PRIV_S : as == 2 ? PRIV_U : PRIV_M;
    c->pc = (as == 0   ? addr(snip_reserved)
             : as == 3 ? addr(snip_asleep)
                       : addr(snip_stores)) +
            moved;
    c->clear = MSTATUS_SIE | MSTATUS_MIE;
    c->set = MSTATUS_FS | MSTATUS_SUM | MSTATUS_SPP;
    set_csrs(n);
    set_fp(h, n);
    if (as == 1)
        *msip_of(n) = 1;
    csr_write(mie, as == 3 ? BIT(IRQ_MSI) : as == 2 ? BIT(IRQ_STI) : as == 1 ? 0x222 : 0xaaa);
    ctx_run(c);
    h->msip = *msip_of(n);
    *msip_of(n) = 0;
    csr_write(mie, 0);
    get_fp(h);
    get_csrs(h);
    if (n == 0 && harts > 1)
        ipi(3);
}

static void say_hart(unsigned n)
{
    struct hart *h = &hart[n];
    say("hart", n, h->c.cause);
    for (unsigned i = 0; i < CSR_COUNT + (SETTING->exact ? MOVING_COUNT : 0); i++) {
        put(csr_names[i]);
        say("", n, h->csr[i]);
    }
    for (unsigned i = 0; i < 32; i++)
        if (i != 7 && i != 2) /* addresses of ours */
            say("x", i, h->c.x[i]);
    say("f", n, sum_of(h->f, sizeof h->f));
    say("fcsr", n, h->fcsr);
    say("stored", n, reserved[n][0]);
}

/* ---- virtio ------------------------------------------------------------------------------------ */

static struct request {
    struct {
        uint32_t type, pad;
        uint64_t sector;
    } head;
    uint8_t data[SECTOR];
    uint8_t status;
} requests[2][REQUESTS] __attribute__((aligned(64)));
static struct queue disk_queue[2], rng_queue, net_queue, control[2], output[2];
static uint8_t random_bytes[3][8], messages[4][64], frame[FRAME];
static unsigned frames; /* given to the network card */
static bool has_channels, has_net;

static void disk_request(struct queue *q, struct request *r, uint32_t type, uint64_t sector)
{
    r->head.type = type;
    r->head.sector = sector;
    r->status = 0xff;
    const struct part parts[] = {
        {&r->head, 16, false}, {r->data, SECTOR, type == 0}, {&r->status, 1, true}};
    queue_add(q, parts, 3);
}

/* The first disk has done what it was asked; of its queues some are never used. */
static void set_disk(void)
{
    uint64_t base = virtio_find(ID_BLK, 0);
    struct queue *q = &disk_queue[0];
    virtio_agree(base, F_VERSION_1);
    queue_open(q, base, 0, false);
    virtio_go(base);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < SECTOR; k++)
            requests[0][i].data[k] = (uint8_t)(i * 16 + k);
        disk_request(q, &requests[0][i], 1, 3 + 8 * i);
    }
    disk_request(q, &requests[0][3], 0, 11);
    queue_kick(q);
    wait_until(queue_used(q) == 4);
    CHECK_EQ(sum_of(requests[0][1].data, SECTOR), sum_of(requests[0][3].data, SECTOR));
    *vreg(base, 0x14) = 1; /* selectors, left as they are */
    *vreg(base, 0x30) = 2;
}

/* The second is slow, and has a packed ring with more requests than it has come to. */
static void set_slow_disk(void)
{
    uint64_t base = virtio_find(ID_BLK, 1);
    struct queue *q = &disk_queue[1];
    virtio_agree(base, F_VERSION_1 | F_RING_PACKED);
    queue_open(q, base, 0, true);
    virtio_go(base);
    for (unsigned i = 0; i < 5; i++)
        disk_request(q, &requests[1][i], 0, i);
    queue_kick(q);
}

static void set_rng(void)
{
    uint64_t base = virtio_find(ID_RNG, 0);
    virtio_agree(base, F_VERSION_1);
    queue_open(&rng_queue, base, 0, false);
    virtio_go(base);
    for (unsigned i = 0; i < 2; i++)
        queue_add(&rng_queue, &(struct part){random_bytes[i], 8, true}, 1);
    queue_kick(&rng_queue);
    wait_until(queue_used(&rng_queue) == 2);
    *vreg(base, 0x64) = 1;
}

static void tell(unsigned port, unsigned event, unsigned value, uint8_t to[8])
{
    *(volatile uint32_t *)to = port;
    ((volatile uint16_t *)to)[2] = (uint16_t)event;
    ((volatile uint16_t *)to)[3] = (uint16_t)value;
    queue_add(&control[1], &(struct part){to, 8, false}, 1);
    queue_kick(&control[1]);
}

/* A console and a named port; there is room for two of the messages that they have for us. */
static void set_channels(void)
{
    static uint8_t told[4][8] __attribute__((aligned(8)));
    static char text[] = "by the channel\n";
    uint64_t base = virtio_find(ID_CONSOLE, 0);
    has_channels = base != 0;
    if (!base)
        return;
    virtio_agree(base, F_VERSION_1 | 2);
    for (unsigned i = 0; i < 2; i++)
        queue_open(&control[i], base, 2 + i, false);
    queue_open(&output[0], base, 1, false);
    queue_open(&output[1], base, 5, false);
    virtio_go(base);
    for (unsigned i = 0; i < 3; i++)
        queue_add(&control[0], &(struct part){messages[i], 64, true}, 1);
    tell(0, 0, 1, told[0]); /* ready */
    tell(0, 3, 1, told[1]); /* the ports, too */
    tell(1, 3, 1, told[2]);
    tell(1, 6, 1, told[3]); /* open */
    for (unsigned i = 0; i < 2; i++) {
        queue_add(&output[i], &(struct part){text, sizeof text - 1, false}, 1);
        queue_kick(&output[i]);
    }
    wait_until(queue_used(&output[1]) == 1 && queue_used(&control[1]) == 4);
}

/* Frames until the card takes no more, since nobody reads them. */
static void set_net(void)
{
    uint64_t base = virtio_find(ID_NET, 0);
    has_net = base != 0;
    if (!base)
        return;
    virtio_agree(base, F_VERSION_1 | BIT(16));
    queue_open(&net_queue, base, 1, false);
    virtio_go(base);
    while (!(*mmio32(base + 0x104) >> 16 & 1))
        ; /* the link is down */
    for (; frames < FRAMES; frames++)
        queue_add(&net_queue, &(struct part){frame, FRAME, false}, 1);
    for (unsigned idle = 0; idle < 200000; idle++) {
        queue_kick(&net_queue);
        for (; frames != queue_used(&net_queue) + FRAMES; frames++, idle = 0)
            queue_add(&net_queue, &(struct part){frame, FRAME, false}, 1);
    }
}

static void say_virtio(void)
{
    wait_until(requests[1][4].status != 0xff);
    for (unsigned d = 0; d < 2; d++) {
        for (unsigned i = 0; i < 4 + d; i++)
            say("request", 16 * d + i, requests[d][i].status);
        say("interrupt", d, *vreg(disk_queue[d].base, 0x60));
    }
    requests[0][4].status = 0xff;
    disk_request(&disk_queue[0], &requests[0][4], 0, 19); /* written before */
    queue_kick(&disk_queue[0]);
    wait_until(queue_used(&disk_queue[0]) == 5);
    say("read", requests[0][4].status, sum_of(requests[0][4].data, SECTOR));
    queue_add(&rng_queue, &(struct part){random_bytes[2], 8, true}, 1);
    queue_kick(&rng_queue);
    wait_until(queue_used(&rng_queue) == 3);
    for (unsigned i = 0; SETTING->exact && i < 3; i++)
        say("random", i, *(uint64_t *)random_bytes[i]);
    if (has_net) {
        queue_kick(&net_queue);
        wait_until(queue_used(&net_queue) == frames);
        say("link", 0, *mmio32(net_queue.base + 0x104) >> 16);
    }
    for (unsigned i = 0; has_channels && i < 3; i++)
        queue_add(&control[0], &(struct part){messages[3], 64, true}, 1);
    if (!has_channels)
        return;
    queue_kick(&control[0]);
    say("messages", 0, queue_used(&control[0]));
    say("last", 0, sum_of(messages[3], 16));
}

/* ---- the board --------------------------------------------------------------------------------- */

static volatile uint8_t *uart(uint64_t base)
{
    return (volatile uint8_t *)base;
}

/* Its receiver is full and has lost a byte, and its transmitter leads back into itself. */
static void set_uart(void)
{
    volatile uint8_t *u = uart(UART_BASE);
    u[3] = 0x83;
    u[0] = 0x0c;
    u[1] = 0x01;
    u[3] = 0x1b;
    u[7] = 0x5a;
    u[2] = 0xc1;
    u[1] = 0x07;
    u[4] = 0x1b;
    for (unsigned i = 0; i < 17; i++)
        u[0] = (uint8_t)('a' + i);
    if (!SETTING->second_port)
        return;
    u = uart(UART2);
    u[7] = 0xa5;
    for (const char *s = "on the second port\n"; *s; s++)
        u[0] = (uint8_t)*s;
    for (unsigned i = 0; i < 3; i++)
        (void)u[5];
}

static void say_uart(void)
{
    volatile uint8_t *u = uart(UART_BASE);
    static uint8_t seen[64];
    unsigned n = 0;
    for (unsigned i = 1; i < 8; i++)
        seen[n++] = u[i];
    u[3] = 0x80;
    seen[n++] = u[0];
    seen[n++] = u[1];
    u[3] = 0x03;
    u[4] = 0x08;
    while (n < 40 && (u[5] & 1))
        seen[n++] = u[0];
    for (unsigned i = 0; i < n; i++)
        say("uart", i, seen[i]);
    if (SETTING->second_port) {
        say("uart2", 7, uart(UART2)[7]);
        uart(UART2)[0] = '!';
    }
}

/* An alarm that went off, and one in a hundred years. */
static void set_rtc(void)
{
    *mmio32(RTC_BASE + 0x04) = 0x18273645;
    *mmio32(RTC_BASE + 0x00) = 0x12345678;
    *mmio32(RTC_BASE + 0x10) = 1;
    *mmio32(RTC_BASE + 0x0c) = 0;
    *mmio32(RTC_BASE + 0x08) = 5;
    *mmio32(RTC_BASE + 0x0c) = 0x40000000;
    *mmio32(RTC_BASE + 0x08) = 0x89abcdef;
    (void)*mmio32(RTC_BASE);
}

static void say_rtc(void)
{
    say("alarm", 0, *mmio32(RTC_BASE + 0x08));
    say("alarm", 1, *mmio32(RTC_BASE + 0x0c));
    say("alarm", 2, *mmio32(RTC_BASE + 0x18));
    if (SETTING->exact)
        say("rtc", 1, *mmio32(RTC_BASE + 0x04));
}

static volatile uint32_t *plic(uint64_t offset)
{
    return mmio32(PLIC_BASE + offset);
}

/* The alarm's interrupt is claimed, the first disk's and the port's wait. */
static void set_plic(void)
{
    for (unsigned i = 1; i < 36; i++)
        *plic(4 * i) = 1 + i % 7;
    *plic(4 * 11) = 7;
    for (unsigned c = 0; c < 2 * harts; c++) {
        *plic(0x2000 + 0x80 * c) = 0x1dfe + 2 * c;
        *plic(0x2004 + 0x80 * c) = c;
        *plic(0x200000 + 0x1000 * c) = c & 3;
    }
    say("claimed", 0, *plic(0x200004));
}

static void say_plic(void)
{
    for (unsigned i = 0; i < 2; i++)
        say("pending", i, *plic(0x1000 + 4 * i));
    for (unsigned c = 0; c < 2 * harts; c++) {
        say("enable", c, *plic(0x2000 + 0x80 * c) | (uint64_t)*plic(0x2004 + 0x80 * c) << 32);
        say("threshold", c, *plic(0x200000 + 0x1000 * c));
    }
    for (unsigned i = 0; i < 36; i++)
        say("priority", i, *plic(4 * i));
    say("claim", 0, *plic(0x200004));
    *plic(0x200004) = 11;
    say("claim", 1, *plic(0x200004));
}

static void set_clint(void)
{
    CLINT_MTIME = MTIME;
    for (unsigned n = 0; n < harts; n++)
        *mtimecmp_of(n) = MTIME - 5000 + (uint64_t)n * 1000000000000;
}

static void say_clint(void)
{
    for (unsigned n = 0; n < harts; n++) {
        say("mtimecmp", n, *mtimecmp_of(n));
        say("msip", n, hart[n].msip);
    }
    if (SETTING->exact)
        say("mtime", 0, CLINT_MTIME);
    else
        say("mtime", 0, CLINT_MTIME >> 40);
}

static void flash_command(uint64_t at, uint32_t cmd)
{
    *mmio32(at) = BOTH(cmd);
}

/* The first bank has data and answers with it; the second is being written to. */
static void set_flash(void)
{
    for (unsigned i = 0; i < 4; i++) {
        flash_command(FLASH0 + 0x40000 + 4 * i, 0x40);
        *mmio32(FLASH0 + 0x40000 + 4 * i) = 0x12345678 * (i + 1);
    }
    flash_command(FLASH0 + 4 * 0x55, 0x98);
    flash_command(FLASH1 + 0x1000, 0x40);
    *mmio32(FLASH1 + 0x1000) = 0xcafef00d;
    flash_command(FLASH1 + 0x80000, 0xe8);
    *mmio32(FLASH1 + 0x80000) = BOTH(7);
    for (unsigned i = 0; i < 5; i++)
        *mmio32(FLASH1 + 0x80000 + 4 * i) = 0x01020304 * (i + 1);
}

static void say_flash(void)
{
    say("flash", 32, *mmio32(FLASH0 + 4 * 0x10));
    flash_command(FLASH0, 0xff);
    for (unsigned i = 5; i < 8; i++)
        *mmio32(FLASH1 + 0x80000 + 4 * i) = 0x01020304 * (i + 1);
    flash_command(FLASH1 + 0x80000, 0xd0);
    say("flash", 0, *mmio32(FLASH1));
    flash_command(FLASH1, 0xff);
    say("flash", 1, *mmio32(FLASH1 + 0x1000));
    for (unsigned i = 0; i < 9; i++)
        say("flash", 2 + i, *mmio32(FLASH1 + 0x80000 + 4 * i));
    for (unsigned i = 0; i < 5; i++)
        say("flash", 16 + i, *mmio32(FLASH0 + 0x40000 + 4 * i));
}

/* A file has begun to be read, and half of an address is there. */
static void set_firmware(void)
{
    *(volatile uint16_t *)(FW_CFG + 8) = 0x1900;
    for (unsigned i = 0; i < 6; i++)
        (void)*(volatile uint8_t *)FW_CFG;
    *mmio32(FW_CFG + 16) = 0x44332211;
    *(volatile uint16_t *)(ECAM + 4) = 7;
    *(volatile uint8_t *)(ECAM + 0x3c) = 0x5a;
}

static void say_firmware(void)
{
    for (unsigned i = 0; i < 80; i += 8)
        say("fw_cfg", i, *mmio64(FW_CFG));
    say("pci", 0, *mmio32(ECAM + 4));
    say("pci", 1, *mmio32(ECAM + 0x3c));
}

/* ---- all of it --------------------------------------------------------------------------------- */

static void count_harts(void)
{
    *msip_of(3) = 1;
    harts = *msip_of(3) ? HARTS : 1;
    *msip_of(3) = 0;
}

static void panic(void)
{
    put("Kernel panic - not syncing: no reason\n");
    for (volatile unsigned i = 0; i < 30; i++) {
        for (volatile unsigned k = 0; k < 5000000; k++)
            ;
        put("why ");
    }
    put("\n---[ end Kernel pa");
    for (;;)
        ;
}

void guest_main(void)
{
    if (SETTING->panic)
        panic();
    count_harts();
    for (unsigned n = 0; n < harts; n++)
        space_init(&space[n], n == 1 ? 3 : 4, 5 + n);
    set_clint();
    set_rtc();
    set_plic();
    set_flash();
    set_firmware();
    set_disk();
    set_rng();
    set_channels();
    set_net();
    set_slow_disk();
    put("quiet from here; Kernel panic - not");
    set_uart();
    if (harts == 1)
        be_quiet(0);
    else
        harts_run(ALL_HARTS, be_quiet);
    say_uart();
    put("it goes on\n");
    for (unsigned n = 0; n < harts; n++)
        say_hart(n);
    say_clint();
    say_rtc();
    say_plic();
    say_flash();
    say_firmware();
    say_virtio();
}
