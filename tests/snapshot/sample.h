/* A small snapshot, and a device of no kind that is saved in it. */
#ifndef TEST_SNAPSHOT_SAMPLE_H
#define TEST_SNAPSHOT_SAMPLE_H

#include <string.h>

#include "snapshot/snapshot.h"

enum { SAMPLE_PAGES = 600 };

struct sample {
    uint8_t flag;
    uint16_t half;
    uint32_t word;
    uint64_t wide;
    uint32_t list[5];
    void *not_state;
};

static inline enum gw_status sample_check(const void *object, struct gw_error *err)
{
    const struct sample *s = object;
    return s->flag <= 1 ? GW_OK : gw_fail(err, GW_ERR_FORMAT, "sample", "a flag of more than 1");
}

static const struct state_field sample_fields[] = {
    STATE_SCALAR(struct sample, flag, STATE_U8),  STATE_SCALAR(struct sample, half, STATE_U16),
    STATE_SCALAR(struct sample, word, STATE_U32), STATE_SCALAR(struct sample, wide, STATE_U64),
    STATE_ARRAY(struct sample, list, STATE_U32),
};

static const struct state_desc sample_desc = {.name = "sample",
                                              .version = 3,
                                              .fields = sample_fields,
                                              .field_count = STATE_COUNT_(sample_fields),
                                              .check = sample_check};

/* Pages: a few are there, one of them hard to compress. */
static inline const uint8_t *sample_page(void *context, uint64_t page, uint8_t *buf)
{
    uint32_t x = 12345;
    if (page != 3 && page != 4 && page != SAMPLE_PAGES - 1)
        return NULL;
    memset(buf, (int)page, SNAP_PAGE_BYTES);
    for (unsigned i = 0; page == 4 && i < 256; i++) {
        x = x * 1664525 + 1013904223;
        buf[i] = (uint8_t)(x >> 24);
    }
    return buf;
}

static const struct machine_spec sample_manifest = {
    .machine = "virt-1",
    .cpu_model = "rv64",
    .append = "console=ttyS0 \"quoted\" \\ back",
    .memory_bytes = (uint64_t)SAMPLE_PAGES * SNAP_PAGE_BYTES,
    .cpus = 1,
    .clock_insns = true,
    .mips = 1000,
    .seed = UINT64_MAX,
    .disks =
        {{.path = "/a", .mode = SPEC_DISK_TEMPORARY, .bytes = 4096, .mtime_ns = UINT64_MAX - 1}},
    .disks_count = 1,
};

/* All of it, to whatever the writer is for; ends it. */
static inline enum gw_status sample_fill(const struct snap_api *api, struct snap_writer *w,
                                         const struct sample *s, struct gw_error *err)
{
    struct snap_page_source pages = {.count = SAMPLE_PAGES, .get = sample_page};
    enum gw_status st = api->write_manifest(w, &sample_manifest, err);
    if (st == GW_OK)
        st = api->write_state(w, "first", &sample_desc, s, err);
    if (st == GW_OK)
        st = api->write_pages(w, "ram", &pages, err);
    if (st == GW_OK)
        return api->commit(w, err);
    api->abandon(w);
    return st;
}

static inline enum gw_status sample_write(const struct snap_api *api, const char *path,
                                          const struct sample *s, struct gw_error *err)
{
    struct snap_writer *w;
    enum gw_status st = api->create(&w, path, err);
    return st == GW_OK ? sample_fill(api, w, s, err) : st;
}

static inline enum gw_status sample_put(void *context, uint64_t page, const uint8_t *bytes,
                                        struct gw_error *err)
{
    uint8_t *all = context;
    memcpy(all + page * SNAP_PAGE_BYTES, bytes, SNAP_PAGE_BYTES);
    return GW_OK;
}

/* Everything that can be read of it; ram: SAMPLE_PAGES of room. Closes the reader. */
static inline enum gw_status sample_take(const struct snap_api *api, struct snap_reader *r,
                                         struct sample *s, uint8_t *ram, struct gw_error *err)
{
    struct snap_page_sink sink = {.count = SAMPLE_PAGES, .put = sample_put, .context = ram};
    enum gw_status st = api->load_state(r, "first", &sample_desc, s, err);
    if (st == GW_OK)
        st = api->load_pages(r, "ram", &sink, err);
    if (st == GW_OK)
        st = api->verify(r, err);
    api->close(r);
    return st;
}

static inline enum gw_status sample_read(const struct snap_api *api, const char *path,
                                         struct sample *s, uint8_t *ram, struct gw_error *err)
{
    struct snap_reader *r;
    enum gw_status st = api->open(&r, path, err);
    return st == GW_OK ? sample_take(api, r, s, ram, err) : st;
}

static inline enum gw_status sample_read_stream(const struct snap_api *api, struct gw_source *from,
                                                struct sample *s, uint8_t *ram,
                                                struct gw_error *err)
{
    struct snap_reader *r;
    enum gw_status st = api->open_stream(&r, from, "stream", err);
    return st == GW_OK ? sample_take(api, r, s, ram, err) : st;
}

#endif
