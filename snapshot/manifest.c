/* The manifest as JSON. Keys are sorted and nothing in it depends on when or where it was written,
 * so equal machines have equal manifests. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"

struct snap_manifest_store {
    struct snap_manifest m;
    json_t *root; /* owns the strings */
};

/* ---- rows of the text, each a key and a member ----------------------------------------------- */

struct text_row {
    const char *key;
    size_t at;
};

#define TEXT(member)                                                                               \
    {                                                                                              \
#member, offsetof(struct snap_manifest, member)                                            \
    }
static const struct text_row texts[] = {
    TEXT(machine), TEXT(cpu_model), TEXT(cpu_options), TEXT(name), TEXT(kernel), TEXT(initrd),
    TEXT(append),  TEXT(bios),      TEXT(dtb),         TEXT(net),  TEXT(mac),    TEXT(command)};
#define DISK_TEXT(member)                                                                          \
    {                                                                                              \
#member, offsetof(struct snap_disk, member)                                                \
    }
static const struct text_row disk_texts[] = {DISK_TEXT(path), DISK_TEXT(mode), DISK_TEXT(overlay)};
#define FILE_TEXT(member)                                                                          \
    {                                                                                              \
#member, offsetof(struct snap_file, member)                                                \
    }
static const struct text_row file_texts[] = {FILE_TEXT(path), FILE_TEXT(name)};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char **text_at(void *base, const struct text_row *row)
{
    return (const char **)(void *)((char *)base + row->at);
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool put_texts(json_t *o, const void *base, const struct text_row *rows, size_t count,
                      struct gw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *v = *(const char *const *)(const void *)((const char *)base + rows[i].at);
        if (v && json_object_set_new(o, rows[i].key, json_string(v)) != 0) {
            gw_fail(err, GW_ERR_ARG, v, "cannot save: the text is not UTF-8");
            return false;
        }
    }
    return true;
}

/* 64 bits do not fit into a JSON number everywhere. */
static bool put_number(json_t *o, const char *key, uint64_t v)
{
    char text[24];
    if (v <= INT64_MAX >> 10)
        return json_object_set_new(o, key, json_integer((json_int_t)v)) == 0;
    snprintf(text, sizeof text, "0x%" PRIx64, v);
    return json_object_set_new(o, key, json_string(text)) == 0;
}

static bool put_disk(json_t *list, const struct snap_disk *d, struct gw_error *err)
{
    json_t *o = json_object();
    bool ok = o && put_texts(o, d, disk_texts, COUNT(disk_texts), err) &&
              put_number(o, "bytes", d->bytes) && put_number(o, "mtime_ns", d->mtime_ns) &&
              put_number(o, "overlay_mtime_ns", d->overlay_mtime_ns);
    if (!ok) {
        json_decref(o);
        return false;
    }
    return json_array_append_new(list, o) == 0;
}

static bool put_files(json_t *root, const char *key, const struct snap_file *list, uint32_t count,
                      struct gw_error *err)
{
    json_t *array = json_array();
    if (json_object_set_new(root, key, array) != 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        json_t *o = json_object();
        bool ok = o && put_texts(o, &list[i], file_texts, COUNT(file_texts), err) &&
                  put_number(o, "at", list[i].at) && put_number(o, "bytes", list[i].bytes) &&
                  put_number(o, "mtime_ns", list[i].mtime_ns) &&
                  json_object_set_new(o, "rw", json_boolean(list[i].rw)) == 0;
        if (!ok) {
            json_decref(o);
            return false;
        }
        if (json_array_append_new(array, o) != 0)
            return false;
    }
    return true;
}

static bool put_all(json_t *root, const struct snap_manifest *m, struct gw_error *err)
{
    json_t *disks = json_array();
    if (json_object_set_new(root, "disks", disks) != 0 ||
        !put_texts(root, m, texts, COUNT(texts), err))
        return false;
    for (uint32_t i = 0; i < m->disk_count; i++)
        if (!put_disk(disks, &m->disks[i], err))
            return false;
    if (!put_files(root, "flash", m->flash, m->flash_count, err) ||
        !put_files(root, "fw_cfg", m->fw_cfg, m->fw_cfg_count, err) ||
        !put_files(root, "loads", m->loads, m->load_count, err) ||
        json_object_set_new(root, "second_port", json_boolean(m->second_port)) != 0)
        return false;
    return put_number(root, "memory_bytes", m->memory_bytes) && put_number(root, "cpus", m->cpus) &&
           put_number(root, "mips", m->mips) && put_number(root, "seed", m->seed) &&
           json_object_set_new(root, "clock_insns", json_boolean(m->clock_insns)) == 0 &&
           json_object_set_new(root, "deterministic", json_boolean(m->deterministic)) == 0;
}

enum gw_status snap_manifest_print(const struct snap_manifest *m, char **text, struct gw_error *err)
{
    json_t *root = json_object();
    struct gw_error why = {GW_OK, "", "", ""};
    *text =
        root && put_all(root, m, &why) ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    if (*text)
        return GW_OK;
    if (why.status == GW_OK)
        return gw_fail(err, GW_ERR_NOMEM, "", "cannot save: out of memory");
    if (err)
        *err = why;
    return why.status;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool get_texts(json_t *o, void *base, const struct text_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *v = json_object_get(o, rows[i].key);
        if (v && !json_is_string(v))
            return false;
        *text_at(base, &rows[i]) = v ? json_string_value(v) : NULL;
    }
    return true;
}

static bool get_number(json_t *o, const char *key, uint64_t *out)
{
    json_t *v = json_object_get(o, key);
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *out = (uint64_t)json_integer_value(v);
        return true;
    }
    if (json_is_string(v)) {
        const char *s = json_string_value(v);
        size_t n = strlen(s);
        if (n > 2 && n <= 18 && !strncmp(s, "0x", 2) &&
            strspn(s + 2, "0123456789abcdef") == n - 2) {
            *out = strtoull(s + 2, NULL, 16);
            return true;
        }
    }
    return false;
}

static bool get_flag(json_t *o, const char *key, bool *out)
{
    json_t *v = json_object_get(o, key);
    *out = json_is_true(v);
    return json_is_boolean(v);
}

static bool get_disks(json_t *root, struct snap_manifest *m)
{
    json_t *list = json_object_get(root, "disks");
    if (!json_is_array(list) || json_array_size(list) > SNAP_MAX_DISKS)
        return false;
    m->disk_count = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < m->disk_count; i++) {
        json_t *o = json_array_get(list, i);
        struct snap_disk *d = &m->disks[i];
        if (!json_is_object(o) || !get_texts(o, d, disk_texts, COUNT(disk_texts)) || !d->path ||
            !d->mode || !get_number(o, "bytes", &d->bytes) ||
            !get_number(o, "mtime_ns", &d->mtime_ns) ||
            !get_number(o, "overlay_mtime_ns", &d->overlay_mtime_ns))
            return false;
        if (strcmp(d->mode, "overlay") == 0 ? !d->overlay
                                            : strcmp(d->mode, "rw") && strcmp(d->mode, "temporary"))
            return false;
    }
    return true;
}

static bool get_files(json_t *root, const char *key, struct snap_file *list, uint32_t *count)
{
    json_t *array = json_object_get(root, key);
    if (!json_is_array(array) || json_array_size(array) > SNAP_MAX_FILES)
        return false;
    *count = (uint32_t)json_array_size(array);
    for (uint32_t i = 0; i < *count; i++) {
        json_t *o = json_array_get(array, i);
        struct snap_file *f = &list[i];
        if (!json_is_object(o) || !get_texts(o, f, file_texts, COUNT(file_texts)) ||
            !get_number(o, "at", &f->at) || !get_number(o, "bytes", &f->bytes) ||
            !get_number(o, "mtime_ns", &f->mtime_ns) || !get_flag(o, "rw", &f->rw))
            return false;
    }
    return true;
}

static bool get_all(json_t *root, struct snap_manifest *m)
{
    uint64_t cpus;
    if (!json_is_object(root) || !get_texts(root, m, texts, COUNT(texts)) || !get_disks(root, m) ||
        !get_number(root, "memory_bytes", &m->memory_bytes) || !get_number(root, "cpus", &cpus) ||
        !get_number(root, "mips", &m->mips) || !get_number(root, "seed", &m->seed) ||
        !get_flag(root, "clock_insns", &m->clock_insns) ||
        !get_flag(root, "deterministic", &m->deterministic) ||
        !get_flag(root, "second_port", &m->second_port) ||
        !get_files(root, "flash", m->flash, &m->flash_count) ||
        !get_files(root, "fw_cfg", m->fw_cfg, &m->fw_cfg_count) ||
        !get_files(root, "loads", m->loads, &m->load_count))
        return false;
    m->cpus = (uint32_t)cpus;
    return cpus > 0 && cpus <= 4096 && m->machine && m->cpu_model;
}

enum gw_status snap_manifest_parse(const char *text, size_t size, const char *file,
                                   struct snap_manifest_store **out, struct gw_error *err)
{
    struct snap_manifest_store *s = calloc(1, sizeof *s);
    json_error_t e;
    *out = NULL;
    if (!s)
        return gw_fail(err, GW_ERR_NOMEM, file, "cannot use the snapshot: out of memory");
    s->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &e);
    if (!s->root || !get_all(s->root, &s->m)) {
        snap_manifest_free(s);
        return gw_fail(err, GW_ERR_FORMAT, file, "cannot use the snapshot: its manifest is broken");
    }
    *out = s;
    return GW_OK;
}

const struct snap_manifest *snap_manifest_of(const struct snap_manifest_store *s)
{
    return &s->m;
}

void snap_manifest_free(struct snap_manifest_store *s)
{
    if (!s)
        return;
    json_decref(s->root);
    free(s);
}
