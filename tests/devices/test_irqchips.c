/* PLIC, CLINT, power and clock devices. */
#include "devices/riscv/clint.h"
#include "tests/devices/fakes.h"
#include "devices/riscv/plic.h"
#include "devices/board/power.h"
#include "devices/board/rtc.h"
#include "devices/board/vmgenid.h"

enum { PLIC_ENABLE_M = 0x2000, PLIC_ENABLE_S = 0x2080, PLIC_M = 0x200000, PLIC_S = 0x201000 };

struct plic_fixture {
    struct gw_device *d;
    struct dev_plic *p;
    struct fake_line m, s;
};

static void plic_setup(struct plic_fixture *f)
{
    memset(f, 0, sizeof *f);
    f->d = dev_new(&dev_plic_class, NULL, NULL);
    f->p = (struct dev_plic *)(void *)f->d;
    f->p->out[0] = fake_irq(&f->m);
    f->p->out[1] = fake_irq(&f->s);
}

static void raise(struct plic_fixture *f, unsigned source, int level)
{
    struct gw_irq irq = dev_plic_input(f->p, source);
    gw_irq_set(&irq, level);
}

static void claim_takes_the_highest_priority(void **state)
{
    struct plic_fixture f;
    plic_setup(&f);
    reg_write(f.d, 4 * 3, 4, 2);
    reg_write(f.d, 4 * 40, 4, 5);
    reg_write(f.d, 4 * 7, 4, 2);
    reg_write(f.d, PLIC_ENABLE_S, 4, 1 << 3 | 1 << 7);
    reg_write(f.d, PLIC_ENABLE_S + 4, 4, 1 << 8);
    raise(&f, 7, 1);
    raise(&f, 3, 1);
    raise(&f, 40, 1);
    assert_int_equal(f.s.level, 1);
    assert_int_equal(f.m.level, 0);
    assert_int_equal(reg_read(f.d, 0x1000, 4), 1 << 3 | 1 << 7);
    assert_int_equal(reg_read(f.d, 0x1004, 4), 1 << 8);
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 40);
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 3); /* equal: the lowest number */
    assert_int_equal(f.s.level, 1);
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 7);
    assert_int_equal(f.s.level, 0);
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 0);
    dev_free(f.d);
}

static void level_stays_until_completed_and_low(void **state)
{
    struct plic_fixture f;
    plic_setup(&f);
    reg_write(f.d, 4 * 10, 4, 1);
    reg_write(f.d, PLIC_ENABLE_S, 4, 1 << 10);
    raise(&f, 10, 1);
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 10);
    raise(&f, 10, 0);
    raise(&f, 10, 1); /* the gateway is closed */
    assert_int_equal(f.s.level, 0);
    reg_write(f.d, PLIC_M + 4, 4, 10); /* not enabled there: ignored */
    assert_int_equal(f.s.level, 0);
    reg_write(f.d, PLIC_S + 4, 4, 10);
    assert_int_equal(f.s.level, 1); /* still high: again */
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 10);
    raise(&f, 10, 0);
    reg_write(f.d, PLIC_S + 4, 4, 10);
    assert_int_equal(f.s.level, 0);
    reg_write(f.d, PLIC_S + 4, 4, 10); /* nothing to complete */
    reg_write(f.d, PLIC_S + 4, 4, 4000000000u);
    assert_int_equal(f.s.level, 0);
    dev_free(f.d);
}

static void threshold_and_priority_0_mask(void **state)
{
    struct plic_fixture f;
    plic_setup(&f);
    reg_write(f.d, PLIC_ENABLE_M, 4, 0xffffffff);
    assert_int_equal(reg_read(f.d, PLIC_ENABLE_M, 4), 0xfffffffe);
    raise(&f, 5, 1);
    assert_int_equal(f.m.level, 0); /* priority 0 never interrupts */
    reg_write(f.d, 4 * 5, 4, 0xff);
    assert_int_equal(reg_read(f.d, 4 * 5, 4), 7);
    assert_int_equal(f.m.level, 1);
    reg_write(f.d, PLIC_M, 4, 7);
    assert_int_equal(f.m.level, 0);
    reg_write(f.d, PLIC_M, 4, 6);
    assert_int_equal(f.m.level, 1);
    reg_write(f.d, 0, 4, 7); /* there is no source 0 */
    assert_int_equal(reg_read(f.d, 0, 4), 0);
    assert_int_equal(reg_read(f.d, 4 * 96, 4), 0);
    assert_int_equal(reg_read(f.d, 0x5ffffc, 4), 0);
    dev_free(f.d);
}

/* 1.0.0, chapter 8: so a hart polls while all interrupts are masked. */
static void claim_heeds_no_threshold(void **state)
{
    struct plic_fixture f;
    plic_setup(&f);
    reg_write(f.d, PLIC_ENABLE_M, 4, 1 << 5 | 1 << 6);
    reg_write(f.d, PLIC_M, 4, 7);
    reg_write(f.d, 4 * 5, 4, 3);
    raise(&f, 5, 1);
    raise(&f, 6, 1); /* priority 0 */
    raise(&f, 7, 1); /* pending, and not enabled */
    reg_write(f.d, 4 * 7, 4, 7);
    assert_int_equal(f.m.level, 0);
    assert_int_equal(reg_read(f.d, PLIC_S + 4, 4), 0); /* enabled in the other context */
    assert_int_equal(reg_read(f.d, PLIC_M + 4, 4), 5);
    assert_int_equal(reg_read(f.d, PLIC_M + 4, 4), 0);
    assert_int_equal(reg_read(f.d, 0x1000, 4), 1 << 6 | 1 << 7);
    reg_write(f.d, PLIC_S + 4, 4, 5); /* completed by one for which it is not enabled */
    assert_int_equal(reg_read(f.d, 0x1000, 4), 1 << 6 | 1 << 7);
    reg_write(f.d, PLIC_ENABLE_S, 4, 1 << 5);
    reg_write(f.d, PLIC_S + 4, 4, 5); /* by one for which it is: still high, so pending again */
    assert_int_equal(reg_read(f.d, 0x1000, 4), 1 << 5 | 1 << 6 | 1 << 7);
    assert_int_equal(f.m.level, 0);
    assert_int_equal(f.s.level, 1);
    dev_free(f.d);
}

struct clint_fixture {
    struct fake_clock clock;
    struct gw_events *q;
    struct gw_device *d;
    struct fake_line soft, timer;
};

static void clint_setup(struct clint_fixture *f)
{
    struct dev_clint *c;
    memset(f, 0, sizeof *f);
    f->q = fake_events(&f->clock);
    f->d = dev_new(&dev_clint_class, f->q, NULL);
    c = (struct dev_clint *)(void *)f->d;
    c->soft[0] = fake_irq(&f->soft);
    c->timer[0] = fake_irq(&f->timer);
}

static void mtimecmp_raises_when_reached(void **state)
{
    struct clint_fixture f;
    clint_setup(&f);
    reg_write(f.d, 0x4000, 8, 50); /* ticks of 100 ns */
    assert_int_equal(f.timer.level, 0);
    assert_int_equal(gw_events_next_deadline(f.q), 5000);
    f.clock.insns = 4999;
    gw_events_run(f.q, f.clock.insns);
    assert_int_equal(f.timer.level, 0);
    assert_int_equal(reg_read(f.d, 0xbff8, 8), 49);
    f.clock.insns = 5000;
    gw_events_run(f.q, f.clock.insns);
    assert_int_equal(f.timer.level, 1);
    reg_write(f.d, 0x4004, 4, 0xffffffff); /* by halves, as RV32 code does */
    assert_int_equal(f.timer.level, 0);
    assert_int_equal(reg_read(f.d, 0x4000, 8), UINT64_C(0xffffffff00000032));
    assert_int_equal(gw_events_next_deadline(f.q), UINT64_MAX);
    reg_write(f.d, 0x4004, 4, 0);
    assert_int_equal(f.timer.level, 1);
    reg_write(f.d, 0x4000, 8, UINT64_MAX);
    assert_int_equal(f.timer.level, 0);
    dev_free(f.d);
    gw_events_free(f.q);
}

static void hear_offset(void *context, uint64_t offset_ticks)
{
    *(uint64_t *)context = offset_ticks;
}

static void mtime_can_be_set(void **state)
{
    struct clint_fixture f;
    uint64_t heard = 7;
    clint_setup(&f);
    struct dev_clint *c = (struct dev_clint *)(void *)f.d;
    c->time_moved = hear_offset;
    c->context = &heard;
    f.clock.insns = 100000; /* 1000 ticks */
    reg_write(f.d, 0x4000, 8, 5000);
    reg_write(f.d, 0xbff8, 8, 4000);
    assert_int_equal(heard, 3000);
    assert_int_equal(reg_read(f.d, 0xbff8, 8), 4000);
    assert_int_equal(gw_events_next_deadline(f.q), 200000);
    f.clock.insns = 200000;
    gw_events_run(f.q, f.clock.insns);
    assert_int_equal(f.timer.level, 1);
    reg_write(f.d, 0xbff8, 8, 10); /* back: no longer reached */
    assert_int_equal(f.timer.level, 0);
    assert_int_equal(heard, (uint64_t)-1990);
    assert_int_equal(gw_events_next_deadline(f.q), (5000 + 1990) * 100);
    reg_write(f.d, 0xbffc, 4, 1); /* by halves */
    assert_int_equal(reg_read(f.d, 0xbff8, 8), UINT64_C(0x10000000a));
    assert_int_equal(f.timer.level, 1);
    reg_write(f.d, 0xbff8, 4, 0xfffffffe);
    assert_int_equal(reg_read(f.d, 0xbff8, 8), UINT64_C(0x1fffffffe));
    f.clock.insns += 400;
    assert_int_equal(reg_read(f.d, 0xbffc, 4), 2);
    reg_write(f.d, 0xbff8, 8, UINT64_MAX); /* wraps with the next tick */
    reg_write(f.d, 0x4000, 8, 5);
    assert_int_equal(f.timer.level, 1);
    f.clock.insns += 100;
    reg_write(f.d, 0x4000, 8, 5);
    assert_int_equal(reg_read(f.d, 0xbff8, 8), 0);
    assert_int_equal(f.timer.level, 0);
    assert_int_equal(gw_events_next_deadline(f.q), f.clock.insns + 500);
    f.d->cls->reset(f.d);
    assert_int_equal(heard, 0);
    assert_int_equal(reg_read(f.d, 0xbff8, 8), f.clock.insns / 100);
    dev_free(f.d);
    gw_events_free(f.q);
}

static void msip_is_one_bit(void **state)
{
    struct clint_fixture f;
    uint64_t v;
    clint_setup(&f);
    reg_write(f.d, 0, 4, 0xffffffff);
    assert_int_equal(reg_read(f.d, 0, 4), 1);
    assert_int_equal(f.soft.level, 1);
    reg_write(f.d, 4, 4, 1); /* hart 1 is not there */
    reg_write(f.d, 0, 4, 0);
    assert_int_equal(f.soft.level, 0);
    assert_int_equal(f.d->cls->read(f.d, 0, 1, &v), GW_BUS_ERROR);
    dev_free(f.d);
    gw_events_free(f.q);
}

static void each_hart_has_its_registers(void **state)
{
    enum { HARTS = 4 };
    struct clint_fixture f;
    struct fake_line soft[HARTS] = {0}, timer[HARTS] = {0};
    clint_setup(&f);
    struct dev_clint *c = (struct dev_clint *)(void *)f.d;
    c->harts = HARTS;
    for (unsigned h = 0; h < HARTS; h++) {
        c->soft[h] = fake_irq(&soft[h]);
        c->timer[h] = fake_irq(&timer[h]);
        reg_write(f.d, 0x4000 + 8 * h, 8, 10 * (h + 1));
    }
    reg_write(f.d, 0x4000 + 8 * HARTS, 8, 1); /* not there */
    assert_int_equal(reg_read(f.d, 0x4000 + 8 * HARTS, 8), 0);
    f.clock.insns = 3000;
    gw_events_run(f.q, f.clock.insns);
    assert_true(timer[0].level && timer[1].level && timer[2].level && !timer[3].level);
    assert_int_equal(gw_events_next_deadline(f.q), 4000);
    reg_write(f.d, 0x4008, 4, 31);
    assert_true(timer[0].level && !timer[1].level);
    reg_write(f.d, 0xbff8, 8, 1000); /* mtime is all harts' */
    assert_true(timer[1].level && timer[3].level);
    reg_write(f.d, 12, 4, 1);
    assert_true(soft[3].level && !soft[2].level && !soft[0].level);
    reg_write(f.d, 4 * HARTS, 4, 1); /* not there */
    assert_int_equal(reg_read(f.d, 4 * HARTS, 4), 0);
    assert_true(reg_read(f.d, 8, 8) == UINT64_C(1) << 32);
    reg_write(f.d, 0, 8, UINT64_C(1) << 32);
    assert_true(!soft[0].level && soft[1].level);
    f.d->cls->reset(f.d);
    assert_true(!soft[1].level && !soft[3].level && !timer[3].level);
    assert_int_equal(gw_events_next_deadline(f.q), UINT64_MAX);
    dev_free(f.d);
    gw_events_free(f.q);
}

static void each_hart_has_two_contexts(void **state)
{
    enum { HARTS = 4, S3 = 7 };
    struct gw_device *d = dev_new(&dev_plic_class, NULL, NULL);
    struct dev_plic *p = (struct dev_plic *)(void *)d;
    struct fake_line out[2 * HARTS] = {0};
    struct gw_irq in = dev_plic_input(p, 5);
    p->contexts = 2 * HARTS;
    for (unsigned c = 0; c < 2 * HARTS; c++)
        p->out[c] = fake_irq(&out[c]);
    reg_write(d, 4 * 5, 4, 1);
    reg_write(d, PLIC_ENABLE_M + 0x80 * S3, 4, 1 << 5);
    reg_write(d, PLIC_ENABLE_M + 0x80 * 2, 4, 1 << 5);
    reg_write(d, PLIC_ENABLE_M + 0x80 * 2 * HARTS, 4, 1 << 5); /* not there */
    assert_int_equal(reg_read(d, PLIC_ENABLE_M + 0x80 * 2 * HARTS, 4), 0);
    gw_irq_set(&in, 1);
    for (unsigned c = 0; c < 2 * HARTS; c++)
        assert_int_equal(out[c].level, c == S3 || c == 2);
    assert_int_equal(reg_read(d, PLIC_M + 0x1000 * 3 + 4, 4), 0);
    assert_int_equal(reg_read(d, PLIC_M + 0x1000 * S3 + 4, 4), 5); /* who claims first has it */
    assert_int_equal(reg_read(d, PLIC_M + 0x1000 * 2 + 4, 4), 0);
    assert_true(!out[2].level && !out[S3].level);
    gw_irq_set(&in, 0);
    reg_write(d, PLIC_M + 0x1000 * S3 + 4, 4, 5);
    reg_write(d, PLIC_M + 0x1000 * S3, 4, 1);
    gw_irq_set(&in, 1);
    assert_true(out[2].level && !out[S3].level); /* below its threshold */
    dev_free(d);
}

struct asked {
    unsigned count;
    enum dev_power_request what;
    unsigned code;
};

static void request(void *context, enum dev_power_request what, unsigned code)
{
    struct asked *a = context;
    *a = (struct asked){a->count + 1, what, code};
}

static void power_says_what_was_written(void **state)
{
    struct gw_device *d = dev_new(&dev_power_class, NULL, NULL);
    struct dev_power *p = (struct dev_power *)(void *)d;
    struct asked a = {0};
    p->request = request;
    p->context = &a;
    reg_write(d, 0, 4, 0x1234);
    reg_write(d, 4, 4, 0x5555);
    assert_int_equal(a.count, 0);
    reg_write(d, 0, 4, 0x5555);
    assert_int_equal(a.what, DEV_POWER_OFF);
    reg_write(d, 0, 4, 42 << 16 | 0x3333);
    assert_int_equal(a.what, DEV_POWER_FAIL);
    assert_int_equal(a.code, 42);
    reg_write(d, 0, 4, 0x7777);
    assert_int_equal(a.what, DEV_POWER_RESET);
    assert_int_equal(a.count, 3);
    dev_free(d);
}

static void rtc_tells_time_and_wakes(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct gw_device *d = dev_new(&dev_rtc_class, q, NULL);
    struct fake_line line = {0};
    uint64_t start = UINT64_C(0x123456789), now;
    d->irq = fake_irq(&line);
    ((struct dev_rtc *)(void *)d)->offset_ns = start;
    clock.insns = 1000;
    now = reg_read(d, 0, 4);
    now |= reg_read(d, 4, 4) << 32;
    assert_int_equal(now, start + 1000);
    reg_write(d, 0x10, 4, 1);
    reg_write(d, 0x0c, 4, (start + 5000) >> 32);
    reg_write(d, 0x08, 4, (uint32_t)(start + 5000));
    assert_int_equal(reg_read(d, 0x18, 4), 1);
    clock.insns = 5000;
    gw_events_run(q, clock.insns);
    assert_int_equal(line.level, 1);
    assert_int_equal(reg_read(d, 0x18, 4), 0);
    reg_write(d, 0x1c, 4, 1);
    assert_int_equal(line.level, 0);
    dev_free(d);
    gw_events_free(q);
}

static uint64_t rtc_now(struct gw_device *d)
{
    uint64_t low = reg_read(d, 0, 4);
    return reg_read(d, 4, 4) << 32 | low;
}

static void rtc_keeps_what_the_guest_sets(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct gw_device *d = dev_new(&dev_rtc_class, q, NULL);
    struct dev_rtc *r = (struct dev_rtc *)(void *)d;
    struct fake_line line = {0};
    d->irq = fake_irq(&line);
    r->offset_ns = UINT64_C(0x1fffffff0);
    reg_write(d, 4, 4, 7); /* high, low: as Linux does; a carry comes between */
    clock.insns = 100;
    reg_write(d, 0, 4, 0xfffffff8);
    clock.insns = 110;
    assert_true(rtc_now(d) == UINT64_C(0x800000002));
    reg_write(d, 0, 4, 50); /* low, high */
    reg_write(d, 4, 4, 3);
    assert_true(rtc_now(d) == UINT64_C(0x300000032));
    d->cls->reset(d);
    assert_true(rtc_now(d) == UINT64_C(0x300000032)); /* it has a battery */
    r->offset_ns += 1000;                             /* the machine was away */
    assert_true(rtc_now(d) == UINT64_C(0x30000041a));
    /* Before its own beginning: a time that is less than VM time. */
    reg_write(d, 4, 4, 0);
    reg_write(d, 0, 4, 5);
    reg_write(d, 0x10, 4, 1);
    reg_write(d, 0x0c, 4, 0);
    reg_write(d, 0x08, 4, 25);
    assert_int_equal(reg_read(d, 0x18, 4), 1);
    assert_true(gw_events_next_deadline(q) == 130);
    reg_write(d, 0, 4, 15); /* an alarm is at a time of the guest's */
    assert_true(gw_events_next_deadline(q) == 120);
    reg_write(d, 0, 4, 26);
    assert_int_equal(line.level, 1);
    assert_int_equal(reg_read(d, 0x18, 4), 0);
    dev_free(d);
    gw_events_free(q);
}

static void new_generation_is_told_until_it_is_looked_at(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct gw_device *d = dev_new(&dev_vmgenid_class, q, NULL);
    struct dev_vmgenid *g = (struct dev_vmgenid *)(void *)d;
    struct fake_line line = {0};
    uint8_t id[DEV_VMGENID_BYTES];
    for (unsigned i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)(0x10 + i);
    d->irq = fake_irq(&line);
    assert_int_equal(reg_read(d, 0, 8), 0);
    dev_vmgenid_renew(g, id);
    assert_int_equal(reg_read(d, 0, 8), 0); /* an event: not before the queue is run */
    gw_events_run(q, clock.insns);
    assert_int_equal(line.level, 1);
    assert_int_equal(reg_read(d, 8, 8), UINT64_C(0x1f1e1d1c1b1a1918));
    assert_int_equal(line.level, 1); /* a reader that was overtaken looks again */
    assert_int_equal(reg_read(d, 0, 8), UINT64_C(0x1716151413121110));
    assert_int_equal(line.level, 0);
    assert_int_equal(reg_read(d, 3, 1), 0x13);
    assert_int_equal(reg_read(d, 16, 8), 0);
    reg_write(d, 0, 8, 0);
    assert_int_equal(reg_read(d, 0, 1), 0x10);
    dev_vmgenid_renew(g, id);
    gw_events_run(q, clock.insns);
    d->cls->reset(d);
    assert_int_equal(line.level, 0);
    assert_int_equal(reg_read(d, 0, 1), 0x10); /* a reset makes no other machine */
    dev_free(d);
    gw_events_free(q);
}

static void no_event_but_an_id_makes_a_generation(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct gw_device *d = dev_new(&dev_vmgenid_class, q, NULL);
    struct fake_line line = {0};
    const uint8_t bytes[DEV_VMGENID_BYTES + 1] = {1};
    struct gw_event ev = {.source = ((struct dev_vmgenid *)(void *)d)->source, .bytes = bytes};
    static const uint32_t sizes[] = {0, DEV_VMGENID_BYTES - 1, DEV_VMGENID_BYTES + 1};
    d->irq = fake_irq(&line);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ev.size_bytes = sizes[i];
        assert_true(gw_events_post(q, &ev));
    }
    ev.kind = 1;
    ev.size_bytes = DEV_VMGENID_BYTES;
    assert_true(gw_events_post(q, &ev));
    gw_events_run(q, clock.insns);
    assert_int_equal(line.changes, 0);
    assert_int_equal(reg_read(d, 0, 8), 0);
    dev_free(d);
    gw_events_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claim_takes_the_highest_priority),
        cmocka_unit_test(level_stays_until_completed_and_low),
        cmocka_unit_test(threshold_and_priority_0_mask),
        cmocka_unit_test(claim_heeds_no_threshold),
        cmocka_unit_test(mtimecmp_raises_when_reached),
        cmocka_unit_test(mtime_can_be_set),
        cmocka_unit_test(msip_is_one_bit),
        cmocka_unit_test(each_hart_has_its_registers),
        cmocka_unit_test(each_hart_has_two_contexts),
        cmocka_unit_test(power_says_what_was_written),
        cmocka_unit_test(rtc_tells_time_and_wakes),
        cmocka_unit_test(rtc_keeps_what_the_guest_sets),
        cmocka_unit_test(new_generation_is_told_until_it_is_looked_at),
        cmocka_unit_test(no_event_but_an_id_makes_a_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
