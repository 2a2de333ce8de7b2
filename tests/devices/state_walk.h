/*
 * What holds for each state table, a device's and that of what stands behind it: save, load into
 * another instance, save gives the same; random values are refused, or the device lives with them.
 */
#ifndef TESTS_DEVICES_STATE_WALK_H
#define TESTS_DEVICES_STATE_WALK_H

#include "tests/devices/fakes.h"
#include "devices/virtio/dev.h"

struct walk {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    uint64_t rng;
    unsigned refused;
};

static inline void walk_open(struct walk *w, uint64_t seed)
{
    *w = (struct walk){.rng = seed};
    w->q = fake_events(&w->clock);
    fake_bus(&w->bus);
}

static inline void walk_close(struct walk *w)
{
    dev_bus_destroy(&w->bus);
    gw_events_free(w->q);
}

static inline uint64_t walk_random(uint64_t *rng)
{
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *rng >> 20;
}

static inline void random_accesses(struct gw_device *d, uint64_t *rng, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t r = walk_random(rng), v, offset;
        unsigned size = 1u << (r & 3);
        offset = (r >> 2) % (r & 0x10000 ? d->cls->window_bytes : 64) & ~(uint64_t)(size - 1);
        if (r & 0x20000)
            d->cls->read(d, offset, size, &v);
        else
            d->cls->write(d, offset, size, (r >> 18) % (r & 0x40000 ? 256 : UINT32_MAX));
    }
}

/* Both tables of a device, one after the other; returns the count of values. */
static inline unsigned walk_save(struct gw_device *d, uint64_t *to)
{
    void *object = NULL;
    const struct state_desc *behind = d->cls->behind ? d->cls->behind(d, &object) : NULL;
    unsigned n = state_save(d, d->cls->state, to);
    return n + (behind ? state_save(object, behind, to + n) : 0);
}

static inline enum gw_status walk_load(struct gw_device *d, const uint64_t *from)
{
    void *object = NULL;
    const struct state_desc *behind = d->cls->behind ? d->cls->behind(d, &object) : NULL;
    enum gw_status st = state_load(d, d->cls->state, from);
    if (st == GW_OK && behind)
        st = state_load(object, behind, from + state_values(d->cls->state));
    return st;
}

/* d was used, e is made alike: e takes d's state. */
static inline void walk_moves(struct gw_device *d, struct gw_device *e)
{
    static uint64_t a[2 * STATE_MAX], b[2 * STATE_MAX];
    unsigned n = walk_save(d, a);
    assert_int_equal(walk_load(e, a), GW_OK);
    assert_int_equal(walk_save(e, b), n);
    assert_memory_equal(a, b, n * sizeof a[0]);
}

/* Some values of d are replaced by random ones; false: that state was refused. */
static inline bool walk_survives(struct walk *w, struct gw_device *d)
{
    static uint64_t a[2 * STATE_MAX];
    unsigned n = walk_save(d, a), round = (unsigned)walk_random(&w->rng) % 60;
    for (unsigned k = 0; n && k < 3; k++)
        a[walk_random(&w->rng) % n] = walk_random(&w->rng) >> round;
    if (walk_load(d, a) != GW_OK) {
        w->refused++;
        return false;
    }
    random_accesses(d, &w->rng, 50);
    return true;
}

/* All classes of a registry. */
static inline void walk_classes(const struct dev_registry *r)
{
    struct walk w;
    walk_open(&w, 7);
    for (unsigned i = 0; i < r->class_count; i++) {
        const struct gw_device_class *cls = r->classes[i];
        assert_ptr_equal(dev_class(r, cls->name), cls); /* names differ */
        for (unsigned round = 0; round < 300; round++) {
            struct gw_device *d = dev_new(cls, w.q, &w.bus.bus);
            struct gw_device *e = dev_new(cls, w.q, &w.bus.bus);
            struct fake_line line_d = {0}, line_e = {0};
            d->irq = fake_irq(&line_d);
            e->irq = fake_irq(&line_e);
            random_accesses(d, &w.rng, round % 200);
            walk_moves(d, e);
            assert_int_equal(line_d.level, line_e.level); /* derived again */
            walk_survives(&w, e);
            if (cls->reset)
                cls->reset(d);
            dev_free(d);
            dev_free(e);
        }
    }
    assert_true(w.refused > 0);
    walk_close(&w);
}

/* Each kind of a registry is among `kinds`, of which tests can make one; no two are taken for another. */
static inline void walk_names(const struct dev_registry *r, const struct virtio_kind *const *kinds,
                              unsigned count)
{
    for (unsigned i = 0; i < r->kind_count; i++) {
        bool known = false;
        for (unsigned k = 0; k < count; k++)
            known = known || kinds[k] == r->kinds[i];
        if (!known)
            fail_msg("%s is not among the kinds that tests make", r->kinds[i]->name);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(r->kinds[k]->name, r->kinds[i]->name);
            assert_int_not_equal(r->kinds[k]->id, r->kinds[i]->id);
        }
    }
}

#endif
