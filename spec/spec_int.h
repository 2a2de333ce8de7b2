/* Of this room's files only. */
#ifndef SPEC_SPEC_INT_H
#define SPEC_SPEC_INT_H

#include "spec/spec.h"

static inline void *spec_at(const struct spec_field *f, const void *record)
{
    return (char *)(uintptr_t)record + f->at;
}

/* Copies what a field holds over a field that is as spec_init() leaves it. False: no memory. */
bool spec_copy_field(const struct spec_field *f, void *to, const void *from);
/* Frees what it owns, and makes it as it is usual. */
void spec_clear_field(const struct spec_field *f, void *record);
bool spec_equal_field(const struct spec_field *f, const void *a, const void *b);
/* A number is usual, or within the field's limits. */
bool spec_fits(const struct spec_field *f, uint64_t value);

/* The i-th word of a field, from 1: how many bytes of it are fixed, and whether text follows them.
 * False: there are not so many. */
struct spec_word {
    const char *text;
    size_t bytes;
    bool open;
};
bool spec_word(const struct spec_field *f, unsigned i, struct spec_word *w);
/* Which of the words the text is; of an open one, its beginning. 0: none. */
unsigned spec_which(const struct spec_field *f, const char *text, size_t bytes);

/* A form, taken apart. */
enum { SPEC_FORM_ITEMS = 4 };
struct spec_form {
    struct spec_form_item {
        const struct spec_field *f;
        char before; /* what separates it from the one before */
        bool optional;
    } item[SPEC_FORM_ITEMS];
    unsigned count;
};
void spec_read_form(const struct spec_record *r, const char *text, struct spec_form *out);
/* The record whose fields the option fills in, and the list that gets one (NULL: none does). */
const struct spec_record *spec_filled(const struct spec_record *r, const struct spec_field *f,
                                      const struct spec_field **list);

/* How an option is called in messages: "-m", "--seed", or a field's name. */
void spec_call(const struct spec_field *f, char *buf, size_t size);
/* GW_ERR_ARG, with what is wrong: with the value of an option; with the number in a field that is
 * out of its limits. */
enum gw_status spec_refuse(const struct spec_record *r, const struct spec_field *f,
                           const char *value, struct gw_error *err);
enum gw_status spec_refuse_range(const struct spec_record *r, const struct spec_field *f,
                                 uint64_t number, struct gw_error *err);

#endif
