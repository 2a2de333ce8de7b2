/* The toy kind, see toy_echo.h. */
#include <stdlib.h>

#include "tests/devices/toy/toy_echo.h"

enum { ECHO_BYTES = 256 };

struct echo {
    /* State. */
    uint8_t key;
    uint32_t served;
    /* Derived. */
    struct virtq_chain chain;
};

static struct echo *echo(const struct virtio_dev *v)
{
    return v->backend;
}

static uint64_t echo_features(struct virtio_dev *v)
{
    return 0;
}

static uint8_t echo_config(struct virtio_dev *v, uint64_t offset)
{
    return offset == 0 ? echo(v)->key : 0;
}

static void echo_config_write(struct virtio_dev *v, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset == 0)
        echo(v)->key = (uint8_t)value;
}

static void echo_notify(struct virtio_dev *v, unsigned queue)
{
    struct echo *e = echo(v);
    const struct virtq_chain *c = &e->chain;
    uint8_t bytes[ECHO_BYTES];
    for (unsigned taken = 0; taken < VIRTQ_MAX_SIZE && virtio_pop(v, queue, &e->chain); taken++) {
        uint64_t n = c->out_bytes < c->in_bytes ? c->out_bytes : c->in_bytes;
        if (c->bad || n > sizeof bytes || !virtq_read(c, 0, bytes, n))
            n = 0;
        for (uint64_t i = 0; i < n; i++)
            bytes[i] ^= e->key;
        virtq_write(c, v->dma, 0, bytes, n);
        virtq_push(&v->queue[queue], v->dma, c->token, (uint32_t)n);
        e->served++;
    }
    virtio_used(v, queue);
}

static void echo_event(void *context, const struct gw_event *ev)
{
    struct virtio_dev *v = context;
    if (ev->kind != TOY_ECHO_KEY || ev->size_bytes != 1)
        return;
    echo(v)->key = ev->bytes[0];
    virtio_config_changed(v);
}

void toy_echo_set(const struct virtio_dev *v, uint8_t key)
{
    virtio_post(v, TOY_ECHO_KEY, &key, 1);
}

static void echo_stop(struct virtio_dev *v)
{
    echo(v)->served = 0;
}

static void echo_quiesce(struct virtio_dev *v)
{
    /* A chain is given back before its notification ends. */
}

static void echo_destroy(struct virtio_dev *v)
{
    free(v->backend);
}

static enum gw_status echo_check(const void *object, struct gw_error *err)
{
    const struct echo *e = object;
    return e->served < 1u << 31 ? GW_OK : gw_fail(err, GW_ERR_FORMAT, "toy-echo", "cannot be");
}

static const struct state_field echo_fields[] = {
    STATE_SCALAR(struct echo, key, STATE_U8),
    STATE_SCALAR(struct echo, served, STATE_U32),
};

static const struct state_desc echo_state = {
    .name = "toy-echo",
    .version = 1,
    .fields = echo_fields,
    .field_count = STATE_COUNT_(echo_fields),
    .check = echo_check,
};

const struct virtio_kind toy_echo_kind = {
    .name = "toy-echo",
    .id = 0xfffe,
    .state = &echo_state,
    .features = echo_features,
    .config = echo_config,
    .config_write = echo_config_write,
    .notify = echo_notify,
    .stop = echo_stop,
    .quiesce = echo_quiesce,
    .destroy = echo_destroy,
    .event = echo_event,
};

enum gw_status toy_echo_attach(struct virtio_dev *v, uint8_t key, struct gw_error *err)
{
    struct echo *e = calloc(1, sizeof *e);
    if (!e)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for an echo");
    e->key = key;
    return virtio_attach(v, &toy_echo_kind, e, 1, err);
}
