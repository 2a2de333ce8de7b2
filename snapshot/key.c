/*
 * Keys of seals: a file with one line, which nobody but its owner may read.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "godwit/word.h"
#include "snapshot/snap_int.h"

#define KEY_PREFIX "godwit-seal-key 1 "

enum { PREFIX_BYTES = sizeof KEY_PREFIX - 1, LINE_BYTES = PREFIX_BYTES + 2 * SNAP_KEY_BYTES + 1 };

static void fill_id(struct snap_key *key)
{
    static const uint8_t what[] = "godwit seal key id";
    crypto_generichash_state h;
    crypto_generichash_init(&h, key->secret, sizeof key->secret, SNAP_KEY_ID);
    crypto_generichash_update(&h, what, sizeof what - 1);
    crypto_generichash_final(&h, key->id, SNAP_KEY_ID);
    sodium_memzero(&h, sizeof h);
}

void snap_key_forget(struct snap_key *key)
{
    sodium_memzero(key, sizeof *key);
}

/* Does the folder, or what it would be made in, belong to another user? Root may have been left the
 * environment of whoever became root. */
static bool is_somebody_elses(const char *dir)
{
    char path[SNAP_KEY_PATH];
    struct stat sb;
    int n = snprintf(path, sizeof path, "%s", dir);
    char *last;
    if (n < 0 || (size_t)n >= sizeof path)
        return false;
    while (stat(path, &sb) != 0)
        if (!(last = strrchr(path, '/')) || last == path)
            return false;
        else
            *last = 0;
    return sb.st_uid != geteuid() && sb.st_uid != 0;
}

/* Of whoever runs us: in a folder for programs' settings. */
static const char *own_path(char path[SNAP_KEY_PATH])
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const struct passwd *user;
    if (config && config[0] == '/' && !is_somebody_elses(config)) {
        snprintf(path, SNAP_KEY_PATH, "%s/godwit/seal.key", config);
        return path;
    }
    if (!home || home[0] != '/' || is_somebody_elses(home)) {
        user = getpwuid(geteuid());
        home = user ? user->pw_dir : "/";
    }
    snprintf(path, SNAP_KEY_PATH, "%s/.config/godwit/seal.key", home);
    return path;
}

/* NULL, or why the file is none that a key should be in. */
static const char *refuse_file(int fd, bool own)
{
    struct stat sb;
    if (fstat(fd, &sb) != 0)
        return strerror(errno);
    if (!S_ISREG(sb.st_mode))
        return "not a regular file";
    if (own && sb.st_uid != geteuid())
        return "it is somebody else's";
    return sb.st_mode & (own ? 077 : 027) ? "others may read or change it" : NULL;
}

static bool parse(const char *line, size_t size, struct snap_key *out)
{
    size_t n = 0;
    return size == LINE_BYTES && !memcmp(line, KEY_PREFIX, PREFIX_BYTES) &&
           line[LINE_BYTES - 1] == '\n' &&
           sodium_hex2bin(out->secret, sizeof out->secret, line + PREFIX_BYTES, 2 * SNAP_KEY_BYTES,
                          NULL, &n, NULL) == 0 &&
           n == sizeof out->secret;
}

enum gw_status snap_key_read(struct snap_key *out, const char *given, struct gw_error *err)
{
    char own[SNAP_KEY_PATH];
    const char *path = given ? given : own_path(own);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char line[LINE_BYTES + 1];
    const char *why;
    ssize_t n = -1;
    memset(out, 0, sizeof *out);
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot use the key: %s", strerror(errno));
    why = refuse_file(fd, !given);
    if (!why && (n = read(fd, line, sizeof line)) < 0)
        why = strerror(errno);
    close(fd);
    if (!why && !parse(line, (size_t)n, out))
        why = "not a key of ours";
    sodium_memzero(line, sizeof line);
    if (!why) {
        fill_id(out);
        return GW_OK;
    }
    snap_key_forget(out);
    gw_fail(err, GW_ERR_STATE, path, "cannot use the key: %s", why);
    if (!strncmp(why, "others", 6))
        gw_hint_of(err, "chmod 600 @", path);
    return GW_ERR_STATE;
}

/* A file that is there already, made by another process meanwhile, stays. */
static bool write_key(const char *path, const char *line)
{
    char temporary[SNAP_KEY_PATH + 16];
    int fd, n = snprintf(temporary, sizeof temporary, "%s.new.XXXXXX", path);
    bool fine;
    if (n < 0 || (size_t)n >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    fd = mkostemp(temporary, O_CLOEXEC); /* its mode is 0600 */
    if (fd < 0)
        return false;
    fine = write(fd, line, LINE_BYTES) == LINE_BYTES && fsync(fd) == 0 &&
           (link(temporary, path) == 0 || errno == EEXIST);
    n = errno;
    unlink(temporary);
    close(fd);
    errno = n;
    return fine;
}

/* The folder of a user's own, and the one that is in, as far as they are missing. */
static void make_folders(const char *path)
{
    char dir[SNAP_KEY_PATH];
    char *last, *before;
    snprintf(dir, sizeof dir, "%s", path);
    last = strrchr(dir, '/');
    *last = 0;
    before = strrchr(dir, '/');
    *before = 0;
    mkdir(dir, 0700);
    *before = '/';
    mkdir(dir, 0700);
}

enum gw_status snap_key_make(struct snap_key *out, const char *given, struct gw_error *err)
{
    char line[LINE_BYTES + 1] = KEY_PREFIX, own[SNAP_KEY_PATH];
    const char *path = given ? given : own_path(own);
    enum gw_status st = snap_key_read(out, given, err);
    bool fine;
    if (st != GW_ERR_NOTFOUND)
        return st;
    if (!given)
        make_folders(path);
    randombytes_buf(out->secret, sizeof out->secret);
    sodium_bin2hex(line + PREFIX_BYTES, sizeof line - PREFIX_BYTES, out->secret,
                   sizeof out->secret);
    line[LINE_BYTES - 1] = '\n';
    fine = write_key(path, line);
    sodium_memzero(line, sizeof line);
    snap_key_forget(out);
    if (!fine)
        return gw_fail(err, GW_ERR_IO, path, "cannot make the key: %s", strerror(errno));
    return snap_key_read(out, given, err);
}
