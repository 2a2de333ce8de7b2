/*
 * What this host offers beyond x86-64's base. CPUID traps to the hypervisor on a virtual machine, so
 * it is asked as seldom as can be: not by the compiler's helper, which asks for everything.
 *
 * Source: Intel SDM vol. 1, 14.3 (AVX and the operating system); vol. 2, CPUID; AMD64 APM vol. 3,
 * appendix E.
 */
#include <cpuid.h>

#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_detect.h"

enum {
    ECX1_CLMUL = 1 << 1,
    ECX1_FMA = 1 << 12,
    ECX1_POPCNT = 1 << 23,
    ECX1_OSXSAVE = 1 << 27,
    ECX1_AVX = 1 << 28
};
enum { EBX7_BMI1 = 1 << 3, EBX7_BMI2 = 1 << 8, ECX_EXT_LZCNT = 1 << 5 };

/* The operating system saves xmm and ymm registers. */
static bool os_saves_ymm(void)
{
    uint32_t lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
}

bool x64_native(void)
{
    return true;
}

uint32_t x64_detect(void)
{
    unsigned a, b, c1, c, d, leaves;
    uint32_t f = X64_F_BASE;
    __cpuid(0, leaves, b, c, d);
    __cpuid(1, a, b, c1, d);
    if (c1 & ECX1_POPCNT)
        f |= X64_F_POPCNT;
    __cpuid(0x80000001, a, b, c, d); /* every x86-64 CPU has this leaf */
    if (c & ECX_EXT_LZCNT)
        f |= X64_F_LZCNT;
    /* BMI and FMA instructions are VEX-encoded: without AVX state they fault */
    if (!(c1 & ECX1_OSXSAVE) || !(c1 & ECX1_AVX) || !os_saves_ymm())
        return f;
    f |= X64_F_AVX;
    if (c1 & ECX1_FMA)
        f |= X64_F_FMA;
    if (c1 & ECX1_CLMUL)
        f |= X64_F_CLMUL;
    if (leaves >= 7) {
        __cpuid_count(7, 0, a, b, c, d);
        if (b & EBX7_BMI1)
            f |= X64_F_BMI1;
        if (b & EBX7_BMI2)
            f |= X64_F_BMI2;
    }
    return f;
}
