/*
 * What a snapshot asks for, and who said yes to it: the command, or a seal. A machine that lacks something is
 * not started; all that is missing is said, and the command that would give it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verbs/saved.h"
#include "godwit/plain.h"
#include "godwit/word.h"

static void print_word(FILE *out, const char *text)
{
    size_t size = gw_word(NULL, 0, text) + 1;
    char *word = malloc(size);
    if (!word)
        return;
    gw_word(word, size, text);
    fputs(word, out);
    free(word);
}

/* ---- what is missing ------------------------------------------------------------------------- */

/* The option that says the field. */
static const struct spec_field *option_of(const struct spec_field *f)
{
    size_t n = strlen(f->name);
    if (f->option)
        return f;
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *o = &spec_machine->fields[i];
        if (o->form && o->option && !o->of && !strncmp(o->form, f->name, n) && !o->form[n])
            return o;
    }
    return NULL;
}

static void print_option(FILE *out, const struct spec_field *option, const char *value)
{
    if (option->letter)
        fprintf(out, "-%c ", option->letter);
    else
        fprintf(out, "--%s ", option->option);
    print_word(out, value);
}

struct listing {
    FILE *message, *hint;
    unsigned count;
    bool unsaid; /* there is no command that says yes to all of it */
};

/* value: NULL: no option can say it, such as a name with a comma in the wrong place. It is missing all the
 * same. */
static void list_one(struct listing *l, const struct spec_field *option, const char *value)
{
    if (l->count++)
        fputs(", ", l->message);
    if (!value) {
        fprintf(l->message, "what --%s cannot say", option->option);
        l->unsaid = true;
        return;
    }
    print_option(l->message, option, value);
    print_option(l->hint, option, value);
    fputc(' ', l->hint);
}

/* All of one field of the host's that is withheld and cannot wait for a reset. */
static void list_field(struct listing *l, const struct spec_field *f,
                       const struct machine_spec *withheld)
{
    const struct spec_field *option = option_of(f);
    uint32_t n = f->kind == SPEC_RECORDS ? spec_count(f, withheld) : spec_said(f, withheld);
    for (uint32_t i = 0; i < n; i++) {
        const void *record = f->kind == SPEC_RECORDS ? spec_element(f, withheld, i) : withheld;
        char *value;
        if (!spec_wanted_at_once(f, record))
            continue;
        value = spec_option_print(spec_machine, withheld, option, i);
        list_one(l, option, value);
        free(value);
    }
}

static void list_memory(struct listing *l, const struct machine_spec *s)
{
    const struct spec_field *f = spec_find(spec_machine, "memory_bytes");
    char *value = spec_print(f, s);
    if (value)
        list_one(l, f, value);
    free(value);
}

/* ---- why -------------------------------------------------------------------------------------- */

static void print_id(char *to, const uint8_t id[SNAP_KEY_ID])
{
    for (unsigned i = 0; i < SNAP_KEY_ID; i++)
        snprintf(to + 2 * i, 3, "%02x", id[i]);
}

void cli_describe_seal(const struct cli_saved *s, char *buf, size_t size)
{
    char id[2 * SNAP_KEY_ID + 1];
    print_id(id, s->seal.key_id);
    switch (s->seal.state) {
    case SNAP_SEAL_GOOD: snprintf(buf, size, "it is sealed with the key %s", id); break;
    case SNAP_SEAL_BROKEN: snprintf(buf, size, "its seal by the key %s is broken", id); break;
    case SNAP_SEAL_FOREIGN:
        snprintf(buf, size, "it is sealed with a key that is not here, %s", id);
        break;
    case SNAP_SEAL_UNKNOWN:
        snprintf(buf, size, "it is sealed in a way that this program does not know");
        break;
    default: snprintf(buf, size, "it is not sealed"); break;
    }
}

/* The seal does not vouch for what is missing. */
static void describe_trouble(const struct cli_saved *s, const struct cli_options *o, char *buf,
                             size_t size)
{
    size_t n;
    cli_describe_seal(s, buf, size);
    n = strlen(buf);
    if (s->seal.state == SNAP_SEAL_GOOD)
        snprintf(buf, size, "its seal says nothing of it");
    else if (s->seal.state == SNAP_SEAL_FOREIGN && o->key_count)
        snprintf(buf + n, size - n, " (nor is that of --seal-key)");
    else if (s->seal.state == SNAP_SEAL_FOREIGN && s->key_trouble[0])
        snprintf(buf + n, size - n, " (%s)", s->key_trouble);
}

/* The command again, with what was missing in front. */
static void print_command(FILE *out, const struct cli_options *o)
{
    for (char *const *word = o->words; *word; word++) {
        print_word(out, *word);
        if (word[1])
            fputc(' ', out);
    }
}

/* Says what is missing, and how to give it. */
static void explain(const struct cli_saved *s, const struct cli_options *o,
                    struct machine_spec *withheld, bool memory)
{
    char *message = NULL, *hint = NULL, why[400];
    size_t message_bytes, hint_bytes;
    struct listing l = {.message = open_memstream(&message, &message_bytes),
                        .hint = open_memstream(&hint, &hint_bytes)};
    for (uint32_t i = 0; i < withheld->disks_count; i++) /* which follows from the rest of -d */
        if (withheld->disks[i].mode != SPEC_DISK_RW)
            withheld->disks[i].mode = 0;
    for (unsigned i = 0; l.message && l.hint && i < spec_machine->count; i++)
        if (spec_machine->fields[i].owner == SPEC_OF_HOST)
            list_field(&l, &spec_machine->fields[i], withheld);
    if (memory && l.message && l.hint)
        list_memory(&l, &s->spec);
    if (l.hint)
        print_command(l.hint, o);
    if (l.message)
        fclose(l.message);
    if (l.hint)
        fclose(l.hint);
    describe_trouble(s, o, why, sizeof why);
    fprintf(stderr, "godwit: error: cannot restore: %s: %s, and wants what it was not given: %s\n",
            GW_PLAIN(s->path), GW_PLAIN(why), message ? message : "?");
    if (l.unsaid) {
        fputs("hint: godwit snap info ", stderr);
        print_word(stderr, s->path);
        fputc('\n', stderr);
    } else if (hint) {
        fprintf(stderr, "hint: godwit restore %s\n", hint);
    }
    free(message);
    free(hint);
}

/* ---- the machine that goes on ------------------------------------------------------------------ */

/* What the command says of the machine itself is what it is. */
static enum gw_status check_given(const struct cli_saved *s, const struct cli_options *o,
                                  struct gw_error *err)
{
    const struct spec_field *mac = spec_find(spec_machine, "mac");
    char *is;
    if (o->spec.memory_bytes && s->spec.memory_bytes > o->spec.memory_bytes) {
        is = spec_print(spec_find(spec_machine, "memory_bytes"), &s->spec);
        gw_fail(err, GW_ERR_LIMIT, "-m", "cannot restore: the machine has %s of memory",
                is ? is : "more");
        free(is);
        return GW_ERR_LIMIT;
    }
    if (!spec_said(mac, &o->spec) || !memcmp(&o->spec.mac, &s->spec.mac, sizeof s->spec.mac))
        return GW_OK;
    is = spec_print(mac, &s->spec);
    gw_fail(err, GW_ERR_ARG, "--net",
            "cannot restore: its guest keeps the address that it knows, %s", is ? is : "none");
    free(is);
    return GW_ERR_ARG;
}

enum gw_status cli_merge_saved(const struct cli_saved *s, const struct cli_options *o,
                               struct machine_spec *to, struct machine_spec *withheld, bool *said,
                               struct gw_error *err)
{
    bool good = s->seal.state == SNAP_SEAL_GOOD, memory;
    enum gw_status st;
    *said = false;
    if (s->seal.state == SNAP_SEAL_BROKEN)
        return gw_fail(err, GW_ERR_FORMAT, s->path,
                       "cannot restore: its seal is broken: it was changed since it was sealed");
    st = check_given(s, o, err);
    if (st == GW_OK)
        st = spec_merge(to, withheld, &s->spec, &o->spec, good ? &s->granted : NULL, err);
    if (st != GW_OK)
        return st;
    /* A stranger's machine has no more memory than one that nothing is said of. */
    memory = !good && !o->spec.memory_bytes &&
             s->spec.memory_bytes > spec_find(spec_machine, "memory_bytes")->usual;
    if (!memory && !spec_is_lacking(withheld))
        return GW_OK;
    explain(s, o, withheld, memory);
    *said = true;
    spec_clear(spec_machine, to);
    spec_clear(spec_machine, withheld);
    return gw_fail(err, GW_ERR_STATE, s->path, "cannot restore: it wants what it was not given");
}
