/* Values of options that say several fields: taken apart by their form, and put together. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec_int.h"

/* ---- what the table says -------------------------------------------------------------------- */

static const struct spec_field *find_bytes(const struct spec_record *r, const char *name, size_t n)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->fields[i].name && strlen(r->fields[i].name) == n &&
            !memcmp(r->fields[i].name, name, n))
            return &r->fields[i];
    return NULL;
}

void spec_read_form(const struct spec_record *r, const char *text, struct spec_form *out)
{
    bool optional = false;
    char before = 0;
    out->count = 0;
    while (*text && out->count < SPEC_FORM_ITEMS) {
        size_t n = strcspn(text, "[]:=,@/");
        if (n) {
            out->item[out->count++] = (struct spec_form_item){
                .f = find_bytes(r, text, n), .before = before, .optional = optional};
            text += n;
            continue;
        }
        if (*text == '[' || *text == ']')
            optional = *text == '[';
        else
            before = *text;
        text++;
    }
}

const struct spec_record *spec_filled(const struct spec_record *r, const struct spec_field *f,
                                      const struct spec_field **list)
{
    *list = f->of ? spec_find(r, f->of) : f->kind == SPEC_RECORDS ? f : NULL;
    return *list ? (*list)->record : r;
}

/* ---- taking apart --------------------------------------------------------------------------- */

/* What is being taken apart: [text, text + size), and the record that it fills in. */
struct value {
    const struct spec_record *r;
    void *record;
    bool in_list; /* then no part of it is empty */
    const char *text;
    size_t size;
    struct gw_error *err;
};

static enum gw_status refuse_part(const struct spec_field *f, const char *part,
                                  const struct value *v)
{
    return f->refused ? gw_fail(v->err, GW_ERR_ARG, part, "%s", f->refused) : GW_ERR_ARG;
}

/* GW_ERR_ARG with an empty *err: whoever called says what is wrong. */
static enum gw_status put_bytes(const struct spec_field *f, const char *text, size_t size,
                                const struct value *v)
{
    char *copy = strndup(text, size);
    enum gw_status st = GW_ERR_ARG;
    if (!copy)
        return GW_ERR_NOMEM;
    if (size || !v->in_list)
        st = spec_put(f, v->record, copy);
    if (st != GW_OK && st != GW_ERR_NOMEM)
        st = refuse_part(f, size ? copy : v->text, v);
    free(copy);
    return st;
}

static const char *find_byte(const char *text, size_t size, char c, bool last)
{
    return last ? memrchr(text, c, size) : memchr(text, c, size);
}

static enum gw_status from_start(const struct spec_form *form, const struct value *v)
{
    const char *p = v->text, *end = v->text + v->size;
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < form->count; i++) {
        const struct spec_form_item *next = &form->item[i + 1];
        const char *stop = NULL;
        if (i + 1 < form->count)
            stop = find_byte(p, (size_t)(end - p), next->before, false);
        st = put_bytes(form->item[i].f, p, (size_t)((stop ? stop : end) - p), v);
        if (stop)
            p = stop + 1;
        else if (i + 1 == form->count || next->optional)
            return st;
        else
            return GW_ERR_ARG;
    }
    return st;
}

static enum gw_status from_end(const struct spec_form *form, const struct value *v)
{
    size_t size = v->size;
    enum gw_status st = GW_OK;
    for (unsigned i = form->count; st == GW_OK && i-- > 0;) {
        const struct spec_form_item *item = &form->item[i];
        const char *at = item->before ? find_byte(v->text, size, item->before, true) : NULL;
        if (!at && item->before && item->optional)
            continue;
        if (!at) { /* the rest; what would stand before it must be no loss */
            while (i > 0)
                if (!form->item[--i].optional)
                    return GW_ERR_ARG;
            return put_bytes(item->f, v->text, size, v);
        }
        st = put_bytes(item->f, at + 1, (size_t)(v->text + size - at - 1), v);
        size = (size_t)(at - v->text);
    }
    return st;
}

/* The field of a part "rw" or "bps=4M"; NULL: there is none. */
static const struct spec_field *part_of(const struct spec_record *r, const char *part, size_t size)
{
    for (unsigned i = 0; i < r->count; i++) {
        const char *p = r->fields[i].part;
        size_t n = p ? strlen(p) : 0;
        if (n &&
            (p[n - 1] == '=' ? size > n && !memcmp(part, p, n) : size == n && !memcmp(part, p, n)))
            return &r->fields[i];
    }
    return NULL;
}

static enum gw_status put_part(const struct spec_field *f, const char *part, size_t size,
                               const struct value *v)
{
    size_t key = strlen(f->part);
    char *copy;
    enum gw_status st;
    if (size == key) {
        spec_put_number(f, v->record, f->kind == SPEC_FLAG ? 1 : spec_which(f, part, size));
        return GW_OK;
    }
    copy = strndup(part, size);
    if (!copy)
        return GW_ERR_NOMEM;
    st = spec_put(f, v->record, copy + key);
    if (st != GW_OK && st != GW_ERR_NOMEM)
        st = refuse_part(f, copy, v);
    free(copy);
    return st;
}

/* What all of one value's parts say. Of two that say the same thing one would be meant. */
static enum gw_status put_parts(const char *p, const char *end, const struct value *v)
{
    uint64_t said = 0;
    enum gw_status st = GW_OK;
    assert(v->r->count <= 64);
    while (st == GW_OK && p) {
        const char *next = find_byte(p + 1, (size_t)(end - p - 1), ',', false);
        size_t size = (size_t)((next ? next : end) - p - 1);
        const struct spec_field *f = part_of(v->r, p + 1, size);
        uint64_t bit = f ? UINT64_C(1) << (f - v->r->fields) : 0;
        if (!f)
            return GW_ERR_ARG;
        if (said & bit)
            return gw_fail(v->err, GW_ERR_ARG, v->text, "cannot use the value: '%s' is there twice",
                           f->part);
        said |= bit;
        st = put_part(f, p + 1, size, v);
        p = next;
    }
    return st;
}

/* Takes the tail off the value. */
static enum gw_status put_tail(enum spec_tail tail, struct value *v)
{
    enum gw_status st = GW_OK;
    if (tail == SPEC_TAIL_PARTS) {
        const char *end = v->text + v->size, *p = find_byte(v->text, v->size, ',', false);
        v->size = p ? (size_t)(p - v->text) : v->size;
        st = put_parts(p, end, v);
    }
    while (st == GW_OK && tail == SPEC_TAIL_END) {
        const char *p = find_byte(v->text, v->size, ',', true);
        size_t n = p ? (size_t)(v->text + v->size - p - 1) : 0;
        const struct spec_field *f = p ? part_of(v->r, p + 1, n) : NULL;
        if (!f || spec_said(f, v->record)) /* said again it is of the text before */
            break;
        v->size = (size_t)(p - v->text);
        st = put_part(f, p + 1, n, v);
    }
    return st;
}

static enum gw_status take_apart(const struct spec_field *f, struct value *v)
{
    struct spec_form form;
    enum gw_status st;
    const char *why;
    spec_read_form(v->r, f->form, &form);
    assert(form.count);
    /* The name first: what is missing there is worse than what is wrong behind it. */
    if (f->tail == SPEC_TAIL_PARTS && (v->size == 0 || v->text[0] == ','))
        return refuse_part(form.item[0].f, v->text, v);
    st = put_tail(f->tail, v);
    if (st == GW_OK)
        st = f->from_end ? from_end(&form, v) : from_start(&form, v);
    why = st == GW_OK && v->r->check ? v->r->check(v->record) : NULL;
    if (!why)
        return st;
    return *why ? gw_fail(v->err, GW_ERR_ARG, v->text, "%s", why) : GW_ERR_ARG;
}

/* ---- whom it fills in ----------------------------------------------------------------------- */

static enum gw_status refuse_more(const struct spec_field *f, const struct spec_field *list,
                                  const char *value, struct gw_error *err)
{
    if (!f->full)
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the option: given too often");
    return gw_fail(err, GW_ERR_ARG, value, "%s: there are %u already", f->full,
                   (unsigned)list->most);
}

/* "N=..." */
static enum gw_status find_place(const struct spec_record *r, void *record,
                                 const struct spec_field *f, struct value *v)
{
    unsigned i = (unsigned)(v->text[0] - '0');
    const struct spec_field *first;
    if (i >= f->most || v->text[1] != '=')
        return spec_refuse(r, f, v->text, v->err);
    v->record = spec_element(f, record, i);
    first = find_bytes(v->r, f->form, strcspn(f->form, "[]:=,@/"));
    if (spec_said(first, v->record))
        return gw_fail(v->err, GW_ERR_ARG, v->text, "%s: %s %u has a file already", f->wrong,
                       f->place, i);
    v->text += 2;
    v->size -= 2;
    return GW_OK;
}

/* The fields that the option fills in become as they are usual. */
static void forget(const struct spec_record *r, const struct spec_field *f, void *record)
{
    struct spec_form form;
    spec_read_form(r, f->form, &form);
    for (unsigned i = 0; i < form.count; i++)
        spec_clear_field(form.item[i].f, record);
    for (unsigned i = 0; f->tail && i < r->count; i++)
        if (r->fields[i].part)
            spec_clear_field(&r->fields[i], record);
}

static enum gw_status failed(const struct spec_record *r, const struct spec_field *f,
                             enum gw_status st, const char *value, struct gw_error *err)
{
    if (st == GW_ERR_NOMEM)
        return gw_fail(err, st, value, "no memory for the option");
    return err->status == GW_OK ? spec_refuse(r, f, value, err) : st;
}

static enum gw_status put_record(const struct spec_record *r, void *record,
                                 const struct spec_field *f, const char *value,
                                 struct gw_error *err)
{
    const struct spec_field *list;
    const struct spec_record *filled = spec_filled(r, f, &list);
    struct value v = {.r = filled,
                      .record = record,
                      .in_list = list != NULL,
                      .text = value,
                      .size = strlen(value),
                      .err = err};
    const char *why;
    enum gw_status st = GW_OK;
    if (list && list->place)
        st = find_place(r, record, list, &v);
    else if (list && !(v.record = spec_append(list, record)))
        st = refuse_more(f, list, value, err);
    if (st != GW_OK)
        return st;
    forget(v.r, f, v.record);
    st = take_apart(f, &v);
    why = st == GW_OK && list && r->check ? r->check(record) : NULL;
    if (why)
        st = gw_fail(err, GW_ERR_ARG, value, "%s", why);
    if (st == GW_OK)
        return st;
    if (list)
        spec_clear(v.r, v.record);
    if (list && !list->place)
        --*(uint32_t *)(void *)((char *)record + list->count_at);
    return failed(r, f, st, value, err);
}

enum gw_status spec_option(const struct spec_record *r, void *record, const struct spec_field *f,
                           const char *value, struct gw_error *err)
{
    struct gw_error none;
    enum gw_status st;
    err = err ? err : &none;
    err->status = GW_OK;
    if (f->set)
        return f->set(record, value, err);
    if (!value && (f->kind == SPEC_FLAG || f->kind == SPEC_COUNT)) {
        spec_put_number(f, record, spec_number(f, record) + 1);
        return GW_OK;
    }
    assert(value);
    if (f->form)
        return put_record(r, record, f, value, err);
    st = spec_put(f, record, value);
    if (st == GW_ERR_LIMIT && f->range) {
        struct spec_field free_of_limits = {.kind = f->kind};
        uint64_t number = 0;
        spec_put(&free_of_limits, &number, value);
        return spec_refuse_range(r, f, number, err);
    }
    return st == GW_OK ? st : failed(r, f, st, value, err);
}

/* ---- putting together ----------------------------------------------------------------------- */

static void print_part(const struct spec_field *f, const void *record, FILE *out)
{
    size_t n = strlen(f->part);
    char *text;
    if (f->part[n - 1] != '=') {
        if (spec_number(f, record) == (f->kind == SPEC_FLAG ? 1 : spec_which(f, f->part, n)))
            fprintf(out, ",%s", f->part);
        return;
    }
    text = spec_said(f, record) ? spec_print(f, record) : NULL;
    if (text)
        fprintf(out, ",%s%s", f->part, text);
    free(text);
}

static void print_form(const struct spec_record *r, const struct spec_field *f, const void *record,
                       FILE *out)
{
    struct spec_form form;
    bool any = false;
    spec_read_form(r, f->form, &form);
    for (unsigned i = 0; i < form.count; i++) {
        const struct spec_form_item *item = &form.item[i];
        char *text;
        if (item->optional && !spec_said(item->f, record))
            continue;
        text = spec_print(item->f, record);
        if (any)
            fputc(item->before, out);
        fputs(text ? text : "", out);
        any = true;
        free(text);
    }
    for (unsigned i = 0; f->tail && i < r->count; i++)
        if (r->fields[i].part)
            print_part(&r->fields[i], record, out);
}

/* Does the text say what is in the record, as far as the option says anything? */
static bool says(const struct spec_record *r, const struct spec_field *f, const char *text,
                 const void *record)
{
    const struct spec_field *list;
    const struct spec_record *filled = spec_filled(r, f, &list);
    void *other = malloc(filled->bytes);
    struct value v = {
        .r = filled, .record = other, .in_list = list != NULL, .text = text, .size = strlen(text)};
    struct spec_form form;
    bool same;
    if (!other)
        return false;
    spec_init(filled, other);
    same = take_apart(f, &v) == GW_OK;
    spec_read_form(filled, f->form, &form);
    for (unsigned i = 0; i < form.count; i++)
        same = same && spec_equal_field(form.item[i].f, other, record);
    for (unsigned i = 0; f->tail && i < filled->count; i++)
        same = same &&
               (!filled->fields[i].part || spec_equal_field(&filled->fields[i], other, record));
    spec_clear(filled, other);
    free(other);
    return same;
}

char *spec_option_print(const struct spec_record *r, const void *record, const struct spec_field *f,
                        uint32_t i)
{
    const struct spec_field *list;
    const struct spec_record *filled;
    char *text = NULL;
    size_t size, head;
    FILE *out;
    if (!f->form)
        return spec_said(f, record) ? spec_print(f, record) : NULL;
    filled = spec_filled(r, f, &list);
    if (list)
        record = spec_element(list, record, i);
    out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    if (list && list->place)
        fprintf(out, "%u=", i);
    fflush(out);
    head = size;
    print_form(filled, f, record, out);
    if (fclose(out) == 0 && says(r, f, text + head, record))
        return text;
    free(text);
    return NULL;
}
