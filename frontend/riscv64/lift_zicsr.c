/*
 * Zicsr. Unpriv. 20240411, chapter 6; Priv. 1.13, chapter 2. Registers that are no more than a
 * place to keep a value are read and written in line; the others go through csr.c, and a write that
 * may change the block's key, the view of memory or what interrupts is the last of its block.
 */
#include "lift.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

enum {
    CSR_FFLAGS = 0x001,
    CSR_FRM = 0x002,
    CSR_FCSR = 0x003,
    CSR_SSCRATCH = 0x140,
    CSR_SEPC = 0x141,
    CSR_SCAUSE = 0x142,
    CSR_STVAL = 0x143,
    CSR_SIP = 0x144,
    CSR_MCOUNTINHIBIT = 0x320,
    CSR_MSCRATCH = 0x340,
    CSR_MEPC = 0x341,
    CSR_MCAUSE = 0x342,
    CSR_MTVAL = 0x343,
    CSR_MIP = 0x344,
    CSR_MCYCLE = 0xb00,
    CSR_MINSTRET = 0xb02,
    CSR_CYCLE = 0xc00,
    CSR_TIME = 0xc01,
    CSR_INSTRET = 0xc02,
};

bool rv_lift_isolated(const struct rv_insn *in)
{
    switch (in->op) {
    case RV_OP_CSRRW:
    case RV_OP_CSRRS:
    case RV_OP_CSRRC:
    case RV_OP_CSRRWI:
    case RV_OP_CSRRSI:
    case RV_OP_CSRRCI: break;
    default: return false;
    }
    switch (in->imm) {
    case CSR_CYCLE:
    case CSR_TIME:
    case CSR_INSTRET:
    case CSR_MCYCLE:
    case CSR_MINSTRET:
    case CSR_MCOUNTINHIBIT:
    case CSR_MIP:
    case CSR_SIP: return true; /* Sstc: pending bits follow from the time */
    default: return false;
    }
}

/* Offset of a register that holds what was last written to it (but for the bits of *mask); 0: it
 * is not of that kind. */
static uint32_t plain_offset(unsigned csr, uint64_t *mask)
{
    *mask = UINT64_MAX;
    switch (csr) {
    case CSR_SSCRATCH: return offsetof(struct rv_cpu, c.sscratch);
    case CSR_SCAUSE: return offsetof(struct rv_cpu, c.scause);
    case CSR_STVAL: return offsetof(struct rv_cpu, c.stval);
    case CSR_MSCRATCH: return offsetof(struct rv_cpu, c.mscratch);
    case CSR_MCAUSE: return offsetof(struct rv_cpu, c.mcause);
    case CSR_MTVAL: return offsetof(struct rv_cpu, c.mtval);
    default: break;
    }
    /* Priv. 1.13, 3.1.14 and 4.1.7: bit 0 of an epc is always zero */
    *mask = ~UINT64_C(1);
    switch (csr) {
    case CSR_SEPC: return offsetof(struct rv_cpu, c.sepc);
    case CSR_MEPC: return offsetof(struct rv_cpu, c.mepc);
    default: return 0;
    }
}

/* Is the access illegal whatever the dynamic state? */
static bool forbidden(const struct rv_lift *l, unsigned csr, bool writes)
{
    unsigned priv = l->flags & RV_TBF_PRIV;
    if ((csr >> 8 & 3) > priv || (writes && csr >> 10 == 3))
        return true;
    if (csr >= CSR_FFLAGS && csr <= CSR_FCSR)
        return !(l->flags & RV_TBF_FS_MASK);
    if (l->flags & RV_TBF_USER)
        return csr != CSR_CYCLE && csr != CSR_TIME && csr != CSR_INSTRET;
    return false;
}

enum csr_kind { CSR_SWAP, CSR_SET, CSR_CLEAR };

static ir_val read_csr(struct rv_lift *l, const struct rv_insn *in, uint32_t plain)
{
    if (plain)
        return ir_get(l->b, plain, 3);
    if (in->imm == CSR_FRM) /* part of the block's key */
        return rv_const(l, (l->flags & RV_TBF_FRM_MASK) >> RV_TBF_FRM_SHIFT);
    return ir_call(l->b, RV_HELPER_CSR_READ, rv_const(l, in->imm), rv_const(l, in->raw), IR_NONE);
}

static ir_val new_value(struct rv_lift *l, enum csr_kind kind, ir_val old, ir_val source)
{
    switch (kind) {
    case CSR_SET: return ir_op2(l->b, IR_OR, IR_I64, old, source);
    case CSR_CLEAR: return ir_op2(l->b, IR_ANDN, IR_I64, old, source);
    default: return source;
    }
}

static enum rv_flow access_csr(struct rv_lift *l, const struct rv_insn *in, enum csr_kind kind,
                               bool immediate)
{
    unsigned csr = (unsigned)in->imm;
    /* x0 or 0 as the source of CSRRS and CSRRC: no write; x0 as rd of CSRRW: no read */
    bool writes = kind == CSR_SWAP || in->rs1 != 0;
    bool reads = kind != CSR_SWAP || in->rd != 0;
    if (forbidden(l, csr, writes))
        return rv_lift_illegal(l, in);

    uint64_t mask = 0;
    uint32_t plain = plain_offset(csr, &mask);
    ir_val source = immediate ? rv_const(l, in->rs1) : rv_get(l, in->rs1);
    ir_val old = reads ? read_csr(l, in, plain) : IR_NONE;
    if (writes) {
        ir_val value = new_value(l, kind, old, source);
        if (plain) {
            if (~mask)
                value = ir_op2(l->b, IR_AND, IR_I64, value, ir_const(l->b, mask));
            ir_put(l->b, plain, 3, value);
        } else {
            ir_call(l->b, RV_HELPER_CSR_WRITE, rv_const(l, in->imm), value, rv_const(l, in->raw));
        }
    }
    if (reads)
        rv_put(l, in->rd, old);
    if (!writes || plain)
        return RV_FLOW_NEXT;
    /* The flags are in no block's key, once FS is dirty */
    if (csr == CSR_FFLAGS && (l->flags & RV_TBF_FS_MASK) >> RV_TBF_FS_SHIFT == 2)
        return RV_FLOW_NEXT;
    return rv_lift_leave(l);
}

LIFT(csrrw)
{
    return access_csr(l, in, CSR_SWAP, false);
}

LIFT(csrrs)
{
    return access_csr(l, in, CSR_SET, false);
}

LIFT(csrrc)
{
    return access_csr(l, in, CSR_CLEAR, false);
}

LIFT(csrrwi)
{
    return access_csr(l, in, CSR_SWAP, true);
}

LIFT(csrrsi)
{
    return access_csr(l, in, CSR_SET, true);
}

LIFT(csrrci)
{
    return access_csr(l, in, CSR_CLEAR, true);
}
