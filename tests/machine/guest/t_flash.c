/*
 * Flash: the query table, erasing and programming, code that runs from it, and loads that went past
 * the device once and must not when the chips answer with something else.
 */
#include "guest.h"

#define BANK    UINT64_C(0x22000000) /* the second: nothing is in it */
#define BLOCK   (BANK + 0x40000)
#define VA      UINT64_C(0x1234567000)
#define BOTH(v) ((v) | (uint32_t)(v) << 16) /* two chips side by side */

enum { READY = 0x80, PROGRAM_FAILED = 0x10, ERASE_FAILED = 0x20 };

static struct space sp;
static struct ctx c;

static void command(uint64_t at, uint32_t cmd)
{
    *mmio32(at) = BOTH(cmd);
}

static void array(void)
{
    command(BANK, 0xff);
}

static uint32_t status(void)
{
    command(BANK, 0x70);
    uint32_t v = *mmio32(BANK + 0x1000);
    command(BANK, 0x50);
    array();
    CHECK_EQ(v >> 16, v & 0xffff);
    return v & 0xffff;
}

static void erase(uint64_t at)
{
    command(at, 0x20);
    command(at, 0xd0);
    CHECK_EQ(status(), READY);
}

static void program(uint64_t at, uint32_t v)
{
    command(at, 0x40);
    *mmio32(at) = v;
    CHECK_EQ(status(), READY);
}

static void program_buffer(uint64_t at, const uint32_t *v, unsigned count)
{
    command(at, 0xe8);
    CHECK_EQ(*mmio32(at), BOTH(READY));
    command(at, count - 1);
    for (unsigned i = 0; i < count; i++)
        *mmio32(at + 4 * i) = v[i];
    command(at, 0xd0);
    CHECK_EQ(status(), READY);
}

static uint32_t query(unsigned word)
{
    uint32_t v = *mmio32(BANK + 4 * word);
    CHECK_EQ(v >> 16, v & 0xffff);
    return v & 0xff;
}

static void what_it_is(void)
{
    command(BANK + 4 * 0x55, 0x98);
    CHECK_EQ(query(0x10), 'Q');
    CHECK_EQ(query(0x11), 'R');
    CHECK_EQ(query(0x12), 'Y');
    CHECK_EQ(query(0x13), 1); /* Intel's commands */
    CHECK_EQ(query(0x2c), 1); /* one size of blocks */
    CHECK_EQ((query(0x2d) | query(0x2e) << 8) + 1, 128);
    CHECK_EQ((query(0x2f) | query(0x30) << 8) * 256, 128 << 10);
    CHECK_EQ(query(0x31), 'P');
    array(); /* QEMU leaves a query by this alone */
    command(BANK, 0x90);
    CHECK_EQ(*mmio32(BANK), BOTH(0x89));
    CHECK_EQ(*mmio32(BANK + 4), BOTH(0x18));
    array();
}

static void erase_and_program(void)
{
    uint32_t v[300];
    erase(BLOCK);
    for (unsigned i = 0; i < 0x40000; i += 4)
        CHECK_EQ(*mmio32(BLOCK + i), 0xffffffff);
    program(BLOCK + 8, 0x12345678);
    CHECK_EQ(*mmio64(BLOCK + 8), 0xffffffff12345678);
    CHECK_EQ(*mmio32(BLOCK + 4), 0xffffffff);
    CHECK_EQ(*(volatile uint8_t *)(BLOCK + 10), 0x34);
    for (unsigned i = 0; i < 300; i++)
        v[i] = i * 0x01010101 + 3;
    program_buffer(BLOCK + 0x1000, v, 300);
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(*mmio32(BLOCK + 0x1000 + 4 * i), v[i]);
    CHECK_EQ(*mmio32(BLOCK + 0x1000 + 4 * 300), 0xffffffff);
    if (!guest_on_peer()) { /* programming only clears bits */
        program(BLOCK + 8, 0xffff0000);
        CHECK_EQ(*mmio32(BLOCK + 8), 0x12340000);
    }
    erase(BLOCK + 0x1000); /* anywhere in the block */
    CHECK_EQ(*mmio32(BLOCK + 8), 0xffffffff);
}

/* li a0, value; ecall */
static void program_code(uint64_t at, int value)
{
    const uint32_t code[] = {insn_li_a0(value), INSN_ECALL};
    program_buffer(at, code, 2);
}

static void run_code(uint64_t mode, uint64_t pc, uint64_t value)
{
    for (int warm = 0; warm < 3; warm++) {
        run4(&c, mode, pc, 0, 0, 0, 0);
        CHECK_TRAP(&c, mode == PRIV_M ? CAUSE_ECALL_M : CAUSE_ECALL_S, pc + 4, 0);
        CHECK_EQ(c.x[10], value);
    }
}

static void code_runs_from_it(void)
{
    erase(BLOCK);
    /* QEMU keeps translations of what was erased */
    for (int i = 1, last = guest_on_peer() ? 1 : 5; i <= last; i++) {
        program_code(BLOCK, i);
        fence_i();
        run_code(PRIV_M, BLOCK, (uint64_t)i);
        run_code(PRIV_S, VA, (uint64_t)i);
        if (!guest_on_peer()) { /* there is no code to run while the chips show their status */
            command(BANK, 0x70);
            run4(&c, PRIV_M, BLOCK, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, BLOCK, BLOCK);
            run4(&c, PRIV_S, VA, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, VA, VA);
            array();
        }
        run_code(PRIV_S, VA, (uint64_t)i);
        erase(BLOCK);
    }
}

SNIPPET(snip_lw, "lw a0, 0(a1)\n ecall");
SNIPPET(snip_sw, "sw a2, 0(a1)\n ecall");

static uint64_t load(uint64_t delta, uint64_t va)
{
    run4(&c, PRIV_S, addr(snip_lw) + delta, 0, va, 0, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    return c.x[10] & 0xffffffff;
}

static void store(uint64_t delta, uint64_t va, uint32_t v)
{
    run4(&c, PRIV_S, addr(snip_sw) + delta, 0, va, v, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
}

static void loads_see_the_mode(uint64_t delta)
{
    erase(BLOCK);
    program(BLOCK, 0x600df00d);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(load(delta, VA), 0x600df00d);
        CHECK_EQ(load(delta, VA), 0x600df00d);
        store(delta, VA, BOTH(0x70)); /* a command, though a load has just gone past the device */
        /* QEMU is not ready once its status was cleared, until it has done something */
        CHECK_EQ(load(delta, VA), guest_on_peer() ? 0 : BOTH(READY));
        store(delta, VA, BOTH(0xff));
        store(delta, VA, BOTH(0x90));
        CHECK_EQ(load(delta, VA + 4), BOTH(0x18));
        store(delta, VA, BOTH(0xff));
    }
    CHECK_EQ(load(delta, VA), 0x600df00d);
}

static void wrong_sequences(void)
{
    if (guest_on_peer())
        return;
    erase(BLOCK);
    command(BLOCK, 0x20); /* an erase that is not confirmed */
    command(BLOCK, 0xff);
    CHECK_EQ(status(), READY | PROGRAM_FAILED | ERASE_FAILED);
    command(BLOCK, 0xe8); /* a buffer that is too long */
    command(BLOCK, 0xffff);
    CHECK_EQ(status(), READY | PROGRAM_FAILED | ERASE_FAILED);
    command(BLOCK, 0xe8); /* a word beyond the buffer: nothing is programmed */
    command(BLOCK, 1);
    *mmio32(BLOCK) = 0;
    *mmio32(BLOCK + 0x2000) = 0;
    command(BLOCK, 0xd0);
    CHECK_EQ(status(), READY | PROGRAM_FAILED);
    CHECK_EQ(*mmio32(BLOCK), 0xffffffff);
    CHECK_EQ(*mmio32(BLOCK + 0x2000), 0xffffffff);
    CHECK_EQ(status(), READY);
}

void guest_main(void)
{
    uint64_t delta;
    pmp_open();
    space_init(&sp, 3, 1);
    space_map(&sp, VA, BLOCK, PTE_RWX);
    delta = space_snippets(&sp, UINT64_C(0x2000000000), PTE_RX);
    csr_write(satp, space_satp(&sp));
    sfence_all();
    what_it_is();
    erase_and_program();
    code_runs_from_it();
    loads_see_the_mode(delta);
    wrong_sequences();
}
