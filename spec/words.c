/* Texts for people, made of the table: metavariables, what a value must be, help, completion. */
#include <stdlib.h>
#include <string.h>

#include "spec/spec_int.h"

/* A buffer that is always a string; what does not fit is cut. */
struct text {
    char *at;
    size_t room;
};

static void add(struct text *t, const char *s, size_t n)
{
    if (n >= t->room)
        n = t->room ? t->room - 1 : 0;
    memcpy(t->at, s, n);
    t->at[n] = 0;
    t->at += n;
    t->room -= n;
}

static void add_string(struct text *t, const char *s)
{
    add(t, s, strlen(s));
}

static struct text text_of(char *buf, size_t size)
{
    buf[0] = 0;
    return (struct text){.at = buf, .room = size};
}

/* Where the word ends: what is in brackets is part of it. */
static const char *word_end(const char *p)
{
    for (int depth = 0; *p && (depth || *p != '|'); p++)
        depth += (*p == '[') - (*p == ']');
    return p;
}

/* "a, b or c" of "a|b|c". */
static void join_words(const char *words, char *buf, size_t size)
{
    struct text t = text_of(buf, size);
    for (const char *p = words; *p;) {
        const char *end = word_end(p);
        add(&t, p, (size_t)(end - p));
        p = end + (*end == '|');
        if (*p)
            add_string(&t, *word_end(p) ? ", " : " or ");
    }
}

/* ---- metavariables -------------------------------------------------------------------------- */

static const char *plain_value(const struct spec_field *f)
{
    return f->value ? f->value : f->words ? f->words : "";
}

/* "[,rw]", "[,overlay=FILE]"; what has no metavariable is left to the help. */
static void add_parts(struct text *t, const struct spec_record *r, const char *open,
                      const char *close, const char *between, const char *last)
{
    const struct spec_field *shown[8];
    unsigned count = 0;
    for (unsigned i = 0; i < r->count && count < 8; i++) {
        const struct spec_field *f = &r->fields[i];
        if (f->part && (f->value || f->part[strlen(f->part) - 1] != '='))
            shown[count++] = f;
    }
    for (unsigned i = 0; i < count; i++) {
        if (i)
            add_string(t, i + 1 == count ? last : between);
        add_string(t, open);
        add_string(t, shown[i]->part);
        add_string(t, shown[i]->value ? shown[i]->value : "");
        add_string(t, close);
    }
}

void spec_value_text(const struct spec_record *r, const struct spec_field *f, char *buf,
                     size_t size)
{
    struct text t = text_of(buf, size);
    const struct spec_field *list;
    const struct spec_record *filled = spec_filled(r, f, &list);
    struct spec_form form;
    unsigned next = 0;
    if (f->value || !f->form) {
        add_string(&t, f->kind == SPEC_FLAG && !f->value ? "" : plain_value(f));
        return;
    }
    if (list && list->place)
        add_string(&t, "N=");
    spec_read_form(filled, f->form, &form);
    for (const char *p = f->form; *p;) {
        size_t n = strcspn(p, "[]:=,@/");
        if (n)
            add_string(&t, plain_value(form.item[next++].f));
        else
            add(&t, p, n = 1);
        p += n;
    }
    if (f->tail)
        add_parts(&t, filled, "[,", "]", "", "");
}

/* ---- messages ------------------------------------------------------------------------------- */

void spec_call(const struct spec_field *f, char *buf, size_t size)
{
    if (f->letter)
        snprintf(buf, size, "-%c", f->letter);
    else
        snprintf(buf, size, "%s%s", f->option ? "--" : "", f->option ? f->option : f->name);
}

static void must_be(const struct spec_record *r, const struct spec_field *f, char *buf, size_t size)
{
    char value[160];
    struct text t;
    const struct spec_field *list;
    const struct spec_record *filled = spec_filled(r, f, &list);
    if (f->must) {
        snprintf(buf, size, "it must be %s", f->must);
    } else if (f->tail == SPEC_TAIL_PARTS) {
        t = text_of(buf, size);
        add_string(&t, "what follows its name must be ");
        add_parts(&t, filled, "", "", ", ", " or ");
    } else {
        char words[160];
        if (f->words && !f->form)
            snprintf(value, sizeof value, "%s", f->words);
        else
            spec_value_text(r, f, value, sizeof value);
        join_words(value, words, sizeof words);
        snprintf(buf, size, "it must be %s%s%s", words, f->example ? ", such as " : "",
                 f->example ? f->example : "");
    }
}

enum gw_status spec_refuse(const struct spec_record *r, const struct spec_field *f,
                           const char *value, struct gw_error *err)
{
    static const char *const takes[] = {
        [SPEC_COUNT] = "a number",
        [SPEC_NUMBER] = "a number",
        [SPEC_SIZE] = "a size, such as 64M or 2G",
        [SPEC_DURATION] = "a time with its unit, such as 30s or 5m",
        [SPEC_MAC] = "the address of a card, such as 52:54:00:12:34:56",
        [SPEC_SET] = NULL, /* and the others between */
    };
    char must[192];
    if (f->wrong || !takes[f->kind]) {
        must_be(r, f, must, sizeof must);
        return gw_fail(err, GW_ERR_ARG, value, "%s: %s",
                       f->wrong ? f->wrong : "cannot use the value", must);
    }
    return gw_fail(err, GW_ERR_ARG, value, "--%s takes %s", f->option, takes[f->kind]);
}

enum gw_status spec_refuse_range(const struct spec_record *r, const struct spec_field *f,
                                 uint64_t number, struct gw_error *err)
{
    const struct spec_field step = {.kind = SPEC_SIZE};
    bool in_range = number >= f->least && (!f->most || number <= f->most);
    char called[64], must[192];
    char *text = f->step ? spec_print(&step, &f->step) : NULL;
    spec_call(f, called, sizeof called);
    must_be(r, f, must, sizeof must);
    if (text && in_range)
        gw_fail(err, GW_ERR_ARG, called, "cannot use the value: not a multiple of %s", text);
    else if (f->range)
        gw_fail(err, GW_ERR_ARG, called, "cannot use the value: %s", f->range);
    else if (f->wrong)
        gw_fail(err, GW_ERR_ARG, called, "%s: %s", f->wrong, must);
    else
        gw_fail(err, GW_ERR_ARG, called, "cannot use the value: out of its limits");
    free(text);
    return GW_ERR_ARG;
}

/* ---- lists of options ----------------------------------------------------------------------- */

unsigned spec_verbs(const struct spec_field *f)
{
    if (f->verbs)
        return f->verbs;
    return f->owner == SPEC_OF_MACHINE ? SPEC_VERB_RUN : SPEC_VERBS_MACHINE;
}

void spec_help_text(const struct spec_record *r, const struct spec_field *f, char *buf, size_t size)
{
    struct text t = text_of(buf, size);
    const struct spec_field *list;
    const struct spec_record *filled = spec_filled(r, f, &list);
    add_string(&t, f->help ? f->help : "");
    for (unsigned i = 0; f->tail && i < filled->count; i++)
        if (filled->fields[i].part && filled->fields[i].help) {
            add_string(&t, "; ");
            add_string(&t, filled->fields[i].help);
        }
}

/* "user tap: socket: none" */
static void add_words(struct text *t, const struct spec_field *f)
{
    struct spec_word w;
    for (unsigned i = 1; f->words && spec_word(f, i, &w); i++) {
        if (i > 1)
            add_string(t, " ");
        add(t, w.text, w.bytes);
    }
}

void spec_complete_text(const struct spec_record *r, const struct spec_field *f, char *buf,
                        size_t size)
{
    struct text t = text_of(buf, size);
    const struct spec_field *list;
    const struct spec_record *filled = spec_filled(r, f, &list);
    struct spec_form form;
    if (f->complete)
        add_string(&t, f->complete);
    else if (f->kind == SPEC_PATH)
        add_string(&t, "file");
    else if (f->value)
        return;
    else if (!f->form)
        add_words(&t, f);
    else if (f->form[0] != '[') {
        spec_read_form(filled, f->form, &form);
        add_words(&t, form.item[0].f);
    }
}
