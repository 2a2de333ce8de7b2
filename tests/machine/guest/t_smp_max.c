/* Compare-and-swap of words, doublewords and quadwords by four harts (Zacas), and of bytes (Zabha); of
 * devices' registers, and beside reservations. */
#include "smp.h"

enum { COUNT = 1500 };

static struct {
    uint64_t dword, pad0[15];
    uint32_t words[2];
    uint64_t pad1[15];
    uint64_t quad[2], pad2[14];
    uint8_t bytes[8];
} v __attribute__((aligned(128)));

#define CAS(width, type)                                                                           \
    static type cas_##width(volatile type *p, type old, type to)                                   \
    {                                                                                              \
        __asm__ volatile(".insn r 0x2f, " CAS_##width ", 0x14, %0, %1, %2"                         \
                         : "+r"(old)                                                               \
                         : "r"(p), "r"(to)                                                         \
                         : "memory");                                                              \
        return old;                                                                                \
    }
#define CAS_w "2"
#define CAS_d "3"
CAS(w, int32_t)
CAS(d, int64_t)

/* Pairs of registers are even and odd: a2, a3 is compared and comes back, a4, a5 is stored. */
static bool cas_q(uint64_t *p, uint64_t old[2], uint64_t low, uint64_t high)
{
    register uint64_t a2 __asm__("a2") = old[0];
    register uint64_t a3 __asm__("a3") = old[1];
    register uint64_t a4 __asm__("a4") = low;
    register uint64_t a5 __asm__("a5") = high;
    bool same;
    __asm__ volatile(".insn r 0x2f, 4, 0x16, %0, %4, %2" /* .aq */
                     : "+r"(a2), "+r"(a3)
                     : "r"(a4), "r"(a5), "r"(p)
                     : "memory");
    same = a2 == old[0] && a3 == old[1];
    old[0] = a2;
    old[1] = a3;
    return same;
}

static void count(unsigned hart)
{
    uint64_t quad[2] = {0, 0};
    for (unsigned n = 0; n < COUNT; n++) {
        int64_t d = 0, d_seen;
        int32_t w = 0, w_seen;
        while ((d_seen = cas_d((volatile int64_t *)&v.dword, d, d + 1)) != d)
            d = d_seen;
        while ((w_seen = cas_w((volatile int32_t *)&v.words[hart & 1], w, w + 1)) != w)
            w = w_seen;
        while (!cas_q(v.quad, quad, quad[0] + 1, quad[1] - 3))
            ;
        quad[0]++;
        quad[1] -= 3;
        /* amoadd.b: neighbours in one doubleword */
        __asm__ volatile(".insn r 0x2f, 0, 0, zero, %0, %1" ::"r"(&v.bytes[hart]), "r"(1)
                         : "memory");
        __asm__ volatile(".insn r 0x2f, 0, 0, zero, %0, %1" ::"r"(&v.bytes[7]), "r"(1) : "memory");
    }
}

/* Doublewords of a device's registers: in one step, and by a comparison that may fail. */
static void count_on_device(unsigned hart)
{
    volatile int64_t *at = (volatile int64_t *)mtimecmp_of(HARTS - 1);
    for (unsigned n = 0; n < COUNT; n++) {
        int64_t d = 0, seen;
        while ((seen = cas_d(at, d, d + 1)) != d)
            d = seen;
    }
}

/* What hart 1 swaps, there and back, hart 0 had reserved: either half of it, or not quite. */
static uint64_t around[6] __attribute__((aligned(4096)));
static uint64_t held, go_on;
static const struct {
    unsigned reserved; /* of around[]; 2 and 3 are swapped */
    bool breaks;
} halves[] = {{1, false}, {2, true}, {3, true}, {4, false}};
enum { HALVES = sizeof halves / sizeof halves[0], ROUNDS = 32 };

static void reserved_halves(unsigned hart)
{
    for (unsigned n = 0; n < ROUNDS; n++) {
        unsigned k = n % HALVES;
        uint64_t seen, failed, low[2] = {5, 7}, high[2] = {5, 8};
        if (hart == 0) {
            for (unsigned i = 0; i < 6; i++)
                around[i] = i & 1 ? 7 : 5;
            held = go_on = 0;
        }
        barrier();
        if (hart == 0) {
            __asm__ volatile("lr.d %1, (%2)\nsd %5, (%3)\n1: ld %0, (%4)\nbeqz %0, 1b\n"
                             "sc.d %0, %5, (%2)"
                             : "=&r"(failed), "=&r"(seen)
                             : "r"(&around[halves[k].reserved]), "r"(&held), "r"(&go_on), "r"(77)
                             : "memory");
            guest_note("half", k);
            /* QEMU compares values, and takes one that has come back for one that never went. */
            if (halves[k].breaks && !guest_on_peer())
                CHECK_EQ(failed, 1);
            CHECK_EQ(around[halves[k].reserved], failed ? seen : 77);
        } else {
            wait_until(load(&held));
            CHECK(cas_q(&around[2], low, 5, 8));
            CHECK(cas_q(&around[2], high, 5, 7));
            store(&go_on, 1);
        }
        barrier();
    }
}

void guest_main(void)
{
    harts_run(ALL_HARTS, count);
    CHECK_EQ(v.dword, HARTS * COUNT);
    CHECK_EQ(v.words[0], HARTS / 2 * COUNT);
    CHECK_EQ(v.words[1], HARTS / 2 * COUNT);
    CHECK_EQ(v.quad[0], HARTS * COUNT);
    CHECK_EQ(v.quad[1], UINT64_C(0) - 3 * HARTS * COUNT);
    for (unsigned h = 0; h < HARTS; h++)
        CHECK_EQ(v.bytes[h], COUNT & 255);
    CHECK_EQ(v.bytes[7], HARTS * COUNT & 255);
    harts_run(3, reserved_halves);
    *mtimecmp_of(HARTS - 1) = 0;
    harts_run(ALL_HARTS, count_on_device);
    CHECK_EQ(*mtimecmp_of(HARTS - 1), HARTS * COUNT);
    *mtimecmp_of(HARTS - 1) = ALL_ONES;
}
