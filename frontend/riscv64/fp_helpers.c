/*
 * Floating-point operations on bits, of which the IR has none. They neither read nor write the CPU
 * and raise no flag.
 */
#include "frontend/riscv64/priv.h"

/* Unpriv. 20240411, "F", FCLASS: bit 0 -inf, then -normal, -subnormal, -0, +0 and so on up to +inf;
 * 8 signaling NaN, 9 quiet NaN. */
uint64_t rv_h_fclass_h(void *cpu, uint64_t half, uint64_t b, uint64_t c)
{
    unsigned exp = half >> 10 & 31, frac = half & 0x3ff, kind = 2; /* normal */
    (void)cpu;
    if (exp == 31 && frac)
        return frac >> 9 ? 1u << 9 : 1u << 8;
    if (exp == 31)
        kind = 3;
    else if (exp == 0)
        kind = frac ? 1 : 0;
    return half >> 15 & 1 ? 1u << (3 - kind) : 1u << (4 + kind);
}

/* Unpriv. 20240411, "Zfa", FCVTMOD.W.D: rounded towards zero, modulo 2^32, sign-extended; what is
 * not finite is 0. */
uint64_t rv_h_fcvtmod(void *cpu, uint64_t bits, uint64_t b, uint64_t c)
{
    enum { FRACTION = 52, BIAS = 1023, SPECIAL = 0x7ff };
    int exp = (int)(bits >> FRACTION & SPECIAL), shift = exp - BIAS - FRACTION;
    uint64_t v = (bits & ((UINT64_C(1) << FRACTION) - 1)) | UINT64_C(1) << FRACTION;
    (void)cpu;
    if (exp == SPECIAL || shift <= -64 || shift >= 32)
        return 0;
    v = shift < 0 ? v >> -shift : v << shift;
    if (bits >> 63)
        v = 0 - v;
    return (uint64_t)(int64_t)(int32_t)v;
}
