/* Saved fields into an object: of the table's own version, of an older one, or of another section. */
#include <stdio.h>
#include <string.h>

#include "snapshot/snap_int.h"

/* What upgrade() is given. */
struct saved {
    struct state_saved s;
    const struct snap_fields *fields;
    char missing[64]; /* the first field that was asked for and is not there; empty: none */
};

static uint64_t value(const struct snap_field *f, uint32_t i)
{
    return snap_get(f->values + (size_t)i * f->type, f->type);
}

static const struct snap_field *find(const struct snap_fields *f, const char *name)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (!strcmp(f->field[i].name, name))
            return &f->field[i];
    return NULL;
}

static uint64_t get(struct state_saved *from, const char *field, uint32_t i)
{
    struct saved *saved = (struct saved *)(void *)from;
    const struct snap_field *f = find(saved->fields, field);
    if (f && i < f->count)
        return value(f, i);
    if (!saved->missing[0])
        snprintf(saved->missing, sizeof saved->missing, "%s", field);
    return 0;
}

static void copy(const struct state_field *to, const struct snap_field *from, void *object)
{
    for (uint32_t i = 0; i < to->count; i++)
        state_set(object, to, i, from ? value(from, i) : 0);
}

static bool alike(const struct state_field *want, const struct snap_field *have)
{
    return !strcmp(want->name, have->name) && want->type == have->type &&
           want->count == have->count;
}

static enum gw_status other_field(const char *name, const char *field, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_UNSUPPORTED, name,
                   "cannot use the section: its field %s is not that of this program", field);
}

static enum gw_status apply_same(const char *name, const struct snap_fields *f,
                                 const struct state_desc *desc, void *object, struct gw_error *err)
{
    for (uint32_t i = 0; i < desc->field_count; i++)
        if (i == f->count || !alike(&desc->fields[i], &f->field[i]))
            return other_field(name, i == f->count ? desc->fields[i].name : f->field[i].name, err);
    if (f->count > desc->field_count)
        return other_field(name, f->field[desc->field_count].name, err);
    for (uint32_t i = 0; i < desc->field_count; i++)
        copy(&desc->fields[i], &f->field[i], object);
    return GW_OK;
}

/* own: the version of the table that f has; 0: f is another section. */
static enum gw_status apply_older(const char *name, const struct snap_section *s,
                                  const struct snap_fields *f, uint32_t own,
                                  const struct state_desc *desc, void *object, struct gw_error *err)
{
    struct saved saved = {.s = {.version = s->version, .number = snap_number(name), .get = get},
                          .fields = f};
    for (uint32_t i = 0; i < desc->field_count; i++) {
        const struct state_field *want = &desc->fields[i];
        const struct snap_field *have = want->since > own ? NULL : find(f, want->name);
        if (want->since <= own && (!have || !alike(want, have)))
            return other_field(s->name, want->name, err);
        copy(want, have, object);
    }
    if (desc->upgrade)
        desc->upgrade(object, &saved.s);
    return saved.missing[0] ? other_field(s->name, saved.missing, err) : GW_OK;
}

unsigned snap_number(const char *name)
{
    size_t n = strlen(name), digits = 0;
    unsigned number = 0;
    while (digits < n && digits < 9 && name[n - digits - 1] >= '0' && name[n - digits - 1] <= '9')
        digits++;
    for (; digits; digits--)
        number = number * 10 + (unsigned)(name[n - digits] - '0');
    return number;
}

enum gw_status snap_apply(const char *name, const struct snap_section *s,
                          const struct snap_fields *f, const struct state_desc *desc, void *object,
                          struct gw_error *err)
{
    bool own = !strcmp(s->name, name);
    uint32_t newest = own ? desc->version : desc->part_of.newest;
    uint32_t oldest = own ? desc->oldest ? desc->oldest : desc->version : desc->part_of.oldest;
    enum gw_status st;
    if (s->version < oldest || s->version > newest)
        return gw_fail(err, GW_ERR_UNSUPPORTED, s->name,
                       "cannot use the section: %s %u of %s, this program knows %u%s",
                       s->version > newest ? "a newer program saved version"
                                           : "it has the old version",
                       s->version, desc->name, newest, oldest < newest ? " and some before" : "");
    if (own && s->version == desc->version)
        st = apply_same(name, f, desc, object, err);
    else
        st = apply_older(name, s, f, own ? s->version : 0, desc, object, err);
    return st == GW_OK && desc->check ? desc->check(object, err) : st;
}
