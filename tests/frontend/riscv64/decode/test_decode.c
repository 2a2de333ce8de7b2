/*
 * The generated decoder against a slow reading of the pattern table, and both against words whose
 * meaning is written down here. The disassembler's text is judged by compare_binutils.py.
 */
#include "frontend/riscv64/decode_tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* --- The reference: the first line of the table that matches ---------------------------------- */

static bool matches(const struct rv_pattern *pattern, uint32_t word)
{
    if (pattern->len != ((word & 3) == 3 ? 4 : 2) || (word & pattern->mask) != pattern->match)
        return false;
    for (size_t i = 0; i < pattern->condition_count; i++) {
        const struct rv_condition *condition = &pattern->conditions[i];

        if (rv_field_value(condition->field, word) == condition->value)
            return false;
    }
    return true;
}

static size_t first_match(uint32_t word, size_t from)
{
    while (from < rv_pattern_count() && !matches(rv_pattern(from), word))
        from++;
    return from;
}

static void set_operand(struct rv_insn *insn, uint8_t slot, int64_t value)
{
    switch ((enum rv_slot)slot) {
    case RV_SLOT_RD: insn->rd = (uint8_t)value; break;
    case RV_SLOT_RS1: insn->rs1 = (uint8_t)value; break;
    case RV_SLOT_RS2: insn->rs2 = (uint8_t)value; break;
    case RV_SLOT_RS3: insn->rs3 = (uint8_t)value; break;
    case RV_SLOT_RM: insn->rm = (uint8_t)value; break;
    case RV_SLOT_AQRL: insn->aqrl = (uint8_t)value; break;
    case RV_SLOT_IMM: insn->imm = value; break;
    case RV_SLOT_COUNT: fail(); break;
    }
}

static void decode_slowly(struct rv_insn *out, uint32_t word)
{
    bool wide = (word & 3) == 3;
    size_t index;

    word &= wide ? UINT32_MAX : 0xffff;
    *out = (struct rv_insn){.raw = word, .len = wide ? 4 : 2};
    index = first_match(word, 0);
    if (index < rv_pattern_count()) {
        const struct rv_format *format = rv_format(rv_pattern(index)->format);

        out->op = rv_pattern(index)->op;
        for (size_t i = 0; i < format->operand_count; i++)
            set_operand(out, format->operands[i].slot,
                        format->operands[i].field == RV_NO_FIELD
                            ? format->operands[i].value
                            : rv_field_value(format->operands[i].field, word));
    }
}

static void assert_same_insn(const struct rv_insn *a, const struct rv_insn *b)
{
    if (a->raw != b->raw || a->op != b->op || a->len != b->len || a->rd != b->rd ||
        a->rs1 != b->rs1 || a->rs2 != b->rs2 || a->rs3 != b->rs3 || a->rm != b->rm ||
        a->aqrl != b->aqrl || a->imm != b->imm)
        fail_msg("%08x: %s rd=%d rs1=%d rs2=%d rs3=%d rm=%d aqrl=%d imm=%lld, but "
                 "%s rd=%d rs1=%d rs2=%d rs3=%d rm=%d aqrl=%d imm=%lld",
                 a->raw, rv_op_name(a->op), a->rd, a->rs1, a->rs2, a->rs3, a->rm, a->aqrl,
                 (long long)a->imm, rv_op_name(b->op), b->rd, b->rs1, b->rs2, b->rs3, b->rm,
                 b->aqrl, (long long)b->imm);
}

static void check_against_table(uint32_t word)
{
    struct rv_insn fast, slow;

    memset(&fast, 0xa5, sizeof(fast));
    rv_decode(&fast, word);
    decode_slowly(&slow, word);
    assert_same_insn(&fast, &slow);
}

static void decoder_agrees_with_table_on_compressed_words(void **state)
{
    uint64_t rng = 1;

    for (uint32_t word = 0; word < 0x10000; word++)
        check_against_table((uint32_t)next_random(&rng) << 16 | word);
}

static void decoder_agrees_with_table_on_random_words(void **state)
{
    uint64_t rng = 2;

    for (int i = 0; i < 1000000; i++)
        check_against_table((uint32_t)(next_random(&rng) >> 32) | 3);
}

static void decoder_agrees_with_table_on_each_pattern(void **state)
{
    uint64_t rng = 3;

    for (size_t i = 0; i < rv_pattern_count(); i++)
        for (int n = 0; n < 1000; n++)
            check_against_table(rv_pattern_random(i, &rng));
}

/* The generator's promise: two lines match one word only if the first is a special case. */
static void later_matches_are_more_general(void **state)
{
    uint64_t rng = 4;

    for (size_t i = 0; i < rv_pattern_count(); i++) {
        const struct rv_pattern *pattern = rv_pattern(i);

        for (int n = 0; n < 300; n++) {
            uint32_t word = rv_pattern_random(i, &rng);

            assert_int_equal(first_match(word, 0), i);
            for (size_t j = first_match(word, i + 1); j < rv_pattern_count();
                 j = first_match(word, j + 1)) {
                assert_int_equal(pattern->mask & rv_pattern(j)->mask, rv_pattern(j)->mask);
                assert_int_equal(pattern->match & rv_pattern(j)->mask, rv_pattern(j)->match);
            }
        }
    }
}

static void random_words_vary_every_free_bit(void **state)
{
    uint64_t rng = 5;

    for (size_t i = 0; i < rv_pattern_count(); i++) {
        const struct rv_pattern *pattern = rv_pattern(i);
        uint32_t all = pattern->len == 4 ? UINT32_MAX : 0xffff, ones = 0, zeros = 0;

        for (int n = 0; n < 200; n++) {
            uint32_t word = rv_pattern_random(i, &rng);

            assert_true(matches(pattern, word));
            ones |= word;
            zeros |= ~word;
        }
        assert_int_equal(ones & zeros & all, ~pattern->mask & all);
    }
}

static void random_words_follow_the_seed(void **state)
{
    uint64_t a = 6, b = 6, c = 7;
    uint32_t word = rv_pattern_random(0, &a);

    assert_int_equal(word, rv_pattern_random(0, &b));
    assert_int_not_equal(word, rv_pattern_random(0, &c));
    assert_int_not_equal(word, rv_pattern_random(0, &a));
}

static void every_operation_has_a_pattern_and_an_extension(void **state)
{
    bool seen[RV_OP_COUNT] = {false};

    for (size_t i = 0; i < rv_pattern_count(); i++) {
        assert_in_range(rv_pattern(i)->op, 1, RV_OP_COUNT - 1);
        assert_true(rv_pattern(i)->any != 0);
        seen[rv_pattern(i)->op] = true;
    }
    for (unsigned op = 1; op < RV_OP_COUNT; op++) {
        assert_true(seen[op]);
        assert_true(rv_op_ext(op) != 0);
        assert_string_not_equal(rv_op_name(op), "illegal");
    }
    assert_string_equal(rv_op_name(RV_OP_ILLEGAL), "illegal");
    assert_string_equal(rv_op_name(RV_OP_FENCE_I), "fence.i");
    assert_int_equal(rv_op_ext(RV_OP_SH1ADD_UW), RV_EXT_ZBA);
    assert_string_equal(rv_ext_name(RV_EXT_BIT_ZICOND), "Zicond");
    assert_null(rv_ext_name(RV_EXT_BIT_COUNT));
}

/* --- Words whose meaning is known ------------------------------------------------------------- */

static const struct rv_insn known[] = {
    /* lui a0, 0x80000: the immediate is the value that is loaded */
    {0x80000537, RV_OP_LUI, 4, .rd = 10, .imm = -0x80000000ll},
    {0x7ffff517, RV_OP_AUIPC, 4, .rd = 10, .imm = 0x7ffff000},
    /* j .-1048576; jal ra, .+1048574; bgeu a0, a1, .-4096; beq zero, t6, .+4094 */
    {0x8000006f, RV_OP_JAL, 4, .imm = -1048576},
    {0x7ffff0ef, RV_OP_JAL, 4, .rd = 1, .imm = 1048574},
    {0x80b57063, RV_OP_BGEU, 4, .rs1 = 10, .rs2 = 11, .imm = -4096},
    {0x7ff00fe3, RV_OP_BEQ, 4, .rs1 = 0, .rs2 = 31, .imm = 4094},
    /* sd s1, -2048(sp); ld s1, 2047(sp); srai a0, a1, 63; sraiw a0, a1, 31 */
    {0x80913023, RV_OP_SD, 4, .rs1 = 2, .rs2 = 9, .imm = -2048},
    {0x7ff13483, RV_OP_LD, 4, .rd = 9, .rs1 = 2, .imm = 2047},
    {0x43f5d513, RV_OP_SRAI, 4, .rd = 10, .rs1 = 11, .imm = 63},
    {0x41f5d51b, RV_OP_SRAIW, 4, .rd = 10, .rs1 = 11, .imm = 31},
    /* fence rw, w; fence.tso; a fence with a reserved fm; pause */
    {0x0310000f, RV_OP_FENCE, 4, .imm = 0x31},
    {0x8330000f, RV_OP_FENCE, 4, .rm = 8, .imm = 0x33},
    {0x1ff0000f, RV_OP_FENCE, 4, .rm = 1, .imm = 0xff},
    {0x0100000f, RV_OP_PAUSE, 4, .rd = 0},
    {0x0000100f, RV_OP_FENCE_I, 4, .rd = 0},
    {0xfff9908f, RV_OP_FENCE_I, 4, .rd = 0},
    /* csrrw a0, fcsr, a1; csrrsi zero, 0xfff, 31 */
    {0x00359573, RV_OP_CSRRW, 4, .rd = 10, .rs1 = 11, .imm = 3},
    {0xffffe073, RV_OP_CSRRSI, 4, .rs1 = 31, .imm = 0xfff},
    {0x00000073, RV_OP_ECALL, 4, .rd = 0},
    {0x00100073, RV_OP_EBREAK, 4, .rd = 0},
    {0x10200073, RV_OP_SRET, 4, .rd = 0},
    {0x30200073, RV_OP_MRET, 4, .rd = 0},
    {0x10500073, RV_OP_WFI, 4, .rd = 0},
    {0x12b50073, RV_OP_SFENCE_VMA, 4, .rs1 = 10, .rs2 = 11},
    /* prefetch.w -32(a0) is ori zero, a0, -29; the 4 means nothing else: ori zero, a0, -28 */
    {0xfe356013, RV_OP_ORI, 4, .rs1 = 10, .imm = -29},
    {0xfe456013, RV_OP_ORI, 4, .rs1 = 10, .imm = -28},
    {0x0045200f, RV_OP_CBO_ZERO, 4, .rs1 = 10},
    /* lr.d.aqrl a0, (a1); sc.w.rl a0, a2, (a1); amomaxu.w.aq zero, a2, (a1) */
    {0x1605b52f, RV_OP_LR_D, 4, .rd = 10, .rs1 = 11, .aqrl = 3},
    {0x1ac5a52f, RV_OP_SC_W, 4, .rd = 10, .rs1 = 11, .rs2 = 12, .aqrl = 1},
    {0xe4c5a02f, RV_OP_AMOMAXU_W, 4, .rs1 = 11, .rs2 = 12, .aqrl = 2},
    /* fnmadd.d fa0, fa1, fa2, fa3; fadd.s with the reserved modes 5 and 6 */
    {0x6ac5f54f, RV_OP_FNMADD_D, 4, .rd = 10, .rs1 = 11, .rs2 = 12, .rs3 = 13, .rm = 7},
    {0x00c5d553, RV_OP_FADD_S, 4, .rd = 10, .rs1 = 11, .rs2 = 12, .rm = 5},
    {0x00c5e553, RV_OP_FADD_S, 4, .rd = 10, .rs1 = 11, .rs2 = 12, .rm = 6},
    /* fcvt.lu.d a0, fa1, rtz; fcvt.d.w fa0, a1 in both forms that tools write */
    {0xc2359553, RV_OP_FCVT_LU_D, 4, .rd = 10, .rs1 = 11, .rm = 1},
    {0xd2058553, RV_OP_FCVT_D_W, 4, .rd = 10, .rs1 = 11, .rm = 0},
    {0xd205f553, RV_OP_FCVT_D_W, 4, .rd = 10, .rs1 = 11, .rm = 7},
    /* slli.uw a0, a1, 63; rori a0, a1, 63; zext.h a0, a1; czero.nez a0, a1, a2 */
    {0x0bf5951b, RV_OP_SLLI_UW, 4, .rd = 10, .rs1 = 11, .imm = 63},
    {0x63f5d513, RV_OP_RORI, 4, .rd = 10, .rs1 = 11, .imm = 63},
    {0x0805c53b, RV_OP_ZEXT_H, 4, .rd = 10, .rs1 = 11},
    {0x0ec5f533, RV_OP_CZERO_NEZ, 4, .rd = 10, .rs1 = 11, .rs2 = 12},

    /* packw a0, a1, a2; clmulr; aes64ks1i a0, a1, 10; amocas.q.aq a0, a2, (a1); amocas.b */
    {0x08c5c53b, RV_OP_PACKW, 4, .rd = 10, .rs1 = 11, .rs2 = 12},
    {0x0ac5a533, RV_OP_CLMULR, 4, .rd = 10, .rs1 = 11, .rs2 = 12},
    {0x31a59513, RV_OP_AES64KS1I, 4, .rd = 10, .rs1 = 11, .imm = 10},
    {0x2cc5c52f, RV_OP_AMOCAS_Q, 4, .rd = 10, .rs1 = 11, .rs2 = 12, .aqrl = 2},
    {0x28c5852f, RV_OP_AMOCAS_B, 4, .rd = 10, .rs1 = 11, .rs2 = 12},
    /* mop.r.31 a0, a1; mop.rr.7 a0, a1, a2; wrs.sto; ntl.all; sinval.vma a0, a1 */
    {0xcdf5c573, RV_OP_MOP_R_0, 4, .rd = 10, .rs1 = 11},
    {0xcec5c573, RV_OP_MOP_RR_0, 4, .rd = 10, .rs1 = 11, .rs2 = 12},
    {0x01d00073, RV_OP_WRS_STO, 4, .rd = 0},
    {0x00500033, RV_OP_ADD, 4, .rd = 0},
    {0x16b50073, RV_OP_SINVAL_VMA, 4, .rs1 = 10, .rs2 = 11},
    /* fmadd.h fa0, fa1, fa2, fa3; flh fa0, -2(a1); fli.s fa0, inf; fleq.d a0, fa1, fa2 */
    {0x6cc5f543, RV_OP_FMADD_H, 4, .rd = 10, .rs1 = 11, .rs2 = 12, .rs3 = 13, .rm = 7},
    {0xffe59507, RV_OP_FLH, 4, .rd = 10, .rs1 = 11, .imm = -2},
    {0xf01f0553, RV_OP_FLI_S, 4, .rd = 10, .rs1 = 30},
    {0xa2c5c553, RV_OP_FLEQ_D, 4, .rd = 10, .rs1 = 11, .rs2 = 12},

    /* c.lbu s0, 3(s1); c.lh s0, 2(s1); c.sb; c.zext.b s0; c.not s0; c.mul s0, s1; c.mop.15 */
    {0x80e0, RV_OP_LBU, 2, .rd = 8, .rs1 = 9, .imm = 3},
    {0x84e0, RV_OP_LH, 2, .rd = 8, .rs1 = 9, .imm = 2},
    {0x88c0, RV_OP_SB, 2, .rs1 = 9, .rs2 = 8, .imm = 1},
    {0x9c61, RV_OP_ANDI, 2, .rd = 8, .rs1 = 8, .imm = 255},
    {0x9c75, RV_OP_XORI, 2, .rd = 8, .rs1 = 8, .imm = -1},
    {0x9c45, RV_OP_MUL, 2, .rd = 8, .rs1 = 8, .rs2 = 9},
    {0x6781, RV_OP_C_MOP_1, 2, .rd = 0},
    /* c.addi4spn a5, sp, 1020; c.addi16sp sp, -512; c.lui a0, 0xfffe0; c.li a0, -32 */
    {0x1ffc, RV_OP_ADDI, 2, .rd = 15, .rs1 = 2, .imm = 1020},
    {0x7101, RV_OP_ADDI, 2, .rd = 2, .rs1 = 2, .imm = -512},
    {0x7501, RV_OP_LUI, 2, .rd = 10, .imm = -131072},
    {0x5501, RV_OP_ADDI, 2, .rd = 10, .rs1 = 0, .imm = -32},
    /* c.lw s0, 124(a5); c.sd a5, 248(s0); c.fld fs0, 8(s1); c.ldsp ra, 504(sp); c.swsp ra, 252 */
    {0x5fe0, RV_OP_LW, 2, .rd = 8, .rs1 = 15, .imm = 124},
    {0xfc7c, RV_OP_SD, 2, .rs1 = 8, .rs2 = 15, .imm = 248},
    {0x2480, RV_OP_FLD, 2, .rd = 8, .rs1 = 9, .imm = 8},
    {0x70fe, RV_OP_LD, 2, .rd = 1, .rs1 = 2, .imm = 504},
    {0xdf86, RV_OP_SW, 2, .rs1 = 2, .rs2 = 1, .imm = 252},
    /* c.j .-2048; c.j .+2046; c.bnez s0, .-256; c.beqz a5, .+254 */
    {0xb001, RV_OP_JAL, 2, .imm = -2048},
    {0xaffd, RV_OP_JAL, 2, .imm = 2046},
    {0xf001, RV_OP_BNE, 2, .rs1 = 8, .imm = -256},
    {0xcffd, RV_OP_BEQ, 2, .rs1 = 15, .imm = 254},
    /* ret; c.jalr a0; c.mv a0, a1; c.add a0, a1; c.subw s0, s1; c.ebreak; c.srai s0, 63 */
    {0x8082, RV_OP_JALR, 2, .rd = 0, .rs1 = 1},
    {0x9502, RV_OP_JALR, 2, .rd = 1, .rs1 = 10},
    {0x852e, RV_OP_ADD, 2, .rd = 10, .rs1 = 0, .rs2 = 11},
    {0x952e, RV_OP_ADD, 2, .rd = 10, .rs1 = 10, .rs2 = 11},
    {0x9c05, RV_OP_SUBW, 2, .rd = 8, .rs1 = 8, .rs2 = 9},
    {0x9002, RV_OP_EBREAK, 2, .rd = 0},
    {0x947d, RV_OP_SRAI, 2, .rd = 8, .rs1 = 8, .imm = 63},
    /* hints: c.nop 1; c.addi a0, 0; c.li zero, 1; c.lui zero, 1; c.mv zero, a1; c.slli zero, 1 */
    {0x0005, RV_OP_ADDI, 2, .imm = 1},
    {0x0501, RV_OP_ADDI, 2, .rd = 10, .rs1 = 10},
    {0x4005, RV_OP_ADDI, 2, .imm = 1},
    {0x6005, RV_OP_LUI, 2, .imm = 4096},
    {0x802e, RV_OP_ADD, 2, .rs2 = 11},
    {0x0006, RV_OP_SLLI, 2, .imm = 1},
};

static void known_words_decode_as_written(void **state)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct rv_insn insn;

        rv_decode(&insn, known[i].raw);
        assert_same_insn(&insn, &known[i]);
    }
}

static void reserved_words_are_illegal(void **state)
{
    static const uint32_t words[] = {
        0x0000,             /* illegal by definition */
        0x0004,             /* c.addi4spn a1, sp, 0 */
        0x8c40,             /* quadrant 0, beside c.sh */
        0x2001,             /* c.addiw zero, 0 */
        0x6101,             /* c.addi16sp sp, 0 */
        0x6501,             /* c.lui a0, 0 */
        0x6001,             /* c.lui zero, 0 */
        0x9c79,             /* quadrant 1, the two codes after c.not */
        0x9c7d,     0x4002, /* c.lwsp zero, 0(sp) */
        0x6002,             /* c.ldsp zero, 0(sp) */
        0x8002,             /* c.jr zero */
        0xffffffff,         /* illegal by definition */
        0x0000001f,         /* longer than 32 bits */
        0x1015a52f,         /* lr.w with rs2 = 1 */
        0x1005c52f,         /* lr with funct3 4 */
        0x00007003,         /* load of width 7 */
        0x00004023,         /* store of width 4 */
        0x00002063,         /* branch 2 */
        0x0205951b,         /* slliw by 32 */
        0x4205d51b,         /* sraiw by 32 */
        0x04059513,         /* slli by 64 */
        0x00001067,         /* jalr with funct3 1 */
        0x06c5f553,         /* FP of quadruple width */
        0x58158553,         /* fsqrt.s with rs2 = 1 */
        0xe005b553,         /* fclass.s with funct3 3 */
        0x00000173,         /* ecall with rd = 2 */
        0x00300073,         /* next to ebreak */
        0x7b200073,         /* dret, outside of debug mode */
        0x12b500f3,         /* sfence.vma with rd = 1 */
        0x0035200f,         /* cbo 3 */
        0x0045208f,         /* cbo.zero with rd = 1 */
        0x0000300f,         /* MISC-MEM 3 */
        0x31b59513,         /* aes64ks1i with round 11 */
        0x31c59513,         /* and with round 12 */
        0x28c5c5af,         /* amocas.q of an odd register */
        0x28d5c52f,         /* and another one */
        0xc2858553,         /* fcvtmod.w.d that does not round towards zero */
        0x81c58073,         /* mop.r with a bit that is none of its number's */
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct rv_insn insn, empty = {.raw = words[i], .len = (words[i] & 3) == 3 ? 4 : 2};

        rv_decode(&insn, words[i]);
        assert_same_insn(&insn, &empty);
    }
}

/* --- Text ------------------------------------------------------------------------------------- */

static void disassembly_reads_as_expected(void **state)
{
    static const struct {
        uint64_t pc;
        uint32_t word;
        unsigned flags;
        const char *text;
    } cases[] = {
        {0, 0x00a58533, 0, "add\ta0,a1,a0"},
        {0, 0x00a58533, RV_DISASM_NUMERIC, "add\tx10,x11,x10"},
        {0x80000000, 0x8000006f, 0, "jal\tzero,0x7ff00000"},
        {0, 0xfe000ee3, 0, "beq\tzero,zero,0xfffffffffffffffc"},
        {0, 0x8082, 0, "c.jr\tra"},
        {0, 0x300110f3, 0, "csrrw\tra,mstatus,sp"},
        {0, 0x5c03d0f3, 0, "csrrwi\tra,0x5c0,7"},
        {0, 0xfe356013, 0, "prefetch.w\t-32(a0)"},
        {0, 0x1605b52f, 0, "lr.d.aqrl\ta0,(a1)"},
        {0, 0x00c5f553, 0, "fadd.s\tfa0,fa1,fa2"},
        {0, 0x00c58553, RV_DISASM_NUMERIC, "fadd.s\tf10,f11,f12,rne"},
        {0, 0x8330000f, 0, "fence.tso"},
        {0, 0xc0001073, 0, "unimp"},
        {0, 0, 0, "c.unimp"},
        {0, 0xabcd8c40, 0, ".insn\t2, 0x8c40"},
        {0, 0xffffffff, 0, ".insn\t4, 0xffffffff"},
        {0, 0x1ff0000f, 0, ".insn\t4, 0x1ff0000f"},
    };
    char text[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rv_disasm_as(text, sizeof(text), cases[i].pc, cases[i].word, cases[i].flags);
        assert_string_equal(text, cases[i].text);
    }
}

static void short_buffers_are_cut_and_terminated(void **state)
{
    static const char whole[] = "csrrw\tra,mstatus,sp";

    for (size_t size = 0; size <= sizeof(whole); size++) {
        char text[sizeof(whole) + 1];
        size_t kept = size < sizeof(whole) ? size : sizeof(whole);

        memset(text, '#', sizeof(text));
        assert_int_equal(rv_disasm(text, size, 0, 0x300110f3), sizeof(whole) - 1);
        for (size_t i = size; i < sizeof(text); i++)
            assert_int_equal(text[i], '#');
        if (kept) {
            assert_memory_equal(text, whole, kept - 1);
            assert_int_equal(text[kept - 1], '\0');
        }
    }
}

static void control_registers_have_names(void **state)
{
    assert_string_equal(rv_csr_name(0x001), "fflags");
    assert_string_equal(rv_csr_name(0x180), "satp");
    assert_string_equal(rv_csr_name(0x3bf), "pmpaddr15");
    assert_string_equal(rv_csr_name(0xb1f), "mhpmcounter31");
    assert_string_equal(rv_csr_name(0x33f), "mhpmevent31");
    assert_string_equal(rv_csr_name(0xfb0), "mtopi");
    assert_null(rv_csr_name(0x000));
    assert_null(rv_csr_name(0x5c0));
    assert_null(rv_csr_name(0xfff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoder_agrees_with_table_on_compressed_words),
        cmocka_unit_test(decoder_agrees_with_table_on_random_words),
        cmocka_unit_test(decoder_agrees_with_table_on_each_pattern),
        cmocka_unit_test(later_matches_are_more_general),
        cmocka_unit_test(random_words_vary_every_free_bit),
        cmocka_unit_test(random_words_follow_the_seed),
        cmocka_unit_test(every_operation_has_a_pattern_and_an_extension),
        cmocka_unit_test(known_words_decode_as_written),
        cmocka_unit_test(reserved_words_are_illegal),
        cmocka_unit_test(disassembly_reads_as_expected),
        cmocka_unit_test(short_buffers_are_cut_and_terminated),
        cmocka_unit_test(control_registers_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
