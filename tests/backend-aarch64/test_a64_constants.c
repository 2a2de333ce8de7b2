/* Constants: each comes out of what was written for it, and a pattern is found wherever there is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend-aarch64/a64_encode.h"

/* DDI 0487, shared/functions/DecodeBitMasks. False: reserved. */
static bool decode(uint32_t bits, bool wide, uint64_t *v)
{
    const unsigned n = bits >> 22 & 1, immr = bits >> 16 & 0x3f, imms = bits >> 10 & 0x3f;
    const unsigned key = n << 6 | (~imms & 0x3f);
    if (key < 2 || (!wide && n))
        return false;
    const unsigned length = 31 - (unsigned)__builtin_clz(key), size = 1u << length;
    const unsigned s = imms & (size - 1), r = immr & (size - 1);
    if (s == size - 1)
        return false;
    const uint64_t run = (UINT64_C(1) << (s + 1)) - 1, mask = UINT64_MAX >> (64 - size);
    uint64_t element = r ? (run >> r | run << (size - r)) & mask : run;
    for (*v = 0;; element <<= size) {
        *v |= element;
        if (size == 64 || element << size == 0)
            break;
    }
    if (!wide)
        *v &= UINT32_MAX;
    return true;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static void patterns_are_found_and_no_others(void **state)
{
    static uint64_t all[8192];
    size_t count = 0;
    uint64_t v, seed = 1;
    (void)state;
    for (uint32_t bits = 0; bits < 8192; bits++)
        if (decode(bits << 10, true, &v)) {
            uint32_t found = a64_pattern(v, true);
            uint64_t again;
            assert_int_not_equal(found, A64_NO_PATTERN);
            assert_true(decode(found, true, &again));
            assert_int_equal(again, v);
            all[count++] = v;
        }
    qsort(all, count, sizeof all[0], by_value);
    /* A bit more or less than a pattern, and anything. */
    for (unsigned i = 0; i < 1000000; i++) {
        v = i & 1 ? next(&seed) : all[next(&seed) % count] ^ UINT64_C(1) << (next(&seed) & 63);
        bool is = bsearch(&v, all, count, sizeof all[0], by_value);
        assert_int_equal(a64_pattern(v, true) != A64_NO_PATTERN, is);
    }
    for (unsigned i = 0; i < 8192; i++)
        if (decode(i << 10, false, &v)) {
            uint64_t again;
            assert_true(decode(a64_pattern(v, false), false, &again));
            assert_int_equal(again, v);
        }
}

/* What MOVZ, MOVN, MOVK and ORR of the zero register leave in the one register that they name. */
static uint64_t run(const struct a64_buf *e)
{
    uint64_t v = 0;
    for (const uint8_t *p = e->start; p < e->p; p += 4) {
        uint32_t insn;
        memcpy(&insn, p, 4);
        const unsigned at = (insn >> 21 & 3) * 16;
        const uint64_t part = (uint64_t)(insn >> 5 & 0xffff) << at;
        assert_int_equal(insn & 31, 9);
        switch (insn & 0xff800000) {
        case (uint32_t)A64_MOVZ: v = part; break;
        case (uint32_t)A64_MOVN: v = ~part; break;
        case (uint32_t)A64_MOVK: v = (v & ~(UINT64_C(0xffff) << at)) | part; break;
        case (uint32_t)A64_ORRI: assert_true(decode(insn & 0x7ffc00, true, &v)); break;
        default: fail_msg("%#x", insn);
        }
    }
    return v;
}

static unsigned check(uint64_t v)
{
    uint8_t code[16];
    struct a64_buf e = {.start = code, .p = code, .end = code + sizeof code};
    a64_constant(&e, 9, v);
    assert_false(e.full);
    assert_int_equal(run(&e), v);
    return e.insns;
}

static void constants_come_out_of_few_instructions(void **state)
{
    uint64_t seed = 7;
    (void)state;
    assert_int_equal(check(0), 1);
    assert_int_equal(check(UINT64_MAX), 1);
    assert_int_equal(check(UINT64_C(0xffff000000000000)), 1);
    assert_int_equal(check(UINT64_C(0x5555555555555555)), 1);
    assert_int_equal(check((uint64_t)INT64_C(-4097)), 1);
    assert_int_equal(check(UINT64_C(0x80000000)), 1);
    assert_int_equal(check(UINT64_C(0xffffffff80001234)), 2);
    assert_int_equal(check(UINT64_C(0x123456789abcdef0)), 4);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t v = next(&seed);
        for (unsigned part = 0; part < 4; part++) /* many parts of zeros and of ones */
            switch (next(&seed) & 3) {
            case 0: v &= ~(UINT64_C(0xffff) << 16 * part); break;
            case 1: v |= UINT64_C(0xffff) << 16 * part; break;
            default: break;
            }
        check(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_found_and_no_others),
        cmocka_unit_test(constants_come_out_of_few_instructions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
