/* Values for every field of the description, made of the table: a new row is covered by itself. */
#ifndef TEST_SPEC_SAMPLES_H
#define TEST_SPEC_SAMPLES_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec.h"

enum { SAMPLE_BYTES = 512 };

/* All records there are: the machine, and those of its lists. NULL past the last. */
static inline const struct spec_record *sample_record(unsigned i)
{
    const struct spec_record *seen[32] = {spec_machine};
    unsigned count = 1;
    for (unsigned k = 0; k < spec_machine->count && count < 32; k++) {
        const struct spec_record *r = spec_machine->fields[k].record;
        unsigned at = 0;
        while (r && at < count && seen[at] != r)
            at++;
        if (r && at == count)
            seen[count++] = r;
    }
    return i < count ? seen[i] : NULL;
}

static inline bool sample_has_value(const struct spec_field *f)
{
    return f->kind != SPEC_SET && f->kind != SPEC_RECORDS;
}

/* The i-th word, with something behind it where it is open. */
static inline bool sample_word(const struct spec_field *f, unsigned i, char *text)
{
    const char *p = f->words ? f->words : "off|on";
    size_t n;
    while (i-- && (p = strchr(p, '|')))
        p++;
    if (!p)
        return false;
    n = strcspn(p, "|:=");
    snprintf(text, SAMPLE_BYTES, "%.*s%s", (int)n + (p[n] == ':' || p[n] == '='), p,
             p[n] == ':' || p[n] == '=' ? "/some/where" : "");
    return true;
}

static inline bool sample_number(const struct spec_field *f, unsigned i, char *text)
{
    const uint64_t values[] = {f->least ? f->least : 1, f->most ? f->most : UINT64_MAX,
                               f->usual && f->usual >= f->least ? f->usual : f->least + 12345,
                               f->least + 8191};
    uint64_t v;
    if (i >= sizeof values / sizeof values[0])
        return false;
    v = f->most && values[i] > f->most ? f->most : values[i];
    if (f->step && i != 1)
        v -= v % f->step;
    if (f->kind == SPEC_DURATION)
        snprintf(text, SAMPLE_BYTES, "%" PRIu64 "ms", v % 1000000 + 1);
    else
        snprintf(text, SAMPLE_BYTES, "%" PRIu64, v);
    return true;
}

static inline bool sample_string(const struct spec_field *f, unsigned i, char *text)
{
    size_t n = f->most && i == 1 ? f->most : i + (f->least ? f->least : 3);
    if (i > 2)
        return f->words && sample_word(f, i - 3, text);
    if (f->kind == SPEC_TEXT && f->words)
        return sample_word(f, i, text);
    if (n >= SAMPLE_BYTES)
        return false;
    memset(text, 'a' + (int)i, n);
    text[n] = 0;
    return true;
}

/* The i-th value of a field as text; false past the last. text: SAMPLE_BYTES. */
static inline bool sample_value(const struct spec_field *f, unsigned i, char *text)
{
    static const char *const macs[] = {"52:54:00:12:34:56", "02:00:00:00:00:01"};
    switch (f->kind) {
    case SPEC_TEXT:
    case SPEC_PATH: return sample_string(f, i, text);
    case SPEC_FLAG:
    case SPEC_CHOICE:
    case SPEC_TARGET: return sample_word(f, i, text);
    case SPEC_MAC:
        if (i < 2)
            snprintf(text, SAMPLE_BYTES, "%s", macs[i]);
        return i < 2;
    case SPEC_SET:
    case SPEC_RECORDS: return false;
    default: return sample_number(f, i, text);
    }
}

static inline enum gw_status sample_put(const struct spec_field *f, unsigned i, void *record)
{
    char text[SAMPLE_BYTES];
    return sample_value(f, i, text) ? spec_put(f, record, text) : GW_ERR_NOTFOUND;
}

#endif
