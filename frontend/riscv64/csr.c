/*
 * Control and status registers: who may access which, and what a read or write does (Priv. 1.13,
 * chapter 2, 3.1, 4.1; Sstc; Zicntr). csr_rows.inc lists them.
 */
#include <time.h>

#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/priv.h"

/* What else than its number a register's access depends on. */
enum csr_kind {
    KIND_PLAIN,
    KIND_FP,       /* mstatus.FS not off */
    KIND_COUNTER,  /* mcounteren, scounteren */
    KIND_SSTC,     /* menvcfg.STCE, mcounteren.TM */
    KIND_SATP,     /* mstatus.TVM */
    KIND_SSCOFPMF, /* there with Sscofpmf */
};

struct csr_row {
    uint64_t mask;
    uint64_t (*read)(struct rv_cpu *cpu, unsigned csr);
    void (*write)(struct rv_cpu *cpu, unsigned csr, uint64_t value);
    uint16_t offset;
    uint8_t kind;
};

/* --- floating point: Unpriv. 20.2 --------------------------------------------------------------- */

static void fp_written(struct rv_cpu *cpu)
{
    rv_set_mstatus(cpu, cpu->c.mstatus | RV_MSTATUS_FS);
}

static uint64_t read_fflags(struct rv_cpu *cpu, unsigned csr)
{
    return cpu->run.fp_flags & 0x1f;
}

static void write_fflags(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    cpu->run.fp_flags = value & 0x1f;
    fp_written(cpu);
}

static uint64_t read_frm(struct rv_cpu *cpu, unsigned csr)
{
    return cpu->c.frm;
}

static void write_frm(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    if (cpu->c.frm != (value & 7))
        cpu->run.view_dirty = 1;
    cpu->c.frm = value & 7;
    fp_written(cpu);
}

static uint64_t read_fcsr(struct rv_cpu *cpu, unsigned csr)
{
    return (uint64_t)cpu->c.frm << 5 | (cpu->run.fp_flags & 0x1f);
}

static void write_fcsr(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    write_frm(cpu, csr, value >> 5);
    write_fflags(cpu, csr, value);
}

/* --- counters and time: Priv. 3.1.10, 3.1.12 ---------------------------------------------------- */

static uint64_t now_ns(const struct rv_cpu *cpu)
{
    struct timespec ts;
    if (cpu->cfg.events)
        return gw_events_now(cpu->cfg.events, gw_retired_by_all(&cpu->run));
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t rv_time(const struct rv_cpu *cpu)
{
    return now_ns(cpu) / RV_NS_PER_TICK + __atomic_load_n(&cpu->c.time_offset, __ATOMIC_RELAXED);
}

/* The timer's deadline is another: whoever runs the CPU bounds its run anew. */
static void deadline_moved(struct rv_cpu *cpu)
{
    rv_derive_timer(cpu);
    cpu->run.view_dirty = 1;
    __atomic_store_n(&cpu->run.attention, 1, __ATOMIC_RELEASE);
}

void rv_move_time(void *opaque, uint64_t offset_ticks)
{
    struct rv_cpu *cpu = opaque;
    cpu->c.time_offset = offset_ticks;
    deadline_moved(cpu);
}

void rv_remote_move_time(void *opaque, uint64_t offset_ticks)
{
    struct rv_cpu *cpu = opaque;
    __atomic_store_n(&cpu->c.time_offset, offset_ticks, __ATOMIC_RELAXED);
    rv_remote_post(cpu, RV_REMOTE_TIME);
}

static uint64_t read_time(struct rv_cpu *cpu, unsigned csr)
{
    return rv_time(cpu);
}

/* While a counter is inhibited its offset is its value. An instruction is a cycle. */
static uint64_t read_counter(const struct rv_cpu *cpu, uint64_t offset, uint64_t inhibit)
{
    return cpu->c.mcountinhibit & inhibit ? offset : gw_retired(&cpu->run) + offset;
}

/* What the next instruction reads is the value written: this one does not count (3.1.10). */
static uint64_t counter_offset(const struct rv_cpu *cpu, uint64_t value, uint64_t inhibit)
{
    return cpu->c.mcountinhibit & inhibit ? value : value - gw_retired(&cpu->run) - 1;
}

static uint64_t read_mcycle(struct rv_cpu *cpu, unsigned csr)
{
    return read_counter(cpu, cpu->c.mcycle_offset, RV_INHIBIT_CY);
}

static uint64_t read_minstret(struct rv_cpu *cpu, unsigned csr)
{
    return read_counter(cpu, cpu->c.minstret_offset, RV_INHIBIT_IR);
}

static void write_mcycle(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    cpu->c.mcycle_offset = counter_offset(cpu, value, RV_INHIBIT_CY);
}

static void write_minstret(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    cpu->c.minstret_offset = counter_offset(cpu, value, RV_INHIBIT_IR);
}

static void write_mcountinhibit(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    uint64_t cycle = read_mcycle(cpu, 0), instret = read_minstret(cpu, 0);
    uint64_t changed = (cpu->c.mcountinhibit ^ value) & RV_INHIBIT_MASK;
    cpu->c.mcountinhibit = (cpu->c.mcountinhibit & RV_HPM_BITS) | (value & RV_INHIBIT_MASK);
    /* A counter that stops has counted this instruction; one that starts begins with the next. */
    if (changed & RV_INHIBIT_CY)
        write_mcycle(cpu, 0, cycle + (value & RV_INHIBIT_CY ? 1 : 0));
    if (changed & RV_INHIBIT_IR)
        write_minstret(cpu, 0, instret + (value & RV_INHIBIT_IR ? 1 : 0));
    if (cpu->cfg.sscofpmf)
        rv_hpm_inhibit(cpu, value, 1);
}

/* The number of an event counter that can count, from the low bits that all its registers share. */
static bool hpm_number(const struct rv_cpu *cpu, unsigned csr, unsigned *i)
{
    *i = (csr & 0x1f) - RV_HPM_FIRST;
    return cpu->cfg.sscofpmf && *i < RV_HPM_COUNT;
}

static uint64_t read_hpmcounter(struct rv_cpu *cpu, unsigned csr)
{
    unsigned i;
    return hpm_number(cpu, csr, &i) ? rv_hpm_read(cpu, i) : 0;
}

static void write_hpmcounter(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    unsigned i;
    if (hpm_number(cpu, csr, &i))
        rv_hpm_write(cpu, i, value, 1);
}

static uint64_t read_hpmevent(struct rv_cpu *cpu, unsigned csr)
{
    unsigned i;
    return hpm_number(cpu, csr, &i) ? cpu->c.mhpmevent[i] : 0;
}

static void write_hpmevent(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    unsigned i;
    if (hpm_number(cpu, csr, &i))
        rv_hpm_event_write(cpu, i, value, 1);
}

static uint64_t read_scountovf(struct rv_cpu *cpu, unsigned csr)
{
    rv_hpm_look(cpu);
    return rv_hpm_overflows(cpu);
}

void rv_derive_timer(struct rv_cpu *cpu)
{
    cpu->d.timer_due = false;
}

static void write_stimecmp(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    cpu->c.stimecmp = value;
    deadline_moved(cpu);
}

/* --- status ------------------------------------------------------------------------------------- */

static uint64_t with_sd(uint64_t status)
{
    return (status & RV_MSTATUS_FS) == RV_MSTATUS_FS ? status | RV_MSTATUS_SD : status;
}

static uint64_t read_mstatus(struct rv_cpu *cpu, unsigned csr)
{
    return with_sd(cpu->c.mstatus | RV_MSTATUS_UXL_64 | RV_MSTATUS_SXL_64);
}

static void write_mstatus(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    value &= RV_MSTATUS_STORED;
    /* MPP is WARL and 2 no privilege: it keeps what it held. */
    if ((value & RV_MSTATUS_MPP) == UINT64_C(2) << RV_MSTATUS_MPP_SHIFT)
        value = (value & ~RV_MSTATUS_MPP) | (cpu->c.mstatus & RV_MSTATUS_MPP);
    rv_set_mstatus(cpu, value);
}

static uint64_t read_sstatus(struct rv_cpu *cpu, unsigned csr)
{
    return with_sd((cpu->c.mstatus & RV_SSTATUS_STORED) | RV_MSTATUS_UXL_64);
}

static void write_sstatus(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    rv_set_mstatus(cpu, (cpu->c.mstatus & ~RV_SSTATUS_STORED) | (value & RV_SSTATUS_STORED));
}

bool rv_sstatus_write(struct rv_cpu *cpu, uint64_t value)
{
    uint32_t dirty = cpu->run.view_dirty;
    cpu->run.view_dirty = 0;
    write_sstatus(cpu, RV_CSR_SSTATUS, value);
    bool changed = cpu->run.view_dirty != 0;
    cpu->run.view_dirty |= dirty;
    return changed;
}

/* 3.1.1: MXL 64, and a letter's bit for each extension; B stands for Zba, Zbb and Zbs together. */
static uint64_t read_misa(struct rv_cpu *cpu, unsigned csr)
{
    uint64_t misa = UINT64_C(2) << 62;
    for (const char *letter = "acdfimsu"; *letter; letter++)
        misa |= UINT64_C(1) << (*letter - 'a');
    if (rv_has(cpu, RV_EXT_ZBA | RV_EXT_ZBB | RV_EXT_ZBS))
        misa |= UINT64_C(1) << ('b' - 'a');
    return misa;
}

static void write_nothing(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
}

static bool satp_supported(const struct rv_cpu *cpu, uint64_t satp)
{
    uint64_t mode = satp >> RV_SATP_MODE_SHIFT;
    return mode == RV_SATP_BARE || (mode == RV_SATP_SV39 && cpu->cfg.sv39) ||
           (mode == RV_SATP_SV48 && cpu->cfg.sv48) || (mode == RV_SATP_SV57 && cpu->cfg.sv57);
}

static void forget_translations(struct rv_cpu *cpu)
{
    cpu->run.view_dirty = 1;
    if (cpu->run.hooks)
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
}

static void write_satp(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    /* 10.1.11: a write with an unsupported mode has no effect at all. */
    if (!satp_supported(cpu, value))
        return;
    uint64_t old_mode = cpu->c.satp >> RV_SATP_MODE_SHIFT, mode = value >> RV_SATP_MODE_SHIFT;
    if (cpu->c.satp != value)
        cpu->run.view_dirty = 1;
    if (old_mode != mode && (old_mode == RV_SATP_SV57 || mode == RV_SATP_SV57))
        forget_translations(cpu);
    cpu->c.satp = value;
}

/* --- interrupts: 3.1.8, 3.1.9, 10.1.3 ----------------------------------------------------------- */

static void enables_written(struct rv_cpu *cpu)
{
    cpu->run.view_dirty = 1;
    rv_recheck_irq(cpu);
}

static void write_mideleg(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    cpu->c.mideleg = value & rv_mideleg_mask(cpu);
    enables_written(cpu);
}

static void write_mie(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    cpu->c.mie = value & (RV_MIE_MASK | rv_mideleg_mask(cpu));
    enables_written(cpu);
}

static uint64_t read_sie(struct rv_cpu *cpu, unsigned csr)
{
    return cpu->c.mie & cpu->c.mideleg;
}

static void write_sie(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    write_mie(cpu, csr, (cpu->c.mie & ~cpu->c.mideleg) | (value & cpu->c.mideleg));
}

static uint64_t read_mip(struct rv_cpu *cpu, unsigned csr)
{
    return rv_mip(cpu);
}

static void write_mip(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    uint64_t mask = rv_mideleg_mask(cpu);
    if (rv_stce(cpu)) /* Sstc: STIP follows stimecmp and is read-only */
        mask &= ~RV_IRQ_BIT(RV_IRQ_STI);
    cpu->c.mip = (cpu->c.mip & ~mask) | (value & mask);
    enables_written(cpu);
}

static uint64_t read_sip(struct rv_cpu *cpu, unsigned csr)
{
    return rv_mip(cpu) & cpu->c.mideleg;
}

/* S-mode may write SSIP and LCOFIP alone. */
static void write_sip(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    uint64_t mask = (RV_IRQ_BIT(RV_IRQ_SSI) | RV_IRQ_BIT(RV_IRQ_LCOFI)) & cpu->c.mideleg;
    cpu->c.mip = (cpu->c.mip & ~mask) | (value & mask);
    enables_written(cpu);
}

/* --- environment configuration: 3.1.18, 10.1.10 ------------------------------------------------- */

uint64_t rv_senvcfg_mask(const struct rv_cpu *cpu)
{
    return RV_ENVCFG_FIOM | (rv_has(cpu, RV_EXT_ZICBOM) ? RV_ENVCFG_CBIE | RV_ENVCFG_CBCFE : 0) |
           (rv_has(cpu, RV_EXT_ZICBOZ) ? RV_ENVCFG_CBZE : 0);
}

uint64_t rv_menvcfg_mask(const struct rv_cpu *cpu)
{
    return rv_senvcfg_mask(cpu) | (cpu->cfg.sstc ? RV_MENVCFG_STCE : 0) |
           (cpu->cfg.svadu ? RV_MENVCFG_ADUE : 0) | (cpu->cfg.svpbmt ? RV_MENVCFG_PBMTE : 0);
}

/* CBIE is WARL and 2 reserved: it keeps what it held. */
static uint64_t legal_envcfg(uint64_t old, uint64_t value)
{
    if ((value & RV_ENVCFG_CBIE) == UINT64_C(2) << 4)
        value = (value & ~RV_ENVCFG_CBIE) | (old & RV_ENVCFG_CBIE);
    return value;
}

static void write_senvcfg(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    uint64_t old = cpu->c.senvcfg;
    cpu->c.senvcfg = legal_envcfg(old, value & rv_senvcfg_mask(cpu));
    if ((old ^ cpu->c.senvcfg) & RV_ENVCFG_CBZE)
        cpu->run.view_dirty = 1;
}

static void write_menvcfg(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    uint64_t old = cpu->c.menvcfg;
    cpu->c.menvcfg = legal_envcfg(old, value & rv_menvcfg_mask(cpu));
    if ((old ^ cpu->c.menvcfg) & (RV_MENVCFG_ADUE | RV_MENVCFG_PBMTE))
        forget_translations(cpu);
    enables_written(cpu);
}

/* --- PMP ---------------------------------------------------------------------------------------- */

static uint64_t read_pmpcfg(struct rv_cpu *cpu, unsigned csr)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)cpu->c.pmpcfg[(csr - RV_CSR_PMPCFG0) * 4 + i] << (8 * i);
    return value;
}

static void write_pmpcfg(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    rv_pmpcfg_write(cpu, (csr - RV_CSR_PMPCFG0) * 4, value);
}

static uint64_t read_pmpaddr(struct rv_cpu *cpu, unsigned csr)
{
    return cpu->c.pmpaddr[csr - RV_CSR_PMPADDR0];
}

static void write_pmpaddr(struct rv_cpu *cpu, unsigned csr, uint64_t value)
{
    rv_pmpaddr_write(cpu, csr - RV_CSR_PMPADDR0, value);
}

/* --- triggers: Debug 1.0, 5.7.6 ----------------------------------------------------------------- */

static uint64_t read_tinfo(struct rv_cpu *cpu, unsigned csr)
{
    return 1; /* the one type supported: no trigger exists */
}

/* --- the table ---------------------------------------------------------------------------------- */

enum {
    ROW_NONE,
#define CSR(number, NAME, name, kind_, read_, write_, field, mask_) ROW_##NAME,
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
    ROW_COUNT
};

static const uint8_t row_of_csr[4096] = {
#define CSR(number, NAME, name, kind_, read_, write_, field, mask_) [number] = ROW_##NAME,
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
};

#define NOTHING x[0] /* reads as zero, as x0 does */

static const struct csr_row rows[ROW_COUNT] = {
#define CSR(number, NAME, name, kind_, read_, write_, field, mask_)                                \
    [ROW_##NAME] = {.mask = (mask_),                                                               \
                    .read = (read_),                                                               \
                    .write = (write_),                                                             \
                    .offset = offsetof(struct rv_cpu, field),                                      \
                    .kind = KIND_##kind_},
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
};

static const struct csr_row *csr_row(unsigned csr)
{
    unsigned row = row_of_csr[csr & 0xfff];
    if (!row && csr >= RV_CSR_PMPADDR0 && csr < RV_CSR_PMPADDR0 + RV_PMP_COUNT)
        row = ROW_PMPADDR0;
    if (!row && (csr & 0x1f) > 3)
        switch (csr & ~0x1fu) {
        case RV_CSR_CYCLE: row = ROW_HPMCOUNTER3; break;
        case RV_CSR_MCYCLE: row = ROW_MHPMCOUNTER3; break;
        case RV_CSR_MCOUNTINHIBIT: row = ROW_MHPMEVENT3; break;
        default: break;
        }
    return row ? &rows[row] : NULL;
}

static uint64_t *row_field(struct rv_cpu *cpu, const struct csr_row *row)
{
    return (uint64_t *)(void *)((uint8_t *)cpu + row->offset);
}

static bool kind_allows(const struct rv_cpu *cpu, const struct csr_row *row, unsigned csr)
{
    const struct rv_csrs *c = &cpu->c;
    switch (row->kind) {
    case KIND_FP: return (c->mstatus & RV_MSTATUS_FS) != 0;
    case KIND_COUNTER: {
        uint64_t bit = UINT64_C(1) << (csr & 0x1f);
        if (cpu->cfg.user || c->priv == RV_PRIV_M)
            return true;
        return c->mcounteren & bit && (c->priv == RV_PRIV_S || c->scounteren & bit);
    }
    case KIND_SSTC: /* Sstc 1.0: S-mode needs STCE and mcounteren.TM */
        if (!cpu->cfg.sstc)
            return false;
        return c->priv == RV_PRIV_M || (rv_stce(cpu) && c->mcounteren & 2);
    case KIND_SSCOFPMF: return cpu->cfg.sscofpmf;
    case KIND_SATP: return c->priv == RV_PRIV_M || !(c->mstatus & RV_MSTATUS_TVM);
    default: return true;
    }
}

/* The register's row if it exists and this access to it is legal (2.1). */
static const struct csr_row *csr_access(const struct rv_cpu *cpu, unsigned csr, bool write)
{
    const struct csr_row *row = csr > 0xfff ? NULL : csr_row(csr);
    if (!row || (csr >> 8 & 3) > cpu->c.priv || (write && csr >> 10 == 3))
        return NULL;
    return kind_allows(cpu, row, csr) ? row : NULL;
}

static void write_row(struct rv_cpu *cpu, const struct csr_row *row, unsigned csr, uint64_t value)
{
    if (row->write)
        row->write(cpu, csr, value);
    else if (row->mask)
        *row_field(cpu, row) = (*row_field(cpu, row) & ~row->mask) | (value & row->mask);
}

bool rv_csr_read(struct rv_cpu *cpu, unsigned csr, uint64_t *value)
{
    const struct csr_row *row = csr_access(cpu, csr, false);
    if (!row)
        return false;
    *value = row->read ? row->read(cpu, csr) : *row_field(cpu, row);
    return true;
}

bool rv_csr_write(struct rv_cpu *cpu, unsigned csr, uint64_t value, bool *flags_changed)
{
    const struct csr_row *row = csr_access(cpu, csr, true);
    if (!row)
        return false;
    uint32_t dirty = cpu->run.view_dirty;
    cpu->run.view_dirty = 0;
    write_row(cpu, row, csr, value);
    if (flags_changed)
        *flags_changed = cpu->run.view_dirty != 0;
    cpu->run.view_dirty |= dirty;
    return true;
}

/* What a debugger reads of a register changes nothing: not the clock, which never runs backwards once it
 * was read, and not a pending bit that follows from it. */
bool rv_csr_peek(void *opaque, uint16_t csr, uint64_t *value)
{
    struct rv_cpu *cpu = opaque;
    const struct csr_row *row = csr_row(csr);
    if (!row || csr == RV_CSR_TIME || (cpu->cfg.user && csr >> 8 & 3))
        return false;
    if (csr == RV_CSR_MIP || csr == RV_CSR_SIP)
        *value = rv_mip_seen(cpu) & (csr == RV_CSR_SIP ? cpu->c.mideleg : RV_ALL_BITS);
    else if (csr == RV_CSR_SCOUNTOVF)
        *value = rv_hpm_overflows(cpu);
    else
        *value = row->read ? row->read(cpu, csr) : *row_field(cpu, row);
    return true;
}

/* Counters and what stops them are set by an instruction that counts itself. */
static bool is_counting(unsigned csr)
{
    return (csr & ~0x1fu) == RV_CSR_MCYCLE || (csr & ~0x1fu) == RV_CSR_MCOUNTINHIBIT;
}

bool rv_csr_poke(void *opaque, uint16_t csr, uint64_t value)
{
    struct rv_cpu *cpu = opaque;
    const struct csr_row *row = csr_row(csr);
    if (!row || csr >> 10 == 3 || is_counting(csr) || (cpu->cfg.user && csr >> 8 & 3))
        return false;
    write_row(cpu, row, csr, value);
    return true;
}

bool rv_csr_allowed(const struct rv_cpu *cpu, unsigned csr, bool write)
{
    return csr_access(cpu, csr, write) != NULL;
}

static bool pmpcfg_legal(uint8_t cfg)
{
    return !(cfg & ~RV_PMP_LEGAL) && (cfg & (RV_PMP_R | RV_PMP_W)) != RV_PMP_W;
}

bool rv_csr_state_legal(const struct rv_cpu *cpu, const char **bad)
{
    static const char *const names[ROW_COUNT] = {
#define CSR(number, NAME, name, kind_, read_, write_, field, mask_) [ROW_##NAME] = #NAME,
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
    };
    const struct rv_csrs *c = &cpu->c;
    for (unsigned i = 1; i < ROW_COUNT; i++) {
        const uint8_t *at = (const uint8_t *)cpu + rows[i].offset;
        *bad = names[i];
        if (rows[i].mask && *(const uint64_t *)(const void *)at & ~rows[i].mask)
            return false;
    }
    *bad = "mstatus";
    if (c->mstatus & ~RV_MSTATUS_STORED ||
        (c->mstatus & RV_MSTATUS_MPP) == UINT64_C(2) << RV_MSTATUS_MPP_SHIFT)
        return false;
    *bad = "mideleg";
    if (c->mideleg & ~rv_mideleg_mask(cpu))
        return false;
    *bad = "mie";
    if (c->mie & ~(RV_MIE_MASK | rv_mideleg_mask(cpu)))
        return false;
    *bad = "mip";
    if (c->mip & ~rv_mideleg_mask(cpu))
        return false;
    *bad = "menvcfg";
    if (c->menvcfg & ~rv_menvcfg_mask(cpu) || legal_envcfg(0, c->menvcfg) != c->menvcfg)
        return false;
    *bad = "senvcfg";
    if (c->senvcfg & ~rv_senvcfg_mask(cpu) || legal_envcfg(0, c->senvcfg) != c->senvcfg)
        return false;
    *bad = "satp";
    if (!satp_supported(cpu, c->satp))
        return false;
    *bad = "pmp";
    for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
        if (!pmpcfg_legal(c->pmpcfg[i]) || c->pmpaddr[i] & ~RV_PMPADDR_MASK)
            return false;
    }
    return true;
}
