/*
 * What a guest instruction set exports: one const struct guest_isa. The engine, the machine and
 * user mode know a guest by this alone.
 */
#ifndef GODWIT_GUEST_ISA_H
#define GODWIT_GUEST_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/bus.h"
#include "godwit/ir.h"
#include "godwit/state.h"
#include "godwit/vcpu.h"

/* Arguments and result are 64-bit integers. cpu is the guest's cpu struct. */
typedef uint64_t gw_helper_fn(void *cpu, uint64_t a, uint64_t b, uint64_t c);

enum {
    GW_HELPER_READS = 1,  /* reads guest registers: state must be in memory */
    GW_HELPER_WRITES = 2, /* writes guest registers: cached copies are stale afterwards */
    GW_HELPER_LEAVES = 4, /* may set run.leave: checked after the call */
    GW_HELPER_PC = 8,     /* wants run.pc to be the current instruction's address */
    GW_HELPER_FP = 16,    /* reads or writes fp flags or rounding: run.fp_flags is complete on
                             entry, and taken from there on return */
    GW_HELPER_MAPS =
        32, /* may have accesses go by other page maps (gw_hooks.data_view). Its argument is what
                             guest_isa.view_word is to be, of view_mask; where just run.view_bits of
                             it change, generated code may write it and exchange the maps by
                             itself, with 0 as the result. Where that is not 0, the block is left
                             to the second argument, which generated code may do at once */
    GW_HELPER_ENDS =
        64, /* the block is left right behind the call, to the address that is its result */
};

struct gw_helper {
    const char *name;
    gw_helper_fn *fn;
    uint32_t flags;
    uint8_t args; /* 0..3 */
};

/* What the engine asks of lift. Code bytes are fetched by the engine: code[0 .. code_size) are the
 * bytes at block->pc (code_size 2..: up to the end of the page; as much of the next page as the first
 * instruction takes, or the group that it begins if that page can be fetched). */
struct gw_lift_request {
    const void *cpu;        /* read configuration only (extensions): never dynamic state */
    struct ir_block *block; /* begun: pc and flags are set */
    const uint8_t *code;
    uint32_t code_size;
    uint32_t page_left; /* bytes of code before the page border; an instruction may straddle it, but
                             none may start beyond it, unless it is of a group that begins the block */
    uint32_t max_guest; /* most guest instructions, >= 1 */
    uint32_t unroll;    /* most copies of a loop that is the whole block; 0 and 1: itself alone */
    uint32_t trace;     /* most not-taken branches to run through; 0: end at the first branch */
};

/* Lift's result, beside the block. */
enum gw_lift_status {
    GW_LIFT_OK,
    GW_LIFT_NEED_PAGE, /* the first instruction straddles into a page that was not supplied: the
                          engine raises the fetch fault of the second page */
};

struct gw_xlate {
    uint64_t paddr;  /* of the byte at vaddr */
    uint8_t perms;   /* 1 << enum gw_access: what this view may do on the whole page */
    bool global;     /* same in every address space */
    bool whole_page; /* perms and mapping hold for the whole 4 KiB page: may be cached */
    uint8_t shift;   /* a flush of any page of these 2^shift bytes means all; 0: just the page */
};

/* The address space and view that data accesses and fetches use now. */
struct gw_view {
    uint64_t data_key;  /* equal keys see equal data translations and permissions until a flush */
    uint64_t fetch_key; /* the same for fetches */
    uint64_t asid;      /* what flush's asid names */
    uint64_t rights;    /* names all that fetches depend on beside tables and keys, and that another CPU
                           may have otherwise; a flush of all comes with each change. Not 0, but where
                           there is nothing of the kind */
    uint8_t vaddr_bits; /* significant bits; the rest must equal the top one, unless bare */
    bool bare;          /* no translation: vaddr is paddr */
    uint8_t data_class; /* 1..4: data views that see the same global translations in the upper half
                           of the address range, in every address space; 0: shares nothing */
    bool kernel;        /* code here is expected in global pages: what derives from those (jump
                           caches) is shared between address spaces */
};

/* A register as a debugger knows it: a field of the state table, or one that the guest knows by number,
 * where reading or writing means more than its bits. */
enum gw_reg_group { GW_REG_GENERAL, GW_REG_FLOAT, GW_REG_SYSTEM };
struct gw_reg {
    const char *name; /* as gdb has it: "a0" */
    uint8_t size_bytes;
    uint8_t group;     /* enum gw_reg_group */
    uint16_t number;   /* element of the field, or the guest's own number */
    const char *field; /* of guest_isa.state; NULL: guest_isa.reg_get and reg_set */
};

struct gw_cpu_config {
    const char *model;   /* "rv64", "max" */
    const char *options; /* "EXT=on,EXT=off" or NULL */
    bool user;           /* one program: no privileged state, ECALL leaves with SYSCALL */
    bool firmware;       /* built-in firmware: ECALL from S leaves with HCALL */
    uint64_t hart;
    struct gw_bus *bus;       /* NULL in user mode */
    struct gw_events *events; /* the VM's clock; NULL in user mode */
};

struct guest_isa {
    const char *name; /* "riscv64" */
    uint16_t elf_machine;
    uint8_t insn_align; /* bytes: 2 for RV64GC */
    uint8_t max_insn_bytes;
    /* Bytes of the instruction that starts with first[0..insn_align). NULL: instructions are aligned
     * to their size, and none straddles two pages. */
    unsigned (*insn_bytes)(const uint8_t *first);
    /* A group: instructions that a block may hold together even where a page ends among them, if it starts
     * with the first. Bytes of a group that may start with first[0..max_insn_bytes), or 0; at most
     * max_group_bytes, which is 64 or less. NULL: there are none. Machines only. */
    unsigned (*group_bytes)(const uint8_t *first);
    uint8_t max_group_bytes;
    size_t cpu_size; /* bytes, aligned to 64 by the allocator */
    const struct state_desc *state;
    enum gw_memory_model model;
    const struct gw_helper *helpers;
    uint32_t helper_count;
    /* State offsets of 64-bit integer and float registers, hottest first: backends keep as many in
     * host registers as they can, so IR may access them in one way alone. An integer one is read and
     * written as 8 bytes, I64, at its own offset; a float one as F64, at its own offset (what is
     * narrower is boxed, bits are moved by FBITS and BITSF). Offsets are multiples of 8, no two
     * overlap, and those of hot_gprs lie below GW_VCPU_OFFSET. Helpers see them in memory if their
     * flags say so. ir_verify_for checks what IR does. */
    const uint16_t *hot_gprs;
    uint32_t hot_gpr_count;
    const uint16_t *hot_fprs;
    uint32_t hot_fpr_count;

    /* For debuggers: see godwit/debug.h. While the CPU does not run. */
    const struct gw_reg *regs;
    uint32_t reg_count;
    /* Registers without a field. False: the CPU has none of that number, or can't hold the value; what it
     * makes of a value is as the guest's own write would have it. */
    bool (*reg_get)(void *cpu, uint16_t number, uint64_t *value);
    bool (*reg_set)(void *cpu, uint16_t number, uint64_t value);
    /* Physical address of the byte that code at vaddr's privilege and address space sees there now, whatever
     * it may do with it; nothing changes. False: nothing is there. NULL: user mode only. */
    bool (*probe)(const void *cpu, uint64_t vaddr, uint64_t *paddr);

    enum gw_status (*init)(void *cpu, const struct gw_cpu_config *cfg, struct gw_error *err);
    void (*reset)(void *cpu);
    /* Everything dynamic that a translation depends on, beside pc and bytes. */
    uint32_t (*tb_flags)(const void *cpu);
    /* Rounding that the host's FP unit has while code under these flags runs (enum ir_round;
     * RMM and invalid modes give RNE); IR_FP_OFF when such code can't touch the FP state. */
    unsigned (*fp_round)(uint32_t tb_flags);
    /* IR_FPM_* of code under these flags; NULL: IR_FPM_RISCV always. */
    unsigned (*fp_model)(uint32_t tb_flags);
    /* In a machine: does code under these flags run in address spaces that come and go, where one page is
     * found at many addresses? Then its blocks may run anywhere (ir_block.anywhere). NULL: none does. */
    bool (*anywhere)(uint32_t tb_flags);
    enum gw_lift_status (*lift)(const struct gw_lift_request *rq);
    size_t (*disasm)(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                     unsigned *len);

    /* Machine mode; NULL where a guest has user mode only. */
    void (*view)(const void *cpu, struct gw_view *out);
    uint32_t view_word; /* offset of 8 bytes of state with bits that data views depend on */
    uint64_t view_mask; /* what helpers with GW_HELPER_MAPS may change there; 0: there are none */
    /* Names all that tb_flags, and what follows from them, and view depend on: equal names, equal answers. NULL:
     * they are asked each time. */
    void (*context)(const void *cpu, uint64_t name[2]);
    /* Translates one access of size bytes that stays within a page. False: *fault is filled in.
     * For accesses that the guest makes: may set accessed and dirty bits in its page tables. */
    bool (*translate)(void *cpu, uint64_t vaddr, unsigned size, enum gw_access access,
                      struct gw_xlate *out, struct gw_fault *fault);
    /* What a fetch at vaddr would find now in the address space and view fetch_key, or by the kernel; changes
     * nothing. False: it faults, or other page tables than the CPU's are asked about. out NULL: are they the
     * CPU's? NULL: never known. */
    bool (*refetch)(const void *cpu, uint64_t fetch_key, bool kernel, uint64_t vaddr,
                    struct gw_xlate *out);
    /* Access faults of the bus after a successful translation. */
    void (*bus_fault)(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault);
    /* Misaligned atomic: fills in the fault (address-misaligned or access fault). */
    void (*misaligned)(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault);
    /* Enters the guest's handler for the fault; run.pc holds the faulting instruction's address. */
    void (*raise)(void *cpu, const struct gw_fault *fault);
    /* Takes a pending, enabled interrupt if there is one (sets pc): true if taken. clock: the CPU's own
     * timer may have become due since the last look. */
    bool (*interrupt)(void *cpu, bool clock);
    /* True while the CPU waits (WFI) and nothing that would wake it is pending. */
    bool (*waiting)(void *cpu);
    /* Neither of these two, without the clock, would do anything. It may say so of fewer. NULL: they are asked. */
    bool (*quiet)(const void *cpu);
    /* Next VM time in ns at which the CPU itself wants attention (Sstc); UINT64_MAX: none. */
    uint64_t (*deadline)(void *cpu);
};

#endif
