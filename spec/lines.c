/*
 * A description as lines, for processes of ours that tell one another what a machine is, and for seals:
 * NAME=VALUE, of a list first how many there are, then NAME.INDEX.FIELD=VALUE. Numbers are decimal. In a
 * value \n is a new line and \\ a backslash.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec_int.h"

enum { KEY_BYTES = 96 };

/* ---- writing -------------------------------------------------------------------------------- */

static void print_value(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\')
            fputs("\\\\", out);
        else
            fputc(*text, out);
    }
    fputc('\n', out);
}

static bool print_record(FILE *out, const char *prefix, const struct spec_record *r,
                         const void *record, bool (*wanted)(const struct spec_field *f));

static bool print_list(FILE *out, const struct spec_field *f, const void *record,
                       bool (*wanted)(const struct spec_field *f))
{
    char prefix[KEY_BYTES];
    bool fine = true;
    if (!f->place)
        fprintf(out, "%s=%" PRIu32 "\n", f->name, spec_count(f, record));
    for (uint32_t i = 0; fine && i < spec_count(f, record); i++) {
        snprintf(prefix, sizeof prefix, "%s.%" PRIu32 ".", f->name, i);
        fine = print_record(out, prefix, f->record, spec_element(f, record, i), wanted);
    }
    return fine;
}

static bool print_record(FILE *out, const char *prefix, const struct spec_record *r,
                         const void *record, bool (*wanted)(const struct spec_field *f))
{
    bool fine = true;
    for (unsigned i = 0; fine && i < r->count; i++) {
        const struct spec_field *f = &r->fields[i];
        char *text;
        if (f->kind == SPEC_SET || !spec_said(f, record) || !wanted(f))
            continue;
        if (f->kind == SPEC_RECORDS) {
            fine = print_list(out, f, record, wanted);
            continue;
        }
        fprintf(out, "%s%s=", prefix, f->name);
        if (spec_is_number(f)) {
            fprintf(out, "%" PRIu64 "\n", spec_number(f, record));
            continue;
        }
        text = spec_print(f, record);
        if (text)
            print_value(out, text);
        fine = text != NULL;
        free(text);
    }
    return fine;
}

char *spec_lines(const struct spec_record *r, const void *record,
                 bool (*wanted)(const struct spec_field *f))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool fine = out && print_record(out, "", r, record, wanted);
    if (out && fclose(out) == 0 && fine)
        return text;
    free(text);
    return NULL;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* What a line is about. */
struct place {
    const struct spec_field *f;
    void *record;
};

/* A number without sign, blanks or a leading zero, and what follows it. */
static bool take_number(const char *text, uint64_t most, uint64_t *value, const char **end)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    *value = v;
    *end = p;
    return p != text && v <= most && (text[0] != '0' || p == text + 1);
}

static const struct spec_field *find(const struct spec_record *r, const char *name, size_t bytes,
                                     bool (*wanted)(const struct spec_field *f))
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct spec_field *f = &r->fields[i];
        if (f->kind != SPEC_SET && strlen(f->name) == bytes && !memcmp(f->name, name, bytes))
            return wanted(f) ? f : NULL;
    }
    return NULL;
}

static bool find_place(const struct spec_record *r, void *record, const char *key, struct place *at,
                       bool (*wanted)(const struct spec_field *f))
{
    size_t n = strcspn(key, ".");
    uint64_t i;
    at->record = record;
    at->f = find(r, key, n, wanted);
    if (!at->f || !key[n])
        return at->f != NULL;
    if (at->f->kind != SPEC_RECORDS || !take_number(key + n + 1, UINT32_MAX, &i, &key) ||
        *key != '.' || i >= spec_count(at->f, record))
        return false;
    at->record = spec_element(at->f, record, (uint32_t)i);
    at->f = find(at->f->record, key + 1, strlen(key + 1), wanted);
    return at->f && at->f->kind != SPEC_RECORDS;
}

static bool put_value(const struct place *at, const char *text)
{
    const char *end;
    uint64_t v;
    if (at->f->kind == SPEC_TEXT || at->f->kind == SPEC_PATH)
        return spec_put_text(at->f, at->record, text) == GW_OK;
    if (at->f->kind != SPEC_RECORDS && !spec_is_number(at->f))
        return spec_put(at->f, at->record, text) == GW_OK;
    if (!take_number(text, at->f->kind == SPEC_FLAG ? 1 : UINT64_MAX, &v, &end) || *end)
        return false;
    if (at->f->kind != SPEC_RECORDS) {
        spec_put_number(at->f, at->record, v);
        return true;
    }
    if (at->f->place || spec_count(at->f, at->record) || v > at->f->most)
        return false;
    while (v--)
        spec_append(at->f, at->record);
    return true;
}

/* In place; false: an escape that means nothing. */
static bool unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        char c = *text;
        if (c == '\\') {
            c = *++text;
            if (c != 'n' && c != '\\')
                return false;
            c = c == 'n' ? '\n' : c;
        }
        *to++ = c;
    }
    *to = 0;
    return true;
}

static bool read_line(const struct spec_record *r, void *record, char *line,
                      bool (*wanted)(const struct spec_field *f))
{
    char *value = strchr(line, '=');
    struct place at;
    if (!value)
        return false;
    *value++ = 0;
    return unescape(value) && find_place(r, record, line, &at, wanted) && put_value(&at, value);
}

enum gw_status spec_read_lines(const struct spec_record *r, void *record, const char *text,
                               size_t bytes, bool (*wanted)(const struct spec_field *f),
                               struct gw_error *err)
{
    char *copy = malloc(bytes + 1), *line = copy;
    bool fine = copy && !memchr(text, 0, bytes) && (!bytes || text[bytes - 1] == '\n');
    if (!copy)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine's description");
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    while (fine && *line) {
        char *end = strchr(line, '\n');
        *end = 0;
        fine = read_line(r, record, line, wanted);
        line = end + 1;
    }
    free(copy);
    return fine ? GW_OK : gw_fail(err, GW_ERR_FORMAT, r->name, "a description that makes no sense");
}
