/*
 * The room that reads the table of machine_spec.inc: values from text and back, limits, what is
 * usual, copies, comparison. It knows no file format, no option's spelling beyond its value, and no
 * machine; it links libc alone, and whoever uses it has a copy of its own. Functions work on what
 * they are given and nothing else, so any thread may call.
 *
 * Others may describe structs of their own by the same rows, as the command line does for what only
 * it knows.
 */
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H

#include <stddef.h>

#include "godwit/machine_spec.h"
#include "godwit/status.h"

/* What a field holds, and how it is said. */
enum spec_kind {
    SPEC_TEXT,     /* any text; of `words`, where it has them; least and most: bytes */
    SPEC_PATH,     /* names a file, or is one of `words` */
    SPEC_FLAG,     /* its option takes no value; within a form the first word says false */
    SPEC_COUNT,    /* one more each time */
    SPEC_NUMBER,   /* decimal or 0x */
    SPEC_SIZE,     /* bytes: 64K, 1G */
    SPEC_DURATION, /* nanoseconds: 30s, 5m */
    SPEC_CHOICE,   /* one of `words` */
    SPEC_TARGET,   /* one of `words`, what follows a ':' or '=' in one being free */
    SPEC_MAC,      /* 52:54:00:12:34:56 */
    SPEC_RECORDS,  /* a list of records, or places for some */
    SPEC_SET,      /* nothing itself: an option that fills in other fields, or another list */
};

enum spec_owner { SPEC_OF_MACHINE, SPEC_OF_RUN, SPEC_OF_EITHER, SPEC_OF_HOST, SPEC_OF_SEEN };

/* What may follow the form in an option's value: ",rw", ",overlay=FILE". */
enum spec_tail {
    SPEC_TAIL_NONE,
    SPEC_TAIL_PARTS, /* the form ends at the first comma, and parts that are known follow */
    SPEC_TAIL_END,   /* parts that are known, at its end; other commas are the form's */
};

/* Verbs that take an option. */
enum {
    SPEC_VERB_RUN = 1,
    SPEC_VERB_RESTORE = 2,
    SPEC_VERB_EXEC = 4,
    SPEC_VERBS_MACHINE = SPEC_VERB_RUN | SPEC_VERB_RESTORE,
    SPEC_VERBS_START = SPEC_VERBS_MACHINE | SPEC_VERB_EXEC,
};

struct spec_record;

struct spec_field {
    enum spec_kind kind;
    const char *name; /* in texts of every kind; NULL: of an option alone */
    size_t at;        /* offset in its struct */
    enum spec_owner owner;
    bool live;   /* may change while the machine runs */
    bool needed; /* a description that is whole has it */
    /* Of the host's: a machine that was saved wants it at a reset alone; unless this flag of the record
     * is set (NULL: whatever it is). */
    bool at_reset;
    const char *unless;

    /* Limits of what is said: 0 as `most` and `step` is none. What is usual is always fine. */
    uint64_t least, most, step, usual;
    const char *words; /* "a|b:FILE" */
    const char *usual_text;

    /* SPEC_RECORDS: of what, how many at most, and where the number of them is */
    const struct spec_record *record;
    size_t count_at;   /* unless they have places */
    const char *place; /* what a place is called; its number and a '=' stand before the form */

    /* In the value of a record's option: part of its tail. "rw": sets a flag, or chooses that word;
     * "bps=": a value follows. */
    const char *part;

    /* An option; NULL: none. Texts for people are never NULL where they are needed for a message. */
    const char *option;
    char letter;    /* 0: none */
    unsigned verbs; /* 0: run; and restore, unless it is the machine's */
    /* Its value: names of fields (of the record that is added; of `of`; of its own record) with what
     * separates them, in brackets what may be left out. It is taken apart from its beginning, each
     * up to the first separator, or with from_end from its end. NULL: the field itself. */
    const char *form;
    bool from_end;
    enum spec_tail tail;
    const char *of;       /* the list that gets a record */
    const char *after;    /* of another table: the field it follows in lists of options */
    const char *help;     /* NULL: not listed. Of a part: is added to that of its option */
    const char *value;    /* metavariable; NULL: made of words or form. In brackets: optional */
    const char *complete; /* words, or "file"; NULL: made of words */
    const char *wrong;    /* "no such engine": then what it must be */
    const char *must;     /* NULL: made of the metavariable, and `example` */
    const char *example;
    const char *full;    /* "cannot add the disk": then how many there are already */
    const char *range;   /* what the limits are, and whose */
    const char *refused; /* of a part of a value: all there is to say */
    /* Looks at the value itself; value is NULL where there is none. */
    enum gw_status (*set)(void *record, const char *value, struct gw_error *err);
};

struct spec_record {
    const char *name;
    const struct spec_field *fields;
    unsigned count;
    size_t bytes;
    /* Do the fields fit one another? NULL: yes; "": no; else what is wrong. */
    const char *(*check)(const void *record);
};

/* Of struct machine_spec. */
extern const struct spec_record *const spec_machine;

/* ---- whole records; `to` is raw memory where it says so ----------------------------------------- */

/* Fills raw memory with what is usual. */
void spec_init(const struct spec_record *r, void *to);
/* Frees what it owns, and leaves it as after spec_init(). */
void spec_clear(const struct spec_record *r, void *record);
/* Into raw memory; on failure there is nothing to free. GW_ERR_NOMEM. */
enum gw_status spec_copy(const struct spec_record *r, void *to, const void *from,
                         struct gw_error *err);
bool spec_equal(const struct spec_record *r, const void *a, const void *b);
/* Limits, and what does not fit together: of a description that no option was checked for. */
enum gw_status spec_check(const struct spec_record *r, const void *record, struct gw_error *err);
/* Calls visit for each field that holds a value, in records of lists too, until it returns false;
 * returns whether it never did. */
bool spec_each(const struct spec_record *r, void *record,
               bool (*visit)(void *context, const struct spec_field *f, void *record),
               void *context);

/* ---- the machine ----------------------------------------------------------------------------- */

/* What follows from what was said: ports that are published mean a network, and so on. */
void spec_settle(struct machine_spec *s);
/* There is a network card, wherever it leads: by --net none nowhere, to a card that is named. */
bool spec_has_card(const struct machine_spec *s);
/* Names of models that were not said, as they are usual. GW_ERR_NOMEM. */
enum gw_status spec_say_usual(struct machine_spec *s, struct gw_error *err);
/* Into raw memory, both: a saved machine that goes on, by the owners of the fields, those of its disks
 * too; settled. What it names
 * of the host's and neither the command gave nor granted has (NULL: nothing is), is in withheld, and in
 * `to` as well, since the machine is one that had it. GW_ERR_NOMEM; then there is nothing to free. */
enum gw_status spec_merge(struct machine_spec *to, struct machine_spec *withheld,
                          const struct machine_spec *saved, const struct machine_spec *given,
                          const struct machine_spec *granted, struct gw_error *err);
/* What is withheld stops a restore, or only a later reset. record: that of the list's, else any. */
bool spec_wanted_at_once(const struct spec_field *f, const void *record);
/* Of all that is withheld: anything that stops it. */
bool spec_is_lacking(const struct machine_spec *withheld);
/* Names of files as they are found from everywhere, those of what is not saved excepted. GW_ERR_NOMEM. */
enum gw_status spec_make_absolute(struct machine_spec *s, struct gw_error *err);

/* What of the host's a machine may use, as lines: all that s names but what is withheld (NULL: nothing is).
 * malloc()ed, the caller's; NULL: no memory. And back, into raw memory: GW_ERR_FORMAT, _NOMEM; then there
 * is nothing to free. */
char *spec_grants(const struct machine_spec *s, const struct machine_spec *withheld);
enum gw_status spec_read_grants(struct machine_spec *to, const char *text, size_t bytes,
                                struct gw_error *err);

/* ---- as lines: see spec/lines.c -------------------------------------------------------------- */

/* All that is said in fields that are wanted. malloc()ed, the caller's; NULL: no memory. */
char *spec_lines(const struct spec_record *r, const void *record,
                 bool (*wanted)(const struct spec_field *f));
/* Into a record as spec_init() leaves it. Values are of their kinds; limits are spec_check()'s.
 * GW_ERR_FORMAT, _NOMEM: part of it may be there. */
enum gw_status spec_read_lines(const struct spec_record *r, void *record, const char *text,
                               size_t bytes, bool (*wanted)(const struct spec_field *f),
                               struct gw_error *err);

/* ---- values ---------------------------------------------------------------------------------- */

/* By name; NULL: there is none. */
const struct spec_field *spec_find(const struct spec_record *r, const char *name);
/* The option of that name, without dashes; NULL: there is none. */
const struct spec_field *spec_find_option(const struct spec_record *r, const char *option);
/* How many records of a list there are, or places. */
uint32_t spec_count(const struct spec_field *f, const void *record);
/* The i-th record of a list. */
void *spec_element(const struct spec_field *f, const void *record, uint32_t i);
/* A record more, which is as usual; NULL: there are enough. Not of places. */
void *spec_append(const struct spec_field *f, void *record);
/* Something was said: it is neither nothing nor what is usual. */
bool spec_said(const struct spec_field *f, const void *record);
/* The field's string is a file's name. */
bool spec_names_file(const struct spec_field *f, const void *record);

/* Flags, counts, numbers, sizes, durations; ns and bytes as they are. */
bool spec_is_number(const struct spec_field *f);
uint64_t spec_number(const struct spec_field *f, const void *record);
void spec_put_number(const struct spec_field *f, void *record, uint64_t value);

/* A value by its own text. GW_ERR_ARG: it is none, or out of its limits, GW_ERR_NOMEM. */
enum gw_status spec_put(const struct spec_field *f, void *record, const char *text);
/* Text and paths, whatever they are. */
enum gw_status spec_put_text(const struct spec_field *f, void *record, const char *text);
/* Its text, malloc()ed, the caller's; NULL: nothing was said, or no memory. */
char *spec_print(const struct spec_field *f, const void *record);

/* ---- options --------------------------------------------------------------------------------- */

/* What an option was given; value NULL: none. On failure the record stays as it was, and *err names
 * the value or the part of it. */
enum gw_status spec_option(const struct spec_record *r, void *record, const struct spec_field *f,
                           const char *value, struct gw_error *err);
/* The value that says what is there (of a list: the i-th), malloc()ed, the caller's. NULL: there is
 * nothing, no value can say it, or no memory. */
char *spec_option_print(const struct spec_record *r, const void *record, const struct spec_field *f,
                        uint32_t i);
unsigned spec_verbs(const struct spec_field *f);
/* Texts of an option into buf, which is left empty where there is none: its metavariable; its help
 * with that of its parts; its completion ("file", or words). */
void spec_value_text(const struct spec_record *r, const struct spec_field *f, char *buf,
                     size_t size);
void spec_help_text(const struct spec_record *r, const struct spec_field *f, char *buf,
                    size_t size);
void spec_complete_text(const struct spec_record *r, const struct spec_field *f, char *buf,
                        size_t size);

#endif
