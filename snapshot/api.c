/* What the module offers, see snapshot.h. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"

static const struct machine_spec *manifest(const struct snap_reader *r)
{
    return &r->manifest;
}

static const char *manifest_text(const struct snap_reader *r)
{
    return r->manifest_text;
}

static uint32_t section_count(const struct snap_reader *r)
{
    return r->section_count;
}

static const struct snap_section *section(const struct snap_reader *r, uint32_t i)
{
    return i < r->section_count ? &r->section[i] : NULL;
}

static enum gw_status fields(struct snap_reader *r, uint32_t i, struct snap_fields *out,
                             struct gw_error *err)
{
    const struct snap_section *s = section(r, i);
    uint8_t *payload;
    enum gw_status st;
    memset(out, 0, sizeof *out);
    if (!s || s->kind != SNAP_STATE)
        return snap_bad(r, err, s ? s->name : NULL, "it holds no state");
    st = snap_read_payload(r, s, &payload, err);
    return st == GW_OK ? snap_decode(s->name, payload, s->bytes, s->layout, out, err) : st;
}

/* Its own section, or that which its fields were part of. */
static const struct snap_section *source_of(const struct snap_reader *r, const char *name,
                                            const struct state_desc *desc)
{
    const struct snap_section *s = snap_find(r, name);
    char other[SNAP_NAME_BYTES + 1];
    const char *number;
    if (s || !desc->part_of.section)
        return s;
    number = strstr(desc->part_of.section, "%u");
    if (number)
        snprintf(other, sizeof other, "%.*s%u%s", (int)(number - desc->part_of.section),
                 desc->part_of.section, snap_number(name), number + 2);
    return snap_find(r, number ? other : desc->part_of.section);
}

static enum gw_status load_state(struct snap_reader *r, const char *name,
                                 const struct state_desc *desc, void *object, struct gw_error *err)
{
    enum gw_status st = snap_reach(r, name, err);
    const struct snap_section *s = source_of(r, name, desc);
    struct snap_fields f;
    if (st != GW_OK)
        return st;
    if (!s || s->kind != SNAP_STATE)
        return snap_bad(r, err, name, "it is missing");
    st = fields(r, (uint32_t)(s - r->section), &f, err);
    if (st == GW_OK)
        st = snap_apply(name, s, &f, desc, object, err);
    snap_free_fields(&f);
    return st;
}

static enum gw_status verify(struct snap_reader *r, struct gw_error *err)
{
    enum gw_status st = snap_reach_end(r, err);
    if (st == GW_OK && !r->stream && r->section[r->section_count - 1].kind == SNAP_INDEX)
        st = snap_index_read(r, NULL, err);
    for (uint32_t i = 0; st == GW_OK && i < r->section_count; i++) {
        struct snap_fields f = {0};
        uint64_t pages, count;
        if (r->section[i].kind == SNAP_STATE)
            st = fields(r, i, &f, err);
        else if (r->section[i].kind == SNAP_PAGES && !r->stream)
            st = snap_page_hashes(r, i, &pages, NULL, &count, err);
        snap_free_fields(&f);
    }
    return st;
}

static uint64_t state_hash(const struct snap_reader *r)
{
    uint8_t all[SNAP_MAX_SECTIONS][SNAP_NAME_BYTES + 8];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->section_count; i++) {
        const struct snap_section *s = &r->section[i];
        if (s->kind == SNAP_MANIFEST || s->kind == SNAP_INDEX)
            continue;
        memcpy(all[n], s->name, SNAP_NAME_BYTES);
        snap_put(all[n++] + SNAP_NAME_BYTES, s->hash, 8);
    }
    return snap_hash(all, n * sizeof all[0]);
}

const struct snap_api *godwit_snapshot(void)
{
    static const struct snap_api api = {
        .version = SNAP_API,
        .file_open = snap_file_open,
        .file_fd = snap_file_fd,
        .file_keep = snap_file_keep,
        .file_drop = snap_file_drop,
        .key_read = snap_key_read,
        .key_make = snap_key_make,
        .key_forget = snap_key_forget,
        .seal_check = snap_seal_check,
        .seal_put = snap_seal_put,
        .create = snap_create,
        .create_on = snap_create_on,
        .create_stream = snap_create_stream,
        .write_manifest = snap_write_manifest,
        .write_state = snap_write_state,
        .write_pages = snap_write_pages,
        .commit = snap_commit,
        .abandon = snap_abandon,
        .open_on = snap_open_on,
        .read_manifest = snap_read_manifest,
        .open = snap_open,
        .open_stream = snap_open_stream,
        .close = snap_close,
        .manifest = manifest,
        .section_count = section_count,
        .section = section,
        .find = snap_find,
        .load_state = load_state,
        .load_pages = snap_load_pages,
        .finish = snap_reach_end,
        .fields = fields,
        .free_fields = snap_free_fields,
        .page_hashes = snap_page_hashes,
        .verify = verify,
        .state_hash = state_hash,
        .manifest_text = manifest_text,
    };
    /* The library finds out what this processor does best, before anything is locked in. */
    return sodium_init() < 0 ? NULL : &api;
}
