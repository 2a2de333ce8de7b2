/*
 * mstatus.FS: off makes every FP instruction illegal, and what changes FP state makes it dirty (Priv.
 * 1.13, 3.1.6.6).
 */
#include "guest.h"

static struct ctx c;

#define ONE(name, text) SNIPPET(name, text "\necall")
ONE(fs_flw, "flw fa0, (a1)");
ONE(fs_fld, "fld fa0, (a1)");
ONE(fs_cfld, ".option rvc\nc.fld fa0, 0(a1)\nc.nop\n.option norvc");
ONE(fs_fadd, "fadd.d fa0, fa1, fa2");
ONE(fs_fadds, "fadd.s fa0, fa1, fa2");
ONE(fs_fmadd, "fmadd.d fa0, fa1, fa2, fa3");
ONE(fs_fdiv, "fdiv.s fa0, fa1, fa2");
ONE(fs_fsgnj, "fsgnj.d fa0, fa1, fa1");
ONE(fs_fmvdx, "fmv.d.x fa0, a1");
ONE(fs_fcvt, "fcvt.d.l fa0, a1");
ONE(fs_fcvtsd, "fcvt.s.d fa0, fa1");
ONE(fs_fmin, "fmin.d fa0, fa1, fa2");
ONE(fs_csr, "csrwi fflags, 3");
ONE(fs_frm, "fsrmi a0, 1");
ONE(fs_fcsr, "csrw fcsr, a1");
/* These write an integer register, and flags perhaps. */
ONE(fs_feq, "feq.d a0, fa1, fa2");
ONE(fs_fcvtl, "fcvt.l.d a0, fa1");
/* No change of FP state. */
ONE(fs_fsd, "fsd fa0, (a1)");
ONE(fs_fsw, "fsw fa0, (a1)");
ONE(fs_fmvxd, "fmv.x.d a0, fa0");
ONE(fs_fclass, "fclass.d a0, fa0");
ONE(fs_frflags, "frflags a0");

static char *const changing[] = {
    fs_flw,   fs_fld,  fs_cfld,   fs_fadd, fs_fadds, fs_fmadd, fs_fdiv, fs_fsgnj,
    fs_fmvdx, fs_fcvt, fs_fcvtsd, fs_fmin, fs_csr,   fs_frm,   fs_fcsr,
};
static char *const others[] = {
    fs_feq, fs_fcvtl, fs_fsd, fs_fsw, fs_fmvxd, fs_fclass, fs_frflags,
};
/* Two adds: the second one's block runs with FS dirty already. */
SNIPPET(fs_twice, "fadd.d fa0, fa1, fa2\nfs_twice_off: csrc sstatus, a1\n"
                  "fs_twice_at: fadd.d fa0, fa1, fa2\necall");
SNIPPET_LABEL(fs_twice_at);
/* NaN in fa1: comparing raises a flag. */
SNIPPET(fs_flags, "li a1, -1\nslli a1, a1, 52\naddi a1, a1, 1\nfmv.d.x fa1, a1\ncsrc sstatus, a3\n"
                  "csrs sstatus, a4\nfle.d a0, fa1, fa1\ncsrr a0, sstatus\necall");

static uint64_t cell[2];

static void off_and_dirty(char *code, bool changes)
{
    static const uint64_t modes[] = {PRIV_U, PRIV_S, PRIV_M};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t m = modes[i], insn = *(uint32_t *)(void *)code;
        bool two = (insn & 3) != 3;
        guest_note("code", addr(code));
        guest_note("mode", m);
        c.clear = MSTATUS_FS;
        c.set = 0;
        run4(&c, m, addr(code), 0xdead, addr(cell), 0, 0);
        CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code), two ? insn & 0xffff : insn);
        CHECK_EQ(c.x[10], 0xdead);
        CHECK_EQ(c.status & (MSTATUS_FS | MSTATUS_SD), 0);
        for (uint64_t fs = 1; fs <= 3; fs++) { /* initial, clean, dirty */
            guest_note("fs", fs);
            c.set = fs << 13;
            run4(&c, m, addr(code), 0, addr(cell), 0, 0);
            CHECK_EQ(c.cause, CAUSE_ECALL_U + m);
            if (changes || fs == 3)
                CHECK_EQ(c.status & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
            CHECK_EQ(c.status >> 63, (c.status & MSTATUS_FS) == MSTATUS_FS);
            CHECK((c.status & MSTATUS_FS) != 0);
        }
    }
}

void guest_main(void)
{
    for (int again = 0; again < 2; again++) {
        for (unsigned i = 0; i < sizeof changing / sizeof changing[0]; i++)
            off_and_dirty(changing[i], true);
        for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
            off_and_dirty(others[i], false);
        c.clear = MSTATUS_FS;
        c.set = UINT64_C(1) << 13;
        run4(&c, PRIV_S, addr(fs_twice), 0, MSTATUS_FS, 0, 0);
        CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(fs_twice_at), *(uint32_t *)(void *)fs_twice_at);
        c.set = UINT64_C(1) << 13;
        csr_write(sstatus, csr_read(sstatus) | MSTATUS_FS);
        csr_write(0x001, 0);
        run4(&c, PRIV_S, addr(fs_flags), 0, 0, MSTATUS_FS, 0);
        c.x[14] = UINT64_C(2) << 13;
        run4(&c, PRIV_S, addr(fs_flags), 0, 0, 0, MSTATUS_FS);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        csr_set(mstatus, MSTATUS_FS);
        CHECK_EQ(csr_read(0x001), 16);
        if (!guest_on_peer()) /* the flag made it dirty; QEMU overlooks that */
            CHECK_EQ(c.x[10] & MSTATUS_FS, MSTATUS_FS);
    }
    /* A wrong rounding mode is illegal: static 5 and 6, dynamic with frm 5 to 7. */
    for (unsigned rm = 0; rm < 8; rm++) {
        static uint32_t code[2] __attribute__((aligned(8)));
        guest_note("rm", rm);
        put32(code, 0x02c58553 | rm << 12); /* fadd.d fa0, fa1, fa2, rm */
        put32(&code[1], INSN_ECALL);
        fence_i();
        c.set = MSTATUS_FS;
        csr_write(0x002, 0);
        run4(&c, PRIV_U, addr(code), 0, 0, 0, 0);
        if (rm == 5 || rm == 6)
            CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code), 0x02c58553 | rm << 12);
        else
            CHECK_TRAP(&c, CAUSE_ECALL_U, addr(code) + 4, 0);
        put32(code, 0x02c5f553);
        fence_i();
        csr_write(0x002, rm);
        run4(&c, PRIV_U, addr(code), 0, 0, 0, 0);
        if (rm >= 5)
            CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code), 0x02c5f553);
        else
            CHECK_TRAP(&c, CAUSE_ECALL_U, addr(code) + 4, 0);
        csr_set(mstatus, MSTATUS_FS);
        csr_write(0x002, 0);
    }
}
