/*
 * Every instruction of rv_ops.inc, lifted alone and run: a case says all that changes. Each case
 * runs with the builder's folding and without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/frontend/riscv64/lift/cases.h"
#include "frontend/riscv64/lift.h"
#include "tests/frontend/riscv64/lift/run_ir.h"

struct fixture {
    struct rv_cpu cpu, expected;
    struct ir_block block;
    struct run run;
};

static const struct lift_cases *const all[] = {&lift_cases_base, &lift_cases_ext, &lift_cases_fp,
                                               &lift_cases_bits, &lift_cases_half};

static void start_state(struct rv_cpu *cpu, const struct lift_case *c)
{
    memset(cpu, 0, sizeof *cpu);
    for (unsigned i = 1; i < 32; i++)
        cpu->x[i] = cpu->f[i] = UINT64_C(0x0101010101010101) * i;
    cpu->x[10] = cpu->f[10] = c->a0;
    cpu->x[11] = cpu->f[11] = c->a1;
    cpu->x[12] = cpu->f[12] = c->a2;
    cpu->x[13] = cpu->f[13] = c->a3;
    cpu->c.sscratch = CASE_SSCRATCH;
    cpu->c.reservation = c->reservation ? c->reservation : RV_NO_RESERVATION;
    cpu->c.reserved_value = c->reserved;
    cpu->cfg.ext = UINT64_MAX;
}

static void expect_state(struct rv_cpu *cpu, const struct lift_case *c)
{
    if (c->sets >= 32)
        cpu->f[c->sets - 32] = c->want;
    else if (c->sets)
        cpu->x[c->sets] = c->want;
    if (c->sets_scratch)
        cpu->c.sscratch = c->sscratch;
    if (c->sets_reservation)
        cpu->c.reservation = c->new_reservation;
    if (c->sets_reservation && c->new_reservation != RV_NO_RESERVATION)
        cpu->c.reserved_value = c->want; /* an LR */
}

static void lift_alone(struct fixture *f, const struct lift_case *c, bool fold)
{
    uint8_t code[4];
    gw_put_little(code, c->word, sizeof code);
    struct gw_lift_request rq = {.cpu = &f->cpu,
                                 .block = &f->block,
                                 .code = code,
                                 .code_size = sizeof code,
                                 .page_left = 4096,
                                 .max_guest = 1};
    ir_begin(&f->block, CASE_PC,
             (c->user ? RV_TBF_USER : RV_PRIV_M | RV_TBF_CBZE) | 2u << RV_TBF_FS_SHIFT |
                 c->frm << RV_TBF_FRM_SHIFT);
    f->block.no_fold = !fold;
    assert_int_equal(rv_lift(&rq), GW_LIFT_OK);
}

static void explain(const struct fixture *f, const struct lift_case *c)
{
    static char text[16384];
    ir_print(&f->block, text, sizeof text);
    print_error("%s (a1 %#llx, a2 %#llx)\n%s", c->text, (unsigned long long)c->a1,
                (unsigned long long)c->a2, text);
}

/* True: everything is as the case says. */
static bool as_expected(const struct fixture *f, const struct lift_case *c)
{
    const struct run *r = &f->run;
    unsigned len = (c->word & 3) == 3 ? 4 : 2;
    uint64_t mem = c->stores ? c->mem : CASE_BYTES, got = run_get(r, CASE_DATA);
    return r->exit != RUN_FAULTED && r->pc == (c->pc ? c->pc : CASE_PC + len) && got == mem &&
           r->fp_flags == c->fp_flags && f->block.code_bytes == len &&
           (c->helper ? r->calls == (c->calls ? c->calls : 1) && r->call[0].helper == c->helper - 1
                      : r->calls == 0) &&
           memcmp(f->cpu.x, f->expected.x, sizeof f->cpu.x) == 0 &&
           memcmp(f->cpu.f, f->expected.f, sizeof f->cpu.f) == 0 &&
           memcmp(&f->cpu.c, &f->expected.c, sizeof f->cpu.c) == 0;
}

static void run_case(struct fixture *f, const struct lift_case *c, bool fold)
{
    struct gw_error err;
    uint64_t bytes = CASE_BYTES;
    start_state(&f->cpu, c);
    f->expected = f->cpu;
    expect_state(&f->expected, c);
    lift_alone(f, c, fold);
    if (ir_verify(&f->block, &err) != GW_OK) {
        explain(f, c);
        fail_msg("%s: the verifier refuses it: %s", c->text, err.message);
    }
    memset(&f->run, 0, sizeof f->run);
    f->run.cpu = &f->cpu;
    f->run.leave_at = -1;
    f->run.helper_result = c->result;
    run_put(&f->run, CASE_DATA, bytes);
    run_block(&f->run, &f->block);
    if (!as_expected(f, c)) {
        explain(f, c);
        fail_msg("%s: a0 %#llx, fa0 %#llx, pc %#llx, fp flags %#x", c->text,
                 (unsigned long long)f->cpu.x[10], (unsigned long long)f->cpu.f[10],
                 (unsigned long long)f->run.pc, f->run.fp_flags);
    }
}

static void every_case_changes_what_it_says(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t k = 0; k < all[i]->count; k++) {
            run_case(f, &all[i]->cases[k], true);
            run_case(f, &all[i]->cases[k], false);
        }
    free(f);
}

/* For ./dev cover: a line for each operation, its name and how many cases it has. */
static void list_cases(const unsigned cases[RV_OP_COUNT])
{
    const char *path = getenv("GODWIT_DECODE_COVERAGE");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f)
        return;
    for (unsigned op = 1; op < RV_OP_COUNT; op++)
        fprintf(f, "%s %u\n", rv_op_name((enum rv_op)op), cases[op]);
    assert_int_equal(fclose(f), 0);
}

static void every_operation_has_a_case(void **state)
{
    unsigned cases[RV_OP_COUNT] = {0}, missing = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t k = 0; k < all[i]->count; k++) {
            const struct lift_case *c = &all[i]->cases[k];
            struct rv_insn in;
            rv_decode(&in, c->word);
            if (in.op != c->op)
                fail_msg("%s decodes as %s", c->text, rv_op_name((enum rv_op)in.op));
            cases[c->op]++;
        }
    list_cases(cases);
    for (unsigned op = 1; op < RV_OP_COUNT; op++)
        if (!cases[op]) {
            print_error("no case for %s\n", rv_op_name((enum rv_op)op));
            missing++;
        }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_changes_what_it_says),
        cmocka_unit_test(every_operation_has_a_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
