/*
 * Traps in and out, interrupts, privilege (Priv. 1.13, 3.1.6 to 3.1.9, 3.3, 10.1).
 */
#include "frontend/riscv64/priv.h"

/* What tb_flags tells apart: off, on, dirty. */
static unsigned fs_class(uint64_t mstatus)
{
    unsigned fs = (unsigned)((mstatus & RV_MSTATUS_FS) >> RV_MSTATUS_FS_SHIFT);
    return fs == 2 ? 1 : fs;
}

void rv_set_mstatus(struct rv_cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->c.mstatus;
    uint64_t changed = old ^ value;
    cpu->c.mstatus = value;
    if (changed & (RV_MSTATUS_SUM | RV_MSTATUS_MXR | RV_MSTATUS_MPRV) ||
        (value & RV_MSTATUS_MPRV && changed & RV_MSTATUS_MPP) || fs_class(old) != fs_class(value))
        cpu->run.view_dirty = 1;
    if (value & changed & (RV_MSTATUS_SIE | RV_MSTATUS_MIE))
        rv_recheck_irq(cpu);
}

void rv_set_priv(struct rv_cpu *cpu, unsigned priv)
{
    if (priv == cpu->c.priv)
        return;
    cpu->c.priv = (uint8_t)priv;
    cpu->run.view_dirty = 1;
}

/* --- interrupts --------------------------------------------------------------------------------- */

/* Pending bits, with the timer as far as it is known to be due; no look at the clock. */
static uint64_t pending_cheap(const struct rv_cpu *cpu)
{
    uint64_t mip = cpu->c.mip | __atomic_load_n(&cpu->mip_external, __ATOMIC_ACQUIRE);
    if (!rv_stce(cpu))
        return mip;
    mip &= ~RV_IRQ_BIT(RV_IRQ_STI);
    return cpu->d.timer_due ? mip | RV_IRQ_BIT(RV_IRQ_STI) : mip;
}

static bool timer_due(const struct rv_cpu *cpu)
{
    return cpu->d.timer_due || rv_time(cpu) >= cpu->c.stimecmp;
}

uint64_t rv_mip_seen(const struct rv_cpu *cpu)
{
    return pending_cheap(cpu);
}

uint64_t rv_mip(const struct rv_cpu *cpu)
{
    uint64_t mip = pending_cheap(cpu);
    if (rv_stce(cpu) && timer_due(cpu))
        mip |= RV_IRQ_BIT(RV_IRQ_STI);
    return mip;
}

/* mip & mie. The clock is read only when its answer can matter. */
static uint64_t pending_enabled(struct rv_cpu *cpu)
{
    if (cpu->c.mie & RV_IRQ_BIT(RV_IRQ_STI) && rv_stce(cpu) && !cpu->d.timer_due)
        cpu->d.timer_due = timer_due(cpu);
    return pending_cheap(cpu) & cpu->c.mie;
}

void rv_recheck_irq(struct rv_cpu *cpu)
{
    if (!(pending_cheap(cpu) & cpu->c.mie))
        return;
    cpu->run.view_dirty = 1;
    __atomic_store_n(&cpu->run.attention, 1, __ATOMIC_RELEASE);
}

void rv_irq_line(void *receiver, unsigned line, int level)
{
    struct rv_cpu *cpu = receiver;
    uint32_t bit = (uint32_t)1 << line;
    if (level)
        __atomic_fetch_or(&cpu->mip_external, bit, __ATOMIC_RELEASE);
    else
        __atomic_fetch_and(&cpu->mip_external, ~bit, __ATOMIC_RELEASE);
    if (level)
        gw_events_kick(cpu->cfg.events, &cpu->run.attention);
}

/* 3.1.9: interrupts for M-mode come before those for S-mode; then MEI, MSI, MTI, SEI, SSI, STI, and
 * by Sscofpmf LCOFI. */
static unsigned first_interrupt(uint64_t pending)
{
    static const uint8_t order[] = {
        RV_IRQ_MEI, RV_IRQ_MSI, RV_IRQ_MTI, RV_IRQ_SEI, RV_IRQ_SSI, RV_IRQ_STI, RV_IRQ_LCOFI,
    };
    unsigned i = 0;
    while (!(pending & RV_IRQ_BIT(order[i])))
        i++;
    return order[i];
}

bool rv_interrupt(void *opaque, bool clock)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->cfg.user)
        return false;
    rv_remote_look(cpu);
    if (cpu->d.hpm_active)
        rv_hpm_look(cpu);
    /* Who waits for the timer is to find it here, not go on without its interrupt. */
    uint64_t pending =
        clock || cpu->c.halted ? pending_enabled(cpu) : pending_cheap(cpu) & cpu->c.mie;
    if (!pending)
        return false;
    const struct rv_csrs *c = &cpu->c;
    bool m_enabled = c->priv < RV_PRIV_M || c->mstatus & RV_MSTATUS_MIE;
    bool s_enabled = c->priv < RV_PRIV_S || (c->priv == RV_PRIV_S && c->mstatus & RV_MSTATUS_SIE);
    uint64_t taken = m_enabled ? pending & ~c->mideleg : 0;
    if (!taken && s_enabled)
        taken = pending & c->mideleg;
    if (!taken)
        return false;
    cpu->c.halted = 0;
    rv_trap(cpu, first_interrupt(taken), true, 0);
    if (cpu->d.hpm_active)
        rv_hpm_look(cpu);
    return true;
}

/* 3.3.3: WFI ends when an interrupt is pending that mie enables, wherever it is delegated and
 * whether or not mstatus lets it in. */
bool rv_waiting(void *opaque)
{
    struct rv_cpu *cpu = opaque;
    rv_remote_look(cpu);
    if (!cpu->c.halted)
        return false;
    if (pending_enabled(cpu))
        cpu->c.halted = 0;
    return cpu->c.halted;
}

/* Also what is pending and let in later is not quiet. */
bool rv_quiet(const void *opaque)
{
    const struct rv_cpu *cpu = opaque;
    return !rv_remote_posted(cpu) && !cpu->d.hpm_active && !cpu->c.halted &&
           !(pending_cheap(cpu) & cpu->c.mie);
}

uint64_t rv_deadline(void *opaque)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->d.timer_due || !(cpu->c.mie & RV_IRQ_BIT(RV_IRQ_STI)) || !rv_stce(cpu))
        return UINT64_MAX;
    if (timer_due(cpu))
        return 0;
    /* Time has not reached it, so this does not wrap but where VM time ends before. */
    uint64_t at = cpu->c.stimecmp - cpu->c.time_offset;
    return at > UINT64_MAX / RV_NS_PER_TICK ? UINT64_MAX : at * RV_NS_PER_TICK;
}

/* --- traps -------------------------------------------------------------------------------------- */

/* The handler's address: vectored for interrupts, where the mode says so (3.1.7). */
static uint64_t vector(uint64_t tvec, uint64_t cause, bool interrupt)
{
    uint64_t base = tvec & ~UINT64_C(3);
    return tvec & 1 && interrupt ? base + 4 * cause : base;
}

static void trap_to_s(struct rv_cpu *cpu, uint64_t cause, bool interrupt, uint64_t tval)
{
    struct rv_csrs *c = &cpu->c;
    uint64_t status = c->mstatus & ~(RV_MSTATUS_SPIE | RV_MSTATUS_SIE | RV_MSTATUS_SPP);
    if (c->mstatus & RV_MSTATUS_SIE)
        status |= RV_MSTATUS_SPIE;
    if (c->priv != RV_PRIV_U)
        status |= RV_MSTATUS_SPP;
    c->sepc = cpu->run.pc;
    c->scause = cause | (interrupt ? RV_CAUSE_INTERRUPT : 0);
    c->stval = tval;
    rv_set_mstatus(cpu, status);
    rv_set_priv(cpu, RV_PRIV_S);
    cpu->run.pc = vector(c->stvec, cause, interrupt);
}

static void trap_to_m(struct rv_cpu *cpu, uint64_t cause, bool interrupt, uint64_t tval)
{
    struct rv_csrs *c = &cpu->c;
    uint64_t status = c->mstatus & ~(RV_MSTATUS_MPIE | RV_MSTATUS_MIE | RV_MSTATUS_MPP);
    if (c->mstatus & RV_MSTATUS_MIE)
        status |= RV_MSTATUS_MPIE;
    status |= (uint64_t)c->priv << RV_MSTATUS_MPP_SHIFT;
    c->mepc = cpu->run.pc;
    c->mcause = cause | (interrupt ? RV_CAUSE_INTERRUPT : 0);
    c->mtval = tval;
    rv_set_mstatus(cpu, status);
    rv_set_priv(cpu, RV_PRIV_M);
    cpu->run.pc = vector(c->mtvec, cause, interrupt);
}

void rv_trap(struct rv_cpu *cpu, uint64_t cause, bool interrupt, uint64_t tval)
{
    uint64_t delegated = interrupt ? cpu->c.mideleg : cpu->c.medeleg;
    cpu->c.reservation = RV_NO_RESERVATION;
    if (cpu->c.priv != RV_PRIV_M && delegated >> cause & 1)
        trap_to_s(cpu, cause, interrupt, tval);
    else
        trap_to_m(cpu, cause, interrupt, tval);
}

void rv_raise(void *opaque, const struct gw_fault *fault)
{
    struct rv_cpu *cpu = opaque;
    if (cpu->cfg.user) {
        cpu->run.fault = *fault;
        cpu->run.fault_pc = cpu->run.pc;
        cpu->run.leave = GW_LEAVE_FAULT;
        return;
    }
    rv_trap(cpu, fault->cause, false, fault->vaddr);
    cpu->run.leave = GW_LEAVE_TRAP;
}

uint64_t rv_raise_illegal(struct rv_cpu *cpu, uint64_t raw)
{
    const struct gw_fault fault = {
        .vaddr = raw & UINT32_MAX,
        .cause = RV_CAUSE_ILLEGAL,
        .access = GW_ACCESS_FETCH,
    };
    rv_raise(cpu, &fault);
    return 0;
}
