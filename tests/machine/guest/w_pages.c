/*
 * Writes memory in every way there is, at random, for tests/machine/test_dirty.c: stores of each width,
 * across pages, of floats; atomics, LR and SC; blocks of zeros; by translated addresses whose tables' A and
 * D the walk sets; to code; by a disk. Harts write to the same pages.
 */
#include "smp.h"
#include "virtio.h"
#include "w_pages.h"

enum { DISK = 2, DISK_SECTORS = 2048, SHARED = 64, LARGE = 1 << 19 };
#define VIEW       UINT64_C(0x40000000) /* AREA, as S mode has it */
#define AREA_BYTES ((uint64_t)PAGES_COUNT * PAGE)
#define ADUE       BIT(61)

#define WITH_ALL(text) ".option push\n.option arch, +d, +zicboz\n" text "\n.option pop"

static volatile struct pages_control *const control = (void *)PAGES_CONTROL;

/* ---- chance --------------------------------------------------------------------------------- */

static uint64_t seed[HARTS * 16]; /* a line for each */

static uint64_t random_bits(unsigned hart)
{
    uint64_t *s = &seed[16 * hart];
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static uint64_t below(unsigned hart, uint64_t n)
{
    return (random_bits(hart) >> 11) % n;
}

/* An address in AREA, a multiple of size. */
static uint64_t somewhere(unsigned hart, uint64_t size)
{
    return PAGES_AREA + below(hart, AREA_BYTES / size) * size;
}

/* ---- stores --------------------------------------------------------------------------------- */

static void store_plain(unsigned hart, uint64_t v)
{
    unsigned size = 1u << below(hart, 4);
    void *p = (void *)somewhere(hart, size);
    switch (size) {
    case 1: *(volatile uint8_t *)p = (uint8_t)v; break;
    case 2: *(volatile uint16_t *)p = (uint16_t)v; break;
    case 4: *(volatile uint32_t *)p = (uint32_t)v; break;
    default: *(volatile uint64_t *)p = v; break;
    }
}

static void store_misaligned(unsigned hart, uint64_t v)
{
    uint64_t at = somewhere(hart, PAGE) + below(hart, PAGE - 8);
    if (below(hart, 2) && at < PAGES_AREA + AREA_BYTES - PAGE)
        at = (at | (PAGE - 1)) - below(hart, 7); /* and across the border */
    __asm__ volatile("sd %0, (%1)" ::"r"(v), "r"(at) : "memory");
}

/* Several in one block, and loads with them. */
static void store_several(unsigned hart, uint64_t v)
{
    volatile uint64_t *p = (void *)somewhere(hart, 64);
    v += p[1];
    p[0] = v;
    p[3] = p[2] + v;
    p[7] = v;
}

static void store_floats(unsigned hart, uint64_t v)
{
    uint64_t at = somewhere(hart, 16);
    __asm__ volatile(WITH_ALL("fmv.d.x ft0, %0\nfsd ft0, (%1)\nfsw ft0, 8(%1)")::"r"(v), "r"(at)
                     : "memory");
}

static void store_zeros(unsigned hart, uint64_t v)
{
    uint64_t at = somewhere(hart, 64);
    __asm__ volatile(WITH_ALL("cbo.zero (%0)")::"r"(at) : "memory");
}

/* ---- atomics -------------------------------------------------------------------------------- */

static void store_atomic(unsigned hart, uint64_t v)
{
    uint64_t at = somewhere(hart, 16), old = v & 1;
    switch (below(hart, 5)) {
    case 0: __atomic_fetch_add((uint32_t *)at, (uint32_t)v, __ATOMIC_RELAXED); break;
    case 1: __atomic_exchange_n((uint64_t *)at, v, __ATOMIC_ACQ_REL); break;
    case 2: __atomic_fetch_xor((uint64_t *)at, v, __ATOMIC_RELAXED); break;
    case 3: /* amocas.d */
        __asm__ volatile(".insn r 0x2f, 3, 0x14, %0, %1, %2"
                         : "+r"(old)
                         : "r"(at), "r"(v)
                         : "memory");
        break;
    default: /* amocas.q */
        __asm__ volatile("ld a2, (%0)\nld a3, 8(%0)\nmv a4, %1\nmv a5, %0\n"
                         ".insn r 0x2f, 4, 0x14, a2, %0, a4" ::"r"(at),
                         "r"(v)
                         : "memory", "a2", "a3", "a4", "a5");
        break;
    }
}

static void store_conditional(unsigned hart, uint64_t v)
{
    uint64_t at = somewhere(hart, 8), t, failed;
    if (below(hart, 4))
        __asm__ volatile("1: lr.d %0, (%2)\nadd %0, %0, %3\nsc.d %1, %0, (%2)\nbnez %1, 1b"
                         : "=&r"(t), "=&r"(failed)
                         : "r"(at), "r"(v)
                         : "memory");
    else /* with an access in between: the page is kept out of reach for it */
        __asm__ volatile("lr.d %0, (%2)\nld %0, 0(%3)\nsc.d %1, %0, (%2)"
                         : "=&r"(t), "=&r"(failed)
                         : "r"(at), "r"(somewhere(hart, 8))
                         : "memory");
}

/* ---- by translated addresses ---------------------------------------------------------------- */

static struct space space[HARTS];

static void make_view(unsigned hart)
{
    space_init(&space[hart], 3, hart + 1);
    for (uint64_t at = 0; at < AREA_BYTES; at += PAGE)
        space_map(&space[hart], VIEW + at, PAGES_AREA + at, PTE_V | PTE_R | PTE_W);
}

static void open_view(unsigned hart)
{
    csr_set(0x30a, ADUE); /* menvcfg */
    csr_write(satp, space_satp(&space[hart]));
    csr_clear(mstatus, MSTATUS_MPP);
    csr_set(mstatus, BIT(11)); /* MPRV's mode: S */
    sfence_all();
}

static void forget_bits(unsigned hart)
{
    uint64_t at = VIEW + below(hart, PAGES_COUNT) * PAGE;
    __atomic_fetch_and(space_pte(&space[hart], at, 0), ~(uint64_t)(PTE_A | PTE_D),
                       __ATOMIC_RELAXED);
    __asm__ volatile("sfence.vma %0, zero" ::"r"(at) : "memory");
}

static void store_translated(unsigned hart, uint64_t v)
{
    uint64_t at = somewhere(hart, 8) - PAGES_AREA + VIEW, t;
    if (below(hart, 4) == 0)
        forget_bits(hart);
    if (below(hart, 3) == 0) /* only A */
        __asm__ volatile("csrs mstatus, %2\nld %0, (%1)\ncsrc mstatus, %2"
                         : "=&r"(t)
                         : "r"(at), "r"(MSTATUS_MPRV)
                         : "memory");
    else
        __asm__ volatile("csrs mstatus, %2\nsd %0, (%1)\ncsrc mstatus, %2" ::"r"(v), "r"(at),
                         "r"(MSTATUS_MPRV)
                         : "memory");
}

/* Where a disk may be writing too. */
static void store_beside_disk(unsigned hart, uint64_t v)
{
    *(volatile uint64_t *)(PAGES_DISK + below(hart, SHARED) * PAGE + 8 * below(hart, PAGE / 32)) =
        v;
}

/* ---- code, and what is read ----------------------------------------------------------------- */

static void store_code(unsigned hart, uint64_t v)
{
    volatile uint32_t *code = (void *)(PAGES_CODE + hart * (uint64_t)PAGE);
    uint64_t (*f)(void) = (uint64_t(*)(void))(uintptr_t)code;
    code[0] = insn_li_a0((int)(v & 1023));
    code[1] = INSN_RET;
    fence_i();
    CHECK_EQ(f(), v & 1023);
    code[512] = (uint32_t)v; /* data beside it */
}

static void load_some(unsigned hart, uint64_t v)
{
    uint64_t sum = v;
    for (unsigned i = 0; i < 8; i++)
        sum += *(volatile uint64_t *)somewhere(hart, 8);
    __asm__ volatile("" ::"r"(sum));
}

/* ---- the disk ------------------------------------------------------------------------------- */

static _Alignas(4096) struct vq q;
static struct {
    uint32_t type, reserved;
    uint64_t sector;
} header;
static volatile uint8_t status;
static unsigned slot;
static uint16_t answered;

/* To pages that harts write to the first quarter of, or much at once. */
static void read_disk(unsigned hart, bool much)
{
    uint64_t at = PAGES_DISK + SHARED * PAGE;
    uint32_t bytes = LARGE;
    if (!much) {
        at = PAGES_DISK + below(hart, SHARED) * PAGE + PAGE / 4 + 512 * below(hart, 4);
        bytes = 512 + 512 * (uint32_t)below(hart, 2);
    }
    header.sector = below(hart, DISK_SECTORS - bytes / 512 + 1);
    q.desc[0] = (struct vq_desc){addr(&header), 16, VQ_NEXT, 1};
    q.desc[1] = (struct vq_desc){at, bytes, VQ_NEXT | VQ_WRITE, 2};
    q.desc[2] = (struct vq_desc){addr(&status), 1, VQ_WRITE, 0};
    control->busy = 1;
    virtio_offer(&q, 0);
    virtio_notify(slot, 0);
    virtio_wait(&q, ++answered);
    CHECK_EQ(status, 0);
    control->busy = 0;
    control->disk++;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void (*const ways[])(unsigned hart, uint64_t v) = {
    store_plain,      store_plain, store_misaligned, store_several,
    store_floats,     store_zeros, store_atomic,     store_conditional,
    store_translated, store_code,  load_some,        store_beside_disk,
};

static void write_all(unsigned hart)
{
    seed[16 * hart] = 0x9e3779b97f4a7c15 * (hart + 1);
    csr_set(mstatus, MSTATUS_FS);
    open_view(hart);
    while (!control->stop) {
        ways[below(hart, sizeof ways / sizeof ways[0])](hart, random_bits(hart));
        control->steps[hart]++;
        if (hart == 0 && control->steps[0] % 256 == 0)
            read_disk(hart, control->steps[0] % 2048 == 0);
    }
}

static void sweep(void)
{
    uint64_t pages = control->sweep, begin = csr_read(time);
    for (uint64_t i = 0; i < pages; i++)
        *(volatile uint64_t *)(PAGES_SWEEP + i * PAGE) = i;
    control->ticks = csr_read(time) - begin;
    control->sweep = 0;
}

void guest_main(void)
{
    slot = virtio_find(DISK);
    virtio_start(slot, 0, 0, &q);
    for (unsigned hart = 0; hart < WRITERS; hart++)
        make_view(hart);
    harts_run((1u << WRITERS) - 1, write_all);
    control->done = 1;
    while (!control->off)
        if (control->sweep)
            sweep();
}
