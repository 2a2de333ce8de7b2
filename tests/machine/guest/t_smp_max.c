/* Compare-and-swap of words, doublewords and quadwords by four harts (Zacas), and of bytes (Zabha). */
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
}
