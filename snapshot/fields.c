/* A state table's fields as bytes, with their names, so that a file explains itself. */
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"

enum { FIELD_HEADER = 8, NAME_MAX_BYTES = 63, MAX_ELEMENTS = 1 << 20 };

static size_t table_bytes(const struct state_desc *d)
{
    size_t n = 4;
    for (uint32_t i = 0; i < d->field_count; i++)
        n += FIELD_HEADER + strlen(d->fields[i].name);
    return n;
}

static size_t value_bytes(const struct state_desc *d)
{
    size_t n = 0;
    for (uint32_t i = 0; i < d->field_count; i++)
        n += (size_t)d->fields[i].count * d->fields[i].type;
    return n;
}

static uint8_t *put_table(uint8_t *p, const struct state_desc *d)
{
    snap_put(p, d->field_count, 4);
    p += 4;
    for (uint32_t i = 0; i < d->field_count; i++) {
        const struct state_field *f = &d->fields[i];
        size_t n = strlen(f->name);
        snap_put(p, f->type, 1);
        snap_put(p + 1, n, 1);
        snap_put(p + 2, 0, 2);
        snap_put(p + 4, f->count, 4);
        memcpy(p + FIELD_HEADER, f->name, n);
        p += FIELD_HEADER + n;
    }
    return p;
}

enum gw_status snap_encode(const char *name, const struct state_desc *desc, const void *object,
                           uint8_t **payload, size_t *size, uint64_t *layout, struct gw_error *err)
{
    size_t table = table_bytes(desc);
    uint8_t *p;
    *size = table + value_bytes(desc);
    *payload = NULL;
    if (*size > SNAP_MAX_SMALL || desc->field_count > SNAP_MAX_FIELDS)
        return gw_fail(err, GW_ERR_LIMIT, name, "cannot save: the state is too large");
    *payload = malloc(*size);
    if (!*payload)
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot save: out of memory");
    p = put_table(*payload, desc);
    *layout = snap_hash(*payload, table);
    for (uint32_t i = 0; i < desc->field_count; i++) {
        const struct state_field *f = &desc->fields[i];
        for (uint32_t k = 0; k < f->count; k++, p += f->type)
            snap_put(p, state_get(object, f, k), f->type);
    }
    return GW_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

void snap_free_fields(struct snap_fields *f)
{
    free(f->field);
    free(f->payload);
    memset(f, 0, sizeof *f);
}

static bool name_is_plain(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return true;
}

/* The table of fields; *at is behind it afterwards. */
static bool decode_table(struct snap_fields *f, size_t size, size_t *at)
{
    const uint8_t *p = f->payload;
    for (uint32_t i = 0; i < f->count; i++) {
        struct snap_field *out = &f->field[i];
        unsigned type, n;
        if (size - *at < FIELD_HEADER)
            return false;
        type = p[*at];
        n = p[*at + 1];
        out->count = (uint32_t)snap_get(p + *at + 4, 4);
        if ((type != 1 && type != 2 && type != 4 && type != 8) || snap_get(p + *at + 2, 2))
            return false;
        *at += FIELD_HEADER;
        if (n == 0 || n > NAME_MAX_BYTES || size - *at < n || !name_is_plain(p + *at, n) ||
            out->count == 0 || out->count > MAX_ELEMENTS)
            return false;
        out->type = (enum state_type)type;
        memcpy(out->name, p + *at, n);
        *at += n;
    }
    return true;
}

static bool decode(struct snap_fields *f, size_t size, uint64_t layout)
{
    size_t at = 4;
    if (!decode_table(f, size, &at) || snap_hash(f->payload, at) != layout)
        return false;
    for (uint32_t i = 0; i < f->count; i++) {
        size_t n = (size_t)f->field[i].count * f->field[i].type;
        if (size - at < n)
            return false;
        f->field[i].values = f->payload + at;
        at += n;
    }
    return at == size;
}

enum gw_status snap_decode(const char *name, uint8_t *payload, size_t size, uint64_t layout,
                           struct snap_fields *out, struct gw_error *err)
{
    memset(out, 0, sizeof *out);
    out->payload = payload;
    if (size < 4 || snap_get(payload, 4) > SNAP_MAX_FIELDS) {
        snap_free_fields(out);
        return gw_fail(err, GW_ERR_FORMAT, name, "cannot use the section: its table is broken");
    }
    out->count = (uint32_t)snap_get(payload, 4);
    out->field = calloc(out->count ? out->count : 1, sizeof *out->field);
    if (!out->field) {
        snap_free_fields(out);
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot use the section: out of memory");
    }
    if (!decode(out, size, layout)) {
        snap_free_fields(out);
        return gw_fail(err, GW_ERR_FORMAT, name, "cannot use the section: its table is broken");
    }
    return GW_OK;
}
