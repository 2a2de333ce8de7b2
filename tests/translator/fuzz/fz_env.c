/* Engines and the small worlds that their guests live in. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/translator/fuzz/fz.h"
#include "godwit/event.h"
#include "godwit/little.h"
#include "frontend/riscv64/priv.h"
#include "backend-common/hosts.h"

/* Two banks: code and tables, and data. Nothing lies between them. */
enum { RAM_BYTES = FZ_END - FZ_CODE, BANK_END = 0x1a0000, S_TRAP = 0x80, USER_BYTES = 16 << 20 };

const struct fz_config fz_configs[] = {
    {.name = "interp-user", .user = true, .interp = true},
    {.name = "interp", .interp = true},
    {.name = "user", .user = true, .code_cache_bytes = 1 << 20},
    {.name = "user-nofold", .user = true, .no_fold = true, .code_cache_bytes = 1 << 20},
    {.name = "user-nofeat", .user = true, .features_off = ~0u, .code_cache_bytes = 1 << 20},
    {.name = "user-noavx",
     .user = true,
     .features_off = 0x32 /* AVX, FMA, BMI2 of x86-64 */,
     .code_cache_bytes = 1 << 20},
    {.name = "user-one", .user = true, .max_guest_insns = 1, .code_cache_bytes = 65536},
    {.name = "user-trace", .user = true, .trace = 8, .code_cache_bytes = 1 << 20},
    {.name = "user-traps", .user = true, .fp_traps = true, .code_cache_bytes = 1 << 20},
    {.name = "user-traps-nofeat",
     .user = true,
     .fp_traps = true,
     .features_off = ~0u,
     .code_cache_bytes = 1 << 20},
    {.name = "flat", .code_cache_bytes = 1 << 20},
    {.name = "flat-nofold", .no_fold = true, .code_cache_bytes = 1 << 20},
    {.name = "flat-nofeat", .features_off = ~0u, .code_cache_bytes = 1 << 20},
    {.name = "flat-one", .max_guest_insns = 1, .code_cache_bytes = 65536},
    {.name = "flat-trace", .trace = 8, .code_cache_bytes = 1 << 20},
    {.name = "flat-traps", .fp_traps = true, .code_cache_bytes = 1 << 20},
    {.name = "flat-traps-one", .fp_traps = true, .max_guest_insns = 1, .code_cache_bytes = 65536},
    {.name = "tlb", .tlb = true, .code_cache_bytes = 1 << 20},
    {.name = "tlb-nofold", .tlb = true, .no_fold = true, .code_cache_bytes = 1 << 20},
    {.name = "tlb-nobmi",
     .tlb = true,
     .features_off = 0x0f /* BMI, LZCNT, POPCNT; LSE of AArch64 */,
     .code_cache_bytes = 1 << 20},
};
const unsigned fz_config_count = sizeof fz_configs / sizeof *fz_configs;
_Static_assert(sizeof fz_configs / sizeof *fz_configs <= FZ_MAX_CONFIGS, "room for each");

struct gw_events {
    uint64_t unused;
};

/* The clock of these worlds stands still. */
uint64_t gw_events_now(struct gw_events *q, uint64_t insns)
{
    return 0;
}

void gw_events_kick(struct gw_events *q, uint32_t *attention)
{
    __atomic_store_n(attention, 1, __ATOMIC_RELEASE);
}

struct fz_env {
    const struct fz_config *cfg;
    struct rv_cpu *cpu;
    struct engine *engine;
    struct rv_cpu *base[FZ_V_COUNT]; /* initial states */
    uint8_t *memory;                 /* host address of guest (physical) FZ_CODE */
    uint8_t *window;                 /* user mode: what holds it; guest address 0 */
    uint8_t flags[RAM_BYTES / 4096];
    struct gw_ram ram[2];
    struct gw_bus bus;
    struct gw_events events;
    uint64_t mmio_hash;
    uint32_t tables_used;
    uint8_t *pristine; /* the tables and the trap handlers as they should be */
    uint64_t code_at;  /* the program that is loaded */
    uint32_t code_size;
    uint8_t *code;         /* what the code pages should hold */
    uint64_t stale_before; /* the run */
    uint64_t satp_mode;
    uint64_t satp[FZ_V_COUNT];
};

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
    return h ^ h >> 29;
}

static enum gw_bus_result mmio_read(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                    uint64_t *value)
{
    struct fz_env *env = bus->opaque;
    if (paddr - FZ_END >= 4096)
        return GW_BUS_ERROR;
    env->mmio_hash = mix(env->mmio_hash, paddr * 16 + size);
    *value = env->mmio_hash;
    if (size < 8)
        *value &= (UINT64_C(1) << 8 * size) - 1;
    return GW_BUS_OK;
}

static enum gw_bus_result mmio_write(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                     uint64_t value)
{
    struct fz_env *env = bus->opaque;
    if (paddr - FZ_END >= 4096)
        return GW_BUS_ERROR;
    if (size < 8)
        value &= (UINT64_C(1) << 8 * size) - 1;
    env->mmio_hash = mix(mix(env->mmio_hash, paddr * 16 + size + 8), value);
    return GW_BUS_OK;
}

static enum gw_bus_result mmio_update(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                      gw_bus_change *change, void *change_opaque, uint64_t *old)
{
    uint64_t value;
    enum gw_bus_result r = mmio_read(bus, paddr, size, old);
    if (r == GW_BUS_OK && change(change_opaque, *old, &value))
        r = mmio_write(bus, paddr, size, value);
    return r;
}

/* In the paged views the data pages are not in order. */
static unsigned data_frame(enum fz_view v, unsigned page)
{
    static const uint8_t shuffled[FZ_DATA_PAGES] = {2, 0, 1};
    return v >= FZ_V_S39_LOW ? shuffled[page] : page;
}

static uint8_t *data_page(struct fz_env *env, enum fz_view v, unsigned page)
{
    return env->memory + (FZ_DATA - FZ_CODE) + 4096u * data_frame(v, page);
}

/* --- page tables ------------------------------------------------------------------------------ */

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_AD = 0xc0 };

static uint64_t new_table(struct fz_env *env)
{
    uint64_t at = FZ_TABLES + 4096u * env->tables_used++;
    if (at >= BANK_END)
        abort();
    memset(env->memory + (at - FZ_CODE), 0, 4096);
    return at;
}

static void map_page(struct fz_env *env, uint64_t root, unsigned levels, uint64_t va, uint64_t pa,
                     unsigned perms)
{
    uint64_t table = root;
    for (unsigned l = levels; l--;) {
        uint64_t *pte =
            (uint64_t *)(void *)(env->memory + (table - FZ_CODE)) + (va >> (12 + 9 * l) & 511);
        if (l == 0)
            *pte = pa >> 2 | perms | PTE_V | PTE_AD;
        else if (!(*pte & PTE_V))
            *pte = new_table(env) >> 2 | PTE_V;
        table = *pte >> 10 << 12;
    }
}

static void map_world(struct fz_env *env, uint64_t root, unsigned levels, enum fz_view v,
                      unsigned user, uint64_t base)
{
    for (unsigned i = 0; i < FZ_CODE_PAGES; i++)
        map_page(env, root, levels, base + FZ_CODE + 4096 * i, FZ_CODE + 4096 * i,
                 user | PTE_R | PTE_X | (i & 1 ? PTE_W : 0u));
    map_page(env, root, levels, base + FZ_TRAP, FZ_TRAP, user | PTE_R | PTE_W | PTE_X);
    for (unsigned i = 0; i < FZ_DATA_PAGES; i++)
        map_page(env, root, levels, base + FZ_DATA + 4096 * i,
                 FZ_DATA + 4096 * (uint64_t)data_frame(v, i), user | PTE_R | (i < 2 ? PTE_W : 0u));
    /* page 3 is a device, seen by supervisors */
    if (user != PTE_U)
        map_page(env, root, levels, base + FZ_END, FZ_END, user | PTE_R | PTE_W);
}

static uint64_t make_space(struct fz_env *env, unsigned levels, unsigned user, unsigned asid)
{
    uint64_t root = new_table(env), mode = levels == 3 ? RV_SATP_SV39 : RV_SATP_SV48;
    map_world(env, root, levels, FZ_V_S39_LOW, user, 0);
    map_world(env, root, levels, FZ_V_S39_HIGH, PTE_G, levels == 3 ? FZ_HIGH39 : FZ_HIGH48);
    return mode << RV_SATP_MODE_SHIFT | (uint64_t)asid << 44 | root >> 12;
}

/* --- initial states --------------------------------------------------------------------------- */

static void base_state(struct fz_env *env, enum fz_view v)
{
    struct rv_cpu *cpu = env->cpu;
    rv_guest_isa.reset(cpu);
    if (!env->cfg->user) {
        rv_boot_supervisor(cpu, 0, 0);
        cpu->c.priv = v == FZ_V_M_BARE                 ? RV_PRIV_M
                      : v == FZ_V_U39 || v == FZ_V_U48 ? RV_PRIV_U
                                                       : RV_PRIV_S;
        cpu->c.satp = env->satp[v];
        cpu->c.mtvec = FZ_TRAP | 1; /* vectored */
        cpu->c.stvec = v <= FZ_V_S_BARE                          ? FZ_TRAP + S_TRAP
                       : v == FZ_V_S48_LOW || v >= FZ_V_S48_HIGH ? FZ_HIGH48 + FZ_TRAP + S_TRAP
                                                                 : FZ_HIGH39 + FZ_TRAP + S_TRAP;
        cpu->c.scounteren = 7;
        cpu->c.stimecmp = UINT64_MAX;
        rv_guest_isa.state->post_load(cpu);
    }
    env->base[v] = aligned_alloc(64, (sizeof *cpu + 63) & ~(size_t)63);
    memcpy(env->base[v], cpu, sizeof *cpu);
}

static bool fetch_ok(void *opaque, uint64_t vaddr, uint64_t size)
{
    return vaddr - FZ_CODE < FZ_CODE_PAGES * 4096u &&
           vaddr + size - FZ_CODE <= FZ_CODE_PAGES * 4096u;
}

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void make_memory(struct fz_env *env)
{
    if (env->cfg->user) {
        env->window =
            mmap(NULL, USER_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        must(env->window != MAP_FAILED);
        env->memory = env->window + FZ_CODE;
        must(!mprotect(env->memory, FZ_CODE_PAGES * 4096u, PROT_READ | PROT_WRITE));
        must(!mprotect(env->window + FZ_DATA, FZ_DATA_PAGES * 4096u, PROT_READ | PROT_WRITE));
        return;
    }
    env->memory = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(env->memory != MAP_FAILED);
    env->ram[0] = (struct gw_ram){
        .host = env->memory, .base = FZ_CODE, .size = BANK_END - FZ_CODE, .page_flags = env->flags};
    env->ram[1] = (struct gw_ram){.host = env->memory + (FZ_DATA - FZ_CODE),
                                  .base = FZ_DATA,
                                  .size = FZ_END - FZ_DATA,
                                  .page_flags = env->flags + (FZ_DATA - FZ_CODE) / 4096};
    env->bus = (struct gw_bus){.ram = env->ram,
                               .ram_count = 2,
                               .opaque = env,
                               .read = mmio_read,
                               .write = mmio_write,
                               .update = mmio_update};
    /* csrw mie, x0; wfi; j .-4: at the vectors of exceptions and of the interrupt; S-mode's is the
     * same from the second instruction on */
    static const uint32_t handler[] = {0x30401073, 0x10500073, 0xffdff06f};
    uint8_t *trap = env->memory + (FZ_TRAP - FZ_CODE);
    memcpy(trap, handler, sizeof handler);
    memcpy(trap + 4 * RV_IRQ_MEI, handler, sizeof handler);
    memcpy(trap + S_TRAP, handler + 1, sizeof handler - 4);
    env->satp[FZ_V_S39_LOW] = env->satp[FZ_V_S39_HIGH] = make_space(env, 3, 0, 1);
    env->satp[FZ_V_U39] = make_space(env, 3, PTE_U, 2);
    env->satp[FZ_V_S48_LOW] = env->satp[FZ_V_S48_HIGH] = make_space(env, 4, 0, 3);
    env->satp[FZ_V_U48] = make_space(env, 4, PTE_U, 4);
}

/* --- tables and handlers ------------------------------------------------------------------------ */

enum { KEPT_FROM = FZ_TRAP < FZ_TABLES ? FZ_TRAP : FZ_TABLES };

static size_t kept_bytes(const struct fz_env *env)
{
    return FZ_TABLES + 4096u * env->tables_used - KEPT_FROM;
}

static uint8_t *kept(const struct fz_env *env)
{
    return env->memory + (KEPT_FROM - FZ_CODE);
}

bool fz_env_damaged(const struct fz_env *env)
{
    return !env->cfg->user && memcmp(kept(env), env->pristine, kept_bytes(env)) != 0;
}

static void repair(struct fz_env *env)
{
    if (!fz_env_damaged(env))
        return;
    memcpy(kept(env), env->pristine, kept_bytes(env));
    engine_code_changed(env->engine, KEPT_FROM, kept_bytes(env));
    env->cpu->run.hooks->flush(env->cpu, 0, 1, 0, 1);
}

bool fz_env_rewritten(struct fz_env *env)
{
    uint32_t size = FZ_CODE_PAGES * 4096u;
    bool changed = memcmp(env->memory, env->code, size) != 0;
    if (changed) {
        memcpy(env->memory, env->code, size);
        engine_code_changed(env->engine, FZ_CODE, size);
    }
    return changed || engine_stats(env->engine)->stale_blocks != env->stale_before;
}

/* The engine that runs, for the signal handler. */
static struct engine *volatile running;

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE};
enum { FAULT_SIGNALS = sizeof fault_signals / sizeof fault_signals[0] };
static struct sigaction handled_before[FAULT_SIGNALS];

static void on_fault(int sig, siginfo_t *si, void *uc)
{
    if (running && engine_host_fault(running, sig, si, uc))
        return;
    for (unsigned i = 0; i < FAULT_SIGNALS; i++) /* it happens again, and ends us */
        if (fault_signals[i] == sig)
            sigaction(sig, &handled_before[i], NULL);
}

static void catch_faults(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER}, was;
    for (unsigned i = 0; i < FAULT_SIGNALS; i++) {
        sigaction(fault_signals[i], &sa, &was);
        if (was.sa_sigaction != on_fault)
            handled_before[i] = was;
    }
}

static struct fz_env *open_env(const struct fz_config *cfg, struct engine_dump *dump)
{
    struct fz_env *env = calloc(1, sizeof *env);
    struct gw_error err;
    must(env != NULL);
    env->cfg = cfg;
    env->code_at = FZ_CODE;
    env->code = calloc(FZ_CODE_PAGES, 4096);
    must(env->code != NULL);
    env->cpu = aligned_alloc(64, (sizeof *env->cpu + 63) & ~(size_t)63);
    must(env->cpu != NULL);
    memset(env->cpu, 0, sizeof *env->cpu);
    make_memory(env);
    const struct gw_cpu_config cc = {.model = "max",
                                     .user = cfg->user,
                                     .bus = cfg->user ? NULL : &env->bus,
                                     .events = &env->events};
    must(rv_guest_isa.init(env->cpu, &cc, &err) == GW_OK);
    for (enum fz_view v = 0; v < FZ_V_COUNT; v++)
        if ((v == FZ_V_USER) == cfg->user)
            base_state(env, v);
    const struct engine_config ec = {
        .isa = &rv_guest_isa,
        .backend = cfg->interp ? NULL : host_native(&gw_hosts),
        .mem = cfg->user ? GW_MEM_USER : GW_MEM_FLAT,
        .no_flat = cfg->tlb,
        .bus = cfg->user ? NULL : &env->bus,
        .cpu = env->cpu,
        .guest_base = (uint64_t)(uintptr_t)env->window,
        .code_cache_bytes = cfg->code_cache_bytes,
        .max_guest_insns = cfg->max_guest_insns,
        .trace = cfg->trace,
        .no_fold = cfg->no_fold,
        .features_off = cfg->features_off,
        .fp_traps = cfg->fp_traps ? ENGINE_FP_TRAPS_EAGER : ENGINE_FP_NO_TRAPS,
        .dump = dump,
        .fetch_ok = cfg->user ? fetch_ok : NULL,
    };
    must(engine_new(&env->engine, &ec, &err) == GW_OK);
    if (!cfg->user) {
        env->pristine = malloc(kept_bytes(env));
        must(env->pristine != NULL);
        memcpy(env->pristine, kept(env), kept_bytes(env));
    }
    catch_faults();
    return env;
}

struct fz_env *fz_env_new(const struct fz_config *cfg)
{
    return open_env(cfg, NULL);
}

void fz_env_free(struct fz_env *env)
{
    engine_free(env->engine);
    if (env->window)
        munmap(env->window, USER_BYTES);
    else
        munmap(env->memory, RAM_BYTES);
    for (int v = 0; v < FZ_V_COUNT; v++)
        free(env->base[v]);
    free(env->pristine);
    free(env->code);
    free(env->cpu);
    free(env);
}

/* --- running ---------------------------------------------------------------------------------- */

void fz_env_load(struct fz_env *env, const struct fz_program *p)
{
    uint64_t at = p->pc - fz_view_base(p->view);
    uint32_t size = p->at[p->count];
    memset(env->memory + (env->code_at - FZ_CODE), 0, env->code_size);
    memset(env->code + (env->code_at - FZ_CODE), 0, env->code_size);
    repair(env);
    fz_program_bytes(p, env->memory + (at - FZ_CODE));
    fz_program_bytes(p, env->code + (at - FZ_CODE));
    engine_code_changed(env->engine, env->code_at, env->code_size);
    engine_code_changed(env->engine, at, size);
    env->code_at = at;
    env->code_size = size;
}

static void copy_fields(struct rv_cpu *to, const struct rv_cpu *from)
{
    const struct state_desc *d = rv_guest_isa.state;
    for (uint32_t i = 0; i < d->field_count; i++) {
        const struct state_field *f = &d->fields[i];
        memcpy((uint8_t *)to + f->offset, (const uint8_t *)from + f->offset,
               (size_t)f->count * f->type);
    }
}

static void set_state(struct fz_env *env, const struct fz_program *p, const struct fz_state *s)
{
    struct rv_cpu *cpu = env->cpu;
    copy_fields(cpu, env->base[p->view]);
    memcpy(cpu->x, s->x, sizeof cpu->x);
    memcpy(cpu->f, s->f, sizeof cpu->f);
    cpu->run.pc = p->pc;
    cpu->run.fp_flags = s->fcsr & 31;
    cpu->c.frm = (uint8_t)(s->fcsr >> 5);
    if (!env->cfg->user) {
        cpu->c.mstatus |= (uint64_t)s->fs << RV_MSTATUS_FS_SHIFT;
        cpu->c.mepc = cpu->c.sepc = p->pc + p->at[p->count - 1];
        if (s->irq_at) {
            cpu->c.mie = RV_IRQ_BIT(RV_IRQ_MEI);
            cpu->c.mstatus |= RV_MSTATUS_MIE;
        }
        if (!s->delegate)
            cpu->c.medeleg = 0;
    }
    /* A global page must be the same in all address spaces, between fences: Sv39's and Sv48's are
     * not the same world. */
    uint64_t mode = cpu->c.satp >> RV_SATP_MODE_SHIFT;
    if (mode && env->satp_mode != mode) {
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
        env->satp_mode = mode;
    }
    /* instret starts at 0 */
    cpu->c.minstret_offset = cpu->c.mcycle_offset = 0 - engine_retired(env->engine);
    cpu->run.view_dirty = 1;
    cpu->run.attention = 0;
    memset(&cpu->run.fault, 0, sizeof cpu->run.fault);
}

static void make_data(uint64_t *w, uint64_t seed)
{
    static const uint8_t kinds[8] = {0, 0, 1, 2, 0, 3, 1, 0};
    for (unsigned i = 0; i < FZ_DATA_PAGES * 512; i++) {
        seed = seed * UINT64_C(0x5851f42d4c957f2d) + UINT64_C(0x14057b7ef767814f);
        uint64_t r = seed ^ seed >> 32;
        switch (kinds[r >> 40 & 7]) {
        case 1: r = (uint64_t)((int64_t)r >> 32); break;
        case 2: r |= UINT64_C(0xffffffff00000000); break;
        case 3: r &= UINT64_C(0x7ff8000000000001); break;
        default: break;
        }
        w[i] = r;
    }
}

static void set_data(struct fz_env *env, const struct fz_program *p, uint64_t seed)
{
    static uint64_t data[FZ_DATA_PAGES][512], made; /* many runs have the same */
    if (made != seed || !seed)
        make_data(data[0], made = seed);
    if (env->cfg->user)
        must(!mprotect(env->window + FZ_DATA + 2 * 4096, 4096, PROT_READ | PROT_WRITE));
    for (unsigned k = 0; k < FZ_DATA_PAGES; k++)
        memcpy(data_page(env, p->view, k), data[k], 4096);
    if (env->cfg->user)
        must(!mprotect(env->window + FZ_DATA + 2 * 4096, 4096, PROT_READ));
    else /* behind the handlers there is room for stores beside code */
        memset(env->memory + (FZ_TRAP - FZ_CODE) + 256, 0, 2 * 4096 - 256);
}

void fz_env_run(struct fz_env *env, const struct fz_program *p, const struct fz_state *s,
                struct fz_outcome *out)
{
    uint64_t before = engine_retired(env->engine);
    env->stale_before = engine_stats(env->engine)->stale_blocks;
    set_state(env, p, s);
    set_data(env, p, s->data_seed);
    env->mmio_hash = s->data_seed;
    running = env->engine;
    memset(out, 0, sizeof *out);
    out->stop = ENGINE_BUDGET;
    if (s->irq_at) {
        out->stop = engine_run(env->engine, s->irq_at, true);
        rv_irq_line(env->cpu, RV_IRQ_MEI, 1);
    }
    if (out->stop == ENGINE_BUDGET)
        do
            out->stop = engine_run(env->engine, s->max_insns, s->exact);
        while (out->stop == ENGINE_ATTENTION);
    running = NULL;
    out->retired = engine_retired(env->engine) - before;
    if (out->stop == ENGINE_FAULT)
        out->fault = env->cpu->run.fault;
    out->mmio_hash = env->mmio_hash;
    /* the count that these are relative to differs between engines */
    env->cpu->c.minstret_offset += before;
    env->cpu->c.mcycle_offset += before;
    out->cpu = env->cpu;
    for (unsigned k = 0; k < FZ_DATA_PAGES; k++)
        out->data[k] = data_page(env, p->view, k);
}

/* Of an address that is not canonical the host may say nothing. */
static uint64_t fault_place(const struct fz_outcome *o)
{
    return o->fault.vaddr >> 47 ? ~UINT64_C(0) : o->fault.vaddr;
}

const char *fz_compare(const struct fz_outcome *a, const struct fz_outcome *b, char *buf,
                       size_t size)
{
    const struct state_desc *d = rv_guest_isa.state;
    for (uint32_t i = 0; i < d->field_count; i++) {
        const struct state_field *f = &d->fields[i];
        if (!memcmp((const uint8_t *)a->cpu + f->offset, (const uint8_t *)b->cpu + f->offset,
                    (size_t)f->count * f->type))
            continue;
        for (uint32_t k = 0; k < f->count; k++) {
            unsigned long long va = state_get(a->cpu, f, k), vb = state_get(b->cpu, f, k);
            if (va == vb)
                continue;
            snprintf(buf, size, "%s[%u]: %#llx, should be %#llx", f->name, k, vb, va);
            return buf;
        }
    }
    if (a->stop != b->stop)
        snprintf(buf, size, "stop: %d, should be %d", (int)b->stop, (int)a->stop);
    else if (a->retired != b->retired)
        snprintf(buf, size, "retired: %llu, should be %llu", (unsigned long long)b->retired,
                 (unsigned long long)a->retired);
    else if (fault_place(a) != fault_place(b) || a->fault.cause != b->fault.cause ||
             (a->fault.access == GW_ACCESS_FETCH) != (b->fault.access == GW_ACCESS_FETCH))
        /* whether an atomic faults as a load or a store is the host's choice in user mode */
        snprintf(buf, size, "fault: %#llx %u %u, should be %#llx %u %u",
                 (unsigned long long)b->fault.vaddr, b->fault.cause, b->fault.access,
                 (unsigned long long)a->fault.vaddr, a->fault.cause, a->fault.access);
    else if (a->mmio_hash != b->mmio_hash)
        snprintf(buf, size, "MMIO accesses differ");
    else {
        unsigned k = 0, i = 0;
        while (k < FZ_DATA_PAGES && !memcmp(a->data[k], b->data[k], 4096))
            k++;
        if (k == FZ_DATA_PAGES)
            return NULL;
        while (a->data[k][i] == b->data[k][i])
            i++;
        snprintf(buf, size, "data[%u]: %#x, should be %#x", k * 4096 + i, b->data[k][i],
                 a->data[k][i]);
    }
    return buf;
}

uint64_t fz_digest(uint64_t digest, const struct fz_outcome *o)
{
    const struct state_desc *d = rv_guest_isa.state;
    for (uint32_t i = 0; i < d->field_count; i++)
        for (uint32_t k = 0; k < d->fields[i].count; k++)
            digest = mix(digest, state_get(o->cpu, &d->fields[i], k));
    digest = mix(mix(digest, o->stop), o->retired);
    digest = mix(mix(digest, fault_place(o)), o->fault.cause);
    digest = mix(digest, o->mmio_hash);
    for (unsigned k = 0; k < FZ_DATA_PAGES; k++)
        for (unsigned i = 0; i < 4096; i += 8)
            digest = mix(digest, gw_little(o->data[k] + i, 8));
    return digest;
}

void fz_env_dump(const struct fz_config *cfg, const struct fz_program *p, const struct fz_state *s)
{
    struct engine_dump dump = {.what = ENGINE_DUMP_OPT | ENGINE_DUMP_HOST, .out = stderr};
    struct fz_outcome out;
    struct fz_env *env = open_env(cfg, &dump);
    fz_env_load(env, p);
    fz_env_run(env, p, s, &out);
    fz_env_free(env);
}
