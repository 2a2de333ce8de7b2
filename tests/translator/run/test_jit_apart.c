/* Blocks that are made while the lock is let go: what others write meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

#define EDGE (W_RAM + 0x1ffe) /* the last two bytes of a page */
#define BESIDE (W_RAM + 0x1000) /* on the same */
#define TRAP (W_RAM + 0x10000)

enum { C_NOP = 1 };

static struct world w;
static bool written;

/* An instruction of four bytes for one of two: what it had of the next page is there already. */
static void write_long(void)
{
    const uint32_t insn = i_addi(A0, A0, 1);
    memcpy(w.ram + (EDGE - W_RAM), &insn, 2);
    w.bus.ram_written(w.bus.engine, EDGE, 2);
}

/* Another vCPU stores just before the bytes are copied to be lifted. */
static enum gw_lift_status lift_late(const struct gw_lift_request *rq)
{
    struct gw_lift_request late = *rq;
    if (rq->block->pc != EDGE || written)
        return rv_guest_isa.lift(rq);
    written = true;
    write_long();
    late.code = w.ram + (EDGE - W_RAM);
    return rv_guest_isa.lift(&late);
}

static void run(uint64_t pc)
{
    w.cpu->run.pc = pc;
    w.cpu->c.priv = RV_PRIV_M;
    w.cpu->c.halted = 0;
    w.cpu->run.view_dirty = 1;
    world_expect(&w, "stop", engine_run(w.engine, 1000, false), ENGINE_WAIT);
}

static void an_instruction_that_grows_over_the_border_is_looked_for_anew(void **state)
{
    struct guest_isa isa = rv_guest_isa;
    struct world_way way = {.name = "shared", .shared = true, .isa = &isa};
    const uint32_t handler[] = {I_WFI}, wfi = I_WFI;
    const uint16_t before = C_NOP;
    const uint32_t insn = i_addi(A0, A0, 1);
    isa.lift = lift_late;
    world_open(&w, &way);
    world_code(&w, TRAP, handler, 1);
    w.cpu->c.mtvec = TRAP;
    memcpy(w.ram + (EDGE - W_RAM), &before, 2);
    memcpy(w.ram + (EDGE + 2 - W_RAM), (const uint8_t *)&insn + 2, 2);
    memcpy(w.ram + (EDGE + 4 - W_RAM), &wfi, 4);
    memcpy(w.ram + (BESIDE - W_RAM), &wfi, 4);
    w.cpu->x[A0] = 0;
    run(BESIDE); /* the page is protected from now on */
    run(EDGE);
    world_expect(&w, "written", written, true);
    world_expect(&w, "trap", w.cpu->c.mepc, 0);
    world_expect(&w, "a0", w.cpu->x[A0], 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instruction_that_grows_over_the_border_is_looked_for_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
