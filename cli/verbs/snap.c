/* The verbs restore and snap. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs/snap.h"

const struct snap_api *cli_snapshots(struct gw_error *err)
{
    return cli_interface(cli_open_module(SNAP_MODULE, SNAP_SYMBOL, err), SNAP_MODULE, SNAP_API,
                         err);
}

int cli_restore(const struct cli_options *o)
{
    struct gw_error err = {0};
    struct snap_reader *r = NULL;
    const struct snap_api *api = cli_snapshots(&err);
    enum gw_status st = api ? api->open(&r, o->args[0], &err) : err.status;
    int status;
    if (st == GW_OK && o->arg_count > 1)
        st = gw_fail(&err, GW_ERR_ARG, o->args[1], "restore takes one file");
    if (st == GW_OK)
        status = cli_start_machine(o, r, api->manifest(r));
    else
        status = cli_start_failed(o, &err);
    if (api)
        api->close(r);
    return status;
}

/* ---- snap ----------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
    [SNAP_MANIFEST] = "manifest", [SNAP_STATE] = "state", [SNAP_PAGES] = "pages"};

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

static enum gw_status info(const struct snap_api *api, struct snap_reader *r, bool json,
                           struct gw_error *err)
{
    uint32_t n = api->section_count(r);
    if (json)
        printf("{\n  \"state_hash\": \"%016" PRIx64 "\",\n  \"manifest\": %s,\n  \"sections\": [\n",
               api->state_hash(r), api->manifest_text(r));
    else
        printf("state hash %016" PRIx64 "\nmanifest %s\n\n%-16s %-9s %3s %12s  %s\n",
               api->state_hash(r), api->manifest_text(r), "section", "kind", "v", "bytes", "hash");
    for (uint32_t i = 0; i < n; i++)
        print_section(api->section(r, i), json, i + 1 == n);
    if (json)
        puts("  ]\n}");
    return GW_OK;
}

static enum gw_status verify(const struct snap_api *api, struct snap_reader *r, bool json,
                             struct gw_error *err)
{
    enum gw_status st = api->verify(r, err);
    if (st == GW_OK)
        printf(json ? "{\"state_hash\": \"%016" PRIx64 "\"}\n"
                    : "intact, state hash %016" PRIx64 "\n",
               api->state_hash(r));
    return st;
}

/* One line for each snapshot of a directory; other files are passed over. */
static enum gw_status list(const struct snap_api *api, const char *dir, struct gw_error *err)
{
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, dir,
                       "cannot list the directory: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        char path[4096];
        struct snap_reader *r;
        struct gw_error none;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        if (api->open(&r, path, &none) == GW_OK) {
            const struct machine_spec *m = api->manifest(r);
            printf("%-32s %-8s %-6s %6" PRIu64 "M  %016" PRIx64 "  %s\n", names[i]->d_name,
                   m->machine, m->cpu_model, m->memory_bytes >> 20, api->state_hash(r),
                   m->name ? m->name : "");
            api->close(r);
        }
        free(names[i]);
    }
    free(names);
    return GW_OK;
}

static enum gw_status snap(const struct cli_options *o, const struct snap_api *api, int *status,
                           struct gw_error *err)
{
    const char *what = o->args[0];
    struct snap_reader *a = NULL, *b = NULL;
    bool is_diff = !strcmp(what, "diff");
    enum gw_status st;
    if (!strcmp(what, "ls"))
        return list(api, o->args[1], err);
    if (!is_diff && strcmp(what, "info") != 0 && strcmp(what, "verify") != 0)
        return gw_fail(err, GW_ERR_ARG, what, "snap has ls, info, verify and diff, not that");
    if (o->arg_count != (is_diff ? 3 : 2))
        return gw_fail(err, GW_ERR_ARG, what, "takes %s", is_diff ? "two files" : "one file");
    st = api->open(&a, o->args[1], err);
    if (st == GW_OK && is_diff)
        st = api->open(&b, o->args[2], err);
    if (st == GW_OK && is_diff)
        st = snap_diff(api, a, b, o->json, status, err);
    else if (st == GW_OK)
        st = (what[0] == 'i' ? info : verify)(api, a, o->json, err);
    api->close(a);
    api->close(b);
    return st;
}

int cli_snap(const struct cli_options *o)
{
    struct gw_error err = {0};
    const struct snap_api *api = cli_snapshots(&err);
    int status = 0;
    enum gw_status st = api ? snap(o, api, &status, &err) : err.status;
    if (st == GW_OK)
        return status;
    cli_print_error(&err);
    return cli_status_of(st);
}
