/* snap diff: by the names of sections and fields, as the files have them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verbs/snap.h"

enum { MAX_ELEMENTS = 8 }; /* shown of one array */

struct diff {
    const struct snap_api *api;
    struct snap_reader *a, *b;
    bool json;
    unsigned lines;
};

static uint64_t element(const struct snap_field *f, uint32_t i)
{
    uint64_t v = 0;
    for (unsigned k = 0; k < (unsigned)f->type; k++)
        v |= (uint64_t)f->values[(size_t)i * f->type + k] << (8 * k);
    return v;
}

/* "section.name[index]: before -> after"; NULL: not there. */
static void line(struct diff *d, const char *section, const char *name, const char *before,
                 const char *after)
{
    if (d->json)
        printf("%s\n  {\"at\": \"%s%s%s\", \"a\": \"%s\", \"b\": \"%s\"}", d->lines ? "," : "[",
               section, name[0] ? "." : "", name, before, after);
    else
        printf("%s%s%s: %s -> %s\n", section, name[0] ? "." : "", name, before, after);
    d->lines++;
}

static void compare_values(struct diff *d, const char *section, const struct snap_field *a,
                           const struct snap_field *b)
{
    unsigned shown = 0, more = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        char name[96], before[32], after[32];
        if (element(a, i) == element(b, i))
            continue;
        if (shown++ >= MAX_ELEMENTS) {
            more++;
            continue;
        }
        snprintf(name, sizeof name, a->count > 1 ? "%s[%" PRIu32 "]" : "%s", a->name, i);
        snprintf(before, sizeof before, "0x%" PRIx64, element(a, i));
        snprintf(after, sizeof after, "0x%" PRIx64, element(b, i));
        line(d, section, name, before, after);
    }
    if (more) {
        char text[48];
        snprintf(text, sizeof text, "%u more elements", more);
        line(d, section, a->name, text, "others");
    }
}

static const struct snap_field *find_field(const struct snap_fields *f, const char *name)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (!strcmp(f->field[i].name, name))
            return &f->field[i];
    return NULL;
}

static void compare_fields(struct diff *d, const char *section, const struct snap_fields *a,
                           const struct snap_fields *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct snap_field *x = &a->field[i], *y = find_field(b, x->name);
        if (!y)
            line(d, section, x->name, "there", "missing");
        else if (x->type != y->type || x->count != y->count)
            line(d, section, x->name, "of one shape", "of another");
        else
            compare_values(d, section, x, y);
    }
    for (uint32_t i = 0; i < b->count; i++)
        if (!find_field(a, b->field[i].name))
            line(d, section, b->field[i].name, "missing", "there");
}

static enum gw_status compare_state(struct diff *d, uint32_t ia, uint32_t ib, struct gw_error *err)
{
    const struct snap_section *s = d->api->section(d->a, ia), *t = d->api->section(d->b, ib);
    struct snap_fields a = {0}, b = {0};
    enum gw_status st = d->api->fields(d->a, ia, &a, err);
    if (st == GW_OK)
        st = d->api->fields(d->b, ib, &b, err);
    if (st == GW_OK && s->version != t->version)
        line(d, s->name, "", "of one version", "of another");
    if (st == GW_OK)
        compare_fields(d, s->name, &a, &b);
    d->api->free_fields(&a);
    d->api->free_fields(&b);
    return st;
}

/* ---- pages ---------------------------------------------------------------------------------- */

struct run {
    uint64_t first, count;
};

static void flush_run(struct diff *d, const char *section, struct run *r)
{
    char name[64];
    if (!r->count)
        return;
    snprintf(name, sizeof name, "0x%" PRIx64 "+0x%" PRIx64, r->first * SNAP_PAGE_BYTES,
             r->count * SNAP_PAGE_BYTES);
    line(d, section, name, "bytes", "others");
    r->count = 0;
}

static void differs(struct diff *d, const char *section, struct run *r, uint64_t page)
{
    if (r->count && page != r->first + r->count)
        flush_run(d, section, r);
    if (!r->count)
        r->first = page;
    r->count++;
}

/* Both lists ascend; a page that one of them has not is zero there. */
static enum gw_status compare_pages(struct diff *d, uint32_t ia, uint32_t ib, struct gw_error *err)
{
    const char *name = d->api->section(d->a, ia)->name;
    struct snap_page_hash *a = NULL, *b = NULL;
    uint64_t pages_a, pages_b, na, nb, i = 0, k = 0;
    struct run run = {0, 0};
    enum gw_status st = d->api->page_hashes(d->a, ia, &pages_a, &a, &na, err);
    if (st == GW_OK)
        st = d->api->page_hashes(d->b, ib, &pages_b, &b, &nb, err);
    if (st == GW_OK && pages_a != pages_b)
        line(d, name, "", "of one size", "of another");
    while (st == GW_OK && (i < na || k < nb)) {
        uint64_t x = i < na ? a[i].page : UINT64_MAX, y = k < nb ? b[k].page : UINT64_MAX;
        if (x != y || a[i].hash != b[k].hash)
            differs(d, name, &run, x < y ? x : y);
        i += x <= y;
        k += y <= x;
    }
    flush_run(d, name, &run);
    free(a);
    free(b);
    return st;
}

/* ---- sections ------------------------------------------------------------------------------- */

static uint32_t index_of(const struct diff *d, struct snap_reader *r, const struct snap_section *s)
{
    uint32_t i = 0;
    while (d->api->section(r, i) != s)
        i++;
    return i;
}

static enum gw_status compare_section(struct diff *d, uint32_t ia, struct gw_error *err)
{
    const struct snap_section *s = d->api->section(d->a, ia), *t = d->api->find(d->b, s->name);
    if (!t) {
        line(d, s->name, "", "there", "missing");
        return GW_OK;
    }
    if (s->kind != t->kind) {
        line(d, s->name, "", "of one kind", "of another");
        return GW_OK;
    }
    if (s->hash == t->hash && s->bytes == t->bytes && s->version == t->version)
        return GW_OK;
    if (s->kind == SNAP_STATE)
        return compare_state(d, ia, index_of(d, d->b, t), err);
    if (s->kind == SNAP_PAGES)
        return compare_pages(d, ia, index_of(d, d->b, t), err);
    line(d, s->name, "", "bytes", "others");
    return GW_OK;
}

enum gw_status snap_diff(const struct snap_api *api, struct snap_reader *a, struct snap_reader *b,
                         bool json, int *status, struct gw_error *err)
{
    struct diff d = {.api = api, .a = a, .b = b, .json = json};
    enum gw_status st = GW_OK;
    for (uint32_t i = 0; st == GW_OK && i < api->section_count(a); i++)
        st = compare_section(&d, i, err);
    for (uint32_t i = 0; st == GW_OK && i < api->section_count(b); i++)
        if (!api->find(a, api->section(b, i)->name))
            line(&d, api->section(b, i)->name, "", "missing", "there");
    if (json && st == GW_OK)
        puts(d.lines ? "\n]" : "[]");
    *status = d.lines != 0;
    return st;
}
