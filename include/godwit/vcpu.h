/*
 * What generated code and the engine keep per vCPU beside the guest's architectural state. A guest
 * ISA's cpu struct starts with GW_VCPU_OFFSET bytes of its hottest registers (they get the short
 * displacements), followed by this struct:
 *
 *     struct rv_cpu { uint64_t x[32]; struct gw_vcpu run; ... };
 *
 * Derived data: never saved, except that pc and fp_flags stand in the guest's state table, and the
 * counts of instructions in the engine's.
 * Owned by the vCPU thread; attention is atomic and may be set by any thread.
 */
#ifndef GODWIT_VCPU_H
#define GODWIT_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_VCPU_OFFSET     256
#define GW_VCPU_HOST_BYTES 624
#define GW_JC_BITS         13 /* log2 entries of a jump cache */
#define GW_SITES           16 /* lookups that accesses of one block share */

/* Why a helper asks to leave the block; 0: it does not. The instruction has not retired, and pc is
 * where execution goes on (for SYSCALL and HCALL: the calling instruction itself). */
enum gw_leave {
    GW_LEAVE_NONE = 0,
    GW_LEAVE_TRAP,    /* the helper or the slow path entered a guest trap handler: pc is set */
    GW_LEAVE_SYSCALL, /* user mode: system call for usermode/ */
    GW_LEAVE_HCALL,   /* machine: call into built-in firmware (SBI) for machine/ */
    GW_LEAVE_AGAIN,   /* the engine has something to do first; then the same instruction */
    GW_LEAVE_FAULT,   /* user mode: run.fault describes a synchronous fault (signal) */
};

enum gw_access { GW_ACCESS_LOAD, GW_ACCESS_STORE, GW_ACCESS_FETCH };

/* A guest memory fault, in the guest ISA's own cause numbering. */
struct gw_fault {
    uint64_t vaddr; /* faulting address: for page crossers, the first byte on the faulting page */
    uint32_t cause;
    uint8_t access; /* enum gw_access */
};

struct gw_jump_entry {
    uint64_t pc; /* guest virtual address; ~0 when empty (never a valid, aligned pc) */
    void *code;  /* host entry point; of code that runs anywhere: its door (host_backend.door) */
};

struct gw_hooks;

/* A value on its way between generated code and C: an integer, or a float's bits, is in lo (what lies
 * above 32 bits of a single may be anything); a vector of 16 bytes has all of it. */
struct gw_slot {
    _Alignas(16) uint64_t lo;
    uint64_t hi;
};

struct gw_vcpu {
    uint64_t pc;
    /* Instructions left in this quantum; the register's home. A block's length is taken off at its
     * entry. In a machine this is state, and IR that skips some of its instructions adds them. */
    int64_t budget;
    uint32_t leave;     /* enum gw_leave */
    uint32_t fp_flags;  /* IR_FP_*, accumulated; complete at safe points */
    uint32_t attention; /* atomic: look at events and interrupts soon */
    /* What the host's FP unit is told while guest code runs, in the backend's encoding
     * (host_backend.fp_control), and the same without traps. */
    uint32_t fp_control;
    uint32_t fp_control_quiet;
    uint32_t view_dirty; /* translation or protection state changed: derive flags and maps anew */
    /* memory access: flat maps (machine), base (user), or tagged TLB */
    void *map_read;
    void *map_write;
    /* Another view's maps, which data accesses go by when view_bits of guest_isa.view_word change and nothing
     * else does; then these are those that they went by before. view_bits: ~0 where none is known. */
    void *other_read;
    void *other_write;
    uint64_t view_bits;
    uint64_t guest_base;
    void *tlb_read;
    void *tlb_write;
    struct gw_jump_entry *jump_cache;
    /* Guest address of the page that the running block starts on. Code that runs at any address (see
     * ir_block.anywhere) goes by it, and keeps it; in other code it may be anything. */
    uint64_t page;
    uint32_t gen_global; /* generations of mappings, compared by cross-page links */
    uint32_t gen_space;
    /* slow path and exits */
    uint64_t slow_addr;
    uint64_t slow_value;
    uint64_t slow_ra;    /* host return address: finds the row of the access */
    uint64_t exit_link;  /* number of the direct branch that was not linked */
    uint64_t exit_row;   /* interpreter: index of the guest instruction that may leave the block */
    uint64_t insns_base; /* retired instructions = insns_base - budget, at safe points */
    void *engine;
    const struct gw_hooks *hooks;
    struct gw_fault fault; /* with GW_LEAVE_FAULT */
    uint64_t fault_pc;
    /* FP flags by trap (docs/performance.md). While fp_trap is set, fp_control lets an exception
     * trap unless its flag is in fp_flags already, so that fp_flags is complete at any moment. */
    uint32_t fp_trap;
    uint32_t reservation_broken; /* atomic: the vCPU's reservation fell to somebody's store */
    /* Nobody else writes to the guest's memory while this vCPU runs: its atomics need not be the host's.
     * Of no meaning where vCPUs share memory. The vCPU's thread. */
    uint32_t alone;
    uint32_t fp_on;       /* code of now may touch FP state: the variant of thunks that it has */
    uint64_t fp_gathers;  /* times that generated code read the host's flags */
    uint64_t other_insns; /* where vCPUs take turns: what the machine's others retired */
    struct gw_slot operand[4]; /* of helpers and of ir_eval; [0] is ir_eval's result */
    /* Addends (host - guest) that accesses of the running block share, 0 where each is on its own. A
     * slow path empties them all. */
    uint64_t site[GW_SITES];
    /* The backend's own: spilled values, registers that a thunk puts by. It lays a struct over this
     * and asserts that it fits; nobody else looks at it. */
    _Alignas(16) uint8_t host[GW_VCPU_HOST_BYTES];
};
_Static_assert(sizeof(struct gw_vcpu) % 16 == 0 && GW_VCPU_OFFSET % 16 == 0, "slots are aligned");

static inline struct gw_vcpu *gw_run(void *cpu)
{
    return (struct gw_vcpu *)(void *)((uint8_t *)cpu + GW_VCPU_OFFSET);
}

enum { GW_FLUSH_TABLES = 2 };

/* What a frontend tells whoever holds derived data. Filled in by the engine; vCPU thread. */
struct gw_hooks {
    /* Translations of vaddr's page (all pages: vaddr_all) of address space asid (all: asid_all)
     * may have changed. Global translations survive when asid is given. GW_FLUSH_TABLES as vaddr_all: by
     * what is in page tables alone, so who asks them again knows (guest_isa.refetch); of one page it always
     * is so. False: what is fetched from now on is what it was, and a block may go on behind it. */
    bool (*flush)(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all);
    /* What data accesses see has changed with these bits of guest_isa.view_word, and nothing else that
     * run.view_dirty stands for: they go by it from now on, so the helper has GW_HELPER_MAPS. NULL: user
     * mode. */
    void (*data_view)(void *cpu, uint64_t bits);
    /* User mode: does the system call that the registers ask for. False: leave with GW_LEAVE_SYSCALL. */
    bool (*syscall)(void *cpu);
    /* Guest code may have changed (FENCE.I). */
    void (*fence_i)(void *cpu);
    /* An LR of RAM that no pair takes care of: from now on, until reservation_broken is
     * set, nobody else has stored there. False: leave with GW_LEAVE_AGAIN. NULL: user mode. */
    bool (*reserve)(void *cpu, uint64_t paddr);
    /* The host's address of what loads and stores there reach inline, all of the page with it, as was found
     * out before; NULL: not known. What is stored so is nobody else's concern. NULL: user mode. */
    void *(*inline_store)(void *cpu, uint64_t vaddr);
    /* A helper is about to store to RAM by itself, within a page: code there becomes stale, the page is
     * dirty, others' reservations break. True: nobody else can have any there until end_store, which is to
     * follow the store at once. NULL: user mode. */
    bool (*begin_store)(void *cpu, uint64_t paddr, unsigned size);
    void (*end_store)(void *cpu);
    /* Its SC: stores if reservation_broken is clear and `expected` is there. True: it has. */
    bool (*store_reserved)(void *cpu, uint64_t paddr, unsigned size, uint64_t expected,
                           uint64_t value);
};

/* Exact at safe points. While a block runs, all of it counts, for its length was taken off the budget
 * at its entry: then it is exact in an instruction that is a block of its own alone. */
static inline uint64_t gw_retired(const struct gw_vcpu *run)
{
    return run->insns_base - (uint64_t)run->budget;
}

/* The others' count went on while this vCPU waited for its turn. */
static inline void gw_others_retired(struct gw_vcpu *run, uint64_t insns)
{
    run->other_insns += insns;
}

/* What the time of a machine is made of whose vCPUs take turns; exact as gw_retired() is. */
static inline uint64_t gw_retired_by_all(const struct gw_vcpu *run)
{
    return gw_retired(run) + run->other_insns;
}

#endif
