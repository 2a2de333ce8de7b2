/*
 * Zicsr. Unpriv. 20240411, chapter 6; Priv. 1.13, chapter 2. Registers that are no more than a
 * place to keep a value are read and written in line; the others go through csr.c, and a write that
 * may change the block's key, the view of memory or what interrupts is the last of its block.
 */
#include "frontend/riscv64/lift.h"
#include "frontend/riscv64/priv.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

enum { MSTATUS = offsetof(struct rv_cpu, c.mstatus) };

/* mstatus.FS as the block's key has it: 0 off, 1 on, 2 dirty */
static unsigned fs_state(const struct rv_lift *l)
{
    return (l->flags & RV_TBF_FS_MASK) >> RV_TBF_FS_SHIFT;
}

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
    switch (in->imm & ~INT64_C(0x1f)) { /* all counters, and what they count */
    case RV_CSR_CYCLE:
    case RV_CSR_MCYCLE:
    case RV_CSR_MCOUNTINHIBIT: return true;
    default: break;
    }
    switch (in->imm) {
    case RV_CSR_SCOUNTOVF:
    case RV_CSR_MIP:
    case RV_CSR_SIP: return true; /* Sstc: pending bits follow from the time */
    default: return false;
    }
}

/* Offset of a register that holds what was last written to it (but for the bits of *mask); 0: it
 * is not of that kind. */
static uint32_t plain_offset(unsigned csr, uint64_t *mask)
{
    *mask = UINT64_MAX;
    switch (csr) {
    case RV_CSR_SSCRATCH: return offsetof(struct rv_cpu, c.sscratch);
    case RV_CSR_SCAUSE: return offsetof(struct rv_cpu, c.scause);
    case RV_CSR_STVAL: return offsetof(struct rv_cpu, c.stval);
    case RV_CSR_MSCRATCH: return offsetof(struct rv_cpu, c.mscratch);
    case RV_CSR_MCAUSE: return offsetof(struct rv_cpu, c.mcause);
    case RV_CSR_MTVAL: return offsetof(struct rv_cpu, c.mtval);
    default: break;
    }
    *mask = RV_EPC_MASK;
    switch (csr) {
    case RV_CSR_SEPC: return offsetof(struct rv_cpu, c.sepc);
    case RV_CSR_MEPC: return offsetof(struct rv_cpu, c.mepc);
    default: return 0;
    }
}

/* Is the access illegal whatever the dynamic state? */
static bool forbidden(const struct rv_lift *l, unsigned csr, bool writes)
{
    unsigned priv = l->flags & RV_TBF_PRIV;
    if ((csr >> 8 & 3) > priv || (writes && csr >> 10 == 3))
        return true;
    if (csr >= RV_CSR_FFLAGS && csr <= RV_CSR_FCSR)
        return fs_state(l) == 0;
    if (l->flags & RV_TBF_USER)
        return csr != RV_CSR_CYCLE && csr != RV_CSR_TIME && csr != RV_CSR_INSTRET;
    return false;
}

enum csr_kind { CSR_SWAP, CSR_SET, CSR_CLEAR };

/* sstatus or mstatus from what rv_csrs keeps: SD follows from FS, which is in the block's key. */
static ir_val read_status(struct rv_lift *l, unsigned csr)
{
    uint64_t kept = RV_MSTATUS_STORED, fixed = RV_MSTATUS_UXL_64 | RV_MSTATUS_SXL_64;
    if (csr == RV_CSR_SSTATUS) {
        kept = RV_SSTATUS_STORED;
        fixed = RV_MSTATUS_UXL_64;
    }
    if (fs_state(l) == 2)
        fixed |= RV_MSTATUS_SD;
    ir_val v = ir_get(l->b, MSTATUS, 3);
    v = ir_op2(l->b, IR_AND, IR_I64, v, ir_const(l->b, kept));
    return ir_op2(l->b, IR_OR, IR_I64, v, ir_const(l->b, fixed));
}

static ir_val read_csr(struct rv_lift *l, const struct rv_insn *in, uint32_t plain)
{
    if (plain)
        return ir_get(l->b, plain, 3);
    switch (in->imm) {
    case RV_CSR_FRM: /* part of the block's key */
        return rv_const(l, (l->flags & RV_TBF_FRM_MASK) >> RV_TBF_FRM_SHIFT);
    case RV_CSR_SSTATUS:
    case RV_CSR_MSTATUS: return read_status(l, (unsigned)in->imm);
    default:
        return ir_call(l->b, RV_HELPER_CSR_READ, rv_const(l, in->imm), rv_const(l, in->raw),
                       IR_NONE);
    }
}

/* csrci sstatus, 2 and its kind, which disable interrupts around every lock of a kernel: nothing
 * else follows from clearing SIE or MIE, and the immediate reaches no other bit that is kept. */
static enum rv_flow disable_interrupts(struct rv_lift *l, const struct rv_insn *in)
{
    uint64_t bits = in->imm == RV_CSR_SSTATUS ? RV_MSTATUS_SIE : RV_MSTATUS_SIE | RV_MSTATUS_MIE;
    ir_val old = read_status(l, (unsigned)in->imm), kept = ir_get(l->b, MSTATUS, 3);
    kept = ir_op2(l->b, IR_AND, IR_I64, kept, ir_const(l->b, ~(bits & in->rs1)));
    ir_put(l->b, MSTATUS, 3, kept);
    return rv_set(l, in, old);
}

/* A write of sstatus, above all what enables interrupts again: goes straight on when nothing came of it. What was
 * read is in its register, since nothing faults from here. source: a register that sets or clears bits; 0 changes none. */
static enum rv_flow write_sstatus(struct rv_lift *l, ir_val value, ir_val source)
{
    ir_val zero = rv_const(l, 0);
    if (source != IR_NONE)
        ir_brcc(l->b, IR_I64, IR_EQ, source, zero, l->next);
    ir_val next = ir_pc(l->b, l->next);
    ir_val changed = ir_call(l->b, RV_HELPER_SSTATUS_WRITE, value, next, IR_NONE);
    ir_brcc(l->b, IR_I64, IR_EQ, changed, zero, l->next);
    ir_leave(l->b, next);
    return RV_FLOW_END;
}

static ir_val new_value(struct rv_lift *l, enum csr_kind kind, ir_val old, ir_val source)
{
    switch (kind) {
    case CSR_SET: return ir_op2(l->b, IR_OR, IR_I64, old, source);
    case CSR_CLEAR: return ir_op2(l->b, IR_ANDN, IR_I64, old, source);
    default: return source;
    }
}

/* The flags alone, once FS is dirty: they are in no block's key. Compilers save and restore them
 * around quiet comparisons, so this is no rare path. */
static enum rv_flow access_fflags(struct rv_lift *l, const struct rv_insn *in, enum csr_kind kind,
                                  ir_val source, bool reads, bool writes)
{
    ir_val old = reads ? ir_fpget(l->b) : IR_NONE;
    if (writes)
        ir_fpset(l->b, new_value(l, kind, old, source));
    if (reads)
        rv_put(l, in->rd, old);
    return RV_FLOW_NEXT;
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

    bool status = csr == RV_CSR_SSTATUS || csr == RV_CSR_MSTATUS;
    if (status && writes && kind == CSR_CLEAR && immediate)
        return disable_interrupts(l, in);

    if (csr == RV_CSR_FFLAGS && fs_state(l) == 2)
        return access_fflags(l, in, kind, immediate ? rv_const(l, in->rs1) : rv_get(l, in->rs1),
                             reads, writes);
    uint64_t mask = 0;
    uint32_t plain = plain_offset(csr, &mask);
    ir_val source = immediate ? rv_const(l, in->rs1) : rv_get(l, in->rs1);
    ir_val old = reads ? read_csr(l, in, plain) : IR_NONE;
    if (writes) {
        ir_val value = new_value(l, kind, old, source);
        if (csr == RV_CSR_SSTATUS && reads)
            rv_put(l, in->rd, old);
        if (csr == RV_CSR_SSTATUS)
            return write_sstatus(l, value, kind == CSR_SWAP || immediate ? IR_NONE : source);
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
