/* Of this room's files only: numbers of the format, and what writer and reader share. */
#ifndef SNAPSHOT_SNAP_INT_H
#define SNAPSHOT_SNAP_INT_H

#include "godwit/stream.h"
#include "snapshot/snapshot.h"

#define SNAP_MAGIC "\177GWSNAP\n"

enum {
    SNAP_FORMAT = 2,
    SNAP_HEADER_BYTES = 24, /* of a file */
    SNAP_HEAD_BYTES = 56,   /* of a section */
    SNAP_MANIFEST_VERSION = 1,
    SNAP_TAIL_BYTES = 24,
    SNAP_HEADER1_BYTES = 40, /* of format 1, whose sections have no tail */
    SNAP_HEAD1_BYTES = 64,
    SNAP_END = 0, /* kind of the head that ends a file */
    SNAP_MAX_SECTIONS = 256,
    SNAP_MAX_MANIFEST = 4 << 20,
    SNAP_MAX_SMALL = 16 << 20, /* payload of a state */
    SNAP_MAX_KEPT = 64 << 20,  /* all of these, of a stream */
    SNAP_MAX_FIELDS = 4096,
    SNAP_CHUNK_PAGES = 256,
    SNAP_CHUNK_BYTES = SNAP_CHUNK_PAGES * SNAP_PAGE_BYTES,
    SNAP_PAGES_HEADER = 16,
    SNAP_CHUNK_HEADER = 24 + SNAP_CHUNK_PAGES / 8,
    SNAP_MAX_INDEX = 64 << 20,
    SNAP_INDEX_NAME = 24, /* of the algorithm */
    SNAP_INDEX_HEADER = SNAP_INDEX_NAME + 8,
    SNAP_INDEX_ENTRY = 56,
    SNAP_INDEX_PIECE = 8 + SNAP_DIGEST,
};

enum snap_method { SNAP_RAW = 0, SNAP_ZSTD = 1 };

static inline void snap_put(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t snap_get(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* frame.c. The getters return false for what is damaged. */
uint64_t snap_hash(const void *bytes, size_t size);
void snap_put_header(uint8_t h[SNAP_HEADER_BYTES]);
uint64_t snap_first_layout(void);
void snap_put_head(uint8_t h[SNAP_HEAD_BYTES], const struct snap_section *s);
void snap_put_tail(uint8_t t[SNAP_TAIL_BYTES], uint64_t bytes, uint64_t hash);
void snap_put_end(uint8_t h[SNAP_HEAD_BYTES], uint32_t sections, uint64_t file_bytes);
void snap_put_pages_end(uint8_t h[SNAP_CHUNK_HEADER]);
bool snap_get_end(const uint8_t h[SNAP_HEAD_BYTES], uint32_t *sections, uint64_t *file_bytes);
bool snap_get_head(const uint8_t h[SNAP_HEAD_BYTES], struct snap_section *s);
bool snap_get_tail(const uint8_t t[SNAP_TAIL_BYTES], uint64_t *bytes, uint64_t *hash);
bool snap_get_head1(const uint8_t h[SNAP_HEAD1_BYTES], struct snap_section *s);

/* index.c: see there */
void snap_digest(uint8_t to[SNAP_DIGEST], const void *bytes, size_t size);
/* One that is being made; zeroed before. After a failure nothing more is added. */
struct snap_index_new {
    uint8_t *bytes;
    size_t size, room, entry_at;
    uint32_t entries;
    bool failed; /* out of memory, or of what an index may be */
};
void snap_index_begin(struct snap_index_new *x);
void snap_index_section(struct snap_index_new *x, const struct snap_section *s);
/* digest: of the bytes; NULL: nobody has it yet. */
void snap_index_piece(struct snap_index_new *x, const void *bytes, size_t size,
                      const uint8_t *digest);
void snap_index_free(struct snap_index_new *x);
/* Of a file. From now on all that is read is checked against it; root: the hash that it must have
 * itself, or NULL. */
enum gw_status snap_index_read(struct snap_reader *r, const uint8_t root[SNAP_DIGEST],
                               struct gw_error *err);
/* The bytes are that piece of the section's payload, or there is no index to say so. Any thread. */
bool snap_index_agrees(const struct snap_reader *r, const struct snap_section *s, uint64_t piece,
                       const void *bytes, size_t size);

/* seal.c. *bytes of a file: those of its snapshot afterwards, without what stands behind it. */
enum gw_status snap_seals_skip(int fd, uint64_t *bytes, const char *name, struct gw_error *err);
enum gw_status snap_seal_check(int fd, const char *name, const struct snap_key *keys,
                               unsigned key_count, struct snap_seal *out, struct gw_error *err);
enum gw_status snap_seal_put(int fd, const char *name, const struct snap_key *key,
                             const char *grants, struct gw_error *err);

/* key.c, see snapshot.h */
enum { SNAP_KEY_PATH = 4096 };
enum gw_status snap_key_read(struct snap_key *out, const char *given, struct gw_error *err);
enum gw_status snap_key_make(struct snap_key *out, const char *given, struct gw_error *err);
void snap_key_forget(struct snap_key *key);

/* fields.c. The payload of a state: *payload is malloc()ed, the caller's. */
enum gw_status snap_encode(const char *name, const struct state_desc *desc, const void *object,
                           uint8_t **payload, size_t *size, uint64_t *layout, struct gw_error *err);
/* Takes payload over in every case. */
enum gw_status snap_decode(const char *name, uint8_t *payload, size_t size, uint64_t layout,
                           struct snap_fields *out, struct gw_error *err);
void snap_free_fields(struct snap_fields *f);

/* apply.c. Puts the fields f of section s into the object that is saved by the given name. */
enum gw_status snap_apply(const char *name, const struct snap_section *s,
                          const struct snap_fields *f, const struct state_desc *desc, void *object,
                          struct gw_error *err);
/* That the name ends in; 0 if it ends in none. */
unsigned snap_number(const char *name);

/* manifest.c. *text: malloc()ed, the caller's, NUL-terminated. */
enum gw_status snap_manifest_print(const struct machine_spec *s, char **text, struct gw_error *err);
/* Into raw memory; spec_clear() afterwards, unless it failed. */
enum gw_status snap_manifest_parse(const char *text, size_t size, const char *file,
                                   struct machine_spec *out, struct gw_error *err);

/* file.c, see snapshot.h */
enum gw_status snap_file_open(struct snap_file_new **out, const char *path, struct gw_error *err);
int snap_file_fd(const struct snap_file_new *f);
enum gw_status snap_file_keep(struct snap_file_new *f, struct gw_error *err);
void snap_file_drop(struct snap_file_new *f);

/* write.c */
enum gw_status snap_create(struct snap_writer **out, const char *path, struct gw_error *err);
enum gw_status snap_create_on(struct snap_writer **out, int fd, const struct snap_worker *worker,
                              const char *name, struct gw_error *err);
enum gw_status snap_create_stream(struct snap_writer **out, struct gw_sink *to, const char *name,
                                  struct gw_error *err);
enum gw_status snap_write_manifest(struct snap_writer *w, const struct machine_spec *s,
                                   struct gw_error *err);
enum gw_status snap_write_state(struct snap_writer *w, const char *name,
                                const struct state_desc *desc, const void *object,
                                struct gw_error *err);
enum gw_status snap_write_pages(struct snap_writer *w, const char *name,
                                const struct snap_page_source *pages, struct gw_error *err);
enum gw_status snap_commit(struct snap_writer *w, struct gw_error *err);
void snap_abandon(struct snap_writer *w);

/* read.c: what files and streams share, and files */
struct snap_reader {
    char *path;     /* for messages */
    uint8_t format; /* 1 or 2 */
    int fd;         /* the file; -1: a stream */
    bool own_fd;    /* ours to close */
    uint64_t bytes; /* of the file; of a stream of format 1 */
    uint32_t section_count;
    struct snap_section section[SNAP_MAX_SECTIONS]; /* of a stream: those that came so far */
    struct machine_spec manifest;                   /* as usual until it was read */
    char *manifest_text;
    /* index.c */
    uint8_t *index; /* NULL: nothing is checked against one */
    struct snap_pieces {
        const uint8_t *first;
        uint64_t count;
    } pieces[SNAP_MAX_SECTIONS];
    /* read_stream.c */
    struct gw_source *stream;         /* NULL: a file */
    uint64_t stream_at;               /* its bytes at the beginning */
    uint32_t promised;                /* sections, of format 1 */
    bool in_pages;                    /* the last section's payload comes next */
    bool ended, broken;               /* broken: nobody knows what comes next */
    uint8_t *kept[SNAP_MAX_SECTIONS]; /* payloads of manifest and states */
    uint64_t kept_bytes;
};

/* A source over part of a reader's file. */
struct snap_cursor {
    struct gw_source s;
    int fd;
    uint64_t at;
};
ssize_t snap_cursor_read(void *cursor, void *to, size_t size);
void snap_cursor_at(struct snap_cursor *c, const struct snap_reader *r, uint64_t offset);
/* From a stream, or a cursor. */
enum gw_status snap_take(const struct snap_reader *r, struct gw_source *from, void *to, size_t size,
                         struct gw_error *err);
/* What a payload may have that is read as a whole. */
uint64_t snap_most_bytes(const struct snap_section *s);
/* The whole payload, checked against its hashes; malloc()ed, with a byte more, which is 0. */
enum gw_status snap_read_payload(struct snap_reader *r, const struct snap_section *s, uint8_t **out,
                                 struct gw_error *err);
/* "cannot use the snapshot: <why>" about its file. */
enum gw_status snap_bad(const struct snap_reader *r, struct gw_error *err, const char *section,
                        const char *why);
/* Of nothing yet; NULL: GW_ERR_NOMEM. */
struct snap_reader *snap_reader_new(const char *path, struct gw_error *err);
/* What is at the beginning of both: r->format, and how many sections format 1 promises. */
enum gw_status snap_read_header(struct snap_reader *r, struct gw_source *from, uint64_t *file_bytes,
                                struct gw_error *err);
/* Section i has its name and kind: may it be there? */
enum gw_status snap_check_section(const struct snap_reader *r, uint32_t i, struct gw_error *err);
enum gw_status snap_open(struct snap_reader **out, const char *path, struct gw_error *err);
enum gw_status snap_open_on(struct snap_reader **out, int fd, const char *name,
                            const uint8_t root[SNAP_DIGEST], struct gw_error *err);
enum gw_status snap_read_manifest(struct snap_reader *r, struct gw_error *err);
void snap_close(struct snap_reader *r);
const struct snap_section *snap_find(const struct snap_reader *r, const char *name);

/* read_stream.c */
enum gw_status snap_open_stream(struct snap_reader **out, struct gw_source *from, const char *name,
                                struct gw_error *err);
/* Reads on until the section is there, or to the end. Of a file: does nothing. */
enum gw_status snap_reach(struct snap_reader *r, const char *name, struct gw_error *err);
/* The same to the end; see finish() in snapshot.h. */
enum gw_status snap_reach_end(struct snap_reader *r, struct gw_error *err);
/* Behind the payload of pages, of which bytes and hash are known now. */
enum gw_status snap_leave_pages(struct snap_reader *r, uint64_t bytes, uint64_t hash,
                                struct gw_error *err);

/* read_pages.c */
typedef enum gw_status snap_put_page(void *context, uint64_t page, const uint8_t *bytes,
                                     struct gw_error *err);
/* put: NULL: nobody wants them. worker: NULL: there is none. */
enum gw_status snap_walk_pages(struct snap_reader *r, const struct snap_section *s, uint64_t *count,
                               const struct snap_worker *worker, snap_put_page *put, void *context,
                               struct gw_error *err);
enum gw_status snap_load_pages(struct snap_reader *r, const char *name,
                               const struct snap_page_sink *sink, struct gw_error *err);
enum gw_status snap_page_hashes(struct snap_reader *r, uint32_t section, uint64_t *pages,
                                struct snap_page_hash **list, uint64_t *count,
                                struct gw_error *err);

#endif
