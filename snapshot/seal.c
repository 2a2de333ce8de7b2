/*
 * Seals: who vouches for a file. One stands behind the snapshot's own end and says by a keyed hash that the
 * index, and by it all of the file, is as it was when somebody who has the key saw it, and what of
 * the host a machine that goes on from it may use. Who makes a seal looks at no byte that the machine
 * wrote but those of the index, and at them only to hash them.
 */
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/snap_int.h"

#define SEAL_MAGIC "\177GWSEAL\n"

static const char algorithm[SNAP_NAME_BYTES] = "blake2b-256-keyed";

/* A record; what it grants stands in front of it. */
enum {
    SEAL_VERSION = 1,
    AT_VERSION = 8,
    AT_GRANTS = 12,
    AT_BYTES = 16, /* of the snapshot that it stands behind */
    AT_ALGORITHM = 24,
    AT_KEY = 48,
    AT_ROOT = AT_KEY + SNAP_KEY_ID,
    AT_MAC = AT_ROOT + SNAP_DIGEST,
    SEAL_BYTES = AT_MAC + SNAP_DIGEST,
    MAX_GRANTS = 1 << 20,
    MAX_SEALS = 8,
};

static_assert(SEAL_BYTES == 128, "as docs/snapshot-format.md has it");
static_assert(SNAP_KEY_BYTES == crypto_generichash_KEYBYTES, "a key of BLAKE2b");

struct seal {
    uint8_t record[SEAL_BYTES];
    uint64_t grants_at;
    uint32_t grants_bytes;
};

static enum gw_status failed(const char *name, int error, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_IO, name, "cannot read the snapshot: %s", strerror(error));
}

static bool read_at(int fd, void *to, size_t size, uint64_t at)
{
    struct snap_cursor c = {.fd = fd, .at = at};
    c.s = (struct gw_source){.read = snap_cursor_read, .context = &c};
    if (gw_source_get(&c.s, to, size))
        return true;
    errno = c.s.error == GW_STREAM_ENDED ? EIO : c.s.error;
    return false;
}

/* The seals of a file of *bytes, the last first; *bytes is where they begin afterwards. */
static enum gw_status read_seals(int fd, uint64_t *bytes, struct seal list[MAX_SEALS],
                                 unsigned *count, const char *name, struct gw_error *err)
{
    *count = 0;
    while (*count < MAX_SEALS && *bytes >= SEAL_BYTES) {
        struct seal *s = &list[*count];
        uint64_t at = *bytes - SEAL_BYTES;
        if (!read_at(fd, s->record, SEAL_BYTES, at))
            return failed(name, errno, err);
        s->grants_bytes = (uint32_t)snap_get(s->record + AT_GRANTS, 4);
        if (memcmp(s->record, SEAL_MAGIC, 8) != 0 || s->grants_bytes > at)
            break;
        s->grants_at = *bytes = at - s->grants_bytes;
        ++*count;
    }
    return GW_OK;
}

enum gw_status snap_seals_skip(int fd, uint64_t *bytes, const char *name, struct gw_error *err)
{
    struct seal list[MAX_SEALS];
    unsigned count;
    return read_seals(fd, bytes, list, &count, name, err);
}

/* ---- checking -------------------------------------------------------------------------------- */

static void make_mac(uint8_t mac[SNAP_DIGEST], const uint8_t record[SEAL_BYTES],
                     const uint8_t *grants, size_t grants_bytes, const struct snap_key *key)
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, key->secret, sizeof key->secret, SNAP_DIGEST);
    crypto_generichash_update(&h, record, AT_MAC);
    crypto_generichash_update(&h, grants, grants_bytes);
    crypto_generichash_final(&h, mac, SNAP_DIGEST);
    sodium_memzero(&h, sizeof h);
}

static const struct snap_key *find_key(const struct seal *s, const struct snap_key *keys,
                                       unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!memcmp(s->record + AT_KEY, keys[i].id, SNAP_KEY_ID))
            return &keys[i];
    return NULL;
}

/* A seal of a key that is known. */
static enum gw_status check_one(int fd, const struct seal *s, uint64_t bytes,
                                const struct snap_key *key, struct snap_seal *out, const char *name,
                                struct gw_error *err)
{
    uint8_t mac[SNAP_DIGEST];
    char *grants;
    out->state = SNAP_SEAL_BROKEN;
    if (s->grants_bytes > MAX_GRANTS || snap_get(s->record + AT_BYTES, 8) != bytes)
        return GW_OK;
    grants = malloc(s->grants_bytes + 1);
    if (!grants)
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot check the snapshot's seal: out of memory");
    if (!read_at(fd, grants, s->grants_bytes, s->grants_at)) {
        free(grants);
        return failed(name, errno, err);
    }
    make_mac(mac, s->record, (const uint8_t *)grants, s->grants_bytes, key);
    if (sodium_memcmp(mac, s->record + AT_MAC, sizeof mac) != 0) {
        free(grants);
        return GW_OK;
    }
    grants[s->grants_bytes] = 0;
    out->state = SNAP_SEAL_GOOD;
    out->grants = grants;
    out->grants_bytes = s->grants_bytes;
    memcpy(out->root, s->record + AT_ROOT, SNAP_DIGEST);
    return GW_OK;
}

static bool is_known_kind(const struct seal *s)
{
    return snap_get(s->record + AT_VERSION, 4) == SEAL_VERSION &&
           !memcmp(s->record + AT_ALGORITHM, algorithm, sizeof algorithm);
}

enum gw_status snap_seal_check(int fd, const char *name, const struct snap_key *keys,
                               unsigned key_count, struct snap_seal *out, struct gw_error *err)
{
    struct seal list[MAX_SEALS];
    struct stat sb;
    unsigned count;
    uint64_t bytes;
    enum gw_status st;
    *out = (struct snap_seal){.state = SNAP_SEAL_NONE};
    if (fstat(fd, &sb) != 0)
        return failed(name, errno, err);
    bytes = S_ISREG(sb.st_mode) ? (uint64_t)sb.st_size : 0; /* what is no file is refused later */
    st = read_seals(fd, &bytes, list, &count, name, err);
    for (unsigned i = 0; st == GW_OK && i < count && out->state < SNAP_SEAL_BROKEN; i++) {
        const struct seal *s = &list[i];
        const struct snap_key *key = is_known_kind(s) ? find_key(s, keys, key_count) : NULL;
        if (out->state == SNAP_SEAL_NONE || key)
            memcpy(out->key_id, s->record + AT_KEY, SNAP_KEY_ID);
        if (out->state == SNAP_SEAL_NONE)
            out->state = is_known_kind(s) ? SNAP_SEAL_FOREIGN : SNAP_SEAL_UNKNOWN;
        if (key)
            st = check_one(fd, s, bytes, key, out, name, err);
    }
    return st;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* The hash of the index of a snapshot of these bytes: the last section before its end. */
static bool hash_index(int fd, uint64_t bytes, uint8_t root[SNAP_DIGEST], const char **why)
{
    uint8_t h[SNAP_HEAD_BYTES], t[SNAP_TAIL_BYTES], buf[1 << 14];
    const uint64_t frame = SNAP_HEADER_BYTES + 2 * SNAP_HEAD_BYTES + SNAP_TAIL_BYTES;
    crypto_generichash_state hash;
    struct snap_section s;
    uint64_t size, xxh, at, file_bytes;
    uint32_t sections;
    *why = "it is not whole";
    if (bytes < frame || !read_at(fd, h, sizeof h, bytes - sizeof h) ||
        !snap_get_end(h, &sections, &file_bytes) || file_bytes != bytes ||
        !read_at(fd, t, sizeof t, bytes - sizeof h - sizeof t) || !snap_get_tail(t, &size, &xxh) ||
        size > bytes - frame)
        return false;
    at = bytes - sizeof h - sizeof t - size;
    *why = "it has no index";
    if (!read_at(fd, h, sizeof h, at - sizeof h) || !snap_get_head(h, &s) || s.kind != SNAP_INDEX)
        return false;
    *why = "it cannot be read";
    crypto_generichash_init(&hash, NULL, 0, SNAP_DIGEST);
    while (size) {
        size_t n = size < sizeof buf ? (size_t)size : sizeof buf;
        if (!read_at(fd, buf, n, at))
            return false;
        crypto_generichash_update(&hash, buf, n);
        at += n;
        size -= n;
    }
    crypto_generichash_final(&hash, root, SNAP_DIGEST);
    return true;
}

static bool write_at(int fd, const void *from, size_t size, uint64_t at)
{
    const uint8_t *p = from;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

enum gw_status snap_seal_put(int fd, const char *name, const struct snap_key *key,
                             const char *grants, struct gw_error *err)
{
    uint8_t record[SEAL_BYTES] = {0};
    struct seal list[MAX_SEALS];
    size_t grants_bytes = strlen(grants);
    struct stat sb;
    unsigned count;
    uint64_t bytes;
    const char *why = "it grants too much";
    enum gw_status st;
    if (fstat(fd, &sb) != 0)
        return failed(name, errno, err);
    bytes = (uint64_t)sb.st_size;
    st = read_seals(fd, &bytes, list, &count, name, err);
    if (st != GW_OK)
        return st;
    if (count == MAX_SEALS)
        return gw_fail(err, GW_ERR_LIMIT, name, "cannot seal the snapshot: it has %u seals already",
                       count);
    if (grants_bytes > MAX_GRANTS || !hash_index(fd, bytes, record + AT_ROOT, &why))
        return gw_fail(err, GW_ERR_FORMAT, name, "cannot seal the snapshot: %s", why);
    memcpy(record, SEAL_MAGIC, 8);
    snap_put(record + AT_VERSION, SEAL_VERSION, 4);
    snap_put(record + AT_GRANTS, grants_bytes, 4);
    snap_put(record + AT_BYTES, bytes, 8);
    memcpy(record + AT_ALGORITHM, algorithm, sizeof algorithm);
    memcpy(record + AT_KEY, key->id, SNAP_KEY_ID);
    make_mac(record + AT_MAC, record, (const uint8_t *)grants, grants_bytes, key);
    bytes = (uint64_t)sb.st_size;
    if (!write_at(fd, grants, grants_bytes, bytes) ||
        !write_at(fd, record, sizeof record, bytes + grants_bytes) || fsync(fd) != 0)
        return gw_fail(err, GW_ERR_IO, name, "cannot seal the snapshot: %s", strerror(errno));
    return GW_OK;
}
