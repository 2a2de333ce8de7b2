/*
 * What lifted code calls for SYSTEM instructions, FENCE.I and cache-block operations
 * (rv_helpers.inc). A helper that raises sets run.leave and run.pc, and its result is not used.
 */
#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/priv.h"

uint64_t rv_h_illegal(void *cpu, uint64_t raw, uint64_t b, uint64_t c)
{
    return rv_raise_illegal(cpu, raw);
}

uint64_t rv_h_ecall(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->cfg.user) {
        if (!cpu->run.hooks->syscall || !cpu->run.hooks->syscall(cpu))
            cpu->run.leave = GW_LEAVE_SYSCALL;
        return 0;
    }
    cpu->run.leave = GW_LEAVE_HCALL;
    return 0;
}

/* It does not retire (Priv. 1.13, 3.3.1), though its block was taken off the budget. Causes 8, 9 and 11 are
 * ordered by privilege. */
uint64_t rv_h_ecall_trap(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    cpu->run.budget++;
    rv_trap(cpu, (uint64_t)RV_CAUSE_ECALL_U + cpu->c.priv, false, 0);
    return cpu->run.pc;
}

uint64_t rv_h_ebreak(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    const struct gw_fault fault = {
        .vaddr = cpu->run.pc,
        .cause = RV_CAUSE_BREAKPOINT,
        .access = GW_ACCESS_FETCH,
    };
    rv_raise(cpu, &fault);
    return 0;
}

uint64_t rv_h_csr_read(void *cpu, uint64_t csr, uint64_t raw, uint64_t c)
{
    uint64_t value;
    return rv_csr_read(cpu, (unsigned)csr, &value) ? value : rv_raise_illegal(cpu, raw);
}

/*
 * Priv. 3.1.9: CSRRS and CSRRC change the software-written SEIP alone, though the value read shows
 * the interrupt controller's line too. `value` was computed from what was read, so the bit is
 * computed anew.
 */
static uint64_t without_seip_line(const struct rv_cpu *cpu, uint64_t value, uint64_t raw)
{
    const uint64_t seip = RV_IRQ_BIT(RV_IRQ_SEI);
    unsigned field = raw >> 15 & 0x1f;
    uint64_t operand = raw >> 14 & 1 ? field : cpu->x[field];
    uint64_t bit = cpu->c.mip & seip;
    switch (raw >> 12 & 3) {
    case 2: bit |= operand & seip; break;    /* CSRRS, CSRRSI */
    case 3: bit &= ~(operand & seip); break; /* CSRRC, CSRRCI */
    default: return value;
    }
    return (value & ~seip) | bit;
}

uint64_t rv_h_csr_write(void *opaque, uint64_t csr, uint64_t value, uint64_t raw)
{
    struct rv_cpu *cpu = opaque;
    if (csr == RV_CSR_MIP)
        value = without_seip_line(cpu, value, raw);
    return rv_csr_write(cpu, (unsigned)csr, value, NULL) ? 0 : rv_raise_illegal(cpu, raw);
}

uint64_t rv_h_csr_check(void *cpu, uint64_t csr, uint64_t write, uint64_t raw)
{
    return rv_csr_allowed(cpu, (unsigned)csr, write != 0) ? 0 : rv_raise_illegal(cpu, raw);
}

/* Priv. 3.1.6.1. A lower privilege may be entered with interrupts that wait for it. */
static void return_to(struct rv_cpu *cpu, uint64_t status, unsigned priv)
{
    if (priv != RV_PRIV_M)
        status &= ~RV_MSTATUS_MPRV;
    cpu->c.reservation = RV_NO_RESERVATION;
    rv_set_mstatus(cpu, status);
    rv_set_priv(cpu, priv);
    rv_recheck_irq(cpu);
}

uint64_t rv_h_mret(void *opaque, uint64_t raw, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    uint64_t old = cpu->c.mstatus;
    uint64_t status = (old & ~(RV_MSTATUS_MIE | RV_MSTATUS_MPP)) | RV_MSTATUS_MPIE;
    if (cpu->cfg.user || cpu->c.priv != RV_PRIV_M)
        return rv_raise_illegal(cpu, raw);
    if (old & RV_MSTATUS_MPIE)
        status |= RV_MSTATUS_MIE;
    return_to(cpu, status, (unsigned)((old & RV_MSTATUS_MPP) >> RV_MSTATUS_MPP_SHIFT));
    return cpu->c.mepc;
}

uint64_t rv_h_sret(void *opaque, uint64_t raw, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    uint64_t old = cpu->c.mstatus;
    uint64_t status = (old & ~(RV_MSTATUS_SIE | RV_MSTATUS_SPP)) | RV_MSTATUS_SPIE;
    if (cpu->c.priv == RV_PRIV_U || (cpu->c.priv == RV_PRIV_S && old & RV_MSTATUS_TSR))
        return rv_raise_illegal(cpu, raw);
    if (old & RV_MSTATUS_SPIE)
        status |= RV_MSTATUS_SIE;
    return_to(cpu, status, old & RV_MSTATUS_SPP ? RV_PRIV_S : RV_PRIV_U);
    return cpu->c.sepc;
}

/* Priv. 3.1.6.5, 3.3.3: with TW, S-mode may not wait at all; nor may U-mode ever. */
uint64_t rv_h_wfi(void *opaque, uint64_t raw, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->c.priv == RV_PRIV_U || (cpu->c.priv == RV_PRIV_S && cpu->c.mstatus & RV_MSTATUS_TW))
        return rv_raise_illegal(cpu, raw);
    cpu->c.halted = 1;
    return 0;
}

uint64_t rv_h_sfence_vma(void *opaque, uint64_t vaddr, uint64_t asid, uint64_t info)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->c.priv == RV_PRIV_U || (cpu->c.priv == RV_PRIV_S && cpu->c.mstatus & RV_MSTATUS_TVM))
        return rv_raise_illegal(cpu, info >> 32);
    return cpu->run.hooks &&
           cpu->run.hooks->flush(cpu, vaddr, info & 1 ? 0 : GW_FLUSH_TABLES, asid & 0xffff,
                                 !(info & 2));
}

uint64_t rv_h_fence_i(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->run.hooks)
        cpu->run.hooks->fence_i(cpu);
    return 0;
}

enum { CBO_INVAL = 0 };

/* May an access of the kind that the map has be made, as was found out before? */
static bool known_writable(struct rv_cpu *cpu, uint64_t vaddr)
{
    const struct gw_hooks *hooks = cpu->run.hooks;
    return hooks && hooks->inline_store && hooks->inline_store(cpu, vaddr);
}

/* CMO 1.0, chapter 4. Invalidating as a flush (CBIE 1) and invalidating are the same here: there is no
 * cache to lose data in, and nothing is left to do but the checks. tval is rs1's value, not the block's
 * start. */
uint64_t rv_h_cbo(void *opaque, uint64_t addr, uint64_t kind, uint64_t raw)
{
    struct rv_cpu *cpu = opaque;
    uint64_t block = addr & ~(uint64_t)(RV_CBO_BYTES - 1);
    struct gw_xlate xlate;
    struct gw_fault fault;
    if (cpu->cfg.user)
        return 0;
    if (!rv_envcfg_allows(cpu, kind == CBO_INVAL ? RV_ENVCFG_CBIE : RV_ENVCFG_CBCFE))
        return rv_raise_illegal(cpu, raw);
    if (known_writable(cpu, addr) ||
        rv_translate(cpu, block, RV_CBO_BYTES, GW_ACCESS_LOAD, &xlate, &fault) ||
        rv_translate(cpu, block, RV_CBO_BYTES, GW_ACCESS_STORE, &xlate, &fault))
        return 0;
    fault.vaddr = addr;
    rv_raise(cpu, &fault);
    return 0;
}

/* --- LR and SC outside of pairs ------------------------------------------------------------------ */

/* What can't be reserved is the load's to find out. */
uint64_t rv_h_lr(void *opaque, uint64_t vaddr, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    struct gw_xlate x;
    struct gw_fault fault;
    __atomic_store_n(&cpu->run.reservation_broken, 0, __ATOMIC_SEQ_CST);
    if (!cpu->run.hooks || !cpu->run.hooks->reserve)
        return 0;
    if (vaddr & 3 || !rv_translate(cpu, vaddr, 4, GW_ACCESS_LOAD, &x, &fault))
        return 0;
    if (!cpu->run.hooks->reserve(cpu, x.paddr))
        cpu->run.leave = GW_LEAVE_AGAIN;
    return 0;
}

uint64_t rv_h_sc(void *opaque, uint64_t vaddr, uint64_t value, uint64_t bytes)
{
    struct rv_cpu *cpu = opaque;
    unsigned size = (unsigned)bytes;
    bool reserved = cpu->c.reservation == vaddr &&
                    !__atomic_load_n(&cpu->run.reservation_broken, __ATOMIC_SEQ_CST);
    struct gw_xlate x;
    struct gw_fault fault = {0};
    if (vaddr & (size - 1)) {
        rv_misaligned(cpu, vaddr, GW_ACCESS_STORE, &fault);
        rv_raise(cpu, &fault);
        return 1;
    }
    /* A kernel drops its reservation by an SC on its way out of each trap. */
    bool known = !reserved && known_writable(cpu, vaddr);
    if (!known && !rv_translate(cpu, vaddr, size, GW_ACCESS_STORE, &x, &fault)) {
        rv_raise(cpu, &fault);
        return 1;
    }
    /* Priv. 1.13, 3.6.3: devices are RsrvNone */
    if (!known && !gw_bus_ram(cpu->cfg.bus, x.paddr, size)) {
        rv_bus_fault(cpu, vaddr, GW_ACCESS_STORE, &fault);
        rv_raise(cpu, &fault);
        return 1;
    }
    cpu->c.reservation = RV_NO_RESERVATION;
    if (!reserved)
        return 1;
    return !cpu->run.hooks->store_reserved(cpu, x.paddr, size, cpu->c.reserved_value, value);
}

/* --- AMOCAS.Q: Unpriv. 20240411, "Zacas" --------------------------------------------------------- */

enum { CASQ_BYTES = 16 };
#define CASQ_UNSEEN UINT64_MAX

/* The host's address of 16 bytes; NULL, and *fault, if they can't be swapped. In user mode what is
 * not mapped is found out by the access before the swap. *paddr: nobody need be told of a store where it
 * stays CASQ_UNSEEN. */
static void *casq_host(struct rv_cpu *cpu, uint64_t vaddr, uint64_t *paddr, struct gw_fault *fault)
{
    const struct gw_hooks *hooks = cpu->run.hooks;
    struct gw_xlate x;
    *paddr = CASQ_UNSEEN;
    if (vaddr % CASQ_BYTES) {
        rv_misaligned(cpu, vaddr, GW_ACCESS_STORE, fault);
        return NULL;
    }
    if (cpu->cfg.user)
        return (void *)(uintptr_t)(cpu->run.guest_base + vaddr);
    void *known = hooks && hooks->inline_store ? hooks->inline_store(cpu, vaddr) : NULL;
    if (known)
        return known;
    if (!rv_translate(cpu, vaddr, CASQ_BYTES, GW_ACCESS_STORE, &x, fault))
        return NULL;
    *paddr = x.paddr;
    const struct gw_ram *ram = gw_bus_ram(cpu->cfg.bus, x.paddr, CASQ_BYTES);
    if (!ram) {
        rv_bus_fault(cpu, vaddr, GW_ACCESS_STORE, fault);
        return NULL;
    }
    return gw_ram_host(ram, x.paddr);
}

uint64_t rv_h_casq_check(void *cpu, uint64_t vaddr, uint64_t b, uint64_t c)
{
    struct gw_fault fault = {0};
    uint64_t paddr;
    if (!casq_host(cpu, vaddr, &paddr, &fault) && fault.cause)
        rv_raise(cpu, &fault);
    return 0;
}

/* A pair that starts with x0 is 0, and is not written. */
uint64_t rv_h_casq(void *opaque, uint64_t vaddr, uint64_t registers, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    unsigned rd = registers & 31, rs2 = registers >> 8 & 31;
    uint64_t expected[2] = {0, 0}, value[2] = {0, 0};
    const struct gw_hooks *hooks = cpu->run.hooks;
    struct gw_fault fault;
    uint64_t paddr;
    void *host = casq_host(cpu, vaddr, &paddr, &fault);
    for (unsigned i = 0; i < 2; i++) {
        expected[i] = rd ? cpu->x[rd + i] : 0;
        value[i] = rs2 ? cpu->x[rs2 + i] : 0;
    }
    if (!host)
        return 0;
    bool held = paddr != CASQ_UNSEEN && hooks && hooks->begin_store &&
                hooks->begin_store(cpu, paddr, CASQ_BYTES);
    rv_cas128(host, expected, value);
    if (held)
        hooks->end_store(cpu);
    for (unsigned i = 0; rd && i < 2; i++)
        cpu->x[rd + i] = expected[i];
    return 0;
}

uint64_t rv_h_fs_dirty(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct rv_cpu *cpu = opaque;
    rv_set_mstatus(cpu, cpu->c.mstatus | RV_MSTATUS_FS);
    cpu->run.view_dirty = 1;
    cpu->run.leave = GW_LEAVE_TRAP;
    return 0;
}
