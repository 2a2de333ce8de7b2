/*
 * A snapshot that is to go on: opened here, looked into by a process of its own, which is locked in before it
 * reads a byte of the manifest, and which alone has the keys of seals, until it has checked the seal.
 * What it says is read as a hostile file would be. Main thread, while there is no other.
 */
#ifndef CLI_SAVED_H
#define CLI_SAVED_H

#include "cli/cli.h"
#include "snapshot/snapshot.h"

struct cli_saved {
    const char *path;
    int fd;
    struct machine_spec spec; /* as the snapshot has it */
    struct snap_seal seal;    /* its grants are cleared out into: */
    struct machine_spec granted;
    char key_trouble
        [200]; /* why the user's own key could not be used; empty: it could, or there is none */
};

/* keys: files of keys beside the user's own. timeout_ns 0: none; over it, GW_ERR_LIMIT. lock: in a sandbox, where
 * there is one. On failure there is nothing to free. */
enum gw_status cli_open_saved(struct cli_saved *s, const char *path, const char *const *keys,
                              unsigned key_count, uint64_t timeout_ns, bool lock,
                              struct gw_error *err);
void cli_close_saved(struct cli_saved *s);

/* Into raw memory, both: the machine that goes on, by what the command says and the seal grants, and what of
 * the host it does without. *said: it cannot do without, and all of it was printed, with the command that
 * says yes. */
enum gw_status cli_merge_saved(const struct cli_saved *s, const struct cli_options *o,
                               struct machine_spec *to, struct machine_spec *withheld, bool *said,
                               struct gw_error *err);

/* "not sealed", and so on: for messages. */
void cli_describe_seal(const struct cli_saved *s, char *buf, size_t size);

#endif
