/* Return addresses on a stack: by frame pointers, by looking for them, and on stacks that lie. */
#include <string.h>

#include "frontend/riscv64/backtrace.h"
#include "godwit/little.h"
#include "tests/frontend/riscv64/priv/fixture.h"

enum { CODE = 0x1000, STACK = 0x8000, BYTES = 0x1000 };

struct memory {
    uint8_t code[BYTES], stack[BYTES];
};

static bool read_memory(void *context, uint64_t vaddr, void *to, unsigned size, bool code)
{
    struct memory *m = context;
    assert_int_equal(vaddr % size, 0);
    if (vaddr - CODE <= BYTES - size) {
        memcpy(to, m->code + (vaddr - CODE), size);
        return true;
    }
    if (code || vaddr - STACK > BYTES - size)
        return false;
    memcpy(to, m->stack + (vaddr - STACK), size);
    return true;
}

static void put_code(struct memory *m, uint64_t at, uint32_t insn, unsigned bytes)
{
    gw_put_little(m->code + (at - CODE), insn, bytes);
}

static void push(struct memory *m, uint64_t at, uint64_t value)
{
    gw_put_little(m->stack + (at - STACK), value, 8);
}

static struct memory memory;

/* Calls of each kind, each ending at a return address; and what is none. */
static struct rv_cpu *setup(void)
{
    struct fixture *f = fixture_user();
    memset(&memory, 0, sizeof memory);
    put_code(&memory, CODE + 0x0c, 0x100000ef, 4); /* jal ra */
    put_code(&memory, CODE + 0x1c, 0x000780e7, 4); /* jalr ra, a5 */
    put_code(&memory, CODE + 0x2e, 0x9782, 2);     /* c.jalr a5 */
    put_code(&memory, CODE + 0x3c, 0x100002ef, 4); /* jal t0 */
    put_code(&memory, CODE + 0x4c, 0x1000006f, 4); /* jal zero */
    put_code(&memory, CODE + 0x5e, 0x9002, 2);     /* c.ebreak */
    f->cpu.x[2] = STACK + 0x100;
    return &f->cpu;
}

static void expect(const struct rv_cpu *cpu, const uint64_t *want, unsigned count, unsigned guessed)
{
    struct rv_backtrace got;
    rv_backtrace(cpu, read_memory, &memory, &got);
    assert_int_equal(got.count, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(got.from[i], want[i]);
    assert_int_equal(got.guessed < count, guessed < count);
    if (guessed < count)
        assert_int_equal(got.guessed, guessed);
}

static void frame(uint64_t fp, uint64_t ra, uint64_t next)
{
    push(&memory, fp - 8, ra);
    push(&memory, fp - 16, next);
}

static void frame_pointers_are_followed(void **state)
{
    static const uint64_t want[] = {CODE + 0x10, CODE + 0x20, CODE + 0x30, CODE + 0x40};
    struct rv_cpu *cpu = setup();
    cpu->x[1] = CODE + 0x10;
    cpu->x[8] = STACK + 0x120;
    frame(STACK + 0x120, CODE + 0x10, STACK + 0x180); /* ra again: named once */
    frame(STACK + 0x180, CODE + 0x20, STACK + 0x200);
    frame(STACK + 0x200, CODE + 0x30, STACK + 0x300);
    frame(STACK + 0x300, CODE + 0x40, 0);
    expect(cpu, want, 4, 4);
}

static void a_function_that_calls_nothing_saves_no_ra(void **state)
{
    static const uint64_t want[] = {CODE + 0x10, CODE + 0x20};
    struct rv_cpu *cpu = setup();
    cpu->x[1] = CODE + 0x10;
    cpu->x[8] = STACK + 0x120;
    push(&memory, STACK + 0x118, STACK + 0x180);
    frame(STACK + 0x180, CODE + 0x20, 0);
    expect(cpu, want, 2, 2);
}

static void without_frame_pointers_the_stack_is_searched(void **state)
{
    static const uint64_t want[] = {CODE + 0x10, CODE + 0x30, CODE + 0x20};
    struct rv_cpu *cpu = setup();
    cpu->x[1] = CODE + 0x10;
    cpu->x[8] = 12345;
    push(&memory, STACK + 0x110, CODE + 0x30);
    push(&memory, STACK + 0x118, CODE + 0x50); /* behind a jump that is no call */
    push(&memory, STACK + 0x120, CODE + 0x60); /* behind an ebreak */
    push(&memory, STACK + 0x128, CODE + 0x21);
    push(&memory, STACK + 0x130, CODE + 0x20);
    expect(cpu, want, 3, 1);
}

static void stacks_that_lie_come_to_an_end(void **state)
{
    static const uint64_t want[] = {CODE + 0x20, CODE + 0x10};
    struct rv_cpu *cpu = setup();
    cpu->x[8] = STACK + 0x120; /* a loop: frames must get older */
    frame(STACK + 0x120, CODE + 0x20, STACK + 0x180);
    frame(STACK + 0x180, CODE + 0x10, STACK + 0x120);
    expect(cpu, want, 2, 2);
    setup();
    for (uint64_t at = STACK; at < STACK + BYTES; at += 8)
        push(&memory, at, CODE + 0x10 * (1 + (at >> 3 & 1)));
    struct rv_backtrace got;
    cpu->x[8] = 0;
    rv_backtrace(cpu, read_memory, &memory, &got);
    assert_in_range(got.count, 2, RV_BACKTRACE_MOST);
    setup();
    static const uint64_t odd[] = {0, 1, 7, STACK - 8, STACK + BYTES, UINT64_MAX, UINT64_MAX - 7};
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < 7; k++) {
            cpu->x[1] = cpu->x[8] = odd[k];
            cpu->x[2] = odd[i];
            rv_backtrace(cpu, read_memory, &memory, &got);
            assert_int_equal(got.count, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_pointers_are_followed),
        cmocka_unit_test(a_function_that_calls_nothing_saves_no_ra),
        cmocka_unit_test(without_frame_pointers_the_stack_is_searched),
        cmocka_unit_test(stacks_that_lie_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
