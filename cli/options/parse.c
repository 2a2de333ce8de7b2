/* What the command line is made of. */
#include <stdlib.h>
#include <string.h>

#include "cli/options/options.h"

const struct cli_verb_info *cli_find_verb(const char *name)
{
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}

/* ---- both tables as one --------------------------------------------------------------------- */

/* Rows of our own follow the field that they name, the last that was found; those that name none are
 * at the end. */
static const struct spec_field *next_own(struct cli_cursor *c)
{
    bool at_end = c->next > spec_machine->count;
    const char *field = at_end ? NULL : spec_machine->fields[c->next - 1].name;
    while (c->next_own < cli_own_options->count) {
        const struct spec_field *f = &cli_own_options->fields[c->next_own++];
        if (f->after ? field && !strcmp(f->after, field) : at_end)
            return f;
    }
    return NULL;
}

const struct spec_field *cli_next_option(struct cli_cursor *c)
{
    const struct spec_field *f;
    while (c->next <= spec_machine->count + 1) {
        c->own = c->next > 0 && (f = next_own(c));
        if (c->own)
            return f;
        c->next_own = 0;
        c->next++;
        if (c->next <= spec_machine->count && spec_machine->fields[c->next - 1].option)
            return &spec_machine->fields[c->next - 1];
    }
    return NULL;
}

bool cli_next_listed(struct cli_cursor *c, const struct cli_verb_info *verb, struct cli_listed *l)
{
    const struct spec_record *r;
    while ((l->field = cli_next_option(c)))
        if (l->field->help && (!verb || cli_takes(l->field, verb)))
            break;
    if (!l->field)
        return false;
    r = c->own ? cli_own_options : spec_machine;
    spec_value_text(r, l->field, l->value, sizeof l->value);
    spec_help_text(r, l->field, l->help, sizeof l->help);
    spec_complete_text(r, l->field, l->complete, sizeof l->complete);
    return true;
}

bool cli_takes(const struct spec_field *f, const struct cli_verb_info *verb)
{
    return spec_verbs(f) & (unsigned)verb->verb;
}

bool cli_value_is_optional(const char *value)
{
    return value[0] == '[' && !value[strcspn(value, "]") + 1];
}

/* ---- one word ------------------------------------------------------------------------------- */

/* An option and the record that it is of. */
struct found {
    const struct spec_field *f;
    const struct spec_record *r;
    void *record;
};

static bool find_in(const struct spec_record *r, void *record, const struct cli_verb_info *verb,
                    char letter, const char *name, size_t length, struct found *out)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct spec_field *f = &r->fields[i];
        if (!f->option || !cli_takes(f, verb))
            continue;
        if (letter ? f->letter != letter
                   : strncmp(f->option, name, length) != 0 || f->option[length])
            continue;
        *out = (struct found){.f = f, .r = r, .record = record};
        return true;
    }
    return false;
}

static bool find_option(struct cli_options *o, const struct cli_verb_info *verb, char letter,
                        const char *name, size_t length, struct found *out)
{
    return find_in(spec_machine, &o->spec, verb, letter, name, length, out) ||
           find_in(cli_own_options, o, verb, letter, name, length, out);
}

static bool has_value(const struct spec_field *f)
{
    return f->kind != SPEC_FLAG && f->kind != SPEC_COUNT;
}

static enum gw_status unknown(const struct cli_verb_info *verb, const char *word,
                              struct gw_error *err)
{
    enum gw_status st = gw_fail(err, GW_ERR_ARG, word, "%s has no such option", verb->name);
    if (err)
        snprintf(err->hint, sizeof err->hint, "godwit %s --help", verb->name);
    return st;
}

/* Letters without values stand together: -vv */
static enum gw_status parse_letters(struct cli_options *o, const struct cli_verb_info *verb,
                                    const char *word, struct gw_error *err)
{
    struct found at;
    for (const char *p = word + 1; *p; p++)
        if (!find_option(o, verb, *p, NULL, 0, &at) || has_value(at.f) ||
            spec_option(at.r, at.record, at.f, NULL, err) != GW_OK)
            return unknown(verb, word, err);
    return GW_OK;
}

/* One option word; *next moves over a value in a word of its own. */
static enum gw_status parse_option(struct cli_options *o, const struct cli_verb_info *verb,
                                   char *const *argv, int *next, struct gw_error *err)
{
    const char *word = argv[(*next)++], *value = NULL;
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word + 2, "=") : 0;
    char metavariable[160];
    struct found at;
    if (!is_long && word[2] &&
        find_option(o, verb, 0, word + 1, strcspn(word + 1, "="), &at)) { /* as others have it */
        gw_fail(err, GW_ERR_ARG, word, "%s has no such option", verb->name);
        if (err)
            snprintf(err->hint, sizeof err->hint, "godwit %s --%s", verb->name, at.f->option);
        return GW_ERR_ARG;
    }
    if (!find_option(o, verb, is_long ? 0 : word[1], word + 2, n, &at))
        return unknown(verb, word, err);
    if (!is_long && !has_value(at.f))
        return parse_letters(o, verb, word, err);
    if (is_long)
        value = word[2 + n] ? word + 3 + n : NULL;
    else if (word[2])
        value = word + 2 + (word[2] == '=');
    if (!has_value(at.f) && value)
        return gw_fail(err, GW_ERR_ARG, word, "--%s takes no value", at.f->option);
    spec_value_text(at.r, at.f, metavariable, sizeof metavariable);
    if (has_value(at.f) && !value && !cli_value_is_optional(metavariable)) {
        if (!argv[*next])
            return gw_fail(err, GW_ERR_ARG, word, "--%s needs a value: %s", at.f->option,
                           metavariable);
        value = argv[(*next)++];
    }
    return spec_option(at.r, at.record, at.f, value, err);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static bool takes_command(const struct cli_verb_info *verb)
{
    return !strncmp(verb->operands, "[--", 3);
}

/* Options and operands, in any order up to where the guest's words begin. */
static enum gw_status take_words(struct cli_options *o, const struct cli_verb_info *verb,
                                 char *const *argv, bool *dashes, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    int next = 0;
    while (st == GW_OK && argv[next] && !*dashes && !(verb->rest && o->arg_count)) {
        if (!strcmp(argv[next], "--")) {
            *dashes = true;
            next++;
        } else if (argv[next][0] == '-' && argv[next][1]) {
            st = parse_option(o, verb, argv, &next, err);
        } else if (takes_command(verb)) {
            break; /* what it is in vain is said in one place */
        } else {
            o->args[o->arg_count++] = argv[next++];
        }
    }
    while (st == GW_OK && argv[next])
        o->args[o->arg_count++] = argv[next++];
    return st;
}

static enum gw_status check_count(const struct cli_options *o, const struct cli_verb_info *verb,
                                  struct gw_error *err)
{
    enum gw_status st = GW_OK;
    if ((unsigned)o->arg_count < verb->min_args)
        st = gw_fail(err, GW_ERR_ARG, "", "%s needs %s", verb->name, verb->operands);
    else if (verb->rest || (unsigned)o->arg_count <= verb->max_args)
        return GW_OK;
    else if (takes_command(verb))
        st = gw_fail(err, GW_ERR_ARG, o->args[0],
                     "%s takes no operands; a command stands behind --", verb->name);
    else if (verb->max_args)
        st = gw_fail(err, GW_ERR_ARG, o->args[verb->max_args], "too many operands: %s takes %s",
                     verb->name, verb->operands);
    else
        st = gw_fail(err, GW_ERR_ARG, o->args[0], "%s takes no operands", verb->name);
    if (err)
        snprintf(err->hint, sizeof err->hint, "godwit %s --help", verb->name);
    return st;
}

enum gw_status cli_parse(struct cli_options *o, const struct cli_verb_info *verb, char *const *argv,
                         struct gw_error *err)
{
    enum gw_status st;
    size_t words = 0;
    bool dashes = false;
    memset(o, 0, sizeof *o);
    spec_init(spec_machine, &o->spec);
    o->words = argv;
    if (verb->verb == VERB_RESTORE) /* there it is a limit, where one is given */
        o->spec.memory_bytes = 0;
    while (argv[words])
        words++;
    o->args = calloc(words + 1, sizeof *o->args);
    if (!o->args)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the options");
    st = take_words(o, verb, argv, &dashes, err);
    if (st == GW_OK)
        spec_settle(&o->spec);
    if (st != GW_OK || o->help)
        return st;
    if (dashes && takes_command(verb))
        return cli_take_command(o, err);
    return check_count(o, verb, err);
}

void cli_options_free(struct cli_options *o)
{
    spec_clear(spec_machine, &o->spec);
    spec_clear(cli_own_options, o);
    free(o->args);
    o->args = NULL;
}
