/* PLIC. Sources: RISC-V PLIC specification 1.0.0, chapters 3 (memory map) to 9. */
#include <string.h>

#include "devices/riscv/plic.h"

#define PRIORITY_MAX 7u
#define AT_PRIORITY  0x0u
#define AT_PENDING   0x1000u
#define AT_ENABLE    0x2000u
#define AT_CONTEXT   0x200000u
#define PER_ENABLE   0x80u
#define PER_CONTEXT  0x1000u

static struct dev_plic *plic(struct gw_device *d)
{
    return (struct dev_plic *)(void *)d;
}

/* The enabled pending source of highest priority above `top`, by number; 0: none */
static unsigned best(const struct dev_plic *p, unsigned context, uint32_t top)
{
    unsigned found = 0;
    for (unsigned w = 0; w < DEV_PLIC_WORDS; w++) {
        uint32_t bits = p->pending[w] & p->enable[context * DEV_PLIC_WORDS + w];
        while (bits) {
            unsigned source = w * 32 + (unsigned)__builtin_ctz(bits);
            bits &= bits - 1;
            if (p->priority[source] > top) {
                top = p->priority[source];
                found = source;
            }
        }
    }
    return found;
}

static void update(struct dev_plic *p)
{
    for (unsigned c = 0; c < p->contexts; c++)
        gw_irq_set(&p->out[c], best(p, c, p->threshold[c]) != 0);
}

/* Chapter 4: the gateway forwards one request, then none until its completion. */
static void input(void *receiver, unsigned line, int level)
{
    struct dev_plic *p = receiver;
    uint32_t bit = 1u << (line % 32);
    unsigned w = line / 32;
    if (level)
        p->level[w] |= bit;
    else
        p->level[w] &= ~bit;
    if (level && !(p->claimed[w] & bit) && !(p->pending[w] & bit)) {
        p->pending[w] |= bit;
        update(p);
    }
}

struct gw_irq dev_plic_input(struct dev_plic *p, unsigned source)
{
    return (struct gw_irq){.set = input, .receiver = p, .line = source};
}

/* Chapter 8: a claim is not affected by the threshold, so that a hart can poll with all masked. What
 * has priority 0 never interrupts, and is not claimed either. */
static uint32_t claim(struct dev_plic *p, unsigned context)
{
    unsigned source = best(p, context, 0);
    if (source) {
        p->pending[source / 32] &= ~(1u << (source % 32));
        p->claimed[source / 32] |= 1u << (source % 32);
        update(p);
    }
    return source;
}

/* Chapter 9: a completion by a context for which the source is not enabled is ignored. */
static void complete(struct dev_plic *p, unsigned context, uint32_t source)
{
    uint32_t bit = 1u << (source % 32);
    unsigned w = source / 32;
    if (source == 0 || source >= DEV_PLIC_SOURCES ||
        !(p->enable[context * DEV_PLIC_WORDS + w] & bit) || !(p->claimed[w] & bit))
        return;
    p->claimed[w] &= ~bit;
    if (p->level[w] & bit)
        p->pending[w] |= bit;
    update(p);
}

static enum gw_bus_result plic_read(struct gw_device *d, uint64_t offset, unsigned size,
                                    uint64_t *value)
{
    struct dev_plic *p = plic(d);
    *value = 0;
    if (size != 4)
        return GW_BUS_ERROR;
    if (offset < AT_PENDING) {
        if (offset / 4 < DEV_PLIC_SOURCES)
            *value = p->priority[offset / 4];
    } else if (offset < AT_ENABLE) {
        uint64_t w = (offset - AT_PENDING) / 4;
        if (w < DEV_PLIC_WORDS)
            *value = p->pending[w];
    } else if (offset < AT_CONTEXT) {
        uint64_t c = (offset - AT_ENABLE) / PER_ENABLE, w = (offset - AT_ENABLE) % PER_ENABLE / 4;
        if (c < p->contexts && w < DEV_PLIC_WORDS)
            *value = p->enable[c * DEV_PLIC_WORDS + w];
    } else {
        uint64_t c = (offset - AT_CONTEXT) / PER_CONTEXT;
        uint64_t reg = (offset - AT_CONTEXT) % PER_CONTEXT;
        if (c < p->contexts && reg == 0)
            *value = p->threshold[c];
        else if (c < p->contexts && reg == 4)
            *value = claim(p, (unsigned)c);
    }
    return GW_BUS_OK;
}

static enum gw_bus_result plic_write(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    struct dev_plic *p = plic(d);
    uint32_t v = (uint32_t)value;
    if (size != 4)
        return GW_BUS_ERROR;
    if (offset < AT_PENDING) {
        if (offset / 4 > 0 && offset / 4 < DEV_PLIC_SOURCES)
            p->priority[offset / 4] = v & PRIORITY_MAX;
    } else if (offset < AT_ENABLE) {
        return GW_BUS_OK; /* pending bits are read-only */
    } else if (offset < AT_CONTEXT) {
        uint64_t c = (offset - AT_ENABLE) / PER_ENABLE, w = (offset - AT_ENABLE) % PER_ENABLE / 4;
        if (c < p->contexts && w < DEV_PLIC_WORDS)
            p->enable[c * DEV_PLIC_WORDS + w] = w == 0 ? v & ~1u : v; /* there is no source 0 */
    } else {
        uint64_t c = (offset - AT_CONTEXT) / PER_CONTEXT;
        uint64_t reg = (offset - AT_CONTEXT) % PER_CONTEXT;
        if (c < p->contexts && reg == 0)
            p->threshold[c] = v & PRIORITY_MAX;
        else if (c < p->contexts && reg == 4)
            complete(p, (unsigned)c, v);
    }
    update(p);
    return GW_BUS_OK;
}

static void plic_reset(struct gw_device *d)
{
    struct dev_plic *p = plic(d);
    if (!p->contexts)
        p->contexts = 2;
    memset(p->priority, 0, sizeof p->priority);
    memset(p->claimed, 0, sizeof p->claimed);
    memset(p->enable, 0, sizeof p->enable);
    memset(p->threshold, 0, sizeof p->threshold);
    memcpy(p->pending, p->level, sizeof p->pending);
    update(p);
}

static enum gw_status plic_check(const void *object, struct gw_error *err)
{
    const struct dev_plic *p = object;
    uint32_t zero = p->level[0] | p->pending[0] | p->claimed[0];
    bool ok = p->priority[0] == 0;
    for (unsigned i = 0; i < DEV_PLIC_SOURCES; i++)
        ok = ok && p->priority[i] <= PRIORITY_MAX;
    for (unsigned c = 0; c < DEV_PLIC_CONTEXTS; c++) {
        ok = ok && p->threshold[c] <= PRIORITY_MAX;
        zero |= p->enable[c * DEV_PLIC_WORDS];
    }
    for (unsigned c = p->contexts; c < DEV_PLIC_CONTEXTS; c++) { /* as after a reset */
        ok = ok && p->threshold[c] == 0;
        for (unsigned w = 0; w < DEV_PLIC_WORDS; w++)
            ok = ok && p->enable[c * DEV_PLIC_WORDS + w] == 0;
    }
    if (!ok || (zero & 1))
        return gw_fail(err, GW_ERR_FORMAT, "plic", "state that the device cannot hold");
    return GW_OK;
}

static void plic_post_load(void *object)
{
    update(object);
}

static const struct state_field plic_fields[] = {
    STATE_ARRAY(struct dev_plic, priority, STATE_U32),
    STATE_ARRAY(struct dev_plic, level, STATE_U32),
    STATE_ARRAY(struct dev_plic, pending, STATE_U32),
    STATE_ARRAY(struct dev_plic, claimed, STATE_U32),
    STATE_ARRAY(struct dev_plic, enable, STATE_U32),
    STATE_ARRAY(struct dev_plic, threshold, STATE_U32),
};

static const struct state_desc plic_state = {
    .name = "plic",
    .version = 2,
    .fields = plic_fields,
    .field_count = STATE_COUNT_(plic_fields),
    .check = plic_check,
    .post_load = plic_post_load,
};

const struct gw_device_class dev_plic_class = {
    .name = "plic",
    .instance_size = sizeof(struct dev_plic),
    .state = &plic_state,
    .window_bytes = 0x600000,
    .read = plic_read,
    .write = plic_write,
    .reset = plic_reset,
};
