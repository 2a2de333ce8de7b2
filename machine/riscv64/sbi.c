/* Source: RISC-V Supervisor Binary Interface Specification 2.0; chapter numbers refer to it. */
#include "devices/clock.h"
#include "devices/board/power.h"
#include "frontend/riscv64/priv.h"
#include "machine/riscv64/sbi.h"
#include "machine/riscv64/sbi_pmu.h"

enum { A0 = 10, A1, A2, A3, A4, A5, A6, A7 };

enum {
    EXT_LEGACY_SET_TIMER = 0,
    EXT_LEGACY_PUTCHAR = 1,
    EXT_LEGACY_GETCHAR = 2,
    EXT_LEGACY_CLEAR_IPI = 3,
    EXT_LEGACY_SEND_IPI = 4,
    EXT_LEGACY_FENCE_I = 5,
    EXT_LEGACY_SFENCE = 6,
    EXT_LEGACY_SFENCE_ASID = 7,
    EXT_LEGACY_SHUTDOWN = 8,
    EXT_BASE = 0x10,
    EXT_TIME = 0x54494d45,
    EXT_IPI = 0x735049,
    EXT_RFENCE = 0x52464e43,
    EXT_HSM = 0x48534d,
    EXT_SRST = 0x53525354,
    EXT_DBCN = 0x4442434e,
    EXT_PMU = 0x504d55,
};

/* Table 1. */
#define SBI_SUCCESS           0
#define SBI_ERR_FAILED        (-1)
#define SBI_ERR_NOT_SUPPORTED (-2)
#define SBI_ERR_INVALID_PARAM (-3)
#define SBI_ERR_INVALID_ADDR  (-5)
#define SBI_ERR_ALREADY_AVAIL (-6)

#define SUSPEND_RETENTIVE     0u
#define SUSPEND_NON_RETENTIVE 0x80000000u

#define SPEC_VERSION   ((2u << 24) | 0)
#define IMPL_ID        0x47445754u
#define IMPL_VERSION   1u
#define DBCN_MAX_BYTES 1024u /* of one call; the rest is the caller's to repeat */

struct result {
    int64_t error;
    uint64_t value;
};

/* A call: by whom, with which registers, and whose fences it waits for. */
struct call {
    struct sbi *s;
    struct sbi_hart *self;
    const uint64_t *x;
    uint32_t fences;
};

static struct result ok(uint64_t value)
{
    return (struct result){SBI_SUCCESS, value};
}

static struct result fail(int64_t error)
{
    return (struct result){error, 0};
}

/* The thread may be another hart's. */
static void timer_fired(void *device, uint64_t now_ns)
{
    struct sbi_hart *h = device;
    h->timer_ns = UINT64_MAX;
    rv_remote_post(h->cpu, RV_REMOTE_STI);
}

/* at_ns: UINT64_MAX: never. */
static void move_timer(struct sbi_hart *h, struct gw_events *events, uint64_t at_ns)
{
    h->timer_ns = at_ns;
    gw_timer_arm(events, &h->timer, at_ns);
}

void sbi_init(struct sbi *s)
{
    for (unsigned i = 0; i < s->harts; i++) {
        struct sbi_hart *h = &s->hart[i];
        h->timer = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = timer_fired, .device = h};
        h->timer_ns = UINT64_MAX;
        h->state = i ? SBI_HART_STOPPED : SBI_HART_STARTED;
    }
}

void sbi_reset(struct sbi *s)
{
    for (unsigned i = 0; i < s->harts; i++) {
        move_timer(&s->hart[i], s->events, UINT64_MAX);
        s->hart[i].state = i ? SBI_HART_STOPPED : SBI_HART_STARTED;
        s->hart[i].at = s->hart[i].opaque = 0;
    }
}

static void set_timer(struct call *c, uint64_t ticks)
{
    struct rv_cpu *cpu = c->self->cpu;
    struct gw_events *events = c->s->events;
    bool changed;
    if (cpu->cfg.sstc) {
        rv_csr_write(cpu, RV_CSR_STIMECMP, ticks, &changed);
        return;
    }
    __atomic_fetch_and(&cpu->remote, ~(uint32_t)RV_REMOTE_STI, __ATOMIC_SEQ_CST);
    cpu->c.mip &= ~RV_IRQ_BIT(RV_IRQ_STI);
    if (ticks > UINT64_MAX / RV_NS_PER_TICK - 1) {
        move_timer(c->self, events, UINT64_MAX);
    } else if (ticks * RV_NS_PER_TICK <= dev_now(events)) {
        move_timer(c->self, events, UINT64_MAX);
        cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_STI);
        rv_recheck_irq(cpu);
    } else {
        move_timer(c->self, events, ticks * RV_NS_PER_TICK);
    }
}

/* Chapter 3.1: base -1 means all harts. False: it names one that there is not. */
static bool hart_mask(const struct sbi *s, uint64_t mask, uint64_t base, uint32_t *harts)
{
    uint32_t all = (1u << s->harts) - 1;
    *harts = all;
    if (base == UINT64_MAX)
        return true;
    *harts = base < s->harts ? (uint32_t)(mask << base) & all : 0;
    return base < s->harts ? !(mask & ~((uint64_t)all >> base)) : mask == 0;
}

static void send_ipi(struct call *c, uint32_t harts)
{
    for (unsigned i = 0; i < c->s->harts; i++) {
        struct sbi_hart *h = &c->s->hart[i];
        if (!(harts >> i & 1))
            continue;
        if (h != c->self) {
            rv_remote_post(h->cpu, RV_REMOTE_SSI);
            c->s->asked = true;
            continue;
        }
        h->cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_SSI);
        rv_recheck_irq(h->cpu);
    }
}

/* f: what SFENCE.VMA is about; NULL: FENCE.I. */
static void fence(struct call *c, uint32_t harts, const struct rv_fence *f)
{
    for (unsigned i = 0; i < c->s->harts; i++) {
        struct rv_cpu *cpu = c->s->hart[i].cpu;
        bool self = &c->s->hart[i] == c->self;
        if (!(harts >> i & 1))
            continue;
        if (!self)
            c->fences |= 1u << i;
        if (f)
            (self ? rv_fence : rv_remote_fence)(cpu, f);
        else if (!self)
            rv_remote_post(cpu, RV_REMOTE_FENCE_I);
        else if (cpu->run.hooks)
            cpu->run.hooks->fence_i(cpu);
    }
}

/* at: the first of the arguments address, size and, if it is about one ASID, that. */
static struct rv_fence fence_of(const struct call *c, unsigned at, bool one)
{
    return (struct rv_fence){.vaddr = c->x[at],
                             .size = c->x[at + 1],
                             .asid = one ? c->x[at + 2] & 0xffff : 0,
                             .asid_all = !one};
}

/* Chapter 4. */
static bool is_there(const struct sbi *s, uint64_t extension)
{
    switch (extension) {
    case EXT_BASE:
    case EXT_TIME:
    case EXT_IPI:
    case EXT_RFENCE:
    case EXT_HSM:
    case EXT_SRST:
    case EXT_DBCN: return true;
    case EXT_PMU: return s->hart[0].cpu->cfg.sscofpmf;
    default: return extension <= EXT_LEGACY_SHUTDOWN;
    }
}

static struct result base(const struct sbi *s, uint64_t function, uint64_t a0)
{
    switch (function) {
    case 0: return ok(SPEC_VERSION);
    case 1: return ok(IMPL_ID);
    case 2: return ok(IMPL_VERSION);
    case 3: return ok(is_there(s, a0));
    case 4: /* mvendorid, marchid, mimpid: as the CSRs read */
    case 5:
    case 6: return ok(0);
    default: return fail(SBI_ERR_NOT_SUPPORTED);
    }
}

/* Chapter 8. */
static struct result remote_fence(struct call *c, uint64_t function)
{
    uint32_t harts;
    if (function > 2) /* 3..6 are the hypervisor's */
        return fail(SBI_ERR_NOT_SUPPORTED);
    if (!hart_mask(c->s, c->x[A0], c->x[A1], &harts))
        return fail(SBI_ERR_INVALID_PARAM);
    if (function == 0) {
        fence(c, harts, NULL);
    } else {
        struct rv_fence f = fence_of(c, A0 + 2, function == 2);
        fence(c, harts, &f);
    }
    return ok(0);
}

/* Chapter 9. */

static bool may_run(const struct sbi *s, uint64_t at)
{
    return !(at & 1) && (gw_bus_ram(s->dma.bus, at, 2) || gw_bus_rom(s->dma.bus, at, 2));
}

static struct result hart_start(struct call *c)
{
    struct sbi_hart *h = &c->s->hart[c->x[A0] < c->s->harts ? c->x[A0] : 0];
    if (c->x[A0] >= c->s->harts)
        return fail(SBI_ERR_INVALID_PARAM);
    if (h->state != SBI_HART_STOPPED)
        return fail(SBI_ERR_ALREADY_AVAIL);
    if (!may_run(c->s, c->x[A1]))
        return fail(SBI_ERR_INVALID_ADDR);
    h->at = c->x[A1];
    h->opaque = c->x[A2];
    h->state = SBI_HART_START_PENDING;
    c->s->asked = true;
    gw_events_kick(c->s->events, &h->cpu->run.attention);
    return ok(0);
}

static struct result hart_stop(struct call *c)
{
    bool others = false;
    for (unsigned i = 0; i < c->s->harts; i++)
        others = others || (&c->s->hart[i] != c->self && c->s->hart[i].state != SBI_HART_STOPPED);
    if (!others)
        return fail(SBI_ERR_FAILED); /* nobody would be left to start it again */
    c->self->state = SBI_HART_STOPPED;
    return ok(0);
}

/* As WFI waits, for what mie enables. The type has 32 bits; a caller's ABI extends its sign. */
static struct result hart_suspend(struct call *c)
{
    uint32_t type = (uint32_t)c->x[A0];
    if (type != SUSPEND_RETENTIVE && type != SUSPEND_NON_RETENTIVE)
        return fail(SBI_ERR_INVALID_PARAM);
    if (type == SUSPEND_NON_RETENTIVE && !may_run(c->s, c->x[A1]))
        return fail(SBI_ERR_INVALID_ADDR);
    c->self->at = type == SUSPEND_NON_RETENTIVE ? c->x[A1] : 0;
    c->self->opaque = type == SUSPEND_NON_RETENTIVE ? c->x[A2] : 0;
    c->self->state = SBI_HART_SUSPENDED;
    c->self->cpu->c.halted = 1;
    return ok(0);
}

static struct result hart_state(struct call *c, uint64_t function)
{
    switch (function) {
    case 0: return hart_start(c);
    case 1: return hart_stop(c);
    case 2:
        if (c->x[A0] >= c->s->harts)
            return fail(SBI_ERR_INVALID_PARAM);
        return ok(c->s->hart[c->x[A0]].state);
    case 3: return hart_suspend(c);
    default: return fail(SBI_ERR_NOT_SUPPORTED);
    }
}

/* Chapter 9: what else the hart held stays as it was. */
static void resume(struct sbi_hart *h)
{
    struct rv_cpu *cpu = h->cpu;
    cpu->c.satp = 0;
    cpu->x[A0] = cpu->c.mhartid;
    cpu->x[A1] = h->opaque;
    cpu->run.pc = h->at;
    rv_set_mstatus(cpu, cpu->c.mstatus & ~RV_MSTATUS_SIE);
    rv_set_priv(cpu, RV_PRIV_S);
    if (cpu->run.hooks)
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
    cpu->run.view_dirty = 1;
}

bool sbi_look(struct sbi *s, unsigned hart)
{
    struct sbi_hart *h = &s->hart[hart];
    switch (h->state) {
    case SBI_HART_STARTED: return true;
    case SBI_HART_START_PENDING:
        rv_guest_isa.reset(h->cpu);
        rv_boot_supervisor(h->cpu, h->at, h->opaque);
        break;
    case SBI_HART_SUSPENDED:
        if (rv_guest_isa.waiting(h->cpu))
            return false;
        if (h->at)
            resume(h);
        break;
    default: return false;
    }
    h->state = SBI_HART_STARTED;
    h->at = h->opaque = 0;
    return true;
}

/* Chapter 10: types shutdown, cold reboot, warm reboot; reasons none, system failure. */
static struct result system_reset(struct sbi *s, uint64_t function, const uint64_t *x)
{
    uint32_t type = (uint32_t)x[A0], reason = (uint32_t)x[A1];
    if (function != 0)
        return fail(SBI_ERR_NOT_SUPPORTED);
    if (type > 2 || reason > 1)
        return fail(SBI_ERR_INVALID_PARAM);
    if (type)
        s->power(s->context, DEV_POWER_RESET, 0);
    else
        s->power(s->context, reason ? DEV_POWER_FAIL : DEV_POWER_OFF, reason);
    return ok(0);
}

/* Chapter 12. Memory is given by physical address; the high half must be 0 on RV64. */
static struct result console_write(struct sbi *s, uint64_t bytes, uint64_t at)
{
    uint8_t buffer[DBCN_MAX_BYTES];
    uint64_t n = bytes < sizeof buffer ? bytes : sizeof buffer, done = 0;
    if (!gw_dma_read(&s->dma, at, buffer, n))
        return fail(SBI_ERR_INVALID_PARAM);
    while (done < n && s->console->room(s->console->context))
        s->console->put(s->console->context, buffer[done++]);
    return ok(done);
}

static struct result console_read(struct sbi *s, uint64_t bytes, uint64_t at)
{
    uint8_t buffer[DBCN_MAX_BYTES];
    uint64_t n = bytes < sizeof buffer ? bytes : sizeof buffer;
    if (!gw_bus_ram(s->dma.bus, at, n))
        return fail(SBI_ERR_INVALID_PARAM);
    n = s->console->get(s->console->context, buffer, n);
    gw_dma_write(&s->dma, at, buffer, n);
    return ok(n);
}

static struct result debug_console(struct sbi *s, uint64_t function, const uint64_t *x)
{
    if (function < 2 && x[A2] != 0)
        return fail(SBI_ERR_INVALID_PARAM);
    switch (function) {
    case 0: return console_write(s, x[A0], x[A1]);
    case 1: return console_read(s, x[A0], x[A1]);
    case 2: s->console->put(s->console->context, (uint8_t)x[A0]); return ok(0);
    default: return fail(SBI_ERR_NOT_SUPPORTED);
    }
}

static struct result performance(struct call *c, uint64_t function)
{
    struct result r;
    if (!is_there(c->s, EXT_PMU))
        return fail(SBI_ERR_NOT_SUPPORTED);
    r.error = sbi_pmu_call(c->self->cpu, function, &c->x[A0], &r.value);
    return r;
}

static struct result call(struct call *c, uint64_t extension, uint64_t function)
{
    struct sbi *s = c->s;
    uint32_t harts;
    switch (extension) {
    case EXT_BASE: return base(s, function, c->x[A0]);
    case EXT_TIME:
        if (function != 0)
            return fail(SBI_ERR_NOT_SUPPORTED);
        set_timer(c, c->x[A0]);
        return ok(0);
    case EXT_IPI:
        if (function != 0)
            return fail(SBI_ERR_NOT_SUPPORTED);
        if (!hart_mask(s, c->x[A0], c->x[A1], &harts))
            return fail(SBI_ERR_INVALID_PARAM);
        send_ipi(c, harts);
        return ok(0);
    case EXT_RFENCE: return remote_fence(c, function);
    case EXT_HSM: return hart_state(c, function);
    case EXT_SRST: return system_reset(s, function, c->x);
    case EXT_DBCN: return debug_console(s, function, c->x);
    case EXT_PMU: return performance(c, function);
    default: return fail(SBI_ERR_NOT_SUPPORTED);
    }
}

/* Chapter 5: a0 is the virtual address of a mask; 0 means all harts. False: it cannot be read. */
static bool legacy_mask(struct call *c, uint32_t *harts)
{
    struct gw_xlate at;
    struct gw_fault fault;
    uint8_t low;
    *harts = (1u << c->s->harts) - 1;
    if (!c->x[A0] || c->s->harts == 1)
        return true;
    if (!rv_guest_isa.translate(c->self->cpu, c->x[A0], 1, GW_ACCESS_LOAD, &at, &fault) ||
        !gw_dma_read(&c->s->dma, at.paddr, &low, 1))
        return false;
    *harts &= low;
    return true;
}

static uint64_t legacy_remote(struct call *c, uint64_t extension)
{
    uint32_t harts;
    if (!legacy_mask(c, &harts))
        return (uint64_t)(int64_t)SBI_ERR_INVALID_ADDR;
    if (extension == EXT_LEGACY_SEND_IPI) {
        send_ipi(c, harts);
    } else if (extension == EXT_LEGACY_FENCE_I) {
        fence(c, harts, NULL);
    } else {
        struct rv_fence f = fence_of(c, A0 + 1, extension == EXT_LEGACY_SFENCE_ASID);
        fence(c, harts, &f);
    }
    return 0;
}

/* Chapter 5: one result in a0. */
static uint64_t legacy(struct call *c, uint64_t extension)
{
    struct sbi *s = c->s;
    struct rv_cpu *cpu = c->self->cpu;
    uint8_t byte;
    switch (extension) {
    case EXT_LEGACY_SET_TIMER: set_timer(c, c->x[A0]); return 0;
    case EXT_LEGACY_PUTCHAR: s->console->put(s->console->context, (uint8_t)c->x[A0]); return 0;
    case EXT_LEGACY_GETCHAR:
        return s->console->get(s->console->context, &byte, 1) ? byte : UINT64_MAX;
    case EXT_LEGACY_CLEAR_IPI:
        __atomic_fetch_and(&cpu->remote, ~(uint32_t)RV_REMOTE_SSI, __ATOMIC_SEQ_CST);
        cpu->c.mip &= ~RV_IRQ_BIT(RV_IRQ_SSI);
        return 0;
    case EXT_LEGACY_SHUTDOWN: s->power(s->context, DEV_POWER_OFF, 0); return 0;
    default: return legacy_remote(c, extension);
    }
}

uint32_t sbi_call(struct sbi *s, unsigned hart)
{
    uint64_t *x = s->hart[hart].cpu->x;
    struct call c = {.s = s, .self = &s->hart[hart], .x = x};
    uint32_t extension = (uint32_t)x[A7], function = (uint32_t)x[A6]; /* 3: both have 32 bits */
    c.self->cpu->run.pc += 4; /* ECALL has no compressed form */
    if (extension <= EXT_LEGACY_SHUTDOWN) {
        x[A0] = legacy(&c, extension);
    } else {
        struct result r = call(&c, extension, function);
        x[A0] = (uint64_t)r.error;
        x[A1] = r.value;
    }
    return c.fences;
}
