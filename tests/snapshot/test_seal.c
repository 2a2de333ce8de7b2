/* Seals, keys and the index: what is vouched for is what was sealed, and nothing else is. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/snapshot/format1.h"
#include "tests/snapshot/sample.h"

enum { ROOM = 1 << 16 };

static const struct sample one = {.flag = 1, .half = 0x1234, .wide = 77, .list = {5, 4, 3, 2, 1}};
static const struct snap_key mine = {.id = {1}, .secret = {2}}, teams = {.id = {3}, .secret = {4}},
                             false_key = {.id = {1}, .secret = {5}};
static const char grants[] = "kernel=/k\n";

static const struct snap_api *api;
static uint8_t ram[SAMPLE_PAGES * SNAP_PAGE_BYTES];

static int setup(void **state)
{
    api = godwit_snapshot();
    return api ? 0 : -1;
}

/* ---- another thread --------------------------------------------------------------------------- */

/* One that has done what it is given at once, or one that does it when it is waited for. */
struct hand {
    bool late;
    void (*work)(void *arg);
    void *arg;
    unsigned asked; /* whether it is busy, and it was */
};

static void do_it(void *context)
{
    struct hand *h = context;
    void (*work)(void *arg) = h->work;
    h->work = NULL;
    if (work)
        work(h->arg);
}

static void take_it(void *context, void (*work)(void *arg), void *arg)
{
    struct hand *h = context;
    assert_null(h->work);
    h->work = work;
    h->arg = arg;
    if (!h->late)
        do_it(h);
}

static bool has_it(void *context)
{
    struct hand *h = context;
    h->asked += h->work != NULL;
    return h->work != NULL;
}

static struct hand hands[] = {{.late = false}, {.late = true}};
static const struct snap_worker workers[] = {
    {.submit = take_it, .wait = do_it, .busy = has_it, .context = &hands[0]},
    {.submit = take_it, .wait = do_it, .busy = has_it, .context = &hands[1]},
};
static const struct snap_worker *worker; /* of what follows; NULL: none */

/* ---- files ---------------------------------------------------------------------------------- */

static int new_file(const void *bytes, size_t size)
{
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

static int unsealed(void)
{
    int fd = new_file("", 0);
    struct gw_error err = {0};
    struct snap_writer *w;
    assert_int_equal(api->create_on(&w, fd, worker, "snapshot", &err), GW_OK);
    assert_int_equal(sample_fill(api, w, &one, &err), GW_OK);
    return fd;
}

static void seal(int fd, const struct snap_key *key, const char *what)
{
    struct gw_error err = {0};
    if (api->seal_put(fd, "snapshot", key, what, &err) != GW_OK)
        fail_msg("%s: %s", err.object, err.message);
}

static int sealed(void)
{
    int fd = unsealed();
    seal(fd, &mine, grants);
    return fd;
}

static size_t content(int fd, uint8_t *to)
{
    ssize_t n = pread(fd, to, ROOM, 0);
    assert_true(n > 0 && n < ROOM);
    return (size_t)n;
}

static struct snap_seal check(int fd, const struct snap_key *key)
{
    struct gw_error err = {0};
    struct snap_seal s;
    assert_int_equal(api->seal_check(fd, "snapshot", key, key != NULL, &s, &err), GW_OK);
    return s;
}

/* All that can be read of it, checked by what the seal says. */
static enum gw_status load(int fd, const uint8_t *root, struct gw_error *err)
{
    struct snap_page_sink sink = {
        .count = SAMPLE_PAGES, .put = sample_put, .context = ram, .worker = worker};
    struct sample s = {0};
    struct snap_reader *r = NULL;
    enum gw_status st = api->open_on(&r, fd, "snapshot", root, err);
    if (st == GW_OK)
        st = api->read_manifest(r, err);
    if (st == GW_OK)
        st = api->load_state(r, "first", &sample_desc, &s, err);
    if (st == GW_OK)
        st = api->load_pages(r, "ram", &sink, err);
    api->close(r);
    if (st == GW_OK)
        assert_true(s.wide == one.wide && ram[3 * SNAP_PAGE_BYTES] == 3);
    return st;
}

/* ---- whose a file is ------------------------------------------------------------------------- */

static void a_sealed_file_is_good_for_who_has_the_key(void **state)
{
    int fd = sealed();
    struct snap_seal s = check(fd, &mine);
    struct gw_error err = {0};
    assert_int_equal(s.state, SNAP_SEAL_GOOD);
    assert_string_equal(s.grants, grants);
    assert_int_equal(s.grants_bytes, strlen(grants));
    assert_memory_equal(s.key_id, mine.id, SNAP_KEY_ID);
    assert_int_equal(load(fd, s.root, &err), GW_OK);
    free(s.grants);
    assert_int_equal(load(fd, NULL, &err), GW_OK); /* and can be read by everybody */
    close(fd);
}

static void no_key_and_a_wrong_key_and_no_seal_are_told_apart(void **state)
{
    int fd = unsealed();
    assert_int_equal(check(fd, &mine).state, SNAP_SEAL_NONE);
    seal(fd, &mine, grants);
    assert_int_equal(check(fd, NULL).state, SNAP_SEAL_FOREIGN);
    assert_memory_equal(check(fd, NULL).key_id, mine.id, SNAP_KEY_ID);
    assert_int_equal(check(fd, &teams).state, SNAP_SEAL_FOREIGN);
    assert_int_equal(check(fd, &false_key).state, SNAP_SEAL_BROKEN);
    close(fd);
}

static void seals_of_several_keys_stand_side_by_side(void **state)
{
    int fd = unsealed();
    struct gw_error err = {0};
    struct snap_seal s;
    seal(fd, &mine, grants);
    seal(fd, &teams, "");
    s = check(fd, &mine);
    assert_int_equal(s.state, SNAP_SEAL_GOOD);
    assert_string_equal(s.grants, grants);
    free(s.grants);
    s = check(fd, &teams);
    assert_int_equal(s.state, SNAP_SEAL_GOOD);
    assert_string_equal(s.grants, "");
    assert_int_equal(load(fd, s.root, &err), GW_OK);
    free(s.grants);
    seal(fd, &mine, "initrd=/i\n"); /* the last word of a key counts */
    s = check(fd, &mine);
    assert_string_equal(s.grants, "initrd=/i\n");
    free(s.grants);
    for (unsigned i = 3; i < 8; i++)
        seal(fd, &teams, "");
    assert_int_equal(api->seal_put(fd, "snapshot", &mine, "", &err), GW_ERR_LIMIT);
    close(fd);
}

static void a_seal_of_another_kind_is_not_known(void **state)
{
    static const struct {
        unsigned at; /* from the file's end */
    } rows[] = {{128 - 8}, {128 - 24}};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[ROOM];
        int fd = sealed(), other;
        size_t n = content(fd, bytes);
        bytes[n - rows[i].at]++;
        other = new_file(bytes, n);
        assert_int_equal(check(other, &mine).state, SNAP_SEAL_UNKNOWN);
        close(other);
        close(fd);
    }
}

/* ---- what is covered ------------------------------------------------------------------------- */

/* The file is refused, or what is good about it is what was sealed. */
static void must_notice(const uint8_t *bytes, size_t size, size_t at)
{
    struct gw_error err = {0};
    int fd = new_file(bytes, size);
    struct snap_seal s = check(fd, &mine);
    if (s.state == SNAP_SEAL_GOOD) {
        assert_string_equal(s.grants, grants);
        if (load(fd, s.root, &err) == GW_OK)
            fail_msg("a change at %zu is not noticed", at);
        assert_true(err.message[0]);
        free(s.grants);
    }
    close(fd);
}

static void any_bit_that_changes_is_noticed(void **state)
{
    uint8_t bytes[ROOM];
    int fd = sealed();
    size_t n = content(fd, bytes);
    close(fd);
    for (size_t at = 0; at < n; at++) {
        bytes[at] ^= (uint8_t)(1u << at % 8);
        must_notice(bytes, n, at);
        bytes[at] ^= (uint8_t)(1u << at % 8);
    }
}

static void cut_anywhere_it_is_noticed(void **state)
{
    uint8_t bytes[ROOM];
    int fd = sealed();
    size_t n = content(fd, bytes);
    close(fd);
    for (size_t at = 0; at < n; at++)
        must_notice(bytes, at, at);
}

/* Checksums find damage and no more: whoever changes a file makes them right. */
static void set_checksums(uint8_t *f, size_t size)
{
    for (size_t at = SNAP_HEADER_BYTES; snap_get(f + at, 4) != SNAP_END;) {
        uint8_t *h = f + at;
        size_t n = payload_bytes(f, size, at);
        at += SNAP_HEAD_BYTES + n;
        snap_put(h + 48, snap_hash(h, 48), 8);
        snap_put_tail(f + at, n, snap_hash(f + at - n, n));
        at += SNAP_TAIL_BYTES;
    }
}

static void a_change_with_right_checksums_is_noticed(void **state)
{
    uint8_t bytes[ROOM], changed[ROOM];
    int fd = sealed();
    size_t n = content(fd, bytes);
    close(fd);
    for (size_t at = SNAP_HEADER_BYTES; snap_get(bytes + at, 4) != SNAP_END;) {
        size_t size = payload_bytes(bytes, n, at);
        at += SNAP_HEAD_BYTES;
        for (size_t i = 0; i<size; i += size> 200 ? 37 : 1) {
            memcpy(changed, bytes, n);
            changed[at + i] ^= 0x10;
            if (payload_bytes(changed, n, at - SNAP_HEAD_BYTES) != size)
                continue; /* no longer a frame */
            set_checksums(changed, n);
            must_notice(changed, n, at + i);
        }
        at += size + SNAP_TAIL_BYTES;
    }
}

static void a_seal_is_of_one_file(void **state)
{
    uint8_t bytes[ROOM], other[ROOM];
    struct sample two = one;
    int fd = sealed(), fd2 = new_file("", 0);
    struct gw_error err = {0};
    struct snap_writer *w;
    size_t n = content(fd, bytes), m, seal_bytes = 128 + strlen(grants);
    two.wide++;
    assert_int_equal(api->create_on(&w, fd2, NULL, "snapshot", &err), GW_OK);
    assert_int_equal(sample_fill(api, w, &two, &err), GW_OK);
    m = content(fd2, other);
    memcpy(other + m, bytes + n - seal_bytes, seal_bytes);
    must_notice(other, m + seal_bytes, 0);
    close(fd);
    close(fd2);
}

static void grants_are_covered(void **state)
{
    uint8_t bytes[ROOM];
    int fd = sealed(), other;
    size_t n = content(fd, bytes);
    bytes[n - 128 - 2] ^= 1;
    other = new_file(bytes, n);
    assert_int_equal(check(other, &mine).state, SNAP_SEAL_BROKEN);
    close(other);
    close(fd);
}

static void a_file_without_an_index_is_not_sealed(void **state)
{
    uint8_t bytes[ROOM], old[ROOM];
    struct gw_error err = {0};
    int fd = unsealed(), other;
    size_t n = content(fd, bytes);
    close(fd);
    other = new_file(old, to_format1(old, bytes, n));
    assert_int_equal(api->seal_put(other, "snapshot", &mine, "", &err), GW_ERR_FORMAT);
    assert_int_equal(load(other, NULL, &err), GW_OK);
    close(other);
    other = new_file("", 0);
    assert_int_equal(api->seal_put(other, "snapshot", &mine, "", &err), GW_ERR_FORMAT);
    assert_int_equal(check(other, &mine).state, SNAP_SEAL_NONE);
    close(other);
}

/* What was saved without a word of its index is still read; but not by who has its hash. */
static void an_index_is_checked_whole(void **state)
{
    struct gw_error err = {0};
    struct snap_reader *r;
    uint8_t root[SNAP_DIGEST] = {0};
    int fd = unsealed();
    assert_int_equal(load(fd, NULL, &err), GW_OK);
    assert_int_equal(load(fd, root, &err), GW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "not the one that was sealed"));
    assert_int_equal(api->open_on(&r, fd, "snapshot", NULL, &err), GW_OK);
    assert_int_equal(api->verify(r, &err), GW_OK);
    api->close(r);
    close(fd);
}

/* ---- keys ------------------------------------------------------------------------------------ */

struct folder {
    char dir[64], path[128];
};

static void make_folder(struct folder *f)
{
    strcpy(f->dir, "/tmp/godwit-key.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/a/godwit/seal.key", f->dir);
    setenv("XDG_CONFIG_HOME", f->dir, 1);
    snprintf(f->path, sizeof f->path, "%s/godwit/seal.key", f->dir);
}

static void remove_folder(struct folder *f)
{
    char dir[96];
    unlink(f->path);
    snprintf(dir, sizeof dir, "%s/godwit", f->dir);
    rmdir(dir);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else was left */
    unsetenv("XDG_CONFIG_HOME");
}

static void a_key_is_made_once_and_nobody_elses(void **state)
{
    struct folder f;
    struct gw_error err = {0};
    struct snap_key a, b;
    struct stat sb;
    make_folder(&f);
    assert_int_equal(api->key_read(&a, NULL, &err), GW_ERR_NOTFOUND);
    assert_int_equal(api->key_make(&a, NULL, &err), GW_OK);
    assert_int_equal(stat(f.path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    assert_int_equal(api->key_make(&b, NULL, &err), GW_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(api->key_read(&b, f.path, &err), GW_OK);
    assert_memory_equal(&a, &b, sizeof a);
    api->key_forget(&a);
    assert_memory_not_equal(&a, &b, sizeof a);
    unlink(f.path);
    assert_int_equal(api->key_make(&a, NULL, &err), GW_OK);
    assert_memory_not_equal(a.id, b.id, sizeof a.id); /* another one each time */
    assert_memory_not_equal(a.secret, b.secret, sizeof a.secret);
    remove_folder(&f);
}

static void a_key_that_others_can_read_is_none(void **state)
{
    static const struct {
        mode_t mode;
        bool own, given;
    } rows[] = {{0600, true, true},   {0400, true, true},   {0640, false, true},
                {0660, false, false}, {0604, false, false}, {0666, false, false}};
    struct folder f;
    struct snap_key k;
    struct gw_error err = {0};
    make_folder(&f);
    assert_int_equal(api->key_make(&k, NULL, &err), GW_OK);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        chmod(f.path, rows[i].mode);
        assert_int_equal(api->key_read(&k, NULL, &err), rows[i].own ? GW_OK : GW_ERR_STATE);
        if (!rows[i].own)
            assert_non_null(strstr(err.hint, "chmod 600"));
        assert_int_equal(api->key_read(&k, f.path, &err), rows[i].given ? GW_OK : GW_ERR_STATE);
    }
    if (geteuid() == 0) {
        chmod(f.path, 0600);
        assert_int_equal(chown(f.path, 12345, 0), 0);
        assert_int_equal(api->key_read(&k, NULL, &err), GW_ERR_STATE);
        assert_int_equal(api->key_make(&k, NULL, &err), GW_ERR_STATE);
    }
    remove_folder(&f);
}

/* Root, as the environment of somebody else is left to it: its key is not to lie among their files. */
static void roots_key_is_in_no_folder_of_somebody_elses(void **state)
{
    struct folder f;
    struct gw_error err = {0};
    struct snap_key a, b;
    struct stat sb;
    char *home = getenv("HOME"), *old = home ? strdup(home) : NULL;
    char theirs[96], ours[96], path[160];
    if (geteuid() != 0)
        skip();
    make_folder(&f);
    snprintf(theirs, sizeof theirs, "%s/theirs", f.dir);
    snprintf(ours, sizeof ours, "%s/mine", f.dir);
    assert_int_equal(mkdir(theirs, 0755) | mkdir(ours, 0755), 0);
    assert_int_equal(chown(theirs, 12345, 12345), 0);
    setenv("HOME", ours, 1);
    for (unsigned i = 0; i < 2; i++) { /* a folder that is there, and one that is yet to be made */
        snprintf(path, sizeof path, i ? "%s/new/config" : "%s", theirs);
        setenv("XDG_CONFIG_HOME", path, 1);
        assert_int_equal(api->key_make(i ? &b : &a, NULL, &err), GW_OK);
        assert_int_equal(rmdir(theirs) | mkdir(theirs, 0755) | chown(theirs, 12345, 12345), 0);
    }
    assert_memory_equal(&a, &b, sizeof a);
    snprintf(path, sizeof path, "%s/.config/godwit/seal.key", ours);
    assert_int_equal(stat(path, &sb), 0);
    unsetenv("XDG_CONFIG_HOME");
    assert_int_equal(api->key_read(&b, NULL, &err), GW_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(chown(ours, 12345, 12345), 0); /* root's home is then where it is usually */
    assert_true(api->key_read(&b, NULL, &err) != GW_OK || memcmp(&a, &b, sizeof a));
    if (old)
        setenv("HOME", old, 1);
    free(old);
    unlink(path);
    for (unsigned i = 0; i < 3; i++) {
        *strrchr(path, '/') = 0;
        rmdir(path);
    }
    assert_int_equal(rmdir(theirs), 0);
    remove_folder(&f);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    static const char *const forms[] = {"%s",
                                        "godwit-seal-key 1 %s",
                                        "godwit-seal-key 2 %s\n",
                                        "godwit-seal-key 1 %s\nx",
                                        "godwit-seal-key 1  %.63s\n",
                                        "godwit-seal-key 1 %.63sg\n",
                                        ""};
    struct folder f;
    struct snap_key k;
    struct gw_error err = {0};
    make_folder(&f);
    assert_int_equal(api->key_make(&k, NULL, &err), GW_OK);
    for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        FILE *out = fopen(f.path, "w");
        fprintf(out, forms[i], hex);
        fclose(out);
        assert_int_equal(api->key_read(&k, f.path, &err), GW_ERR_STATE);
        assert_non_null(strstr(err.message, "not a key"));
    }
    unlink(f.path);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    assert_int_equal(api->key_read(&k, f.path, &err), GW_ERR_STATE); /* and does not wait */
    assert_int_equal(api->key_read(&k, f.dir, &err), GW_ERR_STATE);
    remove_folder(&f);
}

/* The last pages elsewhere: nothing but the index knows better. */
static void pages_that_were_moved_are_noticed(void **state)
{
    uint8_t bytes[ROOM];
    int fd = sealed();
    size_t n = content(fd, bytes), at = SNAP_HEADER_BYTES;
    close(fd);
    while (snap_get(bytes + at, 4) != SNAP_PAGES)
        at += SNAP_HEAD_BYTES + payload_bytes(bytes, n, at) + SNAP_TAIL_BYTES;
    at += SNAP_HEAD_BYTES + SNAP_PAGES_HEADER;
    at += SNAP_CHUNK_HEADER + snap_get(bytes + at + 8, 4);
    assert_int_equal(snap_get(bytes + at, 8), 512);
    snap_put(bytes + at, 256, 8);
    set_checksums(bytes, n);
    must_notice(bytes, n, at);
}

static void whoever_hashes_the_file_is_the_same_and_checked(void **state)
{
    static uint8_t alone[ROOM], shared[ROOM];
    int fd = unsealed();
    size_t size = content(fd, alone);
    close(fd);
    for (unsigned i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        worker = &workers[i];
        fd = unsealed();
        assert_int_equal(content(fd, shared), size);
        assert_memory_equal(alone, shared, size);
        assert_true((hands[i].asked > 0) == hands[i].late);
        close(fd);
        any_bit_that_changes_is_noticed(state);
        a_change_with_right_checksums_is_noticed(state);
        pages_that_were_moved_are_noticed(state);
    }
    worker = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_file_is_good_for_who_has_the_key),
        cmocka_unit_test(no_key_and_a_wrong_key_and_no_seal_are_told_apart),
        cmocka_unit_test(seals_of_several_keys_stand_side_by_side),
        cmocka_unit_test(a_seal_of_another_kind_is_not_known),
        cmocka_unit_test(any_bit_that_changes_is_noticed),
        cmocka_unit_test(cut_anywhere_it_is_noticed),
        cmocka_unit_test(a_change_with_right_checksums_is_noticed),
        cmocka_unit_test(pages_that_were_moved_are_noticed),
        cmocka_unit_test(whoever_hashes_the_file_is_the_same_and_checked),
        cmocka_unit_test(a_seal_is_of_one_file),
        cmocka_unit_test(grants_are_covered),
        cmocka_unit_test(a_file_without_an_index_is_not_sealed),
        cmocka_unit_test(an_index_is_checked_whole),
        cmocka_unit_test(a_key_is_made_once_and_nobody_elses),
        cmocka_unit_test(a_key_that_others_can_read_is_none),
        cmocka_unit_test(roots_key_is_in_no_folder_of_somebody_elses),
        cmocka_unit_test(what_is_no_key_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
