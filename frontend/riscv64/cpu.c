/*
 * The vCPU as a whole: making and resetting it, the hand-over to a supervisor, and the table of its
 * state.
 */
#include <string.h>

#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/priv.h"

enum { RESET_VECTOR = 0x1000 }; /* of the virt-1 board */

/* Grants all of memory to every privilege: NAPOT over the whole address space. */
static void pmp_grant_all(struct rv_cpu *cpu)
{
    cpu->c.pmpaddr[0] = RV_PMPADDR_MASK;
    cpu->c.pmpcfg[0] = RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X;
}

void rv_derive(struct rv_cpu *cpu)
{
    rv_pmp_derive(cpu);
    rv_derive_timer(cpu);
    rv_hpm_derive(cpu);
    cpu->run.view_dirty = 1;
}

/* Priv. 3.4. What it leaves open is zero, so that runs repeat. */
void rv_reset(void *opaque)
{
    struct rv_cpu *cpu = opaque;
    uint64_t hart = cpu->c.mhartid, time_offset = cpu->c.time_offset;
    memset(cpu->x, 0, sizeof cpu->x);
    memset(cpu->f, 0, sizeof cpu->f);
    memset(&cpu->c, 0, sizeof cpu->c);
    cpu->c.mhartid = hart;
    cpu->c.time_offset = time_offset;
    cpu->c.reservation = RV_NO_RESERVATION;
    cpu->c.stimecmp = UINT64_MAX;
    cpu->c.priv = RV_PRIV_M;
    cpu->run.pc = RESET_VECTOR;
    cpu->run.fp_flags = 0;
    if (cpu->cfg.user) {
        cpu->c.priv = RV_PRIV_U;
        cpu->c.mstatus = RV_MSTATUS_FS;
    }
    if (cpu->cfg.firmware)
        pmp_grant_all(cpu);
    rv_derive(cpu);
    if (cpu->run.hooks)
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
}

enum gw_status rv_init(void *opaque, const struct gw_cpu_config *cfg, struct gw_error *err)
{
    struct rv_cpu *cpu = opaque;
    memset(cpu, 0, sizeof *cpu);
    if (!cfg->user && (!cfg->bus || !cfg->events))
        return gw_fail(err, GW_ERR_ARG, "rv64", "a machine's CPU needs a bus and a clock");
    cpu->cfg = (struct rv_config){
        .user = cfg->user,
        .firmware = cfg->firmware,
        .timebase_hz = RV_TIMEBASE_HZ,
        .bus = cfg->bus,
        .events = cfg->events,
    };
    enum gw_status status = rv_set_model(&cpu->cfg, cfg->model, err);
    if (status == GW_OK && cfg->options)
        status = rv_set_options(&cpu->cfg, cfg->options, err);
    if (status != GW_OK)
        return status;
    cpu->c.mhartid = cfg->hart;
    rv_reset(cpu);
    return GW_OK;
}

void rv_boot_supervisor(struct rv_cpu *cpu, uint64_t pc, uint64_t dtb_paddr)
{
    struct rv_csrs *c = &cpu->c;
    pmp_grant_all(cpu);
    c->medeleg = RV_MEDELEG_MASK & ~(UINT64_C(1) << RV_CAUSE_ECALL_S);
    c->mideleg = rv_mideleg_mask(cpu);
    c->mcounteren = RV_COUNTEREN_MASK;
    c->scounteren =
        7; /* cycle, time, instret: kernels expect user code to reach them, as firmware does */
    c->menvcfg = (RV_ENVCFG_CBIE | RV_ENVCFG_CBCFE | RV_ENVCFG_CBZE | RV_MENVCFG_STCE |
                  RV_MENVCFG_ADUE | RV_MENVCFG_PBMTE) &
                 rv_menvcfg_mask(cpu);
    c->mstatus = 0;
    c->satp = 0;
    c->priv = RV_PRIV_S;
    cpu->x[10] = c->mhartid;
    cpu->x[11] = dtb_paddr;
    cpu->run.pc = pc;
    rv_derive(cpu);
    if (cpu->run.hooks)
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
}

/* --- state -------------------------------------------------------------------------------------- */

#define REG(name_, member, type_)                                                                  \
    {                                                                                              \
        .name = (name_), .type = (type_), .offset = offsetof(struct rv_cpu, member), .count = 1    \
    }
#define REGS(name_, member, type_)                                                                 \
    {                                                                                              \
        .name = (name_), .type = (type_), .offset = offsetof(struct rv_cpu, member),               \
        .count = sizeof(((struct rv_cpu *)0)->member) / (type_)                                    \
    }
#define CREG(member) REG(#member, c.member, STATE_U64)

static const struct state_field fields[] = {
    REGS("x", x, STATE_U64),
    REG("pc", run.pc, STATE_U64),
    REGS("f", f, STATE_U64),
    REG("fflags", run.fp_flags, STATE_U32),
    REG("frm", c.frm, STATE_U8),
    REG("priv", c.priv, STATE_U8),
    REG("halted", c.halted, STATE_U8),
    CREG(mstatus),
    CREG(medeleg),
    CREG(mideleg),
    CREG(mie),
    CREG(mip),
    CREG(mtvec),
    CREG(mepc),
    CREG(mcause),
    CREG(mtval),
    CREG(mscratch),
    CREG(stvec),
    CREG(sepc),
    CREG(scause),
    CREG(stval),
    CREG(sscratch),
    CREG(satp),
    CREG(stimecmp),
    CREG(mcounteren),
    CREG(scounteren),
    CREG(mcountinhibit),
    CREG(menvcfg),
    CREG(senvcfg),
    REGS("pmpaddr", c.pmpaddr, STATE_U64),
    REGS("pmpcfg", c.pmpcfg, STATE_U8),
    CREG(mcycle_offset),
    CREG(minstret_offset),
    REGS("mhpmevent", c.mhpmevent, STATE_U64),
    REGS("mhpm_offset", c.mhpm_offset, STATE_U64),
    REG("hpm_counting", c.hpm_counting, STATE_U8),
    CREG(mhartid),
    CREG(reservation),
    CREG(reserved_value),
    CREG(time_offset),
    REG("mip_external", mip_external, STATE_U32),
};

/* The lines that come from outside (rv_irq_line). */
#define EXTERNAL_LINES                                                                             \
    (RV_IRQ_BIT(RV_IRQ_MSI) | RV_IRQ_BIT(RV_IRQ_MTI) | RV_IRQ_BIT(RV_IRQ_SEI) |                    \
     RV_IRQ_BIT(RV_IRQ_MEI))

static enum gw_status check(const void *object, struct gw_error *err)
{
    const struct rv_cpu *cpu = object;
    const struct rv_csrs *c = &cpu->c;
    const char *bad = NULL;
    if (cpu->x[0])
        bad = "x0";
    else if (cpu->run.pc & 1)
        bad = "pc";
    else if (cpu->run.fp_flags & ~0x1fu)
        bad = "fflags";
    else if (c->frm > 7)
        bad = "frm";
    else if (c->priv == 2 || c->priv > RV_PRIV_M || (cpu->cfg.user && c->priv != RV_PRIV_U))
        bad = "priv";
    else if (c->halted > 1 || (c->halted && c->priv == RV_PRIV_U))
        bad = "halted";
    else if (!rv_hpm_legal(cpu))
        bad = "mhpmevent";
    else if (cpu->mip_external & ~EXTERNAL_LINES)
        bad = "mip_external";
    else if (rv_csr_state_legal(cpu, &bad))
        return GW_OK;
    return gw_fail(err, GW_ERR_FORMAT, bad, "a value that an rv64 CPU cannot hold");
}

static void post_load(void *object)
{
    rv_derive(object);
}

const struct state_desc rv_state_desc = {
    .name = "rv64",
    .version = 2,
    .fields = fields,
    .field_count = sizeof fields / sizeof fields[0],
    .check = check,
    .post_load = post_load,
};
