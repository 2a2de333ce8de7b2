/* snap seal: the user vouches for a file, and says yes to what it names of the host. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs/saved.h"
#include "cli/verbs/snap.h"
#include "godwit/plain.h"

static bool copy_bytes(int from, int to)
{
    static uint8_t buf[1 << 16];
    off_t at = 0;
    ssize_t n;
    while ((n = pread(from, buf, sizeof buf, at)) > 0) {
        struct gw_sink out = gw_fd_sink(&to);
        if (!gw_sink_put(&out, buf, (size_t)n)) {
            errno = out.error;
            return false;
        }
        at += n;
    }
    return n == 0;
}

static void print_grants(const char *grants)
{
    const char *end;
    puts(*grants ? "sealed; a restore may use without asking:"
                 : "sealed; it names nothing of the host");
    for (; *grants && (end = strchr(grants, '\n')); grants = end + 1) {
        char *line = strndup(grants, (size_t)(end - grants));
        printf("  %s\n", line ? GW_PLAIN(line) : "");
        free(line);
    }
}

/* A copy gets the seal, and then the file's name: a seal that is cut off leaves the file as it was. */
static enum gw_status seal_copy(const struct snap_api *api, const struct cli_saved *s,
                                const struct snap_key *key, const char *grants,
                                struct gw_error *err)
{
    struct snap_file_new *file;
    enum gw_status st = api->file_open(&file, s->path, err);
    if (st != GW_OK)
        return st;
    if (!copy_bytes(s->fd, api->file_fd(file)))
        st = gw_fail(err, GW_ERR_IO, s->path, "cannot seal the snapshot: %s", strerror(errno));
    if (st == GW_OK)
        st = api->seal_put(api->file_fd(file), s->path, key, grants, err);
    if (st == GW_OK)
        return api->file_keep(file, err);
    api->file_drop(file);
    return st;
}

enum gw_status snap_seal(const struct cli_options *o, const struct snap_api *api,
                         struct gw_error *err)
{
    struct snap_key key;
    struct cli_saved s;
    char *grants;
    enum gw_status st;
    if (o->key_count > 1)
        return gw_fail(err, GW_ERR_ARG, o->keys[1], "cannot seal the snapshot: one key at a time");
    st = cli_open_saved(&s, o->args[1], NULL, 0, 0, true, err);
    if (st != GW_OK)
        return st;
    grants = spec_grants(&s.spec, NULL);
    st = grants ? api->key_make(&key, o->key_count ? o->keys[0] : NULL, err)
                : gw_fail(err, GW_ERR_NOMEM, s.path, "cannot seal the snapshot: out of memory");
    if (st == GW_OK) {
        st = seal_copy(api, &s, &key, grants, err);
        api->key_forget(&key);
    }
    if (st == GW_OK)
        print_grants(grants);
    free(grants);
    cli_close_saved(&s);
    return st;
}
