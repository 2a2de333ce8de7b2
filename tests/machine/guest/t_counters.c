/*
 * minstret counts what retires and nothing else; it and mcycle can be written and stopped; time goes
 * forward (Priv. 1.13, 3.1.10, 3.1.12; Unpriv., Zicntr).
 */
#include "guest.h"

/* a0 and a1: minstret before and after. */
#define COUNTED(name, text) SNIPPET(name, "csrr a0, minstret\n" text "\ncsrr a1, minstret\necall")
COUNTED(count_none, "");
COUNTED(count_nops, ".rept 100\nnop\n.endr");
COUNTED(count_compressed, ".option rvc\n.rept 101\nc.nop\n.endr\n.option norvc");
COUNTED(count_loop, "li a2, 100\n1: addi a2, a2, -1\nbnez a2, 1b");
COUNTED(count_calls, "li a2, 50\n1: jal a4, 2f\naddi a2, a2, -1\nbnez a2, 1b\nj 3f\n2: jr a4\n3:");
COUNTED(count_branches, "beqz zero, 1f\n.rept 10\nnop\n.endr\n1: bnez zero, 2f\nnop\n2: nop");
COUNTED(count_memory, "li a2, 20\n1: sd a2, -8(sp)\nld a3, -8(sp)\naddi a2, a2, -1\nbnez a2, 1b");
COUNTED(count_system, "fence\nfence.i\ncsrr a2, mstatus\nsfence.vma\ncsrw sscratch, a2\nwfi");
COUNTED(count_fp, "fmv.d.x fa0, zero\nfadd.d fa0, fa0, fa0\nfsqrt.d fa0, fa0\nfcvt.l.d a2, fa0");
COUNTED(count_amo, "amoadd.d a2, zero, (sp)\nlr.d a2, (sp)\nsc.d a2, a2, (sp)");
COUNTED(count_mret, "la a2, 1f\ncsrw mepc, a2\nli a2, 3 << 11\ncsrs mstatus, a2\nmret\n1:");
/* Traps: the handler is here, and goes on behind the instruction. */
#define HANDLED(text)                                                                              \
    "la a2, 8f\ncsrrw a3, mtvec, a2\ncsrr a4, mscratch\ncsrr a0, minstret\n" text                  \
    "\nj 9f\n.balign 4\n8: csrr a2, mepc\naddi a2, a2, 4\ncsrw mepc, a2\nmret\n9: csrr a1, "       \
    "minstret\n"                                                                                   \
    "csrw mscratch, a4\ncsrw mtvec, a3\necall"
SNIPPET(count_ecall, HANDLED("ecall"));
SNIPPET(count_ebreak, HANDLED("ebreak"));
SNIPPET(count_illegal, HANDLED("csrr a2, 0x8ff"));
SNIPPET(count_load_fault, HANDLED("li a2, 0x1000000\nld a5, (a2)"));
SNIPPET(count_store_fault, HANDLED("li a2, 0x1000000\nnop\nsd a5, (a2)\nnop"));
SNIPPET(write_read, "csrw minstret, a2\ncsrr a0, minstret\ncsrr a1, minstret\necall");
SNIPPET(write_read_nops,
        "csrw minstret, a2\nnop\nnop\ncsrr a0, minstret\ncsrrw a1, minstret, zero\n"
        "csrr a3, minstret\necall");
SNIPPET(write_read_cycle, "csrw mcycle, a2\ncsrr a0, mcycle\ncsrr a1, mcycle\necall");
SNIPPET(stopped, "csrr a0, minstret\ncsrwi mcountinhibit, 4\n.rept 50\nnop\n.endr\n"
                 "csrr a1, minstret\nnop\ncsrr a2, minstret\ncsrwi mcountinhibit, 0\n"
                 "nop\nnop\ncsrr a3, minstret\necall");
SNIPPET(stopped_cycle, "csrwi mcountinhibit, 1\ncsrr a0, mcycle\n.rept 50\nnop\n.endr\n"
                       "csrr a1, mcycle\ncsrr a4, minstret\n.rept 9\nnop\n.endr\n"
                       "csrr a5, minstret\ncsrwi mcountinhibit, 0\necall");
SNIPPET(stopped_write, "csrwi mcountinhibit, 4\ncsrw minstret, a2\nnop\ncsrr a0, minstret\n"
                       "csrwi mcountinhibit, 0\ncsrr a1, minstret\necall");
SNIPPET(add_one, "csrr a0, minstret\ncsrrsi a1, minstret, 0\ncsrr a2, instret\nrdcycle a3\n"
                 "csrr a4, mcycle\necall");
SNIPPET(read_times,
        "rdtime a0\nrdtime a1\nrdcycle a2\nrdcycle a3\nrdinstret a4\nrdinstret a5\necall");

static struct ctx c;

static void exact(char *code, uint64_t want)
{
    static uint64_t cell[8];
    for (int again = 0; again < 4; again++) {
        guest_note("code", addr(code));
        c.set = MSTATUS_FS;
        c.x[2] = addr(&cell[4]);
        run4(&c, PRIV_M, addr(code), 0, 0, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_M);
        CHECK_EQ(c.x[11] - c.x[10], want + 1); /* the first read retires too */
    }
}

static void counting(void)
{
    exact(count_none, 0);
    exact(count_nops, 100);
    exact(count_compressed, 101);
    exact(count_loop, 1 + 200);
    exact(count_calls, 1 + 50 * 4 + 1);
    exact(count_branches, 1 + 1 + 2);
    exact(count_memory, 1 + 20 * 4);
    csr_write(mie, 2); /* wfi finds an interrupt pending */
    csr_write(mip, 2);
    exact(count_system, 6);
    csr_write(mip, 0);
    csr_write(mie, 0);
    exact(count_fp, 4);
    exact(count_amo, 3);
    exact(count_mret, 2 + 1 + 1 + 2 + 1);
    /* Instructions that trap do not retire; the handler's five do, and the jump over it. */
    exact(count_ecall, 0 + 4 + 1);
    exact(count_ebreak, 0 + 4 + 1);
    exact(count_illegal, 0 + 4 + 1);
    exact(count_load_fault, 1 + 0 + 4 + 1);
    exact(count_store_fault, 2 + 0 + 4 + 1 + 1);
}

static void writing(void)
{
    static const uint64_t values[] = {0, 1000, ALL_ONES - 1, 0x7fffffffffffffff, 0xffffffff};
    for (unsigned i = 0; i < 5; i++) {
        uint64_t v = values[i];
        guest_note("value", v);
        run4(&c, PRIV_M, addr(write_read), 0, 0, v, 0); /* the write itself does not count */
        CHECK_EQ(c.x[10], v);
        CHECK_EQ(c.x[11], v + 1);
        run4(&c, PRIV_M, addr(write_read_nops), 0, 0, v, 0);
        CHECK_EQ(c.x[10], v + 2);
        CHECK_EQ(c.x[11], v + 3);
        CHECK_EQ(c.x[13], 0);
        run4(&c, PRIV_M, addr(write_read_cycle), 0, 0, v, 0);
        CHECK(c.x[10] - v < 1000);
        CHECK(c.x[11] - c.x[10] < 1000 && c.x[11] != c.x[10]);
        run4(&c, PRIV_M, addr(stopped_write), 0, 0, v, 0);
        CHECK_EQ(c.x[10], v);
        CHECK_EQ(c.x[11], v);
    }
}

static void stopping(void)
{
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_M, addr(stopped), 0, 0, 0, 0);
        CHECK_EQ(c.x[11] - c.x[10], 2); /* the read, and the one that stops it */
        CHECK_EQ(c.x[12], c.x[11]);
        CHECK_EQ(c.x[13] - c.x[12], 2); /* what comes behind the one that starts it */
        run4(&c, PRIV_M, addr(stopped_cycle), 0, 0, 0, 0);
        CHECK_EQ(c.x[11], c.x[10]);
        CHECK_EQ(c.x[15] - c.x[14], 10); /* the other one goes on */
        run4(&c, PRIV_M, addr(add_one), 0, 0, 0, 0);
        CHECK_EQ(c.x[11] - c.x[10], 1);
        CHECK_EQ(c.x[12] - c.x[11], 1);
    }
}

static void time_goes_on(void)
{
    uint64_t last_time = 0, last_cycle = csr_read(cycle), last_instret = csr_read(instret);
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
    for (int i = 0; i < 2000; i++) {
        uint64_t mtime = CLINT_MTIME;
        run4(&c, i & 1 ? PRIV_U : PRIV_S, addr(read_times), 0, 0, 0, 0);
        CHECK(c.x[10] >= last_time && c.x[10] >= mtime);
        CHECK(c.x[11] >= c.x[10] && c.x[11] <= CLINT_MTIME);
        CHECK(c.x[12] > last_cycle && c.x[13] > c.x[12]);
        CHECK(c.x[14] > last_instret);
        CHECK_EQ(c.x[15] - c.x[14], 1);
        last_time = c.x[11];
        last_cycle = c.x[13];
        last_instret = c.x[15];
    }
}

void guest_main(void)
{
    counting();
    if (!guest_on_peer()) { /* QEMU's counters include the write, and cycles stop with instructions */
        writing();
        stopping();
    }
    time_goes_on();
}
