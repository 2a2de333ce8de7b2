/* Whole records: each field in turn. */
#include <stdlib.h>
#include <string.h>

#include "spec/spec_int.h"

const struct spec_field *spec_find(const struct spec_record *r, const char *name)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->fields[i].name && !strcmp(r->fields[i].name, name))
            return &r->fields[i];
    return NULL;
}

const struct spec_field *spec_find_option(const struct spec_record *r, const char *option)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->fields[i].option && !strcmp(r->fields[i].option, option))
            return &r->fields[i];
    return NULL;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static uint32_t *count_of(const struct spec_field *f, const void *record)
{
    return (uint32_t *)(void *)((char *)(uintptr_t)record + f->count_at);
}

uint32_t spec_count(const struct spec_field *f, const void *record)
{
    return f->place ? (uint32_t)f->most : *count_of(f, record);
}

void *spec_element(const struct spec_field *f, const void *record, uint32_t i)
{
    return (char *)spec_at(f, record) + i * f->record->bytes;
}

void *spec_append(const struct spec_field *f, void *record)
{
    uint32_t *count = count_of(f, record);
    void *new;
    if (*count >= f->most)
        return NULL;
    new = spec_element(f, record, (*count)++);
    spec_init(f->record, new);
    return new;
}

/* ---- one field ------------------------------------------------------------------------------ */

static const char **text_of(const struct spec_field *f, const void *record)
{
    if (f->kind == SPEC_TARGET)
        return &((struct spec_target *)spec_at(f, record))->to;
    return f->kind == SPEC_TEXT || f->kind == SPEC_PATH ? (const char **)spec_at(f, record) : NULL;
}

static size_t bytes_of(const struct spec_field *f)
{
    switch (f->kind) {
    case SPEC_TEXT:
    case SPEC_PATH: return sizeof(char *);
    case SPEC_FLAG: return sizeof(bool);
    case SPEC_CHOICE: return sizeof(uint32_t);
    case SPEC_TARGET: return sizeof(struct spec_target);
    case SPEC_MAC: return sizeof(struct spec_mac);
    case SPEC_RECORDS:
    case SPEC_SET: return 0;
    default: return sizeof(uint64_t);
    }
}

static void init_field(const struct spec_field *f, void *record)
{
    memset(spec_at(f, record), 0, bytes_of(f));
    if (f->usual)
        spec_put_number(f, record, f->usual);
    if (f->kind == SPEC_RECORDS && !f->place)
        *count_of(f, record) = 0;
    for (uint32_t i = 0; f->kind == SPEC_RECORDS && i < spec_count(f, record); i++)
        spec_init(f->record, spec_element(f, record, i));
}

void spec_clear_field(const struct spec_field *f, void *record)
{
    const char **text = text_of(f, record);
    if (text)
        free((void *)(uintptr_t)*text);
    for (uint32_t i = 0; f->kind == SPEC_RECORDS && i < spec_count(f, record); i++)
        spec_clear(f->record, spec_element(f, record, i));
    init_field(f, record);
}

bool spec_copy_field(const struct spec_field *f, void *to, const void *from)
{
    const char **text = text_of(f, to);
    memcpy(spec_at(f, to), spec_at(f, from), bytes_of(f));
    if (text && *text && !(*text = strdup(*text)))
        return false;
    if (f->kind != SPEC_RECORDS)
        return true;
    for (uint32_t i = 0; i < spec_count(f, from); i++) {
        void *new = f->place ? spec_element(f, to, i) : spec_append(f, to);
        if (!new || spec_copy(f->record, new, spec_element(f, from, i), NULL) != GW_OK)
            return false;
    }
    return true;
}

static bool equal_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

bool spec_equal_field(const struct spec_field *f, const void *a, const void *b)
{
    const struct spec_target *x = spec_at(f, a), *y = spec_at(f, b);
    if (f->kind == SPEC_TARGET)
        return x->kind == y->kind && equal_text(x->to, y->to);
    if (text_of(f, a))
        return equal_text(*text_of(f, a), *text_of(f, b));
    if (f->kind != SPEC_RECORDS)
        return !memcmp(spec_at(f, a), spec_at(f, b), bytes_of(f));
    if (spec_count(f, a) != spec_count(f, b))
        return false;
    for (uint32_t i = 0; i < spec_count(f, a); i++)
        if (!spec_equal(f->record, spec_element(f, a, i), spec_element(f, b, i)))
            return false;
    return true;
}

/* ---- records -------------------------------------------------------------------------------- */

void spec_init(const struct spec_record *r, void *to)
{
    memset(to, 0, r->bytes);
    for (unsigned i = 0; i < r->count; i++)
        init_field(&r->fields[i], to);
}

void spec_clear(const struct spec_record *r, void *record)
{
    for (unsigned i = 0; i < r->count; i++)
        spec_clear_field(&r->fields[i], record);
}

enum gw_status spec_copy(const struct spec_record *r, void *to, const void *from,
                         struct gw_error *err)
{
    spec_init(r, to);
    for (unsigned i = 0; i < r->count; i++)
        if (!spec_copy_field(&r->fields[i], to, from)) {
            spec_clear(r, to);
            return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine's description");
        }
    return GW_OK;
}

bool spec_equal(const struct spec_record *r, const void *a, const void *b)
{
    for (unsigned i = 0; i < r->count; i++)
        if (!spec_equal_field(&r->fields[i], a, b))
            return false;
    return true;
}

bool spec_each(const struct spec_record *r, void *record,
               bool (*visit)(void *context, const struct spec_field *f, void *record),
               void *context)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct spec_field *f = &r->fields[i];
        if (f->kind == SPEC_SET)
            continue;
        if (f->kind != SPEC_RECORDS && !visit(context, f, record))
            return false;
        for (uint32_t k = 0; f->kind == SPEC_RECORDS && k < spec_count(f, record); k++)
            if (!spec_each(f->record, spec_element(f, record, k), visit, context))
                return false;
    }
    return true;
}

/* ---- limits --------------------------------------------------------------------------------- */

static bool text_fits(const struct spec_field *f, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (!text)
        return true;
    if (f->kind == SPEC_TEXT && f->words && !spec_which(f, text, n))
        return false;
    return n >= f->least && (!f->most || n <= f->most);
}

static bool field_fits(const struct spec_field *f, const void *record)
{
    const char **text = text_of(f, record);
    struct spec_word w;
    uint32_t word = 0;
    if (f->kind == SPEC_CHOICE || f->kind == SPEC_TARGET)
        memcpy(&word, spec_at(f, record), sizeof word); /* of a target it comes first */
    if (word && (!spec_word(f, word, &w) || (f->kind == SPEC_TARGET && w.open != (*text != NULL))))
        return false;
    if (f->kind == SPEC_TEXT || f->kind == SPEC_PATH)
        return text_fits(f, *text);
    return !spec_is_number(f) || spec_fits(f, spec_number(f, record));
}

/* in_list: what is needed must be there. */
static enum gw_status check(const struct spec_record *r, const void *record, bool in_list,
                            struct gw_error *err)
{
    const char *why = r->check ? r->check(record) : NULL;
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < r->count; i++) {
        const struct spec_field *f = &r->fields[i];
        if (f->kind == SPEC_SET)
            continue;
        if (f->kind != SPEC_RECORDS &&
            (!field_fits(f, record) || (in_list && f->needed && !spec_said(f, record))))
            st = spec_refuse_range(r, f, spec_is_number(f) ? spec_number(f, record) : 0, err);
        for (uint32_t k = 0; f->kind == SPEC_RECORDS && st == GW_OK && k < spec_count(f, record);
             k++)
            st = check(f->record, spec_element(f, record, k), true, err);
    }
    if (st == GW_OK && why)
        st = gw_fail(err, GW_ERR_ARG, r->name, "%s",
                     *why ? why : "cannot be: its parts do not fit one another");
    return st;
}

enum gw_status spec_check(const struct spec_record *r, const void *record, struct gw_error *err)
{
    return check(r, record, false, err);
}
