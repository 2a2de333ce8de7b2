/* What this host offers beyond x86-64's base. */
#include <cpuid.h>

#include "x64.h"

uint32_t x64_detect(void)
{
    unsigned a, b, c, d;
    uint32_t f = X64_F_BASE;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 5)
        f |= X64_F_LZCNT;
    if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 23)
        f |= X64_F_POPCNT;
    if (__builtin_cpu_supports("avx")) /* asks the operating system too */
        f |= X64_F_AVX;
    if (f & X64_F_AVX && __builtin_cpu_supports("fma"))
        f |= X64_F_FMA;
    if (__builtin_cpu_supports("bmi"))
        f |= X64_F_BMI1;
    if (__builtin_cpu_supports("bmi2"))
        f |= X64_F_BMI2;
    /* BMI and FMA instructions are VEX-encoded: without AVX state they fault */
    if (!(f & X64_F_AVX))
        f &= ~(uint32_t)(X64_F_BMI1 | X64_F_BMI2 | X64_F_FMA);
    return f;
}
