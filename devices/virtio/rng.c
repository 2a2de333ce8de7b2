/* virtio-rng. Source: VIRTIO 1.2, 5.4. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices/virtio/rng.h"

/* What one question to the host brings; a guest asks for 64 at a time. */
enum { BATCH_BYTES = 1024 };

struct rng {
    struct virtio_dev *v;
    struct virtio_rng_config cfg;
    /* State. */
    uint8_t waiting;   /* the host was asked */
    uint64_t state[4]; /* seeded: the generator's */
    /* Derived. */
    struct dev_io_job job;
    bool submitted; /* the job is the I/O thread's, or an event is on the way */
    bool at_work;   /* atomic: it is the I/O thread's */
    struct virtq_chain chain;
};

static struct rng *rng(const struct virtio_dev *v)
{
    return v->backend;
}

static uint64_t rng_features(struct virtio_dev *v)
{
    return 0;
}

static uint8_t rng_config(struct virtio_dev *v, uint64_t offset)
{
    return 0;
}

/* ---- the seeded generator ------------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

/* xoshiro256** (Blackman and Vigna, 2018). */
static uint64_t next_random(uint64_t s[4])
{
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The four words from one, by splitmix64. */
static void start_generator(struct rng *g)
{
    uint64_t x = g->cfg.seed;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t z = x += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        g->state[i] = z ^ z >> 31;
    }
}

static void generate(struct rng *g, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t r = next_random(g->state);
        for (size_t k = i; k < size && k < i + 8; k++)
            to[k] = (uint8_t)(r >> (8 * (k - i)));
    }
}

/* ---- the host's ----------------------------------------------------------------------------- */

static void serve(struct virtio_dev *v, const uint8_t *bytes, size_t size);
static void serve_seeded(struct virtio_dev *v);

static void deliver(void *device, const struct gw_event *ev)
{
    struct virtio_dev *v = device;
    struct rng *g = rng(v);
    if (ev->kind != (g->cfg.seeded ? VIRTIO_RNG_GO_ON : VIRTIO_RNG_BYTES))
        return;
    if (__atomic_load_n(&g->at_work, __ATOMIC_ACQUIRE)) /* a log is ahead of our host */
        dev_io_drain(g->cfg.io);
    g->submitted = false;
    if (!g->waiting)
        return; /* a reset came between */
    g->waiting = 0;
    if (g->cfg.seeded)
        serve_seeded(v);
    else
        serve(v, ev->bytes, ev->size_bytes);
}

/* I/O thread. */
static void ask_host(struct dev_io_job *job)
{
    struct rng *g = (struct rng *)(void *)((char *)job - offsetof(struct rng, job));
    uint8_t bytes[BATCH_BYTES];
    ssize_t n = getrandom(bytes, sizeof bytes, 0);
    __atomic_store_n(&g->at_work, false, __ATOMIC_RELEASE);
    /* The queue is full: this one is always accepted, and asks again. */
    if (!virtio_post(g->v, VIRTIO_RNG_BYTES, bytes, n > 0 ? (uint32_t)n : 0))
        virtio_post_bounded(g->v, VIRTIO_RNG_BYTES, NULL, 0);
}

static void ask(struct rng *g)
{
    g->waiting = 1;
    if (g->submitted)
        return;
    g->submitted = g->at_work = true;
    g->job.run = ask_host;
    dev_io_submit(g->cfg.io, &g->job);
}

/* Seeded: the rest at the next look at events, so that a driver that refills its ring meanwhile
 * does not hold the vCPU. */
static void go_on(struct rng *g)
{
    g->waiting = 1;
    if (!g->submitted)
        g->submitted = virtio_post_bounded(g->v, VIRTIO_RNG_GO_ON, NULL, 0);
}

/* ---- the queue ------------------------------------------------------------------------------ */

/* Fills chains with what there is, then asks for more if chains are left. */
static void serve(struct virtio_dev *v, const uint8_t *bytes, size_t size)
{
    struct rng *g = rng(v);
    while (size && virtio_pop(v, 0, &g->chain)) {
        const struct virtq_chain *c = &g->chain;
        uint64_t n = c->bad ? 0 : c->in_bytes < size ? c->in_bytes : size;
        virtq_write(c, v->dma, 0, bytes, n);
        virtq_push(&v->queue[0], v->dma, c->token, (uint32_t)n);
        bytes += n;
        size -= n;
        if (n == 0)
            size--; /* an empty chain costs something too: the loop ends */
    }
    virtio_used(v, 0);
    if (size == 0)
        ask(g);
}

/* One chain after the other, each with bytes of its own, so that the stream does not depend on how
 * chains happen to be batched. */
static void serve_seeded(struct virtio_dev *v)
{
    struct rng *g = rng(v);
    uint8_t bytes[BATCH_BYTES];
    unsigned served = 0;
    while (served < VIRTQ_MAX_SIZE && virtio_pop(v, 0, &g->chain)) {
        const struct virtq_chain *c = &g->chain;
        uint64_t n = c->bad ? 0 : c->in_bytes < sizeof bytes ? c->in_bytes : sizeof bytes;
        generate(g, bytes, n);
        virtq_write(c, v->dma, 0, bytes, n);
        virtq_push(&v->queue[0], v->dma, c->token, (uint32_t)n);
        served++;
    }
    virtio_used(v, 0);
    if (served == VIRTQ_MAX_SIZE)
        go_on(g);
}

static void rng_notify(struct virtio_dev *v, unsigned queue)
{
    if (rng(v)->cfg.seeded)
        serve_seeded(v);
    else
        ask(rng(v));
}

static void rng_stop(struct virtio_dev *v)
{
    rng(v)->waiting = 0;
}

static void rng_quiesce(struct virtio_dev *v)
{
    /* What is asked for stays so: an answer changes nothing until it is delivered. */
}

static void rng_destroy(struct virtio_dev *v)
{
    struct rng *g = rng(v);
    if (g->cfg.io)
        dev_io_drain(g->cfg.io);
    free(g);
}

static enum gw_status rng_check(const void *object, struct gw_error *err)
{
    const struct rng *g = object;
    bool dead = !(g->state[0] | g->state[1] | g->state[2] | g->state[3]);
    return g->waiting > 1 || (g->cfg.seeded && dead)
               ? gw_fail(err, GW_ERR_FORMAT, "virtio-rng", "state that the device cannot hold")
               : GW_OK;
}

static void rng_post_load(void *object)
{
    struct rng *g = object;
    if (g->waiting && g->cfg.seeded)
        go_on(g);
    else if (g->waiting)
        ask(g);
}

static const struct state_field rng_fields[] = {
    STATE_SCALAR(struct rng, waiting, STATE_U8),
    STATE_ARRAY(struct rng, state, STATE_U64),
};

static const struct state_desc rng_state = {
    .name = "virtio-rng",
    .version = 1,
    .fields = rng_fields,
    .field_count = STATE_COUNT_(rng_fields),
    .check = rng_check,
    .post_load = rng_post_load,
};

const struct virtio_kind virtio_rng_kind = {
    .name = "virtio-rng",
    .id = 4,
    .state = &rng_state,
    .features = rng_features,
    .config = rng_config,
    .notify = rng_notify,
    .stop = rng_stop,
    .quiesce = rng_quiesce,
    .destroy = rng_destroy,
    .event = deliver,
};

enum gw_status virtio_rng_attach(struct virtio_dev *v, const struct virtio_rng_config *cfg,
                                 struct gw_error *err)
{
    struct rng *g = calloc(1, sizeof *g);
    if (!g)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a source of entropy");
    g->v = v;
    g->cfg = *cfg;
    start_generator(g);
    return virtio_attach(v, &virtio_rng_kind, g, 1, err);
}
