/* Source: RISC-V Supervisor Binary Interface Specification 2.0; chapter numbers refer to it. */
#include "clock.h"
#include "power.h"
#include "priv.h"
#include "sbi.h"
#include "sbi_pmu.h"

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

#define SPEC_VERSION   ((2u << 24) | 0)
#define IMPL_ID        0x47445754u
#define IMPL_VERSION   1u
#define DBCN_MAX_BYTES 1024u /* of one call; the rest is the caller's to repeat */

struct result {
    int64_t error;
    uint64_t value;
};

static struct result ok(uint64_t value)
{
    return (struct result){SBI_SUCCESS, value};
}

static struct result fail(int64_t error)
{
    return (struct result){error, 0};
}

static void timer_fired(void *device, uint64_t now_ns)
{
    struct sbi *s = device;
    s->cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_STI);
    rv_recheck_irq(s->cpu);
}

void sbi_init(struct sbi *s)
{
    s->timer = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = timer_fired, .device = s};
}

void sbi_reset(struct sbi *s)
{
    gw_timer_cancel(s->events, &s->timer);
}

static void set_timer(struct sbi *s, uint64_t ticks)
{
    bool changed;
    if (s->cpu->cfg.sstc) {
        rv_csr_write(s->cpu, RV_CSR_STIMECMP, ticks, &changed);
        return;
    }
    s->cpu->c.mip &= ~RV_IRQ_BIT(RV_IRQ_STI);
    if (ticks > UINT64_MAX / RV_NS_PER_TICK - 1)
        gw_timer_cancel(s->events, &s->timer);
    else if (ticks * RV_NS_PER_TICK <= dev_now(s->events))
        timer_fired(s, 0);
    else
        gw_timer_arm(s->events, &s->timer, ticks * RV_NS_PER_TICK);
}

static void send_ipi(struct sbi *s)
{
    s->cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_SSI);
    rv_recheck_irq(s->cpu);
}

/* Chapter 3.1: base -1 means all harts. *self: the mask names hart 0. */
static bool hart_mask(uint64_t mask, uint64_t base, bool *self)
{
    *self = base == UINT64_MAX || (base == 0 && (mask & 1));
    if (base == UINT64_MAX)
        return true;
    return base == 0 ? !(mask & ~UINT64_C(1)) : mask == 0;
}

static void flush(struct sbi *s)
{
    if (s->cpu->run.hooks)
        s->cpu->run.hooks->flush(s->cpu, 0, 1, 0, 1);
    s->cpu->run.view_dirty = 1;
}

static void fence_i(struct sbi *s)
{
    if (s->cpu->run.hooks)
        s->cpu->run.hooks->fence_i(s->cpu);
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
    case EXT_PMU: return s->cpu->cfg.sscofpmf;
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

/* Chapter 8. A flush of everything covers every form; there is one hart, and it is the caller. */
static struct result remote_fence(struct sbi *s, uint64_t function, const uint64_t *x)
{
    bool self;
    if (function > 2) /* 3..6 are the hypervisor's */
        return fail(SBI_ERR_NOT_SUPPORTED);
    if (!hart_mask(x[A0], x[A1], &self))
        return fail(SBI_ERR_INVALID_PARAM);
    if (self && function == 0)
        fence_i(s);
    else if (self)
        flush(s);
    return ok(0);
}

/* Chapter 9. */
static struct result hart_state(struct sbi *s, uint64_t function, const uint64_t *x)
{
    switch (function) {
    case 0: return fail(x[A0] == 0 ? SBI_ERR_ALREADY_AVAIL : SBI_ERR_INVALID_PARAM);
    case 1: return fail(SBI_ERR_FAILED); /* nobody would be left to start it again */
    case 2: return x[A0] == 0 ? ok(0) : fail(SBI_ERR_INVALID_PARAM);
    case 3:
        if (x[A0] != 0) /* retentive suspend is a WFI; no other kind is offered */
            return fail(x[A0] == 0x80000000u ? SBI_ERR_NOT_SUPPORTED : SBI_ERR_INVALID_PARAM);
        s->cpu->c.halted = 1;
        return ok(0);
    default: return fail(SBI_ERR_NOT_SUPPORTED);
    }
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

static struct result performance(struct sbi *s, uint64_t function, const uint64_t *x)
{
    struct result r;
    if (!is_there(s, EXT_PMU))
        return fail(SBI_ERR_NOT_SUPPORTED);
    r.error = sbi_pmu_call(s->cpu, function, &x[A0], &r.value);
    return r;
}

static struct result call(struct sbi *s, uint64_t extension, uint64_t function, const uint64_t *x)
{
    bool self;
    switch (extension) {
    case EXT_BASE: return base(s, function, x[A0]);
    case EXT_TIME:
        if (function != 0)
            return fail(SBI_ERR_NOT_SUPPORTED);
        set_timer(s, x[A0]);
        return ok(0);
    case EXT_IPI:
        if (function != 0)
            return fail(SBI_ERR_NOT_SUPPORTED);
        if (!hart_mask(x[A0], x[A1], &self))
            return fail(SBI_ERR_INVALID_PARAM);
        if (self)
            send_ipi(s);
        return ok(0);
    case EXT_RFENCE: return remote_fence(s, function, x);
    case EXT_HSM: return hart_state(s, function, x);
    case EXT_SRST: return system_reset(s, function, x);
    case EXT_DBCN: return debug_console(s, function, x);
    case EXT_PMU: return performance(s, function, x);
    default: return fail(SBI_ERR_NOT_SUPPORTED);
    }
}

/* Chapter 5: one result in a0; hart masks are ignored, since only this hart can be meant. */
static uint64_t legacy(struct sbi *s, uint64_t extension, const uint64_t *x)
{
    uint8_t byte;
    switch (extension) {
    case EXT_LEGACY_SET_TIMER: set_timer(s, x[A0]); return 0;
    case EXT_LEGACY_PUTCHAR: s->console->put(s->console->context, (uint8_t)x[A0]); return 0;
    case EXT_LEGACY_GETCHAR:
        return s->console->get(s->console->context, &byte, 1) ? byte : UINT64_MAX;
    case EXT_LEGACY_CLEAR_IPI: s->cpu->c.mip &= ~RV_IRQ_BIT(RV_IRQ_SSI); return 0;
    case EXT_LEGACY_SEND_IPI: send_ipi(s); return 0;
    case EXT_LEGACY_FENCE_I: fence_i(s); return 0;
    case EXT_LEGACY_SHUTDOWN: s->power(s->context, DEV_POWER_OFF, 0); return 0;
    default: flush(s); return 0;
    }
}

void sbi_call(struct sbi *s)
{
    uint64_t *x = s->cpu->x;
    s->cpu->run.pc += 4; /* ECALL has no compressed form */
    if (x[A7] <= EXT_LEGACY_SHUTDOWN) {
        x[A0] = legacy(s, x[A7], x);
    } else {
        struct result r = call(s, x[A7], x[A6], x);
        x[A0] = (uint64_t)r.error;
        x[A1] = r.value;
    }
}
