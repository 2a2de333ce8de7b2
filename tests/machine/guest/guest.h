/*
 * What the self-checking programs share. They run bare, from M mode, on any virt board of QEMU's
 * layout. A program defines guest_main(); a check that fails prints its line and both values on the
 * serial port, and ends the machine with the line number as its code through the test device.
 *
 * Code under test is in snippets (SNIPPET) that ctx_run() enters in any mode, and that come back by
 * the trap which they are about, or by ecall.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offsets.h"

enum { PRIV_U = 0, PRIV_S = 1, PRIV_M = 3 };

struct ctx {
    uint64_t x[32];
    uint64_t pc, mode;
    uint64_t set, clear; /* bits of mstatus, before entry */
    uint64_t cause, epc, tval, status;
    uint64_t home[3]; /* sp, gp and tp of whoever called ctx_run() */
};

void guest_main(void);
void guest_start(void);
void ctx_run(struct ctx *c);
void ctx_trap(void);
void guest_stray_trap(uint64_t cause, uint64_t epc, uint64_t tval);

/* ---- results ----------------------------------------------------------------------------------- */

void guest_pass(void) __attribute__((noreturn));
void guest_fail(int line, const char *what, uint64_t got, uint64_t want) __attribute__((noreturn));
/* QEMU has a marchid, we have none. Only for where QEMU departs from the manual. */
bool guest_on_peer(void);
void guest_note(const char *name, uint64_t value); /* shown when a check fails later; hart 0 only */
void guest_print(const char *what, uint64_t count, uint64_t of); /* a line on the serial port */

#define CHECK_EQ(got, want)                                                                        \
    do {                                                                                           \
        uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want);                                 \
        if (got_ != want_)                                                                         \
            guest_fail(__LINE__, #got, got_, want_);                                               \
    } while (0)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            guest_fail(__LINE__, #condition, 0, 1);                                                \
    } while (0)
#define CHECK_TRAP(c, cause_, epc_, tval_)                                                         \
    do {                                                                                           \
        CHECK_EQ((c)->cause, cause_);                                                              \
        CHECK_EQ((c)->epc, epc_);                                                                  \
        CHECK_EQ((c)->tval, tval_);                                                                \
    } while (0)

/* ---- registers --------------------------------------------------------------------------------- */

#define csr_read(name)                                                                             \
    ({                                                                                             \
        uint64_t v_;                                                                               \
        __asm__ volatile("csrr %0, " #name : "=r"(v_)::"memory");                                  \
        v_;                                                                                        \
    })
#define csr_write(name, value)                                                                     \
    __asm__ volatile("csrw " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_set(name, value)                                                                       \
    __asm__ volatile("csrs " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_clear(name, value)                                                                     \
    __asm__ volatile("csrc " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_swap(name, value)                                                                      \
    ({                                                                                             \
        uint64_t v_;                                                                               \
        __asm__ volatile("csrrw %0, " #name ", %1"                                                 \
                         : "=r"(v_)                                                                \
                         : "r"((uint64_t)(value))                                                  \
                         : "memory");                                                              \
        v_;                                                                                        \
    })

#define BIT(n)       (UINT64_C(1) << (n))
#define ALL_ONES     UINT64_MAX
#define MSTATUS_SIE  BIT(1)
#define MSTATUS_MIE  BIT(3)
#define MSTATUS_SPIE BIT(5)
#define MSTATUS_MPIE BIT(7)
#define MSTATUS_SPP  BIT(8)
#define MSTATUS_MPP  (UINT64_C(3) << 11)
#define MSTATUS_FS   (UINT64_C(3) << 13)
#define MSTATUS_MPRV BIT(17)
#define MSTATUS_SUM  BIT(18)
#define MSTATUS_MXR  BIT(19)
#define MSTATUS_TVM  BIT(20)
#define MSTATUS_TW   BIT(21)
#define MSTATUS_TSR  BIT(22)
#define MSTATUS_SD   BIT(63)

enum {
    CAUSE_FETCH_MISALIGNED = 0,
    CAUSE_FETCH_ACCESS,
    CAUSE_ILLEGAL,
    CAUSE_BREAKPOINT,
    CAUSE_LOAD_MISALIGNED,
    CAUSE_LOAD_ACCESS,
    CAUSE_STORE_MISALIGNED,
    CAUSE_STORE_ACCESS,
    CAUSE_ECALL_U,
    CAUSE_ECALL_S,
    CAUSE_ECALL_M = 11,
    CAUSE_FETCH_PAGE,
    CAUSE_LOAD_PAGE,
    CAUSE_STORE_PAGE = 15,
};
#define CAUSE_IRQ(n) (BIT(63) | (n))
enum { IRQ_SSI = 1, IRQ_MSI = 3, IRQ_STI = 5, IRQ_MTI = 7, IRQ_SEI = 9, IRQ_MEI = 11 };

/* ---- snippets ---------------------------------------------------------------------------------- */

/* Code in the snippet section, by the name of its first instruction. More labels inside a snippet:
 * SNIPPET_LABEL. Compressed instructions only where written. */
#define SNIPPET(name, text)                                                                        \
    extern char name[];                                                                            \
    __asm__(".pushsection .snip, \"ax\"\n.option push\n.option norvc\n.option norelax\n"           \
            ".option arch, +d, +zicbom, +zicboz\n"                                                 \
            ".balign 8\n.globl " #name "\n" #name ":\n" text "\n.option pop\n.popsection")
#define SNIPPET_LABEL(name) extern char name[]

extern char snip_ecall[]; /* one ecall */

static inline uint64_t addr(const volatile void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* Runs code at pc in mode with a0..a3; the rest of c keeps its values. */
static inline void run4(struct ctx *c, uint64_t mode, uint64_t pc, uint64_t a0, uint64_t a1,
                        uint64_t a2, uint64_t a3)
{
    c->mode = mode;
    c->pc = pc;
    c->x[10] = a0;
    c->x[11] = a1;
    c->x[12] = a2;
    c->x[13] = a3;
    ctx_run(c);
}

static inline void fence_i(void)
{
    __asm__ volatile("fence.i" ::: "memory");
}

static inline void sfence_all(void)
{
    __asm__ volatile("sfence.vma" ::: "memory");
}

static inline void put32(volatile void *p, uint32_t v)
{
    *(volatile uint16_t *)p = (uint16_t)v;
    ((volatile uint16_t *)p)[1] = (uint16_t)(v >> 16);
}

/* Instructions for code that is written at run time. */
enum {
    INSN_NOP = 0x00000013,
    INSN_ECALL = 0x00000073,
    INSN_RET = 0x00008067,
    INSN_C_NOP = 0x0001,
};
static inline uint32_t insn_li_a0(int imm) /* addi a0, zero, imm */
{
    return (uint32_t)imm << 20 | 10u << 7 | 0x13;
}
static inline uint32_t insn_jal0(int64_t offset) /* j */
{
    uint32_t o = (uint32_t)offset;
    return (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 |
           (o >> 12 & 0xff) << 12 | 0x6f;
}

static inline uint32_t insn_beq0(int64_t offset) /* beq zero, zero */
{
    uint32_t o = (uint32_t)offset;
    return (o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 | (o >> 1 & 15) << 8 | (o >> 11 & 1) << 7 |
           0x63;
}

/* ---- pages ------------------------------------------------------------------------------------- */

enum { PAGE = 4096 };
enum {
    PTE_V = 1,
    PTE_R = 2,
    PTE_W = 4,
    PTE_X = 8,
    PTE_U = 16,
    PTE_G = 32,
    PTE_A = 64,
    PTE_D = 128,
    PTE_RW = PTE_V | PTE_R | PTE_W | PTE_A | PTE_D,
    PTE_RX = PTE_V | PTE_R | PTE_X | PTE_A,
    PTE_RWX = PTE_RW | PTE_X,
};

struct space {
    uint64_t *root;
    int levels; /* 3: Sv39, 4: Sv48 */
    unsigned asid;
};

void *page_new(void); /* zeroed */
void space_init(struct space *s, int levels, unsigned asid);
uint64_t space_satp(const struct space *s);
/* The entry for vaddr at level (0: 4 KiB); tables on the way are made. */
uint64_t *space_pte(struct space *s, uint64_t vaddr, int level);
static inline uint64_t pte_make(uint64_t paddr, uint64_t bits)
{
    return paddr >> 12 << 10 | bits;
}
void space_map(struct space *s, uint64_t vaddr, uint64_t paddr, uint64_t bits);
/* Maps the snippets at vaddr; returns what to add to a snippet's address. */
uint64_t space_snippets(struct space *s, uint64_t vaddr, uint64_t bits);

/* PMP that grants everything. QEMU's starts with nothing granted to S and U, as ours. */
void pmp_open(void);

/* ---- devices ----------------------------------------------------------------------------------- */

#define POWER_BASE UINT64_C(0x100000)
#define CLINT_BASE UINT64_C(CLINT_BASE_ADDR)
#define PLIC_BASE  UINT64_C(0xc000000)
#define UART_BASE  UINT64_C(0x10000000)

static inline volatile uint32_t *mmio32(uint64_t paddr)
{
    return (volatile uint32_t *)(uintptr_t)paddr;
}
static inline volatile uint64_t *mmio64(uint64_t paddr)
{
    return (volatile uint64_t *)(uintptr_t)paddr;
}
#define CLINT_MSIP     (*mmio32(CLINT_BASE))
#define CLINT_MTIMECMP (*mmio64(CLINT_BASE + 0x4000))
#define CLINT_MTIME    (*mmio64(CLINT_BASE + 0xbff8))

#endif
