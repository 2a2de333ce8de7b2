/*
 * Blocks of guest code that a fuzzer makes, by the interpreter and by the JIT in one of its
 * settings: decoder, lifter, passes and backend see words that no generator would think of. Machine
 * modes alone: they are what holds a guest in.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frontend/riscv64/decode.h"
#include "tests/fuzzing.h"
#include "tests/translator/fuzz/fz.h"
#include "frontend/riscv64/priv.h"

enum { INSNS_MAX = 2000 };

struct guest {
    struct fz_program p;
    struct fz_state s;
    unsigned config;
};

static struct fz_env *env_of(unsigned c)
{
    static struct fz_env *env[FZ_MAX_CONFIGS];
    if (!env[c])
        env[c] = fz_env_new(&fz_configs[c]);
    return env[c];
}

static unsigned reference(void)
{
    unsigned c = 0;
    while (fz_configs[c].user || !fz_configs[c].interp)
        c++;
    return c;
}

/* The n-th setting of the JIT, round about. */
static unsigned jit(unsigned n)
{
    for (unsigned c = 0;; c = (c + 1) % fz_config_count)
        if (!fz_configs[c].user && !fz_configs[c].interp && n-- == 0)
            return c;
}

static bool is_csr_write(const struct rv_insn *in)
{
    switch (in->op) {
    case RV_OP_CSRRW:
    case RV_OP_CSRRS:
    case RV_OP_CSRRC:
    case RV_OP_CSRRWI:
    case RV_OP_CSRRSI:
    case RV_OP_CSRRCI: return true;
    default: return false;
    }
}

/* Most control registers are only read: what another address space shows before a fence, and what
 * is counted, differs between engines as the manual lets it. */
static uint32_t tame(uint32_t w)
{
    struct rv_insn in;
    rv_decode(&in, w);
    if (!is_csr_write(&in))
        return w;
    switch (in.imm & 0xfff) {
    case RV_CSR_FFLAGS:
    case RV_CSR_FRM:
    case RV_CSR_FCSR:
    case RV_CSR_SSCRATCH:
    case RV_CSR_SCAUSE:
    case RV_CSR_STVAL:
    case RV_CSR_SEPC:
    case RV_CSR_MSCRATCH:
    case RV_CSR_MEPC:
    case RV_CSR_MCAUSE: return w;
    default: return (w & ~(UINT32_C(0xff) << 12)) | 2u << 12; /* csrr */
    }
}

static bool ends_the_run(const struct rv_insn *in)
{
    switch (in->op) {
    case RV_OP_ECALL:
    case RV_OP_EBREAK:
    case RV_OP_ILLEGAL:
    case RV_OP_WFI:
    case RV_OP_SRET:
    case RV_OP_MRET: return true;
    default: return false;
    }
}

static uint32_t steer_short(uint32_t w, const struct rv_insn *in, unsigned how)
{
    uint32_t forward = w & 0x0818; /* 4 bits of the offset of c.beqz, and of c.j */
    if ((w & 3) == 0)              /* its loads and stores: x8 to x10 */
        return (w & 0xfc7f) | (how & 1 ? how & 2 : 1u) << 7;
    if (in->op == RV_OP_JALR)
        return 1; /* c.nop */
    if (in->op == RV_OP_JAL)
        return (w & 0xe003) | forward;
    if (in->op == RV_OP_BEQ || in->op == RV_OP_BNE)
        return (w & 0xe383) | forward;
    return w;
}

static uint32_t steer_long(uint32_t w, const struct rv_insn *in, unsigned how)
{
    static const uint8_t pointers[4] = {2, 8, 9, 10};
    static const uint16_t csrs[8] = {RV_CSR_FFLAGS, RV_CSR_FRM,     RV_CSR_FCSR,     RV_CSR_CYCLE,
                                     RV_CSR_SEPC,   RV_CSR_SSTATUS, RV_CSR_SSCRATCH, RV_CSR_SCAUSE};
    switch (w & 0x7f) {
    case 0x03:
    case 0x07:
    case 0x0f:
    case 0x23:
    case 0x27:
    case 0x2f: w = (w & ~(31u << 15)) | (uint32_t)pointers[how & 3] << 15; break;
    case 0x63: return how & 1 ? w & 0x01ffff7f : w | 0xfe000080;
    case 0x67: return (w & 0x01e00f80) | 0x6f; /* jal */
    case 0x6f: return how & 1 ? w & 0x01e00fff : w | 0xfe1ff000;
    default: break;
    }
    if (is_csr_write(in))
        w = (w & 0x000fffff) | (uint32_t)csrs[how & 7] << 20;
    if (in->rd == 2 || (in->rd >= 8 && in->rd <= 10)) /* the pointers stay */
        w |= 1u << 11;
    return w;
}

/* Lets the program go on: loads and stores get a pointer, branches and jumps a target nearby. */
static uint32_t steer(uint32_t w, unsigned how)
{
    struct rv_insn in;
    rv_decode(&in, w);
    if (ends_the_run(&in))
        return 0x13;
    return (w & 3) == 3 ? steer_long(w, &in, how) : steer_short(w, &in, how);
}

static uint32_t one_insn(struct fz_bytes *in)
{
    unsigned how = (unsigned)fz_take(in, 1);
    const struct rv_pattern *t;
    uint32_t w;
    if (how < 4)
        return tame((uint32_t)fz_take(in, 4));
    t = rv_pattern(fz_take(in, 2) % rv_pattern_count());
    w = t->match | ((uint32_t)fz_take(in, t->len) & ~t->mask);
    if (how >= 8)
        w = steer(w, how);
    return tame(w);
}

static void make_program(struct guest *g, struct fz_bytes *in)
{
    struct fz_program *p = &g->p;
    p->view = FZ_V_USER + 1 + (unsigned)fz_take(in, 1) % (FZ_V_COUNT - 1);
    g->config = jit((unsigned)fz_take(in, 1));
    p->page = (uint32_t)fz_take(in, 1) % (FZ_CODE_PAGES - 1);
    p->pc = fz_view_base(p->view) + FZ_CODE + (uint64_t)p->page * 4096 +
            ((fz_take(in, 2) & 0xffe) | (p->page & 1 ? 0xf80 : 0));
    p->pointers = 1u << 2 | 1u << 8 | 1u << 9 | 1u << 10;
    p->loops = true;
    p->count = 0;
    p->at[0] = 0;
}

static void make_guest(struct guest *g, struct fz_bytes *in)
{
    static const struct fz_gen_options usual = {.loop_insns = FZ_LOOP_INSNS};
    struct fz_program *p = &g->p;
    make_program(g, in);
    p->count = 1; /* which interrupts are drawn from */
    fz_generate_state(&g->s, p, fz_take(in, 4), &usual);
    g->s.max_insns = 1 + fz_take(in, 2) % INSNS_MAX;
    g->s.irq_at = fz_take(in, 1) % 64;
    g->s.exact = true;
    p->count = 0;
    do {
        uint32_t w = p->count + 1 < FZ_MAX_INSNS && in->at < in->end ? one_insn(in) : 0x73;
        p->word[p->count] = w;
        p->at[p->count + 1] = (uint16_t)(p->at[p->count] + ((w & 3) == 3 ? 4 : 2));
        p->count++;
    } while (p->word[p->count - 1] != 0x73 || (p->count < FZ_MAX_INSNS && in->at < in->end));
}

static void report(const struct guest *g, const char *why)
{
    fprintf(stderr,
            "MISMATCH in %s: %s\nview %s, pc %#llx, stop after %llu, interrupt after %llu\n",
            fz_configs[g->config].name, why, fz_view_names[g->p.view], (unsigned long long)g->p.pc,
            (unsigned long long)g->s.max_insns, (unsigned long long)g->s.irq_at);
    for (uint32_t i = 0; i < g->p.count; i++) {
        uint64_t pc = g->p.pc + g->p.at[i];
        char text[96];
        rv_disasm(text, sizeof text, pc, g->p.word[i]);
        fprintf(stderr, "  %llx: %08x  %s\n", (unsigned long long)pc, g->p.word[i], text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest g;
    struct fz_bytes in = {.at = data, .end = data + size};
    struct fz_env *ref = env_of(reference()), *env;
    struct fz_outcome a, b;
    char buf[200];
    bool open;
    make_guest(&g, &in);
    env = env_of(g.config);
    fz_env_load(ref, &g.p);
    fz_env_load(env, &g.p);
    fz_env_run(ref, &g.p, &g.s, &a);
    fz_env_run(env, &g.p, &g.s, &b);
    open = fz_env_damaged(ref) || fz_env_damaged(env);
    open = fz_env_rewritten(ref) || open;
    open = fz_env_rewritten(env) || open;
    if (!open && fz_compare(&a, &b, buf, sizeof buf)) {
        report(&g, buf);
        abort();
    }
    return 0;
}
