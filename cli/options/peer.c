/*
 * qemu-riscv64's command line in words of the verb exec. Its options stand in one table, each with the
 * variable that says the same; variables are read first, in the table's order, so that an option wins.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/peer.h"

/* ---- words ---------------------------------------------------------------------------------- */

static void add_bytes(struct cli_peer_words *w, const char *text, size_t bytes)
{
    char *word = strndup(text, bytes);
    if (w->count + 1 >= w->room) {
        unsigned room = w->room ? w->room * 2 : 32;
        char **more = realloc(w->words, room * sizeof *more);
        if (more) {
            w->words = more;
            w->room = room;
        }
    }
    if (!word || w->count + 1 >= w->room) {
        free(word);
        w->full = true;
        return;
    }
    w->words[w->count++] = word;
    w->words[w->count] = NULL;
}

static void add(struct cli_peer_words *w, const char *text)
{
    add_bytes(w, text, strlen(text));
}

static void add_both(struct cli_peer_words *w, const char *option, const char *value)
{
    add(w, option);
    add(w, value);
}

void cli_peer_free(struct cli_peer_words *w)
{
    while (w->count)
        free(w->words[--w->count]);
    free(w->words);
    w->words = NULL;
}

/* ---- options -------------------------------------------------------------------------------- */

/* What was said so far that is more than one word of ours. */
struct said {
    struct cli_peer_words *out;
    FILE *notes;
    char dump[40]; /* LIST of --dump */
    const char *log_file;
    bool strace;
};

struct option;
typedef enum gw_status take_fn(struct said *s, const struct option *o, const char *value,
                               struct gw_error *err);

struct option {
    const char *name;     /* without its dash */
    const char *variable; /* or NULL */
    const char *value;    /* metavariable; NULL: it takes none */
    take_fn *take;
    const char *word; /* of ours, for some of those that take */
    const char *help;
};

static enum gw_status take_value(struct said *s, const struct option *o, const char *value,
                                 struct gw_error *err)
{
    add_both(s->out, o->word, value);
    return GW_OK;
}

/* As getsubopt(3) has it: several, with commas between. */
static enum gw_status take_list(struct said *s, const struct option *o, const char *value,
                                struct gw_error *err)
{
    for (;;) {
        size_t n = strcspn(value, ",");
        add(s->out, o->word);
        add_bytes(s->out, value, n);
        if (!value[n])
            return GW_OK;
        value += n + 1;
    }
}

/* Bytes, as C has numbers; -s and -R may end with a unit, as QEMU's do. */
static enum gw_status take_bytes(struct said *s, const struct option *o, const char *value,
                                 struct gw_error *err)
{
    char text[32], *end;
    unsigned long long n = strtoull(value, &end, 0);
    unsigned shift = 0;
    if (end != value && *end && !end[1] && strcmp(o->name, "seed") != 0) {
        shift = *end == 'k' || *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift != 0;
    }
    if (end == value || *end || value[0] == '-' || n > ~0ULL >> shift)
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the value of -%s: not a number",
                       o->name);
    snprintf(text, sizeof text, "%llu", n << shift);
    add_both(s->out, o->word, text);
    return GW_OK;
}

/* MODEL[,EXT=true|false...] */
static enum gw_status take_cpu(struct said *s, const struct option *o, const char *value,
                               struct gw_error *err)
{
    char text[512];
    size_t at = 0;
    if (!strcmp(value, "help") || !strcmp(value, "?")) {
        s->out->wish = CLI_PEER_CPUS;
        return GW_OK;
    }
    for (size_t n; at < sizeof text - 8; value += n + 1) {
        n = strcspn(value, ",");
        size_t name = strcspn(value, "=,");
        const char *is = value + name;
        int length = (int)(n - name);
        if (length == 5 && !strncmp(is, "=true", 5))
            is = "=on", length = 3;
        else if (length == 6 && !strncmp(is, "=false", 6))
            is = "=off", length = 4;
        at +=
            (size_t)snprintf(text + at, sizeof text - at, "%.*s%.*s", (int)name, value, length, is);
        if (!value[n])
            break;
        if (at < sizeof text - 8)
            text[at++] = ',';
    }
    if (at >= sizeof text - 8)
        return gw_fail(err, GW_ERR_ARG, "-cpu", "cannot take the model: too long");
    add_both(s->out, "--cpu", text);
    return GW_OK;
}

static enum gw_status take_strace(struct said *s, const struct option *o, const char *value,
                                  struct gw_error *err)
{
    s->strace = true;
    return GW_OK;
}

static enum gw_status take_each(struct said *s, const struct option *o, const char *value,
                                struct gw_error *err)
{
    add_both(s->out, "--max-block", "1");
    return GW_OK;
}

static enum gw_status take_log_file(struct said *s, const struct option *o, const char *value,
                                    struct gw_error *err)
{
    s->log_file = value;
    return GW_OK;
}

static const struct {
    const char *name, *ours, *help;
} logs[] = {
    {"in_asm", "decode", "guest code of each block that is translated"},
    {"op", "ir", "its intermediate code"},
    {"op_opt", "opt", "the same after the passes"},
    {"out_asm", "host", "the host code made of it"},
    {"strace", NULL, "system calls"},
};

static enum gw_status take_logs(struct said *s, const struct option *o, const char *value,
                                struct gw_error *err)
{
    const size_t count = sizeof logs / sizeof *logs;
    for (;; value++) {
        size_t n = strcspn(value, ","), i = 0;
        if (n == 4 && !strncmp(value, "help", n))
            s->out->wish = CLI_PEER_LOGS;
        while (i < count && (strlen(logs[i].name) != n || strncmp(logs[i].name, value, n) != 0))
            i++;
        if (i < count && !logs[i].ours)
            s->strace = true;
        else if (i < count && !strstr(s->dump, logs[i].ours))
            snprintf(s->dump + strlen(s->dump), sizeof s->dump - strlen(s->dump), "%s%s",
                     s->dump[0] ? "," : "", logs[i].ours);
        else if (i == count && s->notes && s->out->wish != CLI_PEER_LOGS)
            fprintf(s->notes, "godwit: note: -d %.*s: there is no such log here\n", (int)n, value);
        value += n;
        if (!*value)
            return GW_OK;
    }
}

static enum gw_status take_wish(struct said *s, const struct option *o, const char *value,
                                struct gw_error *err)
{
    s->out->wish = o->name[0] == 'v' ? CLI_PEER_VERSION : CLI_PEER_HELP;
    return GW_OK;
}

/* Says where things lie, or how they are done, which a program cannot see. */
static enum gw_status take_nothing(struct said *s, const struct option *o, const char *value,
                                   struct gw_error *err)
{
    return GW_OK;
}

static enum gw_status refuse(struct said *s, const struct option *o, const char *value,
                             struct gw_error *err)
{
    char name[40];
    snprintf(name, sizeof name, "-%s", o->name);
    return gw_fail(err, GW_ERR_ARG, name, "cannot do it: %s", o->word);
}

static const struct option options[] = {
    {"h", NULL, NULL, take_wish, NULL, "this help"},
    {"help", NULL, NULL, take_wish, NULL, NULL},
    {"g", "QEMU_GDB", "port", refuse, "programs have no gdb server yet", NULL},
    {"L", "QEMU_LD_PREFIX", "path", take_value, "--sysroot",
     "where absolute paths are looked up first"},
    {"s", "QEMU_STACK_SIZE", "size", take_bytes, "--stack-size", "bytes of the stack"},
    {"cpu", "QEMU_CPU", "model", take_cpu, NULL, "CPU model (-cpu help lists them)"},
    {"E", "QEMU_SET_ENV", "var=value", take_list, "--env", "set variables, with commas between"},
    {"U", "QEMU_UNSET_ENV", "var", take_list, "--unset", "unset variables, with commas between"},
    {"0", "QEMU_ARGV0", "argv0", take_value, "--argv0", "the program's argv[0]"},
    {"r", "QEMU_UNAME", "uname", take_value, "--uname", "the release that uname tells"},
    {"B", "QEMU_GUEST_BASE", "address", take_nothing, NULL, "no effect: a program cannot see it"},
    {"R", "QEMU_RESERVED_VA", "size", take_bytes, "--address-space", "bytes of the address space"},
    {"t", "QEMU_RTSIG_MAP", "map", refuse, "signals have the host's numbers", NULL},
    {"d", "QEMU_LOG", "item", take_logs, NULL,
     "log these, with commas between (-d help lists them)"},
    {"dfilter", "QEMU_DFILTER", "range", refuse, "logs are of all addresses", NULL},
    {"D", "QEMU_LOG_FILENAME", "file", take_log_file, NULL, "where -d and -strace log to"},
    {"one-insn-per-tb", "QEMU_ONE_INSN_PER_TB", NULL, take_each, NULL,
     "a block for each instruction"},
    {"singlestep", "QEMU_SINGLESTEP", NULL, take_each, NULL, NULL},
    {"tb-size", "QEMU_TB_SIZE", "size", take_nothing, NULL, "no effect: it is as large as needed"},
    {"p", "QEMU_PAGESIZE", "size", take_nothing, NULL, "no effect: pages have 4096 bytes"},
    {"strace", "QEMU_STRACE", NULL, take_strace, NULL, "log system calls"},
    {"seed", "QEMU_RAND_SEED", "N", take_bytes, "--seed",
     "the random bytes that a start hands over"},
    {"trace", "QEMU_TRACE", "events", refuse, "there are no such events here", NULL},
    {"plugin", "QEMU_PLUGIN", "file", refuse, "there are no plugins here", NULL},
    {"perfmap", "QEMU_PERFMAP", NULL, refuse, "there is no map for perf", NULL},
    {"jitdump", "QEMU_JITDUMP", NULL, refuse, "there is no map for perf", NULL},
    {"version", "QEMU_VERSION", NULL, take_wish, NULL, "print the version"},
};
enum { OPTIONS = sizeof options / sizeof *options };

static const struct option *find(const char *name)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        if (!strcmp(options[i].name, name))
            return &options[i];
    return NULL;
}

static enum gw_status take_variables(struct said *s, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < OPTIONS; i++) {
        const char *value = options[i].variable ? secure_getenv(options[i].variable) : NULL;
        if (value)
            st = options[i].take(s, &options[i], value, err);
    }
    return st;
}

/* -x and --x; the program's name is the first word that is none of them. */
static enum gw_status take_words(struct said *s, char *const **next, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    while (st == GW_OK && **next && (**next)[0] == '-') {
        const char *word = *(*next)++, *name = word + 1 + (word[1] == '-');
        if (!*name)
            break;
        const struct option *o = find(name);
        if (!o) {
            st = gw_fail(err, GW_ERR_ARG, word, "no such option");
            if (err)
                snprintf(err->hint, sizeof err->hint, "qemu-riscv64 -help");
        } else if (o->value && !**next) {
            st = gw_fail(err, GW_ERR_ARG, word, "needs a value: %s", o->value);
        } else {
            const char *value = o->value ? *(*next)++ : NULL;
            st = o->take(s, o, value, err);
        }
    }
    return st;
}

static void add_joined(struct cli_peer_words *w, const char *option, const char *a,
                       const char *file)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s%s%s", option, a, file ? "=" : "", file ? file : "") < 0)
        text = NULL;
    if (text)
        add(w, text);
    else
        w->full = true;
    free(text);
}

enum gw_status cli_peer_qemu_user(struct cli_peer_words *out, char *const *argv, FILE *notes,
                                  struct gw_error *err)
{
    struct said s = {.out = out, .notes = notes};
    char *const *next = argv + 1;
    memset(out, 0, sizeof *out);
    enum gw_status st = take_variables(&s, err);
    if (st == GW_OK)
        st = take_words(&s, &next, err);
    if (st != GW_OK || out->wish != CLI_PEER_RUN)
        return st;
    if (s.strace)
        add_joined(out, "--strace", "", s.log_file);
    if (s.dump[0])
        add_joined(out, "--dump=", s.dump, s.log_file);
    add(out, "--");
    while (*next)
        add(out, *next++);
    return out->full ? gw_fail(err, GW_ERR_NOMEM, "", "no memory for the options") : GW_OK;
}

/* ---- the kernel's words --------------------------------------------------------------------- */

enum gw_status cli_peer_binfmt(struct cli_peer_words *out, char *const *argv, struct gw_error *err)
{
    memset(out, 0, sizeof *out);
    if (!argv[1] || !argv[2])
        return gw_fail(err, GW_ERR_ARG, "",
                       "godwit-binfmt is started by the kernel alone: godwit binfmt register");
    add_both(out, "--argv0", argv[2]);
    add(out, "--by-kernel");
    add_both(out, "--", argv[1]);
    for (char *const *a = argv + 3; *a; a++)
        add(out, *a);
    return out->full ? gw_fail(err, GW_ERR_NOMEM, "", "no memory for the options") : GW_OK;
}

/* ---- which ---------------------------------------------------------------------------------- */

enum cli_peer cli_peer_of(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL, *name = slash ? slash + 1 : argv0;
    if (!name)
        return CLI_PEER_NONE;
    if (!strcmp(name, "qemu-riscv64") || !strcmp(name, "qemu-riscv64-static"))
        return CLI_PEER_QEMU_USER;
    return strcmp(name, "godwit-binfmt") != 0 ? CLI_PEER_NONE : CLI_PEER_BINFMT;
}

static void print_help(FILE *to)
{
    fputs("usage: qemu-riscv64 [OPTIONS] PROG [ARGS...]\n\n"
          "Godwit, called by this name: options and variables are those of QEMU's user mode.\n\n",
          to);
    for (unsigned i = 0; i < OPTIONS; i++) {
        char left[40];
        if (!options[i].help)
            continue;
        snprintf(left, sizeof left, "-%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        fprintf(to, "  %-18s %-21s %s\n", left, options[i].variable ? options[i].variable : "",
                options[i].help);
    }
    fputs("\nRefused:", to);
    for (unsigned i = 0; i < OPTIONS; i++)
        if (options[i].take == refuse)
            fprintf(to, " -%s", options[i].name);
    fputs("\n", to);
}

void cli_peer_print(FILE *to, enum cli_peer_wish wish)
{
    switch (wish) {
    case CLI_PEER_HELP: print_help(to); break;
    case CLI_PEER_VERSION: fputs("qemu-riscv64: godwit " GODWIT_VERSION "\n", to); break;
    case CLI_PEER_CPUS: fputs("rv64\nmax\n", to); break;
    case CLI_PEER_LOGS:
        for (unsigned i = 0; i < sizeof logs / sizeof *logs; i++)
            fprintf(to, "%-10s %s\n", logs[i].name, logs[i].help);
        break;
    case CLI_PEER_RUN: break;
    }
}
