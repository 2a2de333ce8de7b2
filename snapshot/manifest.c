/* The manifest as JSON: the fields of a machine's description that are not the run's, by their
 * names. Keys are sorted and nothing in it depends on when or where it was written, so equal machines
 * have equal manifests. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"
#include "spec/spec.h"

static bool is_saved(const struct spec_field *f)
{
    return f->kind != SPEC_SET && f->owner != SPEC_OF_RUN;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* 64 bits do not fit into a JSON number everywhere. */
static json_t *number(uint64_t v)
{
    char text[24];
    if (v <= INT64_MAX >> 10)
        return json_integer((json_int_t)v);
    snprintf(text, sizeof text, "0x%" PRIx64, v);
    return json_string(text);
}

static bool put_text(json_t *o, const struct spec_field *f, const void *record,
                     struct gw_error *err)
{
    char *text = spec_print(f, record);
    json_t *v = text ? json_string(text) : NULL;
    if (text && !v)
        gw_fail(err, GW_ERR_ARG, text, "cannot save: the text is not UTF-8");
    free(text);
    return v && json_object_set_new(o, f->name, v) == 0;
}

static json_t *print_record(const struct spec_record *r, const void *record, struct gw_error *err);

static bool put_records(json_t *o, const struct spec_field *f, const void *record,
                        struct gw_error *err)
{
    json_t *list = json_array();
    if (json_object_set_new(o, f->name, list) != 0)
        return false;
    for (uint32_t i = 0; i < spec_count(f, record); i++)
        if (json_array_append_new(list, print_record(f->record, spec_element(f, record, i), err)))
            return false;
    return true;
}

static bool put_field(json_t *o, const struct spec_field *f, const void *record,
                      struct gw_error *err)
{
    if (f->kind == SPEC_RECORDS)
        return put_records(o, f, record, err);
    if (f->kind == SPEC_FLAG)
        return json_object_set_new(o, f->name, json_boolean(spec_number(f, record))) == 0;
    if (spec_is_number(f))
        return json_object_set_new(o, f->name, number(spec_number(f, record))) == 0;
    return !spec_said(f, record) || put_text(o, f, record, err);
}

static json_t *print_record(const struct spec_record *r, const void *record, struct gw_error *err)
{
    json_t *o = json_object();
    for (unsigned i = 0; o && i < r->count; i++)
        if (is_saved(&r->fields[i]) && !put_field(o, &r->fields[i], record, err)) {
            json_decref(o);
            return NULL;
        }
    return o;
}

enum gw_status snap_manifest_print(const struct machine_spec *s, char **text, struct gw_error *err)
{
    struct gw_error why = {GW_OK, "", "", ""};
    json_t *root = print_record(spec_machine, s, &why);
    *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    if (*text)
        return GW_OK;
    if (why.status == GW_OK)
        return gw_fail(err, GW_ERR_NOMEM, "", "cannot save: out of memory");
    if (err)
        *err = why;
    return why.status;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool get_number(json_t *v, uint64_t *out)
{
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *out = (uint64_t)json_integer_value(v);
        return true;
    }
    if (json_is_string(v)) {
        const char *s = json_string_value(v);
        size_t n = strlen(s);
        if (n > 2 && n <= 18 && !strncmp(s, "0x", 2) &&
            strspn(s + 2, "0123456789abcdef") == n - 2) {
            *out = strtoull(s + 2, NULL, 16);
            return true;
        }
    }
    return false;
}

/* Texts and paths may be what this program does not know; whoever uses them says so. */
static bool get_text(json_t *v, const struct spec_field *f, void *record)
{
    bool any = f->kind == SPEC_TEXT || f->kind == SPEC_PATH;
    return json_is_string(v) &&
           (any ? spec_put_text : spec_put)(f, record, json_string_value(v)) == GW_OK;
}

static bool get_record(json_t *o, const struct spec_record *r, void *record);

static bool get_records(json_t *list, const struct spec_field *f, void *record)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > f->most)
        return false;
    for (size_t i = 0; i < n; i++) {
        void *e = f->place ? spec_element(f, record, (uint32_t)i) : spec_append(f, record);
        if (!get_record(json_array_get(list, i), f->record, e))
            return false;
    }
    return true;
}

static bool get_field(json_t *v, const struct spec_field *f, void *record)
{
    uint64_t n = 0;
    if (f->kind == SPEC_RECORDS)
        return get_records(v, f, record);
    if (!spec_is_number(f))
        return get_text(v, f, record);
    if (f->kind == SPEC_FLAG ? !json_is_boolean(v) : !get_number(v, &n))
        return false;
    spec_put_number(f, record, f->kind == SPEC_FLAG ? json_is_true(v) : n);
    return true;
}

/* What is missing is as it is usual, unless no machine is without it. */
static bool get_record(json_t *o, const struct spec_record *r, void *record)
{
    const char *why = NULL;
    for (unsigned i = 0; i < r->count; i++) {
        const struct spec_field *f = &r->fields[i];
        json_t *v = is_saved(f) ? json_object_get(o, f->name) : NULL;
        if (v ? !get_field(v, f, record) : is_saved(f) && f->needed)
            return false;
    }
    why = r->check ? r->check(record) : NULL;
    return json_is_object(o) && !why;
}

enum gw_status snap_manifest_parse(const char *text, size_t size, const char *file,
                                   struct machine_spec *out, struct gw_error *err)
{
    json_error_t e;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &e);
    bool fine;
    spec_init(spec_machine, out);
    fine = root && get_record(root, spec_machine, out);
    json_decref(root);
    if (fine)
        return GW_OK;
    spec_clear(spec_machine, out);
    return gw_fail(err, GW_ERR_FORMAT, file, "cannot use the snapshot: its manifest is broken");
}
