/*
 * Snapshot files: the container, and state tables, memory pages and a manifest in it. The format is
 * docs/snapshot-format.md. The room knows no device and no CPU: it is given tables
 * (godwit/state.h) and sources of pages.
 *
 * The room is a module (godwit-snapshot.so) that is opened on first use, since it brings zstd,
 * xxhash and jansson; its only exported symbol is godwit_snapshot_module(). Whoever uses it reaches
 * it through struct snap_api alone. No call is thread-safe on one writer or reader; different ones
 * are independent. Files are hostile until checked.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/machine_spec.h"
#include "godwit/state.h"
#include "godwit/status.h"
#include "godwit/stream.h"

#define SNAP_API    6
#define SNAP_SYMBOL "godwit_snapshot_module"
#define SNAP_MODULE "godwit-snapshot.so"

enum { SNAP_PAGE_BYTES = 4096, SNAP_NAME_BYTES = 24, SNAP_DIGEST = 32 };

enum snap_kind { SNAP_MANIFEST = 1, SNAP_STATE = 2, SNAP_PAGES = 3, SNAP_INDEX = 4 };

/* A key of seals; kept by those alone who make or check one. */
enum { SNAP_KEY_ID = 16, SNAP_KEY_BYTES = 32 };
struct snap_key {
    uint8_t id[SNAP_KEY_ID]; /* may be known */
    uint8_t secret[SNAP_KEY_BYTES];
};

enum snap_seal_state {
    SNAP_SEAL_NONE,
    SNAP_SEAL_FOREIGN, /* made with a key that is not known here */
    SNAP_SEAL_UNKNOWN, /* made in a way that this program does not know */
    SNAP_SEAL_BROKEN,  /* made with a key that is known, of another file or of other grants */
    SNAP_SEAL_GOOD,
};

struct snap_seal {
    enum snap_seal_state state;
    uint8_t key_id[SNAP_KEY_ID]; /* of the key that decided, else of the last seal's */
    /* GOOD: for open_on(), and what of the host the machine may use, as spec_read_grants() reads it:
     * malloc()ed, NUL-terminated, the caller's. */
    uint8_t root[SNAP_DIGEST];
    char *grants;
    size_t grants_bytes;
};

/* Another thread, which does what it is given in turn. */
struct snap_worker {
    void (*submit)(void *context, void (*work)(void *arg), void *arg);
    void (*wait)(void *context); /* until all of it is done */
    /* Some of it is not done yet: who asks hashes meanwhile. NULL: nobody knows. */
    bool (*busy)(void *context);
    void *context;
};

/* Pages to be written: get() returns the page's bytes (buf may be used for them), or NULL to leave
 * it out. */
struct snap_page_source {
    uint64_t count; /* pages */
    const uint8_t *(*get)(void *context, uint64_t page, uint8_t *buf);
    void *context;
};

/* Where loaded pages go; those that were left out are not reported. */
struct snap_page_sink {
    uint64_t count; /* must be the file's */
    enum gw_status (*put)(void *context, uint64_t page, const uint8_t *bytes, struct gw_error *err);
    void *context;
    const struct snap_worker
        *worker; /* reads the next, and checks it if it can, while these are put; may be NULL */
};

/* A section as the file has it. */
struct snap_section {
    char name[SNAP_NAME_BYTES + 1];
    enum snap_kind kind;
    uint32_t version;
    uint64_t layout; /* hash of the names, types and counts of a state's fields */
    uint64_t offset; /* of the payload in the file; of a stream: 0 */
    uint64_t bytes;  /* of the payload; of pages in a stream: when they were read */
    uint64_t hash;   /* of the payload, likewise */
};

/* A field as the file has it. values: count elements of `type` bytes, little-endian, not aligned.
 * Valid until the fields' owner is freed. */
struct snap_field {
    char name[64];
    enum state_type type;
    uint32_t count;
    const uint8_t *values;
};

struct snap_fields {
    struct snap_field *field;
    uint32_t count;
    uint8_t *payload;
};

struct snap_page_hash {
    uint64_t page, hash;
};

struct snap_writer;
struct snap_reader;
struct snap_file_new;

struct snap_api {
    unsigned version; /* SNAP_API */

    /* A file that gets its name when it is kept, and is nobody's before: for whoever writes without the right
     * to name files. keep() and drop() free it, keep() on failure too; drop(NULL) is fine. */
    enum gw_status (*file_open)(struct snap_file_new **out, const char *path, struct gw_error *err);
    int (*file_fd)(const struct snap_file_new *f);
    enum gw_status (*file_keep)(struct snap_file_new *f, struct gw_error *err);
    void (*file_drop)(struct snap_file_new *f);

    /*
     * Keys and seals. given: the key's file; NULL: the user's own, $XDG_CONFIG_HOME/godwit/seal.key or that in
     * ~/.config. key_read(): GW_ERR_NOTFOUND, _IO, or _STATE: not a file to trust, or no key. key_make()
     * makes it where it is missing. key_forget() leaves nothing of it in memory.
     */
    enum gw_status (*key_read)(struct snap_key *out, const char *given, struct gw_error *err);
    enum gw_status (*key_make)(struct snap_key *out, const char *given, struct gw_error *err);
    void (*key_forget)(struct snap_key *key);
    /* Whoever asks reads nothing of the file beyond its seals, and of those no more than hashes need. */
    enum gw_status (*seal_check)(int fd, const char *name, const struct snap_key *keys,
                                 unsigned key_count, struct snap_seal *out, struct gw_error *err);
    /* Adds a seal of what the file's index says; fd may be read and written. On stable storage. */
    enum gw_status (*seal_put)(int fd, const char *name, const struct snap_key *key,
                               const char *grants, struct gw_error *err);

    /* Writes beside path; nothing is seen there until commit(). */
    enum gw_status (*create)(struct snap_writer **out, const char *path, struct gw_error *err);
    /* Writes to an empty file, which stays the caller's; name: what messages call it. worker: who writes what
     * was compressed, and hashes it if it comes to it first; NULL: the caller's thread. */
    enum gw_status (*create_on)(struct snap_writer **out, int fd, const struct snap_worker *worker,
                                const char *name, struct gw_error *err);
    /* What the machine is: all fields of its description that are not the run's. Paths that are to be
     * found from elsewhere are absolute. */
    /* Writes to a sink, which stays the caller's: of files, pipes and sockets. */
    enum gw_status (*create_stream)(struct snap_writer **out, struct gw_sink *to, const char *name,
                                    struct gw_error *err);
    enum gw_status (*write_manifest)(struct snap_writer *w, const struct machine_spec *s,
                                     struct gw_error *err);
    enum gw_status (*write_state)(struct snap_writer *w, const char *name,
                                  const struct state_desc *desc, const void *object,
                                  struct gw_error *err);
    enum gw_status (*write_pages)(struct snap_writer *w, const char *name,
                                  const struct snap_page_source *pages, struct gw_error *err);
    /* On stable storage under its name; of a stream: all was taken. w is freed, also on failure. */
    enum gw_status (*commit)(struct snap_writer *w, struct gw_error *err);
    void (*abandon)(struct snap_writer *w); /* NULL is fine */

    /* The same of a descriptor, which stays the caller's, without a look at the manifest. root: what the
     * file's seal says; all that is read is checked by it. NULL: it has none. */
    enum gw_status (*open_on)(struct snap_reader **out, int fd, const char *name,
                              const uint8_t root[SNAP_DIGEST], struct gw_error *err);
    /* Of one opened so: manifest() and manifest_text() are there afterwards. */
    enum gw_status (*read_manifest)(struct snap_reader *r, struct gw_error *err);
    /* Checks the file's frame and its manifest. */
    enum gw_status (*open)(struct snap_reader **out, const char *path, struct gw_error *err);
    /*
     * From what can be read but once, in order; it stays the caller's. Reads up to the first section
     * that is asked for. States are kept; pages have to be asked for in the order in which they come,
     * or are passed over. What comes behind the snapshot is not touched. section_count() and the like
     * know what came so far.
     */
    enum gw_status (*open_stream)(struct snap_reader **out, struct gw_source *from,
                                  const char *name, struct gw_error *err);
    void (*close)(struct snap_reader *r); /* NULL is fine */
    /* Of the types that it has to be; limits are spec_check()'s. The reader's. */
    const struct machine_spec *(*manifest)(const struct snap_reader *r);
    uint32_t (*section_count)(const struct snap_reader *r);
    const struct snap_section *(*section)(const struct snap_reader *r, uint32_t i);
    const struct snap_section *(*find)(const struct snap_reader *r, const char *name);
    /* Fills in object's fields and checks them, from the section of that name; where there is none,
     * from the one that they were part of once (desc->part_of). What an older program saved is
     * upgraded. desc->post_load is the caller's to call, when all sections are in place. */
    enum gw_status (*load_state)(struct snap_reader *r, const char *name,
                                 const struct state_desc *desc, void *object, struct gw_error *err);
    enum gw_status (*load_pages)(struct snap_reader *r, const char *name,
                                 const struct snap_page_sink *sink, struct gw_error *err);

    /* All that was wanted is loaded: of a stream, what is left is read and checked. */
    enum gw_status (*finish)(struct snap_reader *r, struct gw_error *err);

    /* For tools. fields(): of a state section; free_fields() afterwards. */
    enum gw_status (*fields)(struct snap_reader *r, uint32_t section, struct snap_fields *out,
                             struct gw_error *err);
    void (*free_fields)(struct snap_fields *f);
    /* Of a section of pages: how many there could be, and which there are, in ascending order.
     * *list is malloc()ed, the caller's; list may be NULL. */
    enum gw_status (*page_hashes)(struct snap_reader *r, uint32_t section, uint64_t *pages,
                                  struct snap_page_hash **list, uint64_t *count,
                                  struct gw_error *err);
    /* Reads everything, of a stream all that is left, and checks every hash. */
    enum gw_status (*verify)(struct snap_reader *r, struct gw_error *err);
    /* Of all sections but the manifest: equal states have equal hashes. */
    uint64_t (*state_hash)(const struct snap_reader *r);
    /* The manifest's text, NUL-terminated; the reader's. */
    const char *(*manifest_text)(const struct snap_reader *r);
};

const struct snap_api *godwit_snapshot(void);

#endif
