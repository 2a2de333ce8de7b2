/*
 * How blocks form: where they end, what they follow, what stands alone, and what the block key
 * allows. Words are spelled with the registers a0, a1, a2 (x10, x11, x12).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/frontend/riscv64/lift/cases.h"
#include "frontend/riscv64/isa_parts.h"
#include "frontend/riscv64/lift.h"
#include "frontend/riscv64/priv.h"
#include "tests/frontend/riscv64/lift/run_ir.h"

#define ADDI          UINT32_C(0x00150513) /* addi a0,a0,1 */
#define C_ADDI        UINT32_C(0x0505)     /* c.addi a0,1 */
#define BEQ_8         UINT32_C(0x00b50463) /* beq a0,a1,.+8 */
#define RET           UINT32_C(0x00008067) /* jalr zero,0(ra) */
#define J_8           UINT32_C(0x0080006f) /* jal zero,.+8 */
#define J_16          UINT32_C(0x0100006f) /* jal zero,.+16 */
#define J_BACK        UINT32_C(0xffdff06f) /* jal zero,.-4 */
#define CALL_8        UINT32_C(0x008000ef) /* jal ra,.+8 */
#define RDTIME        UINT32_C(0xc0102573) /* csrrs a0,time,zero */
#define SSCRATCH_SWAP UINT32_C(0x14051573) /* csrrw a0,sscratch,a0 */
#define STVEC_SET     UINT32_C(0x10552073) /* csrrs zero,stvec,a0 */
#define STVEC_SWAP    UINT32_C(0x10551573) /* csrrw a0,stvec,a0 */
#define STVEC_WRITE   UINT32_C(0x10551073) /* csrrw zero,stvec,a0 */
#define STVEC_READ    UINT32_C(0x10502573) /* csrrs a0,stvec,zero */
#define SSTATUS_READ  UINT32_C(0x10002573) /* csrrs a0,sstatus,zero */
#define SSTATUS_SET   UINT32_C(0x10052073) /* csrrs zero,sstatus,a0 */
#define SSTATUS_SET_RD UINT32_C(0x1005a573) /* csrrs a0,sstatus,a1 */
#define SSTATUS_SET_2 UINT32_C(0x10016073) /* csrrsi zero,sstatus,2 */
#define IRQ_SAVE      UINT32_C(0x10017573) /* csrrci a0,sstatus,2 */
#define MSCRATCH_READ UINT32_C(0x34002573) /* csrrs a0,mscratch,zero */
#define TIME_WRITE    UINT32_C(0xc0151573) /* csrrw a0,time,a0 */
#define FFLAGS_WRITE  UINT32_C(0x00151073) /* csrrw zero,fflags,a0 */
#define FRM_WRITE     UINT32_C(0x00251073) /* csrrw zero,frm,a0 */
#define FRM_READ      UINT32_C(0x00202573) /* csrrs a0,frm,zero */
#define MRET          UINT32_C(0x30200073)
#define CBO_ZERO      UINT32_C(0x0045200f) /* cbo.zero (a0) */
#define FADD_D        UINT32_C(0x02c5f553) /* fadd.d fa0,fa1,fa2 */
#define FADD_D_RM5    UINT32_C(0x02c5d553) /* the same, rounding field 5 */
#define FEQ_D         UINT32_C(0xa2c5a553) /* feq.d a0,fa1,fa2 */
#define FSD           UINT32_C(0x00a53027) /* fsd fa0,0(a0) */
#define FMV_X_D       UINT32_C(0xe2058553) /* fmv.x.d a0,fa1 */
#define ANDN          UINT32_C(0x40c5f533) /* andn a0,a1,a2 */
#define C_SEXT_B      UINT32_C(0x9d65)     /* c.sext.b a0 */
#define LR_W          UINT32_C(0x1005a52f) /* lr.w a0,(a1) */
#define SC_W          UINT32_C(0x18c5a6af) /* sc.w a3,a2,(a1) */
#define SC_D          UINT32_C(0x18c5b6af) /* sc.d a3,a2,(a1) */
#define BNE_12        UINT32_C(0x00c51663) /* bne a0,a2,.+12 */
#define BNE_8         UINT32_C(0x00c51463) /* bne a0,a2,.+8 */
#define BNE_BACK_4    UINT32_C(0xfec51ee3) /* bne a0,a2,.-4 */
#define BNE_BACK      UINT32_C(0xfec51ce3) /* bne a0,a2,.-8 */
#define SC_D_X0       UINT32_C(0x18c5b02f) /* sc.d zero,a2,(a1) */
#define LD_A4         UINT32_C(0x0005b703) /* ld a4,0(a1) */
#define ADDI_A1       UINT32_C(0x00858593) /* addi a1,a1,8 */
#define NTL_ALL       UINT32_C(0x00500033) /* ntl.all */

enum { M_DIRTY = RV_PRIV_M | 2 << RV_TBF_FS_SHIFT };

struct fixture {
    struct rv_cpu cpu;
    struct ir_block block;
    struct run run;
    uint8_t code[8192];
    uint32_t bytes; /* of code */
    struct gw_lift_request rq;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f)
        return 1;
    f->cpu.cfg.ext = UINT64_MAX;
    f->block.helpers = rv_helper_table;
    f->rq = (struct gw_lift_request){
        .cpu = &f->cpu, .block = &f->block, .code = f->code, .page_left = 4096, .max_guest = 100};
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void append(struct fixture *f, uint32_t word)
{
    gw_put_little(f->code + f->bytes, word, 4);
    f->bytes += (word & 3) == 3 ? 4 : 2;
}

static enum gw_lift_status lift(struct fixture *f, uint32_t flags)
{
    struct gw_error err;
    f->rq.code_size = f->bytes;
    ir_begin(&f->block, CASE_PC, flags);
    enum gw_lift_status s = rv_lift(&f->rq);
    if (s == GW_LIFT_OK && ir_verify(&f->block, &err) != GW_OK)
        fail_msg("the verifier refuses the block: %s", err.message);
    return s;
}

#define LIFT(f, flags, ...)                                                                        \
    do {                                                                                           \
        const uint32_t words_[] = {__VA_ARGS__};                                                   \
        (f)->bytes = 0;                                                                            \
        for (size_t i_ = 0; i_ < sizeof words_ / sizeof words_[0]; i_++)                           \
            append(f, words_[i_]);                                                                 \
        assert_int_equal(lift(f, flags), GW_LIFT_OK);                                              \
    } while (0)

static const struct ir_insn *last(const struct fixture *f)
{
    return &f->block.insn[f->block.count - 1];
}

static void assert_ends_with_jump(const struct fixture *f, uint32_t offset)
{
    assert_int_equal(last(f)->op, IR_JMP);
    assert_int_equal((uint64_t)last(f)->imm, CASE_PC + offset);
}

static void run(struct fixture *f)
{
    memset(&f->run, 0, sizeof f->run);
    f->run.cpu = &f->cpu;
    f->run.leave_at = -1;
    run_block(&f->run, &f->block);
}

static void assert_calls(struct fixture *f, unsigned count, enum rv_helper first)
{
    run(f);
    assert_int_equal(f->run.calls, count);
    if (count)
        assert_int_equal(f->run.call[0].helper, first);
}

static void assert_illegal(struct fixture *f, uint32_t raw)
{
    assert_calls(f, 1, RV_HELPER_ILLEGAL);
    assert_int_equal(f->run.call[0].a, raw);
    assert_int_equal(f->run.exit, RUN_LEFT);
    assert_int_equal(f->run.pc, CASE_PC);
}

/* --- ends ---------------------------------------------------------------------------------------- */

static void block_ends_at_the_instruction_limit(void **state)
{
    struct fixture *f = *state;
    f->rq.max_guest = 2;
    LIFT(f, M_DIRTY, ADDI, C_ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    assert_int_equal(f->block.code_bytes, 6);
    assert_ends_with_jump(f, 6);
}

static void block_holds_no_more_than_the_ir_can(void **state)
{
    struct fixture *f = *state;
    f->rq.max_guest = 1000;
    f->bytes = 0;
    for (unsigned i = 0; i < IR_MAX_GUEST + 10; i++)
        append(f, ADDI);
    assert_int_equal(lift(f, M_DIRTY), GW_LIFT_OK);
    assert_int_equal(f->block.guest_count, IR_MAX_GUEST);
    assert_int_equal(f->block.overflow, 0);
    assert_ends_with_jump(f, 4 * IR_MAX_GUEST);
}

static void no_instruction_starts_behind_the_page(void **state)
{
    struct fixture *f = *state;
    f->rq.page_left = 4;
    LIFT(f, M_DIRTY, ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_ends_with_jump(f, 4);
}

static void straddling_instruction_may_be_the_last(void **state)
{
    struct fixture *f = *state;
    f->rq.page_left = 4;
    LIFT(f, M_DIRTY, C_ADDI, ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    assert_int_equal(f->block.code_bytes, 6);
    assert_ends_with_jump(f, 6);
}

static void straddling_instruction_needs_its_second_page(void **state)
{
    struct fixture *f = *state;
    f->rq.page_left = 2;
    append(f, ADDI);
    f->bytes = 2;
    assert_int_equal(lift(f, M_DIRTY), GW_LIFT_NEED_PAGE);
    /* not the first: the block ends before it */
    f->rq.page_left = 4;
    f->bytes = 0;
    append(f, C_ADDI);
    append(f, ADDI);
    f->bytes = 4;
    assert_int_equal(lift(f, M_DIRTY), GW_LIFT_OK);
    assert_int_equal(f->block.guest_count, 1);
    assert_int_equal(f->block.code_bytes, 2);
    assert_ends_with_jump(f, 2);
}

/* --- jumps and branches -------------------------------------------------------------------------- */

static void forward_jump_is_followed(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, J_8, ADDI, ANDN, RET);
    assert_int_equal(f->block.guest_count, 3);
    assert_int_equal(f->block.guest[1].pc_offset, 8);
    assert_int_equal(f->block.code_bytes, 16);
    assert_int_equal(last(f)->op, IR_JMPR);
}

static void backward_jump_ends_the_block(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, ADDI, J_BACK, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    assert_int_equal(f->block.code_bytes, 8);
    assert_ends_with_jump(f, 0);
}

static void jump_out_of_the_page_or_code_ends_the_block(void **state)
{
    struct fixture *f = *state;
    f->rq.page_left = 16;
    LIFT(f, M_DIRTY, J_16, ADDI, ADDI, ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_int_equal(f->block.code_bytes, 4);
    assert_ends_with_jump(f, 16);
    f->rq.page_left = 4096;
    LIFT(f, M_DIRTY, J_16, ADDI, ADDI, ADDI);
    assert_int_equal(f->block.code_bytes, 4);
    assert_ends_with_jump(f, 16);
}

static void followed_jump_obeys_the_limit(void **state)
{
    struct fixture *f = *state;
    f->rq.max_guest = 1;
    LIFT(f, M_DIRTY, J_8, ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_int_equal(f->block.code_bytes, 4);
    assert_ends_with_jump(f, 8);
}

static void call_ends_the_block(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, CALL_8, ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_ends_with_jump(f, 8);
    run(f);
    assert_int_equal(f->cpu.x[1], CASE_PC + 4);
}

static void branches_are_run_through_as_often_as_asked(void **state)
{
    struct fixture *f = *state;
    for (uint32_t trace = 0; trace < 3; trace++) {
        f->rq.trace = trace;
        LIFT(f, M_DIRTY, BEQ_8, ADDI, BEQ_8, ADDI, BEQ_8, ADDI);
        assert_int_equal(f->block.guest_count, 2 * trace + 1);
        assert_ends_with_jump(f, 8 * trace + 4);
    }
}

static void branch_that_is_always_taken_ends_the_block(void **state)
{
    struct fixture *f = *state;
    f->rq.trace = 4;
    const uint32_t li_a0_5 = 0x00500513, li_a1_5 = 0x00500593;
    LIFT(f, M_DIRTY, li_a0_5, li_a1_5, BEQ_8, ADDI, ADDI);
    assert_int_equal(f->block.guest_count, 3);
    assert_ends_with_jump(f, 16);
}

/* --- what stands alone --------------------------------------------------------------------------- */

static void counter_read_is_isolated(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, ADDI, RDTIME, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_int_equal(f->block.code_bytes, 4);
    assert_ends_with_jump(f, 4);
    LIFT(f, M_DIRTY, RDTIME, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_ends_with_jump(f, 4);
    assert_calls(f, 1, RV_HELPER_CSR_READ);
}

static void csr_write_is_the_last_of_its_block(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, STVEC_SET, ADDI);
    assert_int_equal(f->block.guest_count, 1);
    assert_int_equal(last(f)->op, IR_LEAVE);
    LIFT(f, M_DIRTY, FRM_WRITE, ADDI);
    assert_int_equal(last(f)->op, IR_LEAVE);
    LIFT(f, M_DIRTY, STVEC_READ, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    LIFT(f, M_DIRTY, SSCRATCH_SWAP, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    LIFT(f, M_DIRTY, FFLAGS_WRITE, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    /* makes FS dirty, so it changes the key */
    LIFT(f, RV_PRIV_M | 1 << RV_TBF_FS_SHIFT, FFLAGS_WRITE, ADDI);
    assert_int_equal(last(f)->op, IR_LEAVE);
}

static void csr_access_reads_and_writes_no_more_than_it_must(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, STVEC_READ);
    assert_calls(f, 1, RV_HELPER_CSR_READ);
    LIFT(f, M_DIRTY, STVEC_WRITE);
    assert_calls(f, 1, RV_HELPER_CSR_WRITE);
    LIFT(f, M_DIRTY, STVEC_SWAP);
    assert_calls(f, 2, RV_HELPER_CSR_READ);
    assert_int_equal(f->run.call[1].helper, RV_HELPER_CSR_WRITE);
    assert_int_equal(f->run.call[1].a, 0x105);
}

static void csr_that_traps_leaves_rd_alone(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, STVEC_SWAP);
    for (int call = 0; call < 2; call++) {
        memset(&f->run, 0, sizeof f->run);
        f->run.cpu = &f->cpu;
        f->run.leave_at = call;
        f->run.helper_result = 99;
        run_block(&f->run, &f->block);
        assert_int_equal(f->run.exit, RUN_HELPER_LEFT);
        assert_int_equal(f->run.puts, 0);
    }
}

static void sstatus_is_read_without_a_helper(void **state)
{
    struct fixture *f = *state;
    f->cpu.c.mstatus = RV_MSTATUS_MIE | RV_MSTATUS_SIE | RV_MSTATUS_FS;
    LIFT(f, RV_PRIV_S | 2 << RV_TBF_FS_SHIFT, SSTATUS_READ, ADDI);
    assert_int_equal(f->block.guest_count, 2);
    f->rq.max_guest = 1;
    LIFT(f, RV_PRIV_S | 2 << RV_TBF_FS_SHIFT, SSTATUS_READ);
    assert_calls(f, 0, 0);
    assert_int_equal(f->cpu.x[10],
                     RV_MSTATUS_SIE | RV_MSTATUS_FS | RV_MSTATUS_UXL_64 | RV_MSTATUS_SD);
    f->cpu.c.mstatus = 0;
    LIFT(f, RV_PRIV_S, SSTATUS_READ);
    run(f);
    assert_int_equal(f->cpu.x[10], RV_MSTATUS_UXL_64);
}

static void interrupts_are_disabled_in_line(void **state)
{
    struct fixture *f = *state;
    f->cpu.c.mstatus = RV_MSTATUS_MIE | RV_MSTATUS_SIE;
    LIFT(f, RV_PRIV_S, IRQ_SAVE);
    assert_calls(f, 0, 0);
    assert_int_equal(f->run.exit, RUN_JUMPED);
    assert_int_equal(f->cpu.x[10], RV_MSTATUS_SIE | RV_MSTATUS_UXL_64);
    assert_int_equal(f->cpu.c.mstatus, RV_MSTATUS_MIE);
}

static void interrupts_are_enabled_without_leaving_if_none_is_due(void **state)
{
    struct fixture *f = *state;
    static const uint32_t words[] = {SSTATUS_SET, SSTATUS_SET_2};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t changed = 0; changed < 2; changed++) {
            memset(&f->run, 0, sizeof f->run);
            f->cpu.x[10] = 2;
            f->cpu.c.mstatus = RV_MSTATUS_SPP;
            f->run = (struct run){.cpu = &f->cpu, .leave_at = -1, .helper_result = changed};
            LIFT(f, RV_PRIV_S, words[i], ADDI);
            run_block(&f->run, &f->block);
            assert_int_equal(f->run.calls, 1);
            assert_int_equal(f->run.call[0].helper, RV_HELPER_SSTATUS_WRITE);
            assert_int_equal(f->run.call[0].a, RV_MSTATUS_SPP | RV_MSTATUS_SIE | RV_MSTATUS_UXL_64);
            assert_int_equal(f->run.exit, changed ? RUN_LEFT : RUN_JUMPED);
            assert_int_equal(f->run.pc, CASE_PC + 4);
        }
    }
    f->cpu.x[10] = 0;
    LIFT(f, RV_PRIV_S, SSTATUS_SET, ADDI);
    assert_calls(f, 0, 0);
    assert_int_equal(f->run.pc, CASE_PC + 4);
}

/* What sstatus was is in rd, whichever way the instruction ends. */
static void sstatus_is_read_and_written_in_one(void **state)
{
    struct fixture *f = *state;
    for (uint64_t way = 0; way < 3; way++) {
        f->cpu.x[10] = 99;
        f->cpu.x[11] = way < 2 ? 2 : 0;
        f->cpu.c.mstatus = RV_MSTATUS_SPP;
        f->run = (struct run){.cpu = &f->cpu, .leave_at = -1, .helper_result = way};
        LIFT(f, RV_PRIV_S, SSTATUS_SET_RD, ADDI);
        run_block(&f->run, &f->block);
        assert_int_equal(f->run.calls, way < 2);
        assert_int_equal(f->run.exit, way == 1 ? RUN_LEFT : RUN_JUMPED);
        assert_int_equal(f->run.pc, CASE_PC + 4);
        assert_int_equal(f->cpu.x[10], RV_MSTATUS_SPP | RV_MSTATUS_UXL_64);
    }
}

/* --- what the block key says --------------------------------------------------------------------- */

static void csr_access_needs_its_privilege(void **state)
{
    struct fixture *f = *state;
    LIFT(f, RV_PRIV_U, SSCRATCH_SWAP);
    assert_illegal(f, SSCRATCH_SWAP);
    LIFT(f, RV_PRIV_S, SSCRATCH_SWAP);
    assert_calls(f, 0, 0);
    LIFT(f, RV_PRIV_S, MSCRATCH_READ);
    assert_illegal(f, MSCRATCH_READ);
    LIFT(f, RV_PRIV_M, TIME_WRITE);
    assert_illegal(f, TIME_WRITE);
}

static void user_mode_has_no_privileged_state(void **state)
{
    struct fixture *f = *state;
    const uint32_t user = RV_TBF_USER | 2 << RV_TBF_FS_SHIFT;
    const uint32_t hpmcounter3 = 0xc0302573;
    LIFT(f, user, SSTATUS_READ);
    assert_illegal(f, SSTATUS_READ);
    LIFT(f, user, hpmcounter3);
    assert_illegal(f, hpmcounter3);
    LIFT(f, user, MRET);
    assert_illegal(f, MRET);
    LIFT(f, user, RDTIME);
    assert_calls(f, 1, RV_HELPER_CSR_READ);
    f->cpu.x[10] = RUN_MEM_BASE + 63;
    LIFT(f, user, CBO_ZERO);
    assert_calls(f, 0, 0);
    LIFT(f, M_DIRTY | RV_TBF_CBZE, CBO_ZERO);
    assert_calls(f, 0, 0);
    LIFT(f, M_DIRTY, CBO_ZERO);
    assert_illegal(f, CBO_ZERO);
}

static void fp_is_illegal_while_fs_is_off(void **state)
{
    struct fixture *f = *state;
    static const uint32_t words[] = {FADD_D, FEQ_D, FSD, FMV_X_D, FFLAGS_WRITE, FRM_READ};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        LIFT(f, RV_PRIV_M, words[i]);
        assert_illegal(f, words[i]);
    }
}

static void fp_write_makes_fs_dirty_first(void **state)
{
    struct fixture *f = *state;
    const uint32_t clean = RV_PRIV_M | 1 << RV_TBF_FS_SHIFT;
    LIFT(f, clean, FADD_D);
    assert_calls(f, 1, RV_HELPER_FS_DIRTY);
    assert_int_equal(f->run.exit, RUN_LEFT);
    assert_int_equal(f->run.pc, CASE_PC);
    assert_int_equal(f->run.puts, 0);
    LIFT(f, clean, FEQ_D); /* writes no f register, but may raise a flag */
    assert_calls(f, 1, RV_HELPER_FS_DIRTY);
    LIFT(f, clean, FMV_X_D);
    assert_calls(f, 0, 0);
    LIFT(f, M_DIRTY, FADD_D);
    assert_calls(f, 0, 0);
}

static void reserved_rounding_modes_are_illegal(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, FADD_D_RM5);
    assert_illegal(f, FADD_D_RM5);
    for (uint32_t frm = 0; frm < 8; frm++) {
        LIFT(f, M_DIRTY | frm << RV_TBF_FRM_SHIFT, FADD_D);
        if (frm > 4)
            assert_illegal(f, FADD_D);
        else
            assert_calls(f, 0, 0);
        assert_int_equal(f->block.fp_round, frm < 4 ? frm : IR_RNE);
    }
}

static void frm_is_read_from_the_block_key(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY | 6 << RV_TBF_FRM_SHIFT, FRM_READ);
    assert_calls(f, 0, 0);
    assert_int_equal(f->cpu.x[10], 6);
}

static void extension_that_is_off_is_illegal(void **state)
{
    struct fixture *f = *state;
    f->cpu.cfg.ext = ~(RV_EXT_ZBB | RV_EXT_ZBKB);
    LIFT(f, M_DIRTY, ANDN);
    assert_illegal(f, ANDN);
    f->cpu.cfg.ext = ~RV_EXT_ZBB; /* one of two is enough */
    LIFT(f, M_DIRTY, ANDN);
    assert_calls(f, 0, 0);
    LIFT(f, M_DIRTY, C_SEXT_B); /* but this needs Zcb and Zbb */
    assert_illegal(f, C_SEXT_B);
    f->cpu.cfg.ext = ~RV_EXT_ZIHINTNTL; /* a hint is what it looks like */
    LIFT(f, M_DIRTY, NTL_ALL);
    assert_calls(f, 0, 0);
    f->cpu.cfg.ext = ~RV_EXT_C;
    LIFT(f, M_DIRTY, C_ADDI);
    assert_illegal(f, C_ADDI);
    LIFT(f, M_DIRTY, ADDI);
    assert_calls(f, 0, 0);
}

static void illegal_instruction_reports_its_own_bits(void **state)
{
    struct fixture *f = *state;
    LIFT(f, M_DIRTY, 0x8c40, ADDI);
    assert_illegal(f, 0x8c40);
    LIFT(f, M_DIRTY, 0xffffffff);
    assert_illegal(f, 0xffffffff);
    LIFT(f, M_DIRTY, 0x0000, ADDI);
    assert_illegal(f, 0);
}

static void tb_flags_hold_what_lifting_depends_on(void **state)
{
    struct fixture *f = *state;
    f->cpu.c.priv = RV_PRIV_S;
    f->cpu.c.frm = 3;
    assert_int_equal(rv_tb_flags(&f->cpu), RV_PRIV_S); /* FS off: frm changes nothing */
    static const uint32_t fs_of[] = {0, 1, 1, 2};
    for (uint64_t fs = 1; fs < 4; fs++) {
        f->cpu.c.mstatus = fs << 13;
        uint32_t flags = rv_tb_flags(&f->cpu);
        assert_int_equal(flags, RV_PRIV_S | fs_of[fs] << RV_TBF_FS_SHIFT | 3 << RV_TBF_FRM_SHIFT);
        assert_int_equal(rv_fp_round(flags), IR_RUP);
    }
    f->cpu.cfg.user = true;
    f->cpu.c.priv = RV_PRIV_U;
    f->cpu.c.mstatus = 0;
    assert_int_equal(rv_tb_flags(&f->cpu),
                     RV_TBF_USER | 2 << RV_TBF_FS_SHIFT | 3 << RV_TBF_FRM_SHIFT);
}

/* --- faults -------------------------------------------------------------------------------------- */

/* Every instruction with a memory operand, at an address that faults: nothing may have changed. */
static void faulting_instruction_changes_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct lift_cases *const all[] = {
        &lift_cases_base, &lift_cases_ext, &lift_cases_fp, &lift_cases_bits, &lift_cases_half};
    unsigned tried = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t k = 0; k < all[i]->count; k++) {
            const struct lift_case *c = &all[i]->cases[k];
            if (c->a1 / 64 != CASE_DATA / 64)
                continue;
            /* What can't be misaligned, and what is checked by a helper, which does nothing here. */
            bool byte = strstr(rv_op_name((enum rv_op)c->op), ".b");
            bool helper = c->helper == CALLS(CASQ_CHECK);
            LIFT(f, RV_TBF_USER | 2 << RV_TBF_FS_SHIFT, c->word);
            for (unsigned m = 0; m < 2; m++) {
                bool atomic =
                    rv_op_ext((enum rv_op)c->op) & (RV_EXT_A | RV_EXT_ZABHA | RV_EXT_ZACAS);
                /* misaligned; absent */
                f->cpu.x[11] = m && atomic && !byte && !helper ? CASE_DATA + 1 : 0x20000;
                run(f);
                if (f->run.exit != RUN_FAULTED || f->run.puts || f->run.pc != CASE_PC)
                    fail_msg("%s: exit %d, %u writes", c->text, f->run.exit, f->run.puts);
            }
            tried++;
        }
    assert_true(tried >= 40);
}

static void random_code_lifts_to_valid_blocks(void **state)
{
    struct fixture *f = *state;
    uint64_t rng = 42;
    f->rq.trace = 4;
    for (unsigned n = 0; n < 4000; n++) {
        f->bytes = 0;
        for (unsigned i = 0; i < 24; i++)
            append(f, rv_pattern_random((size_t)(rng >> 33) % rv_pattern_count(), &rng));
        f->block.no_fold = n & 1;
        assert_int_equal(lift(f, n & 2 ? M_DIRTY : RV_TBF_USER | 2 << RV_TBF_FS_SHIFT), GW_LIFT_OK);
        assert_true(f->block.guest_count > 0 && f->block.code_bytes <= f->bytes);
    }
}

static void run_from(struct fixture *f, const struct rv_cpu *begin, struct run *result)
{
    f->cpu = *begin;
    run(f);
    *result = f->run;
}

static void what_runs_anywhere_does_there_what_it_does_where_it_was_made(void **state)
{
    struct fixture *f = *state;
    const uint64_t there = CASE_PC + UINT64_C(0x3ffffff000);
    static struct rv_cpu begin, end;
    static struct run want, got;
    uint64_t rng = 43;
    f->rq.trace = 4;
    for (unsigned n = 0; n < 20000; n++) {
        f->bytes = 0;
        for (unsigned i = 0; i < 24; i++)
            append(f, rv_pattern_random((size_t)(rng >> 33) % rv_pattern_count(), &rng));
        begin = f->cpu;
        for (unsigned i = 1; i < 32; i++)
            begin.x[i] = (rng = rng * UINT64_C(6364136223846793005) + n) >> (n & 32);
        begin.run.page = there & ~(uint64_t)GW_PAGE_MASK;
        f->block.no_fold = n & 1;
        f->rq.code_size = f->bytes;
        ir_begin(&f->block, there, RV_PRIV_U | 2 << RV_TBF_FS_SHIFT);
        assert_int_equal(rv_lift(&f->rq), GW_LIFT_OK);
        run_from(f, &begin, &want);
        end = f->cpu;
        f->block.anywhere = true;
        assert_int_equal(lift(f, RV_PRIV_U | 2 << RV_TBF_FS_SHIFT), GW_LIFT_OK);
        run_from(f, &begin, &got);
        f->block.anywhere = false;
        if (memcmp(&end, &f->cpu, sizeof end) != 0 || memcmp(&want, &got, sizeof want) != 0)
            fail_msg("block %u goes to %#llx, or should to %#llx", n, (unsigned long long)got.pc,
                     (unsigned long long)want.pc);
        f->cpu = begin;
    }
}

/* --- LR and SC ----------------------------------------------------------------------------------- */

static unsigned count_op(const struct fixture *f, enum ir_op op)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < f->block.count; i++)
        n += f->block.insn[i].op == op;
    return n;
}

static void constrained_pair_is_a_compare_and_swap(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes = CASE_BYTES, now;
    LIFT(f, M_DIRTY, LR_W, BNE_12, ADDI, SC_W, RET);
    assert_int_equal(f->block.guest_count, 5); /* the branch out does not end it */
    assert_int_equal(count_op(f, IR_CAS), 1);
    assert_int_equal(count_op(f, IR_CALL), 0);
    f->cpu.x[11] = CASE_DATA;
    f->cpu.x[12] = (uint64_t)(int64_t)(int32_t)CASE_BYTES;
    memset(&f->run, 0, sizeof f->run);
    f->run.cpu = &f->cpu;
    f->run.leave_at = -1;
    run_put(&f->run, CASE_DATA, bytes);
    run_block(&f->run, &f->block);
    now = run_get(&f->run, CASE_DATA);
    assert_int_equal(f->cpu.x[13], 0);
    assert_int_equal(now, CASE_BYTES);
    assert_true(f->cpu.c.reservation == RV_NO_RESERVATION);
    /* the branch out leaves nothing that another SC could take for its own */
    LIFT(f, M_DIRTY, LR_W, BNE_12, ADDI, SC_W, RET);
    f->cpu.x[12] = 1;
    f->cpu.run.reservation_broken = 0;
    run_block(&f->run, &f->block);
    assert_int_equal(f->run.pc, CASE_PC + 16);
    assert_int_equal(f->cpu.run.reservation_broken, 1);
}

static void other_lr_and_sc_watch_memory(void **state)
{
    struct fixture *f = *state;
    const uint32_t between[][2] = {{LD_A4, SC_W}, {BNE_BACK, SC_W}, {ADDI_A1, SC_W}, {ADDI, SC_D}};
    for (unsigned i = 0; i < 4; i++) {
        LIFT(f, M_DIRTY, LR_W, between[i][0], between[i][1], RET);
        f->cpu.x[11] = CASE_DATA;
        f->cpu.x[12] = f->cpu.x[10];
        assert_int_equal(count_op(f, IR_CAS), 0);
        assert_true(f->block.insn[1].op == IR_CALL &&
                    f->block.insn[1].imm == RV_HELPER_LR); /* ahead of the load */
    }
    /* in two blocks */
    f->rq.max_guest = 2;
    LIFT(f, M_DIRTY, LR_W, ADDI, SC_W);
    assert_int_equal(count_op(f, IR_CALL), 1);
    LIFT(f, M_DIRTY, SC_W);
    assert_calls(f, 1, RV_HELPER_SC);
}

/* Nothing comes of an SC to x0 where no reservation stands, but its fault. */
static void sc_without_a_reservation_passes_in_line(void **state)
{
    struct fixture *f = *state;
    const struct {
        uint64_t reservation, addr;
        bool calls;
    } cases[] = {
        {RV_NO_RESERVATION, 0x1000, false},
        {RV_NO_RESERVATION, 0x1004, true},
        {0x1000, 0x1000, true},
        {0x2000, 0x1000, true}, /* it drops that one */
        {0, 0x1000, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->cpu.c.reservation = cases[i].reservation;
        f->cpu.x[11] = cases[i].addr;
        f->run = (struct run){.cpu = &f->cpu, .leave_at = -1};
        LIFT(f, RV_PRIV_S, SC_D_X0);
        run_block(&f->run, &f->block);
        assert_int_equal(f->run.calls, cases[i].calls);
        assert_int_equal(f->run.pc, CASE_PC + 4);
        assert_int_equal(f->cpu.c.reservation, cases[i].reservation);
    }
}

/* A branch forward to an SC, the same or another: that one is in another block, and must find a
 * reservation. So does one that is reached over a load. */
static void lr_with_a_branch_to_an_sc_watches_memory(void **state)
{
    struct fixture *f = *state;
    const uint32_t code[][8] = {
        {LR_W, BNE_12, BEQ_8, ADDI, SC_W, RET},             /* over a branch */
        {LR_W, BNE_12, ADDI, SC_W, ADDI, SC_W, RET},        /* to another */
        {LR_W, BNE_12, SC_W, RET, LD_A4, ADDI, SC_W, RET},  /* over a load */
        {LR_W, BNE_12, SC_W, J_8, BEQ_8, ADDI, SC_W, RET},  /* by two branches */
        {LR_W, BNE_12, SC_W, J_8, ADDI, SC_D, RET},         /* of another width */
        {LR_W, BNE_12, SC_W, J_8, ADDI_A1, ADDI, SC_W, RET} /* at another address */
    };
    for (unsigned i = 0; i < sizeof code / sizeof code[0]; i++) {
        f->bytes = 0;
        for (unsigned k = 0; k < 8 && code[i][k]; k++)
            append(f, code[i][k]);
        assert_int_equal(lift(f, M_DIRTY), GW_LIFT_OK);
        assert_int_equal(count_op(f, IR_CAS), 0);
        assert_true(f->block.insn[1].op == IR_CALL && f->block.insn[1].imm == RV_HELPER_LR);
    }
    /* The SC, or what a branch leads to, may be on the next page, and that is not known. */
    for (unsigned left = 8; left <= 20; left += 4) {
        const uint32_t words[] = {LR_W, BNE_12, ADDI, SC_W, RET};
        f->rq.page_left = left;
        f->bytes = 0;
        for (unsigned k = 0; k < left / 4; k++)
            append(f, words[k]);
        assert_int_equal(lift(f, M_DIRTY), GW_LIFT_OK);
        assert_int_equal(count_op(f, IR_CAS), left == 20);
    }
}

/* Where it is known, a pair at the start of a block goes over the border, and the block ends behind it. */
static void pair_goes_over_the_border_of_a_page(void **state)
{
    struct fixture *f = *state;
    for (unsigned left = 4; left <= 20; left += 4) {
        f->rq.page_left = left;
        LIFT(f, M_DIRTY, LR_W, ADDI, J_8, RET, SC_W, ADDI, RET);
        assert_int_equal(count_op(f, IR_CAS), 1);
        assert_int_equal(f->block.guest_count, 4);
        assert_ends_with_jump(f, 20);
    }
    /* Not within a block, which was not given what is on the next page. */
    f->rq.page_left = 16;
    f->bytes = 0;
    append(f, ADDI);
    append(f, LR_W);
    append(f, BNE_12);
    append(f, ADDI);
    assert_int_equal(lift(f, M_DIRTY), GW_LIFT_OK);
    assert_int_equal(f->block.guest_count, 1);
    assert_ends_with_jump(f, 4);
}

static void pair_is_one_whatever_leads_elsewhere(void **state)
{
    struct fixture *f = *state;
    const uint32_t code[][8] = {
        {LR_W, BNE_BACK_4, ADDI, SC_W, RET},             /* to the LR again */
        {LR_W, J_8, RET, ADDI, SC_W, RET},               /* over what is not run */
        {LR_W, BNE_12, SC_W, RET, RET, SC_W},            /* into what leads nowhere known */
        {LR_W, BNE_12, SC_W, RET, LR_W, ADDI, SC_W, RET} /* to another LR */
    };
    for (unsigned i = 0; i < sizeof code / sizeof code[0]; i++) {
        f->bytes = 0;
        for (unsigned k = 0; k < 8 && code[i][k]; k++)
            append(f, code[i][k]);
        assert_int_equal(lift(f, M_DIRTY), GW_LIFT_OK);
        assert_int_equal(count_op(f, IR_CAS), 1);
        assert_int_equal(count_op(f, IR_CALL), 0);
    }
    /* It is a pair because of what a branch out leads to: the block is of those bytes too. */
    LIFT(f, M_DIRTY, LR_W, BNE_12, SC_W, RET, LD_A4, ADDI, RET, ADDI);
    assert_int_equal(f->block.code_bytes, 28);
    LIFT(f, M_DIRTY, LR_W, ADDI, SC_W, RET, LD_A4, ADDI, RET, ADDI);
    assert_int_equal(f->block.code_bytes, 16);
}

/* Over an instruction: the pair is one all the same, which does not change what that would have, and gives
 * back what did not retire. */
static void pair_goes_over_what_a_branch_skips(void **state)
{
    struct fixture *f = *state;
    const uint64_t word = (uint64_t)(int64_t)(int32_t)CASE_BYTES;
    for (unsigned n = 0; n < 4; n++) {
        uint64_t bytes = CASE_BYTES, now, skipped = n & 1;
        f->block.no_fold = n >= 2;
        LIFT(f, M_DIRTY, LR_W, BNE_12, ADDI, ADDI, SC_W, RET);
        assert_int_equal(count_op(f, IR_CAS), 1);
        assert_int_equal(count_op(f, IR_CALL), 0);
        assert_int_equal(count_op(f, IR_BRCC), 0);
        f->cpu.x[11] = CASE_DATA;
        f->cpu.x[12] = word + skipped;
        f->cpu.run.budget = 100;
        memset(&f->run, 0, sizeof f->run);
        f->run.cpu = &f->cpu;
        f->run.leave_at = -1;
        run_put(&f->run, CASE_DATA, bytes);
        run_block(&f->run, &f->block);
        now = run_get(&f->run, CASE_DATA);
        assert_int_equal(f->cpu.x[10], skipped ? word : word + 2);
        assert_int_equal(f->cpu.x[13], 0);
        assert_int_equal((uint32_t)now, (uint32_t)(word + skipped));
        assert_int_equal(f->cpu.run.budget, skipped ? 102 : 100);
        assert_int_equal(f->run.pc, f->cpu.x[1] & ~UINT64_C(1));
    }
}

/* A pair that would be cut in two by the block's end begins a block. */
static void pair_that_does_not_fit_begins_a_block(void **state)
{
    struct fixture *f = *state;
    f->rq.max_guest = 4;
    LIFT(f, M_DIRTY, ADDI, ADDI, LR_W, ADDI, SC_W, RET);
    assert_int_equal(f->block.guest_count, 2);
    assert_ends_with_jump(f, 8);
    LIFT(f, M_DIRTY, ADDI, LR_W, ADDI, SC_W, RET);
    assert_int_equal(f->block.guest_count, 4);
    assert_int_equal(count_op(f, IR_CAS), 1);
    f->rq.max_guest = 2;
    LIFT(f, M_DIRTY, LR_W, ADDI, SC_W, RET);
    assert_int_equal(f->block.guest_count, 2);
    assert_int_equal(count_op(f, IR_CALL), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(constrained_pair_is_a_compare_and_swap),
        TEST(other_lr_and_sc_watch_memory),
        TEST(lr_with_a_branch_to_an_sc_watches_memory),
        TEST(pair_goes_over_the_border_of_a_page),
        TEST(pair_is_one_whatever_leads_elsewhere),
        TEST(pair_goes_over_what_a_branch_skips),
        TEST(pair_that_does_not_fit_begins_a_block),
        TEST(block_ends_at_the_instruction_limit),
        TEST(block_holds_no_more_than_the_ir_can),
        TEST(no_instruction_starts_behind_the_page),
        TEST(straddling_instruction_may_be_the_last),
        TEST(straddling_instruction_needs_its_second_page),
        TEST(forward_jump_is_followed),
        TEST(backward_jump_ends_the_block),
        TEST(jump_out_of_the_page_or_code_ends_the_block),
        TEST(followed_jump_obeys_the_limit),
        TEST(call_ends_the_block),
        TEST(branches_are_run_through_as_often_as_asked),
        TEST(branch_that_is_always_taken_ends_the_block),
        TEST(counter_read_is_isolated),
        TEST(csr_write_is_the_last_of_its_block),
        TEST(csr_access_reads_and_writes_no_more_than_it_must),
        TEST(csr_that_traps_leaves_rd_alone),
        TEST(sstatus_is_read_without_a_helper),
        TEST(interrupts_are_disabled_in_line),
        TEST(interrupts_are_enabled_without_leaving_if_none_is_due),
        TEST(sstatus_is_read_and_written_in_one),
        TEST(sc_without_a_reservation_passes_in_line),
        TEST(csr_access_needs_its_privilege),
        TEST(user_mode_has_no_privileged_state),
        TEST(fp_is_illegal_while_fs_is_off),
        TEST(fp_write_makes_fs_dirty_first),
        TEST(reserved_rounding_modes_are_illegal),
        TEST(frm_is_read_from_the_block_key),
        TEST(extension_that_is_off_is_illegal),
        TEST(illegal_instruction_reports_its_own_bits),
        TEST(tb_flags_hold_what_lifting_depends_on),
        TEST(faulting_instruction_changes_nothing),
        TEST(random_code_lifts_to_valid_blocks),
        TEST(what_runs_anywhere_does_there_what_it_does_where_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
