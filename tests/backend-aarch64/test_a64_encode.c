/* Every format and opcode of the encoder, as binutils' disassembler reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend-aarch64/a64_encode.h"

enum { MOST = 512, V1 = A64_V0 + 1, V2 = A64_V0 + 2, V3 = A64_V0 + 3, V31 = A64_V0 + 31 };

static struct {
    uint8_t code[4 * MOST];
    const char *text[MOST];
    struct a64_buf e;
} t;

/* The last instruction written is to read so. */
static void reads(const char *text)
{
    assert_in_range(t.e.insns, 1, MOST);
    assert_null(t.text[t.e.insns - 1]);
    t.text[t.e.insns - 1] = text;
}

static void integers(void)
{
    static const char *const three[] = {
        "add x1, x2, x3",  "adds x1, x2, x3",  "sub x1, x2, x3",  "subs x1, x2, x3",
        "and x1, x2, x3",  "ands x1, x2, x3",  "bic x1, x2, x3",  "orr x1, x2, x3",
        "orn x1, x2, x3",  "eor x1, x2, x3",   "eon x1, x2, x3",  "udiv x1, x2, x3",
        "sdiv x1, x2, x3", "lslv x1, x2, x3",  "lsrv x1, x2, x3", "asrv x1, x2, x3",
        "rorv x1, x2, x3", "smulh x1, x2, x3", "umulh x1, x2, x3"};
    static const uint32_t op[] = {A64_ADD,  A64_ADDS, A64_SUB,   A64_SUBS, A64_AND,
                                  A64_ANDS, A64_BIC,  A64_ORR,   A64_ORN,  A64_EOR,
                                  A64_EON,  A64_UDIV, A64_SDIV,  A64_LSL,  A64_LSR,
                                  A64_ASR,  A64_ROR,  A64_SMULH, A64_UMULH};
    for (unsigned i = 0; i < sizeof op / sizeof op[0]; i++) {
        a64_rrr(&t.e, op[i], 1, 2, 3);
        reads(three[i]);
    }
    a64_rrr(&t.e, a64_w(A64_ADD), 30, A64_ZR, 17);
    reads("add w30, wzr, w17");
    a64_rrr(&t.e, a64_w(A64_SDIV), 4, 5, 6);
    reads("sdiv w4, w5, w6");
    a64_shifted(&t.e, A64_ADD, 1, 2, 3, A64_LSL_BY, 63);
    reads("add x1, x2, x3, lsl #63");
    a64_shifted(&t.e, A64_ORR, 1, 2, 3, A64_LSR_BY, 16);
    reads("orr x1, x2, x3, lsr #16");
    a64_shifted(&t.e, a64_w(A64_SUBS), A64_ZR, 2, 3, A64_ASR_BY, 31);
    reads("subs wzr, w2, w3, asr #31");
    a64_shifted(&t.e, a64_w(A64_EOR), 1, 2, 3, A64_ROR_BY, 7);
    reads("eor w1, w2, w3, ror #7");
    a64_rrr(&t.e, A64_ADDX | A64_SXTW << 13, 1, 2, 3);
    reads("add x1, x2, w3, sxtw");
    a64_rrr(&t.e, A64_SUBX | A64_UXTW << 13, 1, 2, 3);
    reads("sub x1, x2, w3, uxtw");
    a64_cond(&t.e, A64_CSEL, 1, 2, 3, A64_LO);
    reads("csel x1, x2, x3, cc");
    a64_cond(&t.e, a64_w(A64_CSINC), 1, A64_ZR, A64_ZR, A64_GE);
    reads("csinc w1, wzr, wzr, ge");
    a64_cond(&t.e, A64_CSINV, 1, 2, 3, A64_HI);
    reads("csinv x1, x2, x3, hi");
    a64_cond(&t.e, A64_CSNEG, 1, 2, 3, A64_LE);
    reads("csneg x1, x2, x3, le");
    a64_cond(&t.e, A64_CCMP, 5, 2, 3, A64_EQ);
    reads("ccmp x2, x3, #0x5, eq");
    a64_rrrr(&t.e, A64_MADD, 1, 2, 3, 4);
    reads("madd x1, x2, x3, x4");
    a64_rrrr(&t.e, a64_w(A64_MSUB), 1, 2, 3, A64_ZR);
    reads("msub w1, w2, w3, wzr");
    a64_rrrr(&t.e, A64_SMADDL, 1, 2, 3, 4);
    reads("smaddl x1, w2, w3, x4");
    a64_rrrr(&t.e, A64_UMADDL, 1, 2, 3, 4);
    reads("umaddl x1, w2, w3, x4");
    a64_rr(&t.e, A64_RBIT, 1, 2);
    reads("rbit x1, x2");
    a64_rr(&t.e, A64_REV16, 1, 2);
    reads("rev16 x1, x2");
    a64_rr(&t.e, A64_REV32, 1, 2);
    reads("rev32 x1, x2");
    a64_rr(&t.e, a64_w(A64_REV32), 1, 2);
    reads("rev w1, w2");
    a64_rr(&t.e, A64_REV, 1, 2);
    reads("rev x1, x2");
    a64_rr(&t.e, A64_CLZ, 1, 2);
    reads("clz x1, x2");
    a64_rr(&t.e, a64_w(A64_CLZ), 1, 2);
    reads("clz w1, w2");
}

static void constants(void)
{
    a64_imm12(&t.e, A64_ADDI, 1, A64_SP, 4095);
    reads("add x1, sp, #0xfff");
    a64_imm12(&t.e, A64_SUBI, 1, 2, 0xfff000);
    reads("sub x1, x2, #0xfff, lsl #12");
    a64_imm12(&t.e, a64_w(A64_ADDSI), 1, 2, 1);
    reads("adds w1, w2, #0x1");
    a64_imm12(&t.e, A64_SUBSI, A64_ZR, 2, 0);
    reads("subs xzr, x2, #0x0");
    assert_true(a64_logical(&t.e, A64_ANDI, 1, 2, UINT64_C(0x0000fffffffff000)));
    reads("and x1, x2, #0xfffffffff000");
    assert_true(a64_logical(&t.e, A64_ORRI, 1, A64_ZR, UINT64_C(0xaaaaaaaaaaaaaaaa)));
    reads("orr x1, xzr, #0xaaaaaaaaaaaaaaaa");
    assert_true(a64_logical(&t.e, a64_w(A64_EORI), 1, 2, 1));
    reads("eor w1, w2, #0x1");
    assert_true(a64_logical(&t.e, a64_w(A64_ANDSI), A64_ZR, 2, 0xff0000ff));
    reads("ands wzr, w2, #0xff0000ff");
    a64_bits(&t.e, A64_SBFM, 1, 2, 0, 31);
    reads("sbfm x1, x2, #0, #31");
    a64_bits(&t.e, a64_w(A64_UBFM), 1, 2, 5, 31);
    reads("ubfm w1, w2, #5, #31");
    a64_bits(&t.e, A64_BFM, 1, 2, 32, 31);
    reads("bfm x1, x2, #32, #31");
    a64_extr(&t.e, A64_EXTR, 1, 2, 3, 63);
    reads("extr x1, x2, x3, #63");
    a64_extr(&t.e, a64_w(A64_EXTR), 1, 2, 2, 7);
    reads("extr w1, w2, w2, #7");
    a64_constant(&t.e, 1, 0);
    reads("movz x1, #0x0");
    a64_constant(&t.e, 1, UINT64_MAX);
    reads("movn x1, #0x0");
    a64_constant(&t.e, 1, UINT64_C(0x12340000));
    reads("movz x1, #0x1234, lsl #16");
    a64_constant(&t.e, 1, ~UINT64_C(0x1234));
    reads("movn x1, #0x1234");
    a64_constant(&t.e, 1, UINT64_C(0x123400000000ffff));
    reads("movk x1, #0x1234, lsl #48");
}

static void memory(void)
{
    static const struct {
        uint32_t op;
        const char *scaled, *unscaled, *index;
    } row[] = {
#define ACCESS(OP, name, near, reg, bytes)                                                         \
    {A64_##OP, name " " reg ", [x2, #" bytes "]", near " " reg ", [x2, #-256]",                    \
     name " " reg ", [x2, x3]"}
        ACCESS(LDRB, "ldrb", "ldurb", "w1", "1"),    ACCESS(LDRSB, "ldrsb", "ldursb", "x1", "1"),
        ACCESS(STRB, "strb", "sturb", "w1", "1"),    ACCESS(LDRH, "ldrh", "ldurh", "w1", "2"),
        ACCESS(LDRSH, "ldrsh", "ldursh", "x1", "2"), ACCESS(STRH, "strh", "sturh", "w1", "2"),
        ACCESS(LDRW, "ldr", "ldur", "w1", "4"),      ACCESS(LDRSW, "ldrsw", "ldursw", "x1", "4"),
        ACCESS(STRW, "str", "stur", "w1", "4"),      ACCESS(LDR, "ldr", "ldur", "x1", "8"),
        ACCESS(STR, "str", "stur", "x1", "8"),       ACCESS(LDRS, "ldr", "ldur", "s1", "4"),
        ACCESS(STRS, "str", "stur", "s1", "4"),      ACCESS(LDRD, "ldr", "ldur", "d1", "8"),
        ACCESS(STRD, "str", "stur", "d1", "8"),      ACCESS(LDRQ, "ldr", "ldur", "q1", "16"),
        ACCESS(STRQ, "str", "stur", "q1", "16"),
    };
    for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
        const int64_t bytes = 1 << a64_access_size(row[i].op);
        a64_mem(&t.e, row[i].op, 1, 2, bytes);
        reads(row[i].scaled);
        a64_mem(&t.e, row[i].op, 1, 2, -256);
        reads(row[i].unscaled);
        a64_mem_index(&t.e, row[i].op, 1, 2, 3, A64_LSL_X, false);
        reads(row[i].index);
        assert_true(a64_reaches(row[i].op, 4095 * bytes) && a64_reaches(row[i].op, -256));
        assert_false(a64_reaches(row[i].op, 4096 * bytes) || a64_reaches(row[i].op, -257));
    }
    a64_mem(&t.e, A64_LDR, 1, A64_SP, 32760);
    reads("ldr x1, [sp, #32760]");
    a64_mem(&t.e, A64_LDR, 1, 2, 255);
    reads("ldur x1, [x2, #255]");
    a64_mem_index(&t.e, A64_LDR, 1, 2, 3, A64_LSL_X, true);
    reads("ldr x1, [x2, x3, lsl #3]");
    a64_mem_index(&t.e, A64_LDRB, 1, 2, 3, A64_UXTW, false);
    reads("ldrb w1, [x2, w3, uxtw]");
    a64_mem_index(&t.e, A64_STRW, 1, 2, 3, A64_SXTW, true);
    reads("str w1, [x2, w3, sxtw #2]");
    a64_pair(&t.e, A64_LDP, 1, 2, 3, 504);
    reads("ldp x1, x2, [x3, #504]");
    a64_pair(&t.e, A64_STP, 29, 30, A64_SP, -512);
    reads("stp x29, x30, [sp, #-512]");
    a64_pair(&t.e, A64_LDPD, V1, V2, 3, 16);
    reads("ldp d1, d2, [x3, #16]");
    a64_pair(&t.e, A64_STPD, V1, V2, 3, -8);
    reads("stp d1, d2, [x3, #-8]");
}

static void atomics(void)
{
    static const char suffix[4][2] = {"b", "h", "", ""};
    static char text[64][40];
    unsigned n = 0;
    static const struct {
        uint32_t op;
        const char *name;
    } one[] = {{A64_LDAR, "ldar"},
               {A64_LDAPR, "ldapr"},
               {A64_STLR, "stlr"},
               {A64_LDXR, "ldxr"},
               {A64_LDAXR, "ldaxr"}},
      two[] = {{A64_LDADD, "ldadd"},   {A64_LDCLR, "ldclr"},   {A64_LDEOR, "ldeor"},
               {A64_LDSET, "ldset"},   {A64_LDSMAX, "ldsmax"}, {A64_LDSMIN, "ldsmin"},
               {A64_LDUMAX, "ldumax"}, {A64_LDUMIN, "ldumin"}, {A64_SWP, "swp"}};
    for (unsigned i = 0; i < sizeof one / sizeof one[0]; i++)
        for (unsigned size = 0; size < 4; size++, n++) {
            snprintf(text[n], sizeof text[n], "%s%s %c1, [x2]", one[i].name, suffix[size],
                     size == 3 ? 'x' : 'w');
            a64_rr(&t.e, a64_size(one[i].op, size), 1, 2);
            reads(text[n]);
        }
    for (unsigned i = 0; i < sizeof two / sizeof two[0]; i++, n++) {
        const unsigned size = i % 4;
        const char c = size == 3 ? 'x' : 'w';
        snprintf(text[n], sizeof text[n], "%sal%s %c3, %c1, [x2]", two[i].name, suffix[size], c, c);
        a64_rrr(&t.e, a64_size(two[i].op, size) | A64_ACQUIRE | A64_RELEASE, 1, 2, 3);
        reads(text[n]);
    }
    a64_rrr(&t.e, a64_size(A64_LDADD, 3) | A64_RELEASE, A64_ZR, 2, 3);
    reads("ldaddl x3, xzr, [x2]");
    a64_rrr(&t.e, a64_size(A64_SWP, 2) | A64_ACQUIRE, 1, 2, 3);
    reads("swpa w3, w1, [x2]");
    a64_rrr(&t.e, a64_size(A64_STXR, 3), 1, 2, 3);
    reads("stxr w3, x1, [x2]");
    a64_rrr(&t.e, a64_size(A64_STLXR, 0), 1, 2, 3);
    reads("stlxrb w3, w1, [x2]");
    a64_rrr(&t.e, a64_size(A64_CAS, 3), 1, 2, 3);
    reads("cas x3, x1, [x2]");
    a64_rrr(&t.e, a64_size(A64_CAS, 2) | A64_CAS_ACQUIRE, 1, 2, 3);
    reads("casa w3, w1, [x2]");
    a64_rrr(&t.e, a64_size(A64_CAS, 1) | A64_CAS_RELEASE, 1, 2, 3);
    reads("caslh w3, w1, [x2]");
}

static void system_insns(void)
{
    static const struct {
        uint32_t op;
        const char *text;
    } plain[] = {{A64_NOP, "hint #0x0"},       {A64_ISB, "isb"},
                 {A64_DMB_ISH, "dmb ish"},     {A64_DMB_ISHLD, "dmb ishld"},
                 {A64_DMB_ISHST, "dmb ishst"}, {A64_DSB_ISH, "dsb ish"}},
      one[] = {{A64_MRS_FPCR, "mrs x3, fpcr"},
               {A64_MSR_FPCR, "msr fpcr, x3"},
               {A64_MRS_FPSR, "mrs x3, fpsr"},
               {A64_MSR_FPSR, "msr fpsr, x3"},
               {A64_DC_CVAU, "sys #3, C7, C11, #1, x3"},
               {A64_IC_IVAU, "sys #3, C7, C5, #1, x3"},
               {A64_BR, "br x3"},
               {A64_BLR, "blr x3"},
               {A64_RET, "ret x3"}};
    for (unsigned i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        a64_word(&t.e, plain[i].op);
        reads(plain[i].text);
    }
    for (unsigned i = 0; i < sizeof one / sizeof one[0]; i++) {
        a64_r(&t.e, one[i].op, 3);
        reads(one[i].text);
    }
}

static void floats(void)
{
    static const struct {
        uint32_t op;
        const char *text;
    } three[] = {{A64_FADD, "fadd d1, d2, d3"},     {A64_FSUB, "fsub d1, d2, d3"},
                 {A64_FMUL, "fmul d1, d2, d3"},     {A64_FDIV, "fdiv d1, d2, d3"},
                 {A64_FMAXNM, "fmaxnm d1, d2, d3"}, {A64_FMINNM, "fminnm d1, d2, d3"}},
      four[] = {{A64_FMADD, "fmadd d1, d2, d3, d31"},
                {A64_FMSUB, "fmsub d1, d2, d3, d31"},
                {A64_FNMADD, "fnmadd d1, d2, d3, d31"},
                {A64_FNMSUB, "fnmsub d1, d2, d3, d31"}},
      two[] = {{A64_FMOV, "fmov d1, d2"},
               {A64_FABS, "fabs d1, d2"},
               {A64_FNEG, "fneg d1, d2"},
               {A64_FSQRT, "fsqrt d1, d2"}},
      from[] = {{A64_SCVTF, "scvtf d1, x2"}, {A64_UCVTF, "ucvtf d1, x2"}},
      to[] = {{A64_FCVTNS, "fcvtns x1, d2"}, {A64_FCVTNU, "fcvtnu x1, d2"},
              {A64_FCVTPS, "fcvtps x1, d2"}, {A64_FCVTPU, "fcvtpu x1, d2"},
              {A64_FCVTMS, "fcvtms x1, d2"}, {A64_FCVTMU, "fcvtmu x1, d2"},
              {A64_FCVTZS, "fcvtzs x1, d2"}, {A64_FCVTZU, "fcvtzu x1, d2"},
              {A64_FCVTAS, "fcvtas x1, d2"}, {A64_FCVTAU, "fcvtau x1, d2"}};
    for (unsigned i = 0; i < sizeof three / sizeof three[0]; i++) {
        a64_rrr(&t.e, a64_d(three[i].op), V1, V2, V3);
        reads(three[i].text);
    }
    for (unsigned i = 0; i < sizeof four / sizeof four[0]; i++) {
        a64_rrrr(&t.e, a64_d(four[i].op), V1, V2, V3, V31);
        reads(four[i].text);
    }
    for (unsigned i = 0; i < sizeof two / sizeof two[0]; i++) {
        a64_rr(&t.e, a64_d(two[i].op), V1, V2);
        reads(two[i].text);
    }
    for (unsigned i = 0; i < sizeof from / sizeof from[0]; i++) {
        a64_rr(&t.e, a64_x(a64_d(from[i].op)), V1, 2);
        reads(from[i].text);
    }
    for (unsigned i = 0; i < sizeof to / sizeof to[0]; i++) {
        a64_rr(&t.e, a64_x(a64_d(to[i].op)), 1, V2);
        reads(to[i].text);
    }
    a64_rrr(&t.e, A64_FADD, V1, V2, V3);
    reads("fadd s1, s2, s3");
    a64_rr(&t.e, A64_FCVTZS, 1, V2);
    reads("fcvtzs w1, s2");
    a64_rr(&t.e, A64_FCVT_DS, V1, V2);
    reads("fcvt d1, s2");
    a64_rr(&t.e, A64_FCVT_SD, V1, V2);
    reads("fcvt s1, d2");
    a64_rr(&t.e, A64_FMOV_SW, V1, 2);
    reads("fmov s1, w2");
    a64_rr(&t.e, A64_FMOV_WS, 1, V2);
    reads("fmov w1, s2");
    a64_rr(&t.e, A64_FMOV_DX, V1, 2);
    reads("fmov d1, x2");
    a64_rr(&t.e, A64_FMOV_XD, 1, V2);
    reads("fmov x1, d2");
    a64_cond(&t.e, a64_d(A64_FCSEL), V1, V2, V3, A64_VS);
    reads("fcsel d1, d2, d3, vs");
    a64_rrr(&t.e, a64_d(A64_FCMP), 0, V2, V3);
    reads("fcmp d2, d3");
    a64_rrr(&t.e, A64_FCMPE, 0, V2, V3);
    reads("fcmpe s2, s3");
    a64_rrr(&t.e, a64_d(A64_FCMP_0), 0, V2, 0);
    reads("fcmp d2, #0.0");
    a64_rr(&t.e, A64_FRINTN, V1, V2);
    reads("frintn s1, s2");
    a64_rr(&t.e, a64_d(A64_FRINTP), V1, V2);
    reads("frintp d1, d2");
    a64_rr(&t.e, A64_FRINTM, V1, V2);
    reads("frintm s1, s2");
    a64_rr(&t.e, A64_FRINTZ, V1, V2);
    reads("frintz s1, s2");
    a64_rr(&t.e, A64_FRINTA, V1, V2);
    reads("frinta s1, s2");
    a64_rr(&t.e, a64_d(A64_FRINTX), V1, V2);
    reads("frintx d1, d2");
    a64_rrr(&t.e, A64_CMTST, V1, V2, V3);
    reads("cmtst v1.8b, v2.8b, v3.8b");
    a64_rrr(&t.e, A64_PMULL, V1, V2, V3);
    reads("pmull v1.1q, v2.1d, v3.1d");
    a64_rr(&t.e, A64_FMOV_XHIGH, 1, V2);
    reads("fmov x1, v2.d[1]");
    a64_rr(&t.e, A64_CNT, V1, V2);
    reads("cnt v1.8b, v2.8b");
    a64_rr(&t.e, A64_ADDV, V1, V2);
    reads("addv b1, v2.8b");
    a64_rrr(&t.e, A64_AND_V, V1, V2, V3);
    reads("and v1.8b, v2.8b, v3.8b");
    a64_rrr(&t.e, A64_BIC_V, V1, V2, V3);
    reads("bic v1.8b, v2.8b, v3.8b");
    a64_rrr(&t.e, A64_ORR_V, V1, V2, V3);
    reads("orr v1.8b, v2.8b, v3.8b");
    a64_rrr(&t.e, A64_EOR_V, V1, V2, V3);
    reads("eor v1.8b, v2.8b, v3.8b");
    a64_r(&t.e, A64_MOVI_0, V1);
    reads("movi d1, #0x0");
    a64_r(&t.e, A64_MOVI_SIGNS, V1);
    reads("movi v1.2s, #0x80, lsl #24");
    a64_r(&t.e, A64_MOVI_HIGH, V31);
    reads("movi d31, #0xffffffff00000000");
}

/* Each leads four instructions on, or one back; objdump shows where to. */
static void branches(void)
{
    static char text[16][40];
    unsigned n = 0;
#define TO(distance, ...)                                                                          \
    do {                                                                                           \
        snprintf(text[n], sizeof text[n], __VA_ARGS__, a64_pos(&t.e) - 4 + (distance));            \
        a64_link(&t.e, a64_pos(&t.e) - 4, a64_pos(&t.e) - 4 + (distance));                         \
        reads(text[n++]);                                                                          \
    } while (0)
    a64_b(&t.e);
    TO(16, "b 0x%x");
    a64_b(&t.e);
    TO(-4, "b 0x%x");
    a64_bcond(&t.e, A64_VC);
    TO(16, "b.vc 0x%x");
    a64_bcond(&t.e, A64_GT);
    TO(-8, "b.gt 0x%x");
    a64_cb(&t.e, A64_CBZ, 7);
    TO(16, "cbz x7, 0x%x");
    a64_cb(&t.e, a64_w(A64_CBNZ), 7);
    TO(-4, "cbnz w7, 0x%x");
    a64_tb(&t.e, A64_TBZ, 7, 63);
    TO(16, "tbz x7, #63, 0x%x");
    a64_tb(&t.e, A64_TBNZ, 7, 31);
    TO(-4, "tbnz w7, #31, 0x%x");
    a64_tb(&t.e, A64_TBNZ, 7, 0);
    TO(32, "tbnz w7, #0, 0x%x");
    a64_to(&t.e, A64_BL, t.e.base + a64_pos(&t.e) + 64);
    TO(64, "bl 0x%x");
#undef TO
}

/* "   4:\t8b030041 \tadd\tx1, x2, x3": what stands behind the number, its blanks made one each. */
static void tidy(char *line)
{
    char *to = line, *at = strchr(line, '\t');
    at = at ? strchr(at + 1, '\t') : NULL;
    bool blank = false;
    for (at = at ? at + 1 : line; *at && *at != '\n' && strncmp(at, "//", 2) != 0; at++) {
        bool is_blank = *at == ' ' || *at == '\t';
        if (!is_blank || !blank)
            *to++ = is_blank ? ' ' : *at;
        blank = is_blank;
    }
    while (to > line && to[-1] == ' ')
        to--;
    *to = 0;
}

static void binutils_reads_what_was_meant(void **state)
{
    const char *objdump = getenv("GODWIT_AARCH64_OBJDUMP");
    char file[] = "/tmp/a64_encode.XXXXXX", command[512], line[256];
    unsigned n = 0, wrong = 0;
    (void)state;
    t.e = (struct a64_buf){
        .start = t.code, .p = t.code, .end = t.code + sizeof t.code, .base = UINT64_C(1) << 32};
    integers();
    constants();
    memory();
    atomics();
    system_insns();
    floats();
    branches();
    assert_false(t.e.full);
    if (!objdump)
        skip();
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, t.code, 4 * t.e.insns), 4 * t.e.insns);
    close(fd);
    snprintf(command, sizeof command, "%s -D -z -b binary -m aarch64 -M no-aliases %s", objdump,
             file);
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): the command is ours */
    assert_non_null(out);
    while (fgets(line, sizeof line, out)) {
        char *colon = strstr(line, ":\t");
        if (!colon || strtoul(line, NULL, 16) != 4 * n)
            continue;
        tidy(line);
        if (t.text[n] && strcmp(line, t.text[n]) != 0) {
            print_error("%u: '%s' instead of '%s'\n", n, line, t.text[n]);
            wrong++;
        }
        n++;
    }
    assert_int_equal(pclose(out), 0);
    unlink(file);
    assert_int_equal(n, t.e.insns);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binutils_reads_what_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
