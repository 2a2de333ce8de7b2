/*
 * The RV64 vCPU. The integer registers come first, where generated code reaches them with short
 * displacements, then the engine's struct gw_vcpu (pc and fp flags live there), then the rest of
 * the architectural state, then what derives from it.
 *
 * Sources: RISC-V Unprivileged ISA 20240411, Privileged Architecture 1.13 (20240411).
 * Owned by the vCPU's thread; only mip_external, remote and time_offset are written by others,
 * atomically.
 */
#ifndef RV_CPU_H
#define RV_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/event.h"
#include "godwit/guest_isa.h"
#include "godwit/vcpu.h"

enum rv_priv { RV_PRIV_U = 0, RV_PRIV_S = 1, RV_PRIV_M = 3 };

enum { RV_PMP_COUNT = 16 };

/* Event counters that can count: mhpmcounter3 and those behind it. */
enum { RV_HPM_FIRST = 3, RV_HPM_COUNT = 4 };

/* Exception causes, Priv. 1.13 table 14. */
enum rv_cause {
    RV_CAUSE_FETCH_MISALIGNED = 0,
    RV_CAUSE_FETCH_ACCESS = 1,
    RV_CAUSE_ILLEGAL = 2,
    RV_CAUSE_BREAKPOINT = 3,
    RV_CAUSE_LOAD_MISALIGNED = 4,
    RV_CAUSE_LOAD_ACCESS = 5,
    RV_CAUSE_STORE_MISALIGNED = 6,
    RV_CAUSE_STORE_ACCESS = 7,
    RV_CAUSE_ECALL_U = 8,
    RV_CAUSE_ECALL_S = 9,
    RV_CAUSE_ECALL_M = 11,
    RV_CAUSE_FETCH_PAGE = 12,
    RV_CAUSE_LOAD_PAGE = 13,
    RV_CAUSE_STORE_PAGE = 15,
};

/* Interrupt bits of mip and mie. */
enum {
    RV_IRQ_SSI = 1,
    RV_IRQ_MSI = 3,
    RV_IRQ_STI = 5,
    RV_IRQ_MTI = 7,
    RV_IRQ_SEI = 9,
    RV_IRQ_MEI = 11,
    RV_IRQ_LCOFI = 13, /* Sscofpmf */
};

/* What others ask of a hart: done on its own thread, before it runs guest code again. */
enum {
    RV_REMOTE_SSI = 1,        /* raise the software interrupt of S mode */
    RV_REMOTE_STI = 2,        /* raise its timer interrupt */
    RV_REMOTE_FENCE = 4,      /* the fences in rv_cpu.fence */
    RV_REMOTE_FENCE_I = 8,    /* code may have changed */
    RV_REMOTE_TIME = 16,      /* time_offset is another */
    RV_REMOTE_FENCE_ALL = 32, /* forget all translations of addresses */
    RV_REMOTE_BUSY = 1 << 30, /* what was asked is being done */
    RV_REMOTE_FENCES = RV_REMOTE_FENCE | RV_REMOTE_FENCE_ALL | RV_REMOTE_FENCE_I,
};

/* Block key (tb_flags). frm is part of it, so rounding is static in the IR. */
enum {
    RV_TBF_PRIV = 3,     /* enum rv_priv */
    RV_TBF_FS_SHIFT = 2, /* 0 off, 1 on but not dirty, 2 dirty (writing needs no check) */
    RV_TBF_FS_MASK = 3 << 2,
    RV_TBF_FRM_SHIFT = 4,
    RV_TBF_FRM_MASK = 7 << 4,
    RV_TBF_USER = 1 << 7, /* user mode: no privileged state */
    RV_TBF_CBZE = 1 << 8, /* CBO.ZERO is allowed at this privilege */
};

/* Machine-level state; hart-local, saved in full. */
struct rv_csrs {
    uint64_t mstatus, medeleg, mideleg, mie, mip; /* mip: software-writable and latched bits */
    uint64_t mtvec, mepc, mcause, mtval, mscratch;
    uint64_t stvec, sepc, scause, stval, sscratch, satp;
    uint64_t stimecmp;
    uint64_t mcounteren, scounteren, mcountinhibit, menvcfg, senvcfg;
    uint64_t pmpaddr[RV_PMP_COUNT];
    uint8_t pmpcfg[RV_PMP_COUNT];
    uint64_t mcycle_offset, minstret_offset; /* added to the retired count */
    uint64_t mhpmevent[RV_HPM_COUNT];
    uint64_t mhpm_offset[RV_HPM_COUNT]; /* the value; of those that count, less the retired count */
    uint64_t mhartid;
    /* LR keeps the address and what it loaded; SC fails unless they match. Traps and xRET drop the
     * reservation. Whether other harts stored in between is run.reservation_broken: lift_a.c. */
    uint64_t reservation; /* virtual address of the LR, or RV_NO_RESERVATION */
    uint64_t reserved_value;
    uint64_t time_offset; /* ticks that time is ahead of the VM clock, modulo 2^64 */
    uint8_t priv;         /* enum rv_priv */
    uint8_t frm;          /* 0..7; 5..7 are invalid modes */
    uint8_t halted;       /* in WFI */
    uint8_t hpm_counting; /* a bit for each event counter that counts */
};
#define RV_NO_RESERVATION UINT64_MAX

/* Configuration: fixed at init, never saved as state of the CPU. */
struct rv_config {
    bool user, firmware;
    bool sv39, sv48, sv57;
    bool svadu, svnapot, svpbmt, sscofpmf;
    bool sstc;
    uint64_t ext;         /* RV_EXT_* of decode.h */
    uint64_t timebase_hz; /* of the time CSR: 10 MHz */
    struct gw_bus *bus;
    struct gw_events *events;
};

/* Follows from struct rv_csrs; rebuilt by rv_derive(). */
struct rv_derived {
    uint64_t pmp_name;                /* of what was written to all entries */
    uint64_t pmp_first[RV_PMP_COUNT]; /* first and last byte of each active entry */
    uint64_t pmp_last[RV_PMP_COUNT];
    uint64_t hpm_seen[RV_HPM_COUNT]; /* values when last looked at */
    bool hpm_active;                 /* some counter is set to an event */
    bool timer_due; /* time was seen to have reached stimecmp; false says nothing */
};

/* Translations of [vaddr, vaddr + size) may have changed: in one address space, or in all. */
struct rv_fence {
    uint64_t vaddr, size; /* bytes; a size of 0, or one that does not fit: of all addresses */
    uint64_t asid;
    bool asid_all; /* global ones too */
};
enum { RV_FENCES = 16 };

struct rv_cpu {
    uint64_t x[32]; /* x[0] is always 0 */
    struct gw_vcpu run;
    uint64_t f[32]; /* FLEN 64: F32 values are NaN-boxed */
    struct rv_csrs c;
    struct rv_config cfg;
    uint32_t mip_external; /* atomic: MSIP MTIP SEIP MEIP lines as driven from outside */
    uint32_t remote;       /* atomic: RV_REMOTE_* */
    uint64_t pmp_active;   /* derived: bit i: entry i matches some address */
    struct rv_derived d;
    uint32_t fences_asked, fences_done; /* atomic, modulo 2^32: of the ring behind them */
    struct rv_fence fence[RV_FENCES];   /* what RV_REMOTE_FENCE is about */
};

_Static_assert(offsetof(struct rv_cpu, run) == GW_VCPU_OFFSET, "run follows the registers");

extern const struct guest_isa rv_guest_isa;

/* --- csr.c (also as lift helpers) --------------------------------------------------------------- */
bool rv_csr_read(struct rv_cpu *cpu, unsigned csr, uint64_t *value); /* false: illegal */
bool rv_csr_write(struct rv_cpu *cpu, unsigned csr, uint64_t value, bool *flags_changed);
/* Of sstatus, which may be written. True: what blocks depend on, the view or what interrupts may have changed. */
bool rv_sstatus_write(struct rv_cpu *cpu, uint64_t value);
uint64_t rv_time(const struct rv_cpu *cpu); /* ticks of timebase_hz */
uint64_t rv_mip(const struct rv_cpu *cpu);  /* with external lines and Sstc's STIP */
/* The same without a look at the clock: STIP as it was seen last. */
uint64_t rv_mip_seen(const struct rv_cpu *cpu);

/* --- remote.c ----------------------------------------------------------------------------------- */
/* Any thread: asks the hart, and wakes it. bits: RV_REMOTE_* without a fence. */
void rv_remote_post(struct rv_cpu *cpu, uint32_t bits);
/* One thread at a time: asks for a fence. It is done when RV_REMOTE_FENCES are. */
void rv_remote_fence(struct rv_cpu *cpu, const struct rv_fence *f);
/* The hart's own thread: does it at once. */
void rv_fence(struct rv_cpu *cpu, const struct rv_fence *f);
/* The hart's own thread, or any while nothing of the guest runs: does what was asked. */
void rv_remote_look(struct rv_cpu *cpu);
bool rv_remote_posted(const struct rv_cpu *cpu);
/* Any thread: all that was asked of these bits has been done. */
bool rv_remote_done(const struct rv_cpu *cpu, uint32_t bits);

/* --- trap.c ------------------------------------------------------------------------------------- */
void rv_trap(struct rv_cpu *cpu, uint64_t cause, bool interrupt, uint64_t tval); /* from run.pc */
void rv_set_priv(struct rv_cpu *cpu, unsigned priv);

/* --- mmu.c -------------------------------------------------------------------------------------- */
bool rv_translate(void *cpu, uint64_t vaddr, unsigned size, enum gw_access access,
                  struct gw_xlate *out, struct gw_fault *fault);
void rv_view(const void *cpu, struct gw_view *out);
void rv_context(const void *cpu, uint64_t name[2]);
/* May the current privilege do this to [paddr, paddr+size)? whole_page: same for its whole page. */
bool rv_pmp_allows(const struct rv_cpu *cpu, uint64_t paddr, unsigned size, enum gw_access access,
                   unsigned priv, bool *whole_page);

/* --- helpers that lifted code calls (struct gw_helper table in helpers.c) ------------------------ */
enum rv_helper {
#define RV_HELPER(NAME, fn, args, flags) RV_HELPER_##NAME,
#include "frontend/riscv64/rv_helpers.inc"
#undef RV_HELPER
    RV_HELPER_COUNT
};

#endif
