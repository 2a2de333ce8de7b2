/* Helpers that compute: AES, permutations, classes and integers of floats; and AMOCAS.Q. */
#include <endian.h>
#include <math.h>
#include <string.h>

#include "tests/frontend/riscv64/priv/fixture.h"
#include "frontend/riscv64/lift.h"

static uint64_t aes(enum rv_aes kind, uint64_t a, uint64_t b)
{
    return rv_h_aes(NULL, a, b, kind);
}

/* AES64KS2, as the lifter has it. */
static uint64_t ks2(uint64_t a, uint64_t b)
{
    uint64_t low = (a >> 32 ^ b) & UINT32_MAX;
    return (low ^ b >> 32) << 32 | low;
}

struct half_block {
    uint64_t low, high;
};

/* FIPS 197, appendix B: key, plain text and cipher text, first byte lowest. */
static const struct half_block key = {UINT64_C(0xa6d2ae2816157e2b), UINT64_C(0x3c4fcf098815f7ab)};
static const struct half_block plain = {UINT64_C(0x8d305a88a8f64332), UINT64_C(0x340737e0a2983131)};
static const struct half_block cipher = {UINT64_C(0xfb09dc021d842539),
                                         UINT64_C(0x320b6a19978511dc)};

static void expand(struct half_block round_key[11])
{
    round_key[0] = key;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t t = aes(RV_AES_KS1, round_key[i].high, i);
        round_key[i + 1].low = ks2(t, round_key[i].low);
        round_key[i + 1].high = ks2(round_key[i + 1].low, round_key[i].high);
    }
}

static struct half_block step(enum rv_aes kind, struct half_block s, struct half_block k)
{
    return (struct half_block){aes(kind, s.low, s.high) ^ k.low, aes(kind, s.high, s.low) ^ k.high};
}

static void aes_gives_the_standards_example(void **state)
{
    struct half_block k[11], s = plain;
    expand(k);
    s.low ^= k[0].low;
    s.high ^= k[0].high;
    for (unsigned i = 1; i < 10; i++)
        s = step(RV_AES_ESM, s, k[i]);
    s = step(RV_AES_ES, s, k[10]);
    assert_true(s.low == cipher.low && s.high == cipher.high);
    s.low ^= k[10].low;
    s.high ^= k[10].high;
    for (unsigned i = 9; i > 0; i--) {
        struct half_block mixed = {aes(RV_AES_IM, k[i].low, 0), aes(RV_AES_IM, k[i].high, 0)};
        s = step(RV_AES_DSM, s, mixed);
    }
    s = step(RV_AES_DS, s, k[0]);
    assert_true(s.low == plain.low && s.high == plain.high);
}

/* Round 10 neither rotates nor adds: the second half of AES-256's schedule. */
static void the_last_round_number_only_substitutes(void **state)
{
    assert_true(aes(RV_AES_KS1, UINT64_C(0x0053000000000000), 10) == UINT64_C(0x63ed636363ed6363));
}

static void permutations_take_what_indices_name(void **state)
{
    const uint64_t table = UINT64_C(0xfedcba9876543210);
    assert_true(rv_h_xperm(NULL, table, UINT64_C(0x0123456789abcdef), 4) ==
                UINT64_C(0x0123456789abcdef));
    assert_true(rv_h_xperm(NULL, table, UINT64_C(0x00000000000000f0), 4) ==
                UINT64_C(0x00000000000000f0));
    assert_true(rv_h_xperm(NULL, table, UINT64_C(0x08ff070605040201), 8) ==
                UINT64_C(0x0000fedcba985432));
}

static void halves_have_the_class_of_their_value(void **state)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint32_t magnitude = h & 0x7fff;
        bool negative = h & 0x8000;
        unsigned bit = 8; /* signaling NaN */
        if (magnitude == 0)
            bit = negative ? 3 : 4;
        else if (magnitude < 0x400)
            bit = negative ? 2 : 5;
        else if (magnitude < 0x7c00)
            bit = negative ? 1 : 6;
        else if (magnitude == 0x7c00)
            bit = negative ? 0 : 7;
        else if (magnitude >= 0x7e00)
            bit = 9;
        assert_int_equal(rv_h_fclass_h(NULL, h, 0, 0), 1u << bit);
    }
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* By the library: the remainder of what is cut off after the point. */
static uint64_t modulo_2_32(double d)
{
    if (!isfinite(d))
        return 0;
    double rest = fmod(trunc(d), 4294967296.0);
    return (uint64_t)(int64_t)(int32_t)(uint32_t)(int64_t)rest;
}

static void doubles_become_integers_modulo_2_32(void **state)
{
    uint64_t rng = 7;
    assert_true(rv_h_fcvtmod(NULL, bits_of(INFINITY), 0, 0) == 0);
    assert_true(rv_h_fcvtmod(NULL, bits_of(NAN), 0, 0) == 0);
    assert_true(rv_h_fcvtmod(NULL, bits_of(4294967295.0), 0, 0) == UINT64_MAX);
    for (int exp = -70; exp < 120; exp++)
        for (unsigned n = 0; n < 50; n++) {
            double d = ldexp(1 + (double)(random64(&rng) >> 12) / 4503599627370496.0, exp);
            if (n & 1)
                d = -d;
            if (rv_h_fcvtmod(NULL, bits_of(d), 0, 0) != modulo_2_32(d))
                fail_msg("%a", d);
        }
}

/* --- AMOCAS.Q ----------------------------------------------------------------------------------- */

static uint64_t *cell(struct fixture *f)
{
    return (uint64_t *)(void *)(f->mem + (DATA - RAM_BASE));
}

static void swap(struct fixture *f, unsigned rd, unsigned rs2)
{
    rv_h_casq_check(&f->cpu, DATA, 0, 0);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
    rv_h_casq(&f->cpu, DATA, rd | rs2 << 8, 0);
}

static void sixteen_bytes_are_swapped_if_all_are_equal(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    for (unsigned differs = 0; differs < 3; differs++) {
        uint64_t *at = cell(f), *x = f->cpu.x;
        at[0] = htole64(11);
        at[1] = htole64(22);
        x[10] = differs == 1 ? 12 : 11;
        x[11] = differs == 2 ? 23 : 22;
        x[12] = 33;
        x[13] = 44;
        swap(f, 10, 12);
        assert_true(x[10] == 11 && x[11] == 22 && x[12] == 33 && x[13] == 44);
        assert_true(at[0] == htole64(differs ? 11 : 33) && at[1] == htole64(differs ? 22 : 44));
    }
}

static void a_pair_that_starts_with_x0_is_zero(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    uint64_t *at = cell(f), *x = f->cpu.x;
    at[0] = at[1] = 0;
    x[1] = 5;
    x[12] = 33;
    x[13] = 44;
    swap(f, 0, 12);
    assert_true(x[0] == 0 && x[1] == 5 && at[0] == htole64(33) && at[1] == htole64(44));
    x[10] = 33;
    x[11] = 44;
    swap(f, 10, 0);
    assert_true(x[1] == 5 && at[0] == 0 && at[1] == 0);
}

static void what_cannot_be_swapped_faults(void **state)
{
    static const struct {
        uint64_t vaddr, cause;
    } rows[] = {
        {DATA + 8, RV_CAUSE_STORE_MISALIGNED},
        {MMIO_BASE, RV_CAUSE_STORE_ACCESS},
        {RAM_BASE + RAM_SIZE, RV_CAUSE_STORE_ACCESS},
        {UINT64_C(1) << 60, RV_CAUSE_STORE_ACCESS},
    };
    struct fixture *f = fixture_new(NULL, false);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rv_h_casq_check(&f->cpu, rows[i].vaddr, 0, 0);
        assert_int_equal(f->cpu.run.leave, GW_LEAVE_TRAP);
        assert_true(f->cpu.c.mcause == rows[i].cause && f->cpu.c.mtval == rows[i].vaddr);
        f->cpu.run.leave = GW_LEAVE_NONE;
    }
    f = fixture_user();
    rv_h_casq_check(&f->cpu, 24, 0, 0);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_FAULT);
    assert_int_equal(f->cpu.run.fault.cause, RV_CAUSE_STORE_MISALIGNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_gives_the_standards_example),
        cmocka_unit_test(the_last_round_number_only_substitutes),
        cmocka_unit_test(permutations_take_what_indices_name),
        cmocka_unit_test(halves_have_the_class_of_their_value),
        cmocka_unit_test(doubles_become_integers_modulo_2_32),
        cmocka_unit_test(sixteen_bytes_are_swapped_if_all_are_equal),
        cmocka_unit_test(a_pair_that_starts_with_x0_is_zero),
        cmocka_unit_test(what_cannot_be_swapped_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
