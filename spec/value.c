/* Single values: from text, to text, and their limits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec_int.h"

/* ---- numbers -------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* The first are those that a value is printed in, the largest that divides it. */
static const struct unit size_units[] = {
    {"T", UINT64_C(1) << 40},
    {"G", 1u << 30},
    {"M", 1u << 20},
    {"K", 1u << 10},
    {"", 1},
    {"TiB", UINT64_C(1) << 40},
    {"GiB", 1u << 30},
    {"MiB", 1u << 20},
    {"KiB", 1u << 10},
    {"g", 1u << 30},
    {"m", 1u << 20},
    {"k", 1u << 10},
    {NULL, 0},
};
static const struct unit time_units[] = {
    {"h", UINT64_C(3600) * 1000000000u},
    {"m", UINT64_C(60) * 1000000000u},
    {"s", 1000000000u},
    {"ms", 1000000u},
    {NULL, 0},
};

/* Digits up to *end, which is where the unit starts. */
static bool digits(const char *text, uint64_t *value, const char **end)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    }
    *value = v;
    *end = p;
    return p != text;
}

static bool plain_number(const char *text, uint64_t *value)
{
    const char *end;
    size_t n;
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
        return digits(text, value, &end) && !*end;
    n = strspn(text + 2, "0123456789abcdefABCDEF");
    if (n == 0 || n > 16 || text[2 + n])
        return false;
    *value = strtoull(text + 2, NULL, 16);
    return true;
}

static bool with_unit(const char *text, const struct unit *units, uint64_t *value)
{
    const char *end;
    if (!digits(text, value, &end))
        return false;
    for (; units->name; units++)
        if (!strcmp(units->name, end))
            return !__builtin_mul_overflow(*value, units->factor, value);
    return false;
}

static char *print_unit(const struct unit *units, uint64_t value)
{
    char *text = NULL;
    while (units->name && (value ? value % units->factor != 0 : units->factor != 1))
        units++;
    if (!units->name || asprintf(&text, "%" PRIu64 "%s", value / units->factor, units->name) < 0)
        return NULL;
    return text;
}

bool spec_is_number(const struct spec_field *f)
{
    return f->kind == SPEC_FLAG || f->kind == SPEC_COUNT || f->kind == SPEC_NUMBER ||
           f->kind == SPEC_SIZE || f->kind == SPEC_DURATION;
}

uint64_t spec_number(const struct spec_field *f, const void *record)
{
    const void *at = spec_at(f, record);
    if (f->kind == SPEC_FLAG)
        return *(const bool *)at;
    return f->kind == SPEC_CHOICE ? *(const uint32_t *)at : *(const uint64_t *)at;
}

void spec_put_number(const struct spec_field *f, void *record, uint64_t value)
{
    void *at = spec_at(f, record);
    if (f->kind == SPEC_FLAG)
        *(bool *)at = value != 0;
    else if (f->kind == SPEC_CHOICE)
        *(uint32_t *)at = (uint32_t)value;
    else
        *(uint64_t *)at = value;
}

bool spec_fits(const struct spec_field *f, uint64_t value)
{
    return value == f->usual || (value >= f->least && (!f->most || value <= f->most) &&
                                 (!f->step || value % f->step == 0));
}

/* What is said is never "nothing": there the least of what can be said counts. */
static enum gw_status put_limited(const struct spec_field *f, void *record, uint64_t value)
{
    if (value < f->least || !spec_fits(f, value))
        return GW_ERR_LIMIT;
    spec_put_number(f, record, value);
    return GW_OK;
}

/* ---- words ---------------------------------------------------------------------------------- */

bool spec_word(const struct spec_field *f, unsigned i, struct spec_word *w)
{
    const char *p = f->words ? f->words : f->kind == SPEC_FLAG ? "off|on" : NULL;
    while (p && --i && (p = strchr(p, '|')))
        p++;
    if (!p)
        return false;
    w->text = p;
    w->bytes = strcspn(p, "|:=");
    w->open = p[w->bytes] == ':' || p[w->bytes] == '=';
    w->bytes += w->open;
    return true;
}

unsigned spec_which(const struct spec_field *f, const char *text, size_t bytes)
{
    struct spec_word w;
    for (unsigned i = 1; spec_word(f, i, &w); i++)
        if (w.open ? bytes > w.bytes && !memcmp(text, w.text, w.bytes)
                   : bytes == w.bytes && !memcmp(text, w.text, bytes))
            return i;
    return 0;
}

/* ---- addresses of cards --------------------------------------------------------------------- */

static bool parse_mac(const char *text, struct spec_mac *mac)
{
    static const char hex[] = "0123456789abcdef";
    size_t size = strlen(text);
    struct spec_mac m = {{0}};
    if (size != 3 * SPEC_MAC_BYTES - 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] + 32) : text[i];
        const char *at = strchr(hex, c);
        if (i % 3 == 2 ? c != ':' : !at)
            return false;
        if (i % 3 != 2)
            m.bytes[i / 3] = (uint8_t)(m.bytes[i / 3] << 4 | (at - hex));
    }
    if (m.bytes[0] & 1) /* a group's address is no card's */
        return false;
    *mac = m;
    return true;
}

/* ---- any value ------------------------------------------------------------------------------ */

static enum gw_status replace(const char **to, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return GW_ERR_NOMEM;
    free((void *)(uintptr_t)*to);
    *to = copy;
    return GW_OK;
}

enum gw_status spec_put_text(const struct spec_field *f, void *record, const char *text)
{
    return replace(spec_at(f, record), text);
}

static enum gw_status put_target(const struct spec_field *f, void *record, const char *text)
{
    struct spec_target *t = spec_at(f, record);
    unsigned word = spec_which(f, text, strlen(text));
    struct spec_word w;
    enum gw_status st;
    if (!word || !spec_word(f, word, &w))
        return GW_ERR_ARG;
    st = replace(&t->to, w.open ? text + w.bytes : NULL);
    if (st == GW_OK)
        t->kind = word;
    return st;
}

static enum gw_status put_string(const struct spec_field *f, void *record, const char *text)
{
    size_t n = strlen(text);
    if (f->kind == SPEC_TEXT && f->words && !spec_which(f, text, n))
        return GW_ERR_ARG;
    if (n < f->least || (f->most && n > f->most))
        return GW_ERR_LIMIT;
    return spec_put_text(f, record, text);
}

enum gw_status spec_put(const struct spec_field *f, void *record, const char *text)
{
    uint64_t v = 0;
    bool fine;
    switch (f->kind) {
    case SPEC_TEXT:
    case SPEC_PATH: return put_string(f, record, text);
    case SPEC_TARGET: return put_target(f, record, text);
    case SPEC_MAC: return parse_mac(text, spec_at(f, record)) ? GW_OK : GW_ERR_ARG;
    case SPEC_FLAG:
    case SPEC_CHOICE:
        v = spec_which(f, text, strlen(text));
        if (!v)
            return GW_ERR_ARG;
        spec_put_number(f, record, f->kind == SPEC_FLAG ? v - 1 : v);
        return GW_OK;
    case SPEC_SIZE: fine = with_unit(text, size_units, &v); break;
    case SPEC_DURATION: fine = with_unit(text, time_units, &v); break;
    case SPEC_COUNT:
    case SPEC_NUMBER: fine = plain_number(text, &v); break;
    default: return GW_ERR_ARG;
    }
    return fine ? put_limited(f, record, v) : GW_ERR_ARG;
}

static char *print_target(const struct spec_field *f, const struct spec_target *t)
{
    struct spec_word w;
    char *text;
    if (!t->kind || !spec_word(f, t->kind, &w) ||
        asprintf(&text, "%.*s%s", (int)w.bytes, w.text, w.open && t->to ? t->to : "") < 0)
        return NULL;
    return text;
}

static char *print_mac(const struct spec_mac *m)
{
    const uint8_t *b = m->bytes;
    char *text;
    if (asprintf(&text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]) < 0)
        return NULL;
    return text;
}

char *spec_print(const struct spec_field *f, const void *record)
{
    const void *at = spec_at(f, record);
    uint64_t v = spec_is_number(f) || f->kind == SPEC_CHOICE ? spec_number(f, record) : 0;
    struct spec_word w;
    char *text = NULL;
    switch (f->kind) {
    case SPEC_TEXT:
    case SPEC_PATH: return *(const char *const *)at ? strdup(*(const char *const *)at) : NULL;
    case SPEC_TARGET: return print_target(f, at);
    case SPEC_MAC: return spec_said(f, record) ? print_mac(at) : NULL;
    case SPEC_FLAG: return spec_word(f, v ? 2 : 1, &w) ? strndup(w.text, w.bytes) : NULL;
    case SPEC_CHOICE: return v && spec_word(f, (unsigned)v, &w) ? strndup(w.text, w.bytes) : NULL;
    case SPEC_SIZE: return print_unit(size_units, v);
    case SPEC_DURATION: return print_unit(time_units, v);
    case SPEC_COUNT:
    case SPEC_NUMBER: return asprintf(&text, "%" PRIu64, v) < 0 ? NULL : text;
    default: return NULL;
    }
}

bool spec_said(const struct spec_field *f, const void *record)
{
    static const struct spec_mac none;
    const void *at = spec_at(f, record);
    switch (f->kind) {
    case SPEC_TEXT:
    case SPEC_PATH: return *(const char *const *)at != NULL;
    case SPEC_TARGET: return ((const struct spec_target *)at)->kind != 0;
    case SPEC_MAC: return memcmp(at, &none, sizeof none) != 0;
    case SPEC_SET: return false;
    case SPEC_RECORDS:
        for (uint32_t i = 0; i < spec_count(f, record); i++) {
            const void *e = spec_element(f, record, i);
            for (unsigned k = 0; k < f->record->count; k++)
                if (!f->place || spec_said(&f->record->fields[k], e))
                    return true;
        }
        return false;
    default: return spec_number(f, record) != f->usual;
    }
}

bool spec_names_file(const struct spec_field *f, const void *record)
{
    const char *text = f->kind == SPEC_PATH ? *(const char *const *)spec_at(f, record) : NULL;
    return text && !(f->words && spec_which(f, text, strlen(text)));
}
