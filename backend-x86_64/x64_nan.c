/*
 * NaNs that wait. A result that is NaN must become the canonical one before anybody can see it, but
 * not at once: a NaN operand makes the next result NaN too, and one comparison asks of two registers
 * whether either is NaN. So results of arithmetic are noted, and checked in one go ahead of whatever
 * might show them: an access, an exit, a move, any operation that is not arithmetic.
 *
 * nan_pending  registers that may hold a NaN that is not canonical
 * nan_check    of those, the ones to look at: were another one NaN, so would be one of these
 * nan_single   of those, the ones that hold an F32
 */
#include "backend-x86_64/x64.h"

void x64_nan_overwritten(struct x64 *x, int reg)
{
    uint16_t bit = (uint16_t)(1u << reg);
    if (!(x->nan_pending & bit))
        return;
    x->nan_pending &= (uint16_t)~bit;
    if (x->nan_check & bit && !(x->nan_consumed & bit))
        x->nan_check = x->nan_pending; /* it spoke for others */
    x->nan_check &= (uint16_t)~bit;
}

void x64_nan_result(struct x64 *x, int d, bool single)
{
    uint16_t bit = (uint16_t)(1u << d);
    x->nan_check &= (uint16_t)~x->nan_consumed; /* d speaks for them */
    x->nan_pending |= bit;
    x->nan_check |= bit;
    x->nan_single = (uint16_t)(single ? x->nan_single | bit : x->nan_single & ~bit);
}

static uint32_t check(struct x64 *x, int a, int b, bool single)
{
    unsigned op = (single ? 0 : X_66) | X_MAP_0F | 0x2e; /* ucomis */
    if (x->features & X64_F_AVX)
        x64_vrr(&x->e, op, a, 0, b);
    else
        x64_rr(&x->e, op, a, b);
    return x64_jcc(&x->e, CC_P);
}

/* Checks the registers in mask, which are of one type; all of nan_pending is what may need care. */
static void check_all(struct x64 *x, unsigned mask, bool single)
{
    while (mask) {
        struct x64_cold *c = x64_cold(x, COLD_NANS);
        uint32_t *from[] = {&c->from, &c->from2, &c->from3};
        for (unsigned k = 0; k < 3 && mask; k++) {
            int a = __builtin_ctz(mask), b = a;
            mask &= mask - 1;
            if (mask) {
                b = __builtin_ctz(mask);
                mask &= mask - 1;
            }
            *from[k] = check(x, a, b, single);
        }
        c->imm = (int32_t)((uint32_t)x->nan_single << 16 | x->nan_pending);
        c->back = x64_pos(&x->e);
    }
}

void x64_flush_nans(struct x64 *x)
{
    if (x->nan_check) {
        check_all(x, x->nan_check & ~x->nan_single, false);
        check_all(x, x->nan_check & x->nan_single, true);
    }
    x->nan_pending = x->nan_check = 0;
}

void x64_cold_nans(struct x64 *x, struct x64_cold *c)
{
    struct x64_buf *e = &x->e;
    uint32_t here = x64_pos(e), single = (uint32_t)c->imm >> 16;
    x64_link(e, c->from, here);
    if (c->from2)
        x64_link(e, c->from2, here);
    if (c->from3)
        x64_link(e, c->from3, here);
    for (uint32_t m = (uint32_t)c->imm & 0xffff; m; m &= m - 1) {
        int r = __builtin_ctz(m);
        bool s = single >> r & 1;
        unsigned op = (s ? 0 : X_66) | X_MAP_0F | 0x2e;
        x64_rr(e, op, r, r);
        uint32_t number = x64_jcc(e, CC_NP);
        x64_rm(e, X_F3 | X_MAP_0F | 0x7e, r, x64_k(x, s ? K_NAN32 : K_NAN64), 0);
        x64_link(e, number, x64_pos(e));
    }
    x64_link(e, x64_jmp(e), c->back);
}
