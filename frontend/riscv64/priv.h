/*
 * The privileged side of the RV64 vCPU: what isa.c exports to the engine (the meaning of each is
 * that of the member of struct guest_isa with its name), what machine/ calls, and what csr.c,
 * trap.c, mmu.c and pmp.c share. Called by the vCPU's own thread, but for rv_irq_line.
 */
#ifndef RV_PRIV_H
#define RV_PRIV_H

#include "frontend/riscv64/rv_cpu.h"

/* --- for isa.c ---------------------------------------------------------------------------------- */
extern const struct state_desc rv_state_desc;

/* Zeroes all of *cpu first: whatever the engine keeps in run is filled in afterwards. */
enum gw_status rv_init(void *cpu, const struct gw_cpu_config *cfg, struct gw_error *err);
/* Architectural state only; mhartid and the clock's offset stay. pc is the reset vector of virt-1. */
void rv_reset(void *cpu);

/* Sets run.leave: GW_LEAVE_TRAP, in user mode GW_LEAVE_FAULT with run.fault and run.fault_pc. */
void rv_raise(void *cpu, const struct gw_fault *fault);
bool rv_interrupt(void *cpu, bool clock);
bool rv_waiting(void *cpu);
bool rv_quiet(const void *cpu);
/* UINT64_MAX too once stimecmp was seen to be reached: the interrupt is pending from then on. */
uint64_t rv_deadline(void *cpu);
void rv_bus_fault(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault);
void rv_misaligned(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault);

/* For debuggers: regs.c, whose numbers are those of CSRs. */
enum {
    RV_REG_COUNT = 33 + 32 + 1 + 21 /* beside the CSRs' rows */
#define CSR(number, NAME, name, kind, read, write, field, mask) +1
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
};
extern const struct gw_reg rv_regs[RV_REG_COUNT];
bool rv_csr_peek(void *cpu, uint16_t csr, uint64_t *value);
bool rv_csr_poke(void *cpu, uint16_t csr, uint64_t value);
bool rv_probe(const void *cpu, uint64_t vaddr, uint64_t *paddr);
/* As guest_isa.refetch. */
bool rv_refetch(const void *cpu, uint64_t fetch_key, bool kernel, uint64_t vaddr,
                struct gw_xlate *out);

/* The functions behind rv_helpers.inc. */
#define RV_HELPER(NAME, fn, args, flags) uint64_t fn(void *cpu, uint64_t a, uint64_t b, uint64_t c);
#include "frontend/riscv64/rv_helpers.inc"
#undef RV_HELPER

/* --- for machine/ ------------------------------------------------------------------------------- */
/* An interrupt line from outside, of the form that struct gw_irq wants: receiver is the rv_cpu, line
 * one of RV_IRQ_MSI, MTI, SEI, MEI. Any thread. */
void rv_irq_line(void *receiver, unsigned line, int level);
/* The time CSR is ahead of VM time by offset_ticks from now on, modulo 2^64. vCPU thread. */
void rv_move_time(void *cpu, uint64_t offset_ticks);
/* The same from any thread. */
void rv_remote_move_time(void *cpu, uint64_t offset_ticks);
/* Leaves the CPU, just reset, as M-mode firmware hands it to an S-mode kernel: all that S-mode can
 * handle is delegated, counters and cache-block operations are allowed, PMP grants all memory. */
void rv_boot_supervisor(struct rv_cpu *cpu, uint64_t pc, uint64_t dtb_paddr);
/* "rv64imafdc_zicbom_...", and the same as strings that each end in 0 (riscv,isa-extensions of the
 * device tree). Both write at most size bytes and return the bytes that the whole needs, the final
 * 0 included. */
size_t rv_isa_string(const struct rv_cpu *cpu, char *buf, size_t size);
size_t rv_isa_list(const struct rv_cpu *cpu, char *buf, size_t size);

enum { RV_TIMEBASE_HZ = 10000000, RV_NS_PER_TICK = 100, RV_CBO_BYTES = 64 };

/* --- mstatus, Priv. 1.13, 3.1.6 ----------------------------------------------------------------- */
#define RV_MSTATUS_SIE       (UINT64_C(1) << 1)
#define RV_MSTATUS_MIE       (UINT64_C(1) << 3)
#define RV_MSTATUS_SPIE      (UINT64_C(1) << 5)
#define RV_MSTATUS_MPIE      (UINT64_C(1) << 7)
#define RV_MSTATUS_SPP       (UINT64_C(1) << 8)
#define RV_MSTATUS_MPP_SHIFT 11
#define RV_MSTATUS_MPP       (UINT64_C(3) << RV_MSTATUS_MPP_SHIFT)
#define RV_MSTATUS_FS_SHIFT  13
#define RV_MSTATUS_FS        (UINT64_C(3) << RV_MSTATUS_FS_SHIFT)
#define RV_MSTATUS_MPRV      (UINT64_C(1) << 17)
#define RV_MSTATUS_SUM       (UINT64_C(1) << 18)
#define RV_MSTATUS_MXR       (UINT64_C(1) << 19)
#define RV_MSTATUS_TVM       (UINT64_C(1) << 20)
#define RV_MSTATUS_TW        (UINT64_C(1) << 21)
#define RV_MSTATUS_TSR       (UINT64_C(1) << 22)
#define RV_MSTATUS_UXL_64    (UINT64_C(2) << 32)
#define RV_MSTATUS_SXL_64    (UINT64_C(2) << 34)
#define RV_MSTATUS_SD        (UINT64_C(1) << 63)

/* What c.mstatus holds; SD, UXL and SXL are added on reading. UBE, SBE, MBE, VS and XS are 0. */
#define RV_MSTATUS_STORED                                                                          \
    (RV_MSTATUS_SIE | RV_MSTATUS_MIE | RV_MSTATUS_SPIE | RV_MSTATUS_MPIE | RV_MSTATUS_SPP |        \
     RV_MSTATUS_MPP | RV_MSTATUS_FS | RV_MSTATUS_MPRV | RV_MSTATUS_SUM | RV_MSTATUS_MXR |          \
     RV_MSTATUS_TVM | RV_MSTATUS_TW | RV_MSTATUS_TSR)
#define RV_SSTATUS_STORED                                                                          \
    (RV_MSTATUS_SIE | RV_MSTATUS_SPIE | RV_MSTATUS_SPP | RV_MSTATUS_FS | RV_MSTATUS_SUM |          \
     RV_MSTATUS_MXR)

/* --- other registers' fields -------------------------------------------------------------------- */
#define RV_IRQ_BIT(n) (UINT64_C(1) << (n))
#define RV_HPM_OF     (UINT64_C(1) << 63) /* mhpmevent, Sscofpmf */
#define RV_HPM_MINH   (UINT64_C(1) << 62)
#define RV_HPM_SINH   (UINT64_C(1) << 61)
#define RV_HPM_UINH   (UINT64_C(1) << 60)
#define RV_HPM_BITS   (((UINT64_C(1) << RV_HPM_COUNT) - 1) << RV_HPM_FIRST)
#define RV_MIE_MASK                                                                                \
    (RV_IRQ_BIT(RV_IRQ_SSI) | RV_IRQ_BIT(RV_IRQ_MSI) | RV_IRQ_BIT(RV_IRQ_STI) |                    \
     RV_IRQ_BIT(RV_IRQ_MTI) | RV_IRQ_BIT(RV_IRQ_SEI) | RV_IRQ_BIT(RV_IRQ_MEI))
/* mideleg's mask, and what M-mode software may set in mip: the supervisor's interrupts. */
#define RV_MIDELEG_MASK    (RV_IRQ_BIT(RV_IRQ_SSI) | RV_IRQ_BIT(RV_IRQ_STI) | RV_IRQ_BIT(RV_IRQ_SEI))
#define RV_MEDELEG_MASK    UINT64_C(0xb3ff) /* not ECALL from M, nor what is reserved */
#define RV_TVEC_MASK       (~UINT64_C(2))   /* modes: direct and vectored */
#define RV_EPC_MASK        (~UINT64_C(1))
#define RV_COUNTEREN_MASK  UINT64_C(0xffffffff)
#define RV_INHIBIT_CY      UINT64_C(1)
#define RV_INHIBIT_IR      UINT64_C(4)
#define RV_INHIBIT_MASK    (RV_INHIBIT_CY | RV_INHIBIT_IR)
#define RV_INHIBIT_ALL     (RV_INHIBIT_MASK | RV_HPM_BITS)
#define RV_ALL_BITS        UINT64_MAX
#define RV_PMPADDR_MASK    ((UINT64_C(1) << 54) - 1)
#define RV_ENVCFG_FIOM     UINT64_C(1)
#define RV_ENVCFG_CBIE     (UINT64_C(3) << 4)
#define RV_ENVCFG_CBCFE    (UINT64_C(1) << 6)
#define RV_ENVCFG_CBZE     (UINT64_C(1) << 7)
#define RV_MENVCFG_ADUE    (UINT64_C(1) << 61)
#define RV_MENVCFG_PBMTE   (UINT64_C(1) << 62)
#define RV_MENVCFG_STCE    (UINT64_C(1) << 63)
#define RV_CAUSE_INTERRUPT (UINT64_C(1) << 63)
#define RV_PADDR_BITS      56

enum {
    RV_SATP_BARE = 0,
    RV_SATP_SV39 = 8,
    RV_SATP_SV48 = 9,
    RV_SATP_SV57 = 10,
    RV_SATP_MODE_SHIFT = 60
};

enum {
    RV_PMP_R = 1,
    RV_PMP_W = 2,
    RV_PMP_X = 4,
    RV_PMP_A = 3 << 3,
    RV_PMP_TOR = 1 << 3,
    RV_PMP_NA4 = 2 << 3,
    RV_PMP_NAPOT = 3 << 3,
    RV_PMP_L = 1 << 7,
    RV_PMP_LEGAL = 0x9f,
};

/* --- shared among this side's files ------------------------------------------------------------- */
enum {
#define CSR(number, NAME, name, kind, read, write, field, mask) RV_CSR_##NAME = (number),
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
};

/* Stores mstatus (bits of RV_MSTATUS_STORED) and tells the engine what follows from the change. */
void rv_set_mstatus(struct rv_cpu *cpu, uint64_t value);
/* Asks the engine to look for interrupts if one that is enabled in mie is known to be pending. */
void rv_recheck_irq(struct rv_cpu *cpu);
/* Rebuilds everything derived. */
void rv_derive(struct rv_cpu *cpu);
void rv_derive_timer(struct rv_cpu *cpu);
void rv_pmp_derive(struct rv_cpu *cpu);
void rv_pmpcfg_write(struct rv_cpu *cpu, unsigned first_entry, uint64_t value);
void rv_pmpaddr_write(struct rv_cpu *cpu, unsigned entry, uint64_t value);
/* What priv may do to [paddr, paddr+size): 1 << enum gw_access. See rv_pmp_allows. */
unsigned rv_pmp_perms(const struct rv_cpu *cpu, uint64_t paddr, unsigned size, unsigned priv,
                      bool *whole_page);
/* Privilege of loads and stores: MPRV puts MPP's in force. */
unsigned rv_data_priv(const struct rv_cpu *cpu);
/* Switches the extensions of a model on, all others off. NULL: rv64. */
enum gw_status rv_set_model(struct rv_config *cfg, const char *model, struct gw_error *err);
/* "NAME=on,NAME=off". */
enum gw_status rv_set_options(struct rv_config *cfg, const char *options, struct gw_error *err);
uint64_t rv_menvcfg_mask(const struct rv_cpu *cpu);
uint64_t rv_senvcfg_mask(const struct rv_cpu *cpu);
/* Would a read, or write, of csr be legal now? */
bool rv_csr_allowed(const struct rv_cpu *cpu, unsigned csr, bool write);
/* Do the registers hold what a write could have left there? *bad names the first that does not. */
bool rv_csr_state_legal(const struct rv_cpu *cpu, const char **bad);
/* Raises illegal instruction with the instruction as tval and asks to leave. Returns 0. */
uint64_t rv_raise_illegal(struct rv_cpu *cpu, uint64_t raw);

/* At a 16-byte boundary, sequentially consistent: if expected is there, stores value. Expected becomes
 * what was there. */
void rv_cas128(void *at, uint64_t expected[2], const uint64_t value[2]);

/* hpm.c: event counter i, from 0. in_insn: 1 when an instruction does it, which does not count what
 * it starts and is counted by what it stops; 0 between instructions. */
uint64_t rv_hpm_read(const struct rv_cpu *cpu, unsigned i);
void rv_hpm_write(struct rv_cpu *cpu, unsigned i, uint64_t value, unsigned in_insn);
void rv_hpm_event_write(struct rv_cpu *cpu, unsigned i, uint64_t event, unsigned in_insn);
void rv_hpm_inhibit(struct rv_cpu *cpu, uint64_t inhibit,
                    unsigned in_insn); /* bits of mcountinhibit */
/* Between instructions: follows the privilege, and finds overflows. */
void rv_hpm_look(struct rv_cpu *cpu);
uint64_t rv_hpm_overflows(const struct rv_cpu *cpu); /* scountovf */
void rv_hpm_derive(struct rv_cpu *cpu);
bool rv_hpm_legal(const struct rv_cpu *cpu);

/* Interrupts that can be delegated, the supervisor's own and that of counters. */
static inline uint64_t rv_mideleg_mask(const struct rv_cpu *cpu)
{
    return RV_MIDELEG_MASK | (cpu->cfg.sscofpmf ? RV_IRQ_BIT(RV_IRQ_LCOFI) : 0);
}

static inline bool rv_has(const struct rv_cpu *cpu, uint64_t ext)
{
    return (cpu->cfg.ext & ext) == ext;
}

/* Does each level above the present one allow it? bits: of RV_ENVCFG_* (Priv. 1.13, 3.1.18). */
static inline bool rv_envcfg_allows(const struct rv_cpu *cpu, uint64_t bits)
{
    if (cpu->c.priv != RV_PRIV_M && !(cpu->c.menvcfg & bits))
        return false;
    return cpu->c.priv != RV_PRIV_U || cpu->c.senvcfg & bits;
}
static inline bool rv_stce(const struct rv_cpu *cpu)
{
    return (cpu->c.menvcfg & RV_MENVCFG_STCE) != 0;
}

#endif
