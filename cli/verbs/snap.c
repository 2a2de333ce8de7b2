/*
 * The verb snap. Files are opened first; then this process is locked in, as far as the host has a sandbox,
 * and looks into them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/verbs/saved.h"
#include "cli/verbs/snap.h"
#include "godwit/plain.h"
#include "machine/machine.h"

const struct snap_api *cli_snapshots(struct gw_error *err)
{
    return cli_interface(cli_open_module(SNAP_MODULE, SNAP_SYMBOL, err), SNAP_MODULE, SNAP_API,
                         err);
}

static enum gw_status lock_in(const struct machine_api *machine, struct gw_error *err)
{
    return machine->sandbox_missing() ? GW_OK : machine->lock_reader(err);
}

/* ---- info and verify -------------------------------------------------------------------------- */

static const char *const kind_names[] = {[SNAP_MANIFEST] = "manifest",
                                         [SNAP_STATE] = "state",
                                         [SNAP_PAGES] = "pages",
                                         [SNAP_INDEX] = "index"};

static const char *const seal_names[] = {[SNAP_SEAL_NONE] = "none",
                                         [SNAP_SEAL_FOREIGN] = "foreign",
                                         [SNAP_SEAL_UNKNOWN] = "unknown",
                                         [SNAP_SEAL_BROKEN] = "broken",
                                         [SNAP_SEAL_GOOD] = "good"};

/* A character by its number, which is the same thing within JSON's strings. */
static void print_number(uint32_t c)
{
    if (c < 0x10000)
        printf("\\u%04x", (unsigned)c);
    else
        printf("\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
               (unsigned)(0xdc00 + (c & 0x3ff)));
}

/* JSON, as the file has it: what a terminal should not see can stand within strings alone. */
static void print_json(const char *text)
{
    for (unsigned n; *text; text += n) {
        uint32_t c = gw_utf8(text, &n);
        if (n && (gw_is_plain(c) || c == '\n' || c == '\t'))
            printf("%.*s", (int)n, text);
        else if (n)
            print_number(c);
        n = n ? n : 1;
    }
}

static void print_string(const char *text)
{
    putchar('"');
    for (unsigned n; *text; text += n) {
        uint32_t c = gw_utf8(text, &n);
        if (n && gw_is_plain(c))
            printf("%s%.*s", c == '"' || c == '\\' ? "\\" : "", (int)n, text);
        else
            print_number(n ? c : 0xfffd);
        n = n ? n : 1;
    }
    putchar('"');
}

static void print_section(const struct snap_section *s, bool json, bool last)
{
    if (json)
        printf("    {\"name\": \"%s\", \"kind\": \"%s\", \"version\": %u, \"bytes\": %" PRIu64
               ", \"layout\": \"%016" PRIx64 "\", \"hash\": \"%016" PRIx64 "\"}%s\n",
               s->name, kind_names[s->kind], s->version, s->bytes, s->layout, s->hash,
               last ? "" : ",");
    else
        printf("%-16s %-9s %3u %12" PRIu64 "  %016" PRIx64 "\n", s->name, kind_names[s->kind],
               s->version, s->bytes, s->hash);
}

static enum gw_status info(const struct snap_api *api, struct snap_reader *r,
                           const struct cli_saved *s, bool json, struct gw_error *err)
{
    uint32_t n = api->section_count(r);
    char seal[160];
    enum gw_status st = api->read_manifest(r, err);
    if (st != GW_OK)
        return st;
    cli_describe_seal(s, seal, sizeof seal);
    if (json)
        printf("{\n  \"state_hash\": \"%016" PRIx64 "\",\n  \"seal\": \"%s\",\n  \"manifest\": ",
               api->state_hash(r), seal_names[s->seal.state]);
    else
        printf("state hash %016" PRIx64 "\n%s\nmanifest ", api->state_hash(r), seal);
    print_json(api->manifest_text(r));
    if (json)
        puts(",\n  \"sections\": [");
    else
        printf("\n\n%-16s %-9s %3s %12s  %s\n", "section", "kind", "v", "bytes", "hash");
    for (uint32_t i = 0; i < n; i++)
        print_section(api->section(r, i), json, i + 1 == n);
    if (json)
        puts("  ]\n}");
    return GW_OK;
}

static enum gw_status verify(const struct snap_api *api, struct snap_reader *r,
                             const struct cli_saved *s, bool json, struct gw_error *err)
{
    char seal[160];
    enum gw_status st = api->verify(r, err);
    if (st == GW_OK && s->seal.state == SNAP_SEAL_BROKEN)
        return gw_fail(err, GW_ERR_FORMAT, s->path, "cannot use the snapshot: its seal is broken");
    cli_describe_seal(s, seal, sizeof seal);
    if (st == GW_OK && json)
        printf("{\"state_hash\": \"%016" PRIx64 "\", \"seal\": \"%s\"}\n", api->state_hash(r),
               seal_names[s->seal.state]);
    else if (st == GW_OK)
        printf("intact, state hash %016" PRIx64 "; %s\n", api->state_hash(r), seal);
    return st;
}

static enum gw_status look(const struct cli_options *o, const struct snap_api *api,
                           const struct machine_api *machine, struct gw_error *err)
{
    bool is_info = !strcmp(o->args[0], "info");
    struct snap_reader *r = NULL;
    struct cli_saved s;
    enum gw_status st = cli_open_saved(&s, o->args[1], o->keys, o->key_count, 0, true, err);
    if (st != GW_OK)
        return st;
    st = lock_in(machine, err);
    if (st == GW_OK)
        st = api->open_on(&r, s.fd, s.path, s.seal.state == SNAP_SEAL_GOOD ? s.seal.root : NULL,
                          err);
    if (st == GW_OK)
        st = (is_info ? info : verify)(api, r, &s, o->json, err);
    api->close(r);
    cli_close_saved(&s);
    return st;
}

/* ---- diff -------------------------------------------------------------------------------------- */

static enum gw_status open_file(const char *path, int *fd, struct gw_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return *fd >= 0 ? GW_OK
                    : gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                              "cannot open the snapshot: %s", strerror(errno));
}

static enum gw_status diff(const struct cli_options *o, const struct snap_api *api,
                           const struct machine_api *machine, int *status, struct gw_error *err)
{
    struct snap_reader *r[2] = {NULL, NULL};
    int fd[2] = {-1, -1};
    enum gw_status st = open_file(o->args[1], &fd[0], err);
    if (st == GW_OK)
        st = open_file(o->args[2], &fd[1], err);
    if (st == GW_OK)
        st = lock_in(machine, err);
    for (unsigned i = 0; st == GW_OK && i < 2; i++) {
        st = api->open_on(&r[i], fd[i], o->args[1 + i], NULL, err);
        if (st == GW_OK)
            st = api->read_manifest(r[i], err);
    }
    if (st == GW_OK)
        st = snap_diff(api, r[0], r[1], o->json, status, err);
    for (unsigned i = 0; i < 2; i++) {
        api->close(r[i]);
        if (fd[i] >= 0)
            close(fd[i]);
    }
    return st;
}

/* ---- ls ---------------------------------------------------------------------------------------- */

/* How the process apart ends. */
enum { LS_NONE, LS_LISTED, LS_NOT_WRITTEN };

static void print_snapshot(const struct snap_api *api, struct snap_reader *r, const char *name,
                           bool json, bool first)
{
    const struct machine_spec *m = api->manifest(r);
    struct gw_plain text[4];
    if (!json) {
        printf("%-32s %-8s %-6s %6" PRIu64 "M  %016" PRIx64 "  %s\n", gw_plain(&text[0], name),
               gw_plain(&text[1], m->machine ? m->machine : ""),
               gw_plain(&text[2], m->cpu_model ? m->cpu_model : ""), m->memory_bytes >> 20,
               api->state_hash(r), gw_plain(&text[3], m->name ? m->name : ""));
        return;
    }
    printf("%s\n  {\"file\": ", first ? "[" : ",");
    print_string(name);
    printf(", \"machine\": ");
    print_string(m->machine ? m->machine : "");
    printf(", \"cpu\": ");
    print_string(m->cpu_model ? m->cpu_model : "");
    printf(", \"memory_bytes\": %" PRIu64 ", \"state_hash\": \"%016" PRIx64 "\", \"name\": ",
           m->memory_bytes, api->state_hash(r));
    print_string(m->name ? m->name : "");
    putchar('}');
}

/* A process apart. Files that are no snapshots say nothing. */
static void list_one(const struct snap_api *api, const struct machine_api *machine, int fd,
                     const char *name, bool json, bool first)
{
    struct snap_reader *r;
    struct gw_error none;
    if (lock_in(machine, &none) != GW_OK || api->open_on(&r, fd, name, NULL, &none) != GW_OK ||
        api->read_manifest(r, &none) != GW_OK)
        _exit(LS_NONE);
    print_snapshot(api, r, name, json, first);
    _exit(fflush(stdout) == 0 ? LS_LISTED : LS_NOT_WRITTEN);
}

/* One line for each snapshot of a directory; other files are passed over. */
static enum gw_status list(const struct cli_options *o, const struct snap_api *api,
                           const struct machine_api *machine, struct gw_error *err)
{
    const char *dir = o->arg_count > 1 ? o->args[1] : ".";
    bool first = true, written = true;
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, dir,
                       "cannot list the directory: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        char path[4096];
        struct stat sb;
        pid_t child;
        int fd, end = 0;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 && fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode)) {
            fflush(stdout);
            child = fork();
            if (child == 0)
                list_one(api, machine, fd, names[i]->d_name, o->json, first);
            while (child > 0 && waitpid(child, &end, 0) < 0 && errno == EINTR)
                ;
            first = first && !(WIFEXITED(end) && WEXITSTATUS(end) == LS_LISTED);
            written = written && !(WIFEXITED(end) && WEXITSTATUS(end) == LS_NOT_WRITTEN);
        }
        if (fd >= 0)
            close(fd);
        free(names[i]);
    }
    free(names);
    if (o->json)
        puts(first ? "[]" : "\n]");
    return written ? GW_OK
                   : gw_fail(err, GW_ERR_STATE, "standard output",
                             "cannot write: the list is not whole");
}

/* ---- the verb ---------------------------------------------------------------------------------- */

static enum gw_status snap(const struct cli_options *o, const struct snap_api *api,
                           const struct machine_api *machine, int *status, struct gw_error *err)
{
    const char *what = o->args[0];
    bool is_diff = !strcmp(what, "diff");
    bool is_list = !strcmp(what, "ls");
    if (!is_diff && !is_list && strcmp(what, "info") != 0 && strcmp(what, "verify") != 0 &&
        strcmp(what, "seal") != 0)
        return gw_fail(err, GW_ERR_ARG, what, "snap has ls, info, verify, seal and diff, not that");
    if (o->arg_count != (is_diff ? 3 : 2) && !(is_list && o->arg_count == 1))
        return gw_fail(err, GW_ERR_ARG, what, "takes %s",
                       is_diff   ? "two files"
                       : is_list ? "one directory"
                                 : "one file");
    if (is_list)
        return list(o, api, machine, err);
    if (is_diff)
        return diff(o, api, machine, status, err);
    return !strcmp(what, "seal") ? snap_seal(o, api, err) : look(o, api, machine, err);
}

int cli_snap(const struct cli_options *o)
{
    struct gw_error err = {0};
    const struct snap_api *api = cli_snapshots(&err);
    const struct machine_api *machine;
    int status = 0;
    enum gw_status st = api ? cli_machine_module(&machine, &err) : err.status;
    if (st == GW_OK)
        st = snap(o, api, machine, &status, &err);
    if (st == GW_OK)
        return status;
    cli_print_error(&err);
    return cli_status_of(st);
}
