/* What the host does to a disk's files: cut short, full, not flushed. The caller is told each time,
 * the user once, and what was there before stays. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "devices/host/disk.h"
#include "tests/devices/fakes.h"

enum { DISK_BYTES = 256 * 1024, HALF = DISK_BYTES / 2 };

struct fixture {
    char base[64], overlay[64];
    unsigned said;
    const char *what;
    int error;
};

static void say(void *context, const char *what, const char *object, int error)
{
    struct fixture *f = context;
    f->said++;
    f->what = what;
    f->error = error;
    assert_string_equal(object, f->base);
}

/* Each byte of the file is the number of its 4 KiB. */
static void setup(struct fixture *f)
{
    uint8_t page[4096];
    int fd;
    memset(f, 0, sizeof *f);
    snprintf(f->base, sizeof f->base, "/tmp/godwit-faults-XXXXXX");
    fd = mkstemp(f->base);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < DISK_BYTES / sizeof page; i++) {
        memset(page, (int)i, sizeof page);
        assert_int_equal(write(fd, page, sizeof page), sizeof page);
    }
    close(fd);
    snprintf(f->overlay, sizeof f->overlay, "%.40s.overlay", f->base);
}

static void teardown(struct fixture *f)
{
    unlink(f->base);
    unlink(f->overlay);
}

static struct dev_disk *open_disk(struct fixture *f, bool rw, bool overlay, int (*sync)(int fd))
{
    struct dev_disk_config cfg = {.path = f->base,
                                  .rw = rw,
                                  .overlay = overlay ? f->overlay : NULL,
                                  .fault = {.say = say, .context = f},
                                  .sync = sync};
    struct gw_error err = {0};
    struct dev_disk *d = NULL;
    assert_int_equal(dev_disk_open(&d, &cfg, &err), GW_OK);
    assert_int_equal(dev_disk_begin(d, &err), GW_OK);
    return d;
}

static bool get(struct dev_disk *d, uint64_t offset, uint8_t *to, size_t size)
{
    struct iovec iov = {to, size};
    return dev_disk_read(d, &iov, 1, offset);
}

static bool put(struct dev_disk *d, uint64_t offset, uint8_t fill, size_t size)
{
    static uint8_t data[DISK_BYTES];
    struct iovec iov = {data, size};
    memset(data, fill, size);
    return dev_disk_write(d, &iov, 1, offset);
}

static void a_file_that_was_cut_short_fails_to_read(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    uint8_t got[8192];
    setup(&f);
    d = open_disk(&f, false, false, NULL);
    assert_true(put(d, HALF + 4096, 0xaa, 4096)); /* is in the overlay, hence stays */
    assert_int_equal(truncate(f.base, HALF), 0);
    assert_true(get(d, HALF - 4096, got, 4096));
    assert_true(get(d, HALF + 4096, got, 4096));
    assert_int_equal(got[0], 0xaa);
    assert_int_equal(f.said, 0);
    assert_false(get(d, HALF - 4096, got, 8192));
    assert_false(get(d, HALF, got, 512));
    /* A write of part of a cluster needs the rest of it. */
    assert_false(put(d, HALF, 1, 512));
    assert_int_equal(f.said, 2);
    assert_int_equal(f.error, EIO);
    assert_string_equal(f.what, "cannot write to the disk");
    assert_true(get(d, HALF - 4096, got, 4096));
    dev_disk_close(d);
    teardown(&f);
}

static void an_overlay_that_was_cut_short_fails_to_read(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    uint8_t got[4096];
    setup(&f);
    d = open_disk(&f, false, true, NULL);
    assert_true(put(d, 0, 0xaa, 4096));
    assert_true(dev_disk_write_zeroes(d, HALF, 8192, true)); /* beyond what was written: zeroes */
    assert_true(get(d, HALF, got, 4096));
    assert_int_equal(got[0], 0);
    assert_int_equal(truncate(f.overlay, 8192), 0);
    assert_false(get(d, 0, got, 4096));
    assert_true(get(d, 4096, got, 4096)); /* the file's own */
    assert_int_equal(got[0], 1);
    assert_int_equal(f.said, 1);
    assert_string_equal(f.what, "cannot read the disk");
    dev_disk_close(d);
    teardown(&f);
}

/* A limit on file sizes stands for a full disk: both refuse a write that needs room. */
static void a_full_host_keeps_what_was_acknowledged(void **state)
{
    struct fixture f;
    struct rlimit old, low;
    struct dev_disk *d;
    uint8_t got[4096];
    setup(&f);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 16384;
    d = open_disk(&f, false, true, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_true(put(d, 0, 0xaa, 4096)); /* header and bitmap take 8 KiB */
    assert_true(dev_disk_flush(d));
    for (unsigned i = 0; i < 10; i++)
        assert_false(put(d, HALF + 4096 * i, 0xbb, 4096));
    assert_int_equal(f.said, 1);
    assert_int_equal(f.error, EFBIG);
    assert_string_equal(f.what, "cannot write to the disk");
    assert_true(get(d, HALF, got, 4096)); /* what it was before */
    assert_int_equal(got[0], HALF / 4096);
    assert_true(dev_disk_flush(d));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(put(d, HALF, 0xcc, 4096)); /* there is room again */
    dev_disk_close(d);
    d = open_disk(&f, false, true, NULL);
    assert_true(get(d, 0, got, 4096));
    assert_int_equal(got[4095], 0xaa);
    assert_true(get(d, HALF, got, 4096));
    assert_int_equal(got[4095], 0xcc);
    assert_true(get(d, HALF + 4096, got, 4096));
    assert_int_equal(got[0], HALF / 4096 + 1);
    dev_disk_close(d);
    assert_int_equal(f.said, 1);
    teardown(&f);
}

/* An overlay may be longer than the host lets files be, as long as what is written fits. */
static void an_overlay_opens_under_a_limit(void **state)
{
    struct fixture f;
    struct rlimit old, low;
    struct dev_disk *d;
    uint8_t got[4096];
    setup(&f);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 16384;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    d = open_disk(&f, false, true, NULL);
    assert_true(put(d, 0, 0xaa, 4096));
    assert_true(get(d, 0, got, 4096));
    assert_int_equal(got[0], 0xaa);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    dev_disk_close(d);
    teardown(&f);
}

static int sync_that_fails_once(int fd)
{
    static bool failed;
    bool fails = !failed;
    failed = true;
    errno = EIO;
    return fails ? -1 : 0;
}

static void a_flush_that_failed_fails_for_good(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    setup(&f);
    d = open_disk(&f, true, false, sync_that_fails_once);
    assert_true(put(d, 0, 0xaa, 4096));
    for (unsigned i = 0; i < 3; i++)
        assert_false(dev_disk_flush(d));
    assert_int_equal(f.said, 1);
    assert_int_equal(f.error, EIO);
    assert_string_equal(f.what, "cannot flush the disk");
    dev_disk_close(d);
    assert_int_equal(f.said, 1);
    teardown(&f);
}

/* Giving up is no failure: nothing is said of it, and the same is done later. */
static void what_is_given_up_may_be_done_again(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    uint8_t got[4096];
    setup(&f);
    d = open_disk(&f, false, true, NULL);
    assert_true(put(d, 0, 0xaa, 4096));
    dev_disk_give_up(d, true);
    errno = 0;
    assert_false(get(d, 0, got, 4096));
    assert_int_equal(errno, ECANCELED);
    assert_false(put(d, 4096, 0xbb, 4096));
    assert_false(dev_disk_flush(d));
    assert_false(dev_disk_discard(d, 0, HALF));
    assert_false(dev_disk_write_zeroes(d, 0, HALF, true));
    assert_int_equal(f.said, 0);
    dev_disk_give_up(d, false);
    assert_true(get(d, 4096, got, 4096));
    assert_int_equal(got[0], 1);
    assert_true(put(d, 4096, 0xbb, 4096));
    assert_true(dev_disk_flush(d));
    dev_disk_close(d);
    teardown(&f);
}

static unsigned synced;

static int count_syncs(int fd)
{
    synced++;
    return 0;
}

/* What was acknowledged is in the file however its disk is closed. */
static void an_overlay_that_is_left_has_what_was_written(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    uint8_t got[4096];
    setup(&f);
    synced = 0;
    d = open_disk(&f, false, true, count_syncs);
    assert_true(put(d, 8192, 0xaa, 4096));
    dev_disk_give_up(d, true);
    dev_disk_close(d);
    assert_int_equal(synced, 0);
    d = open_disk(&f, false, true, NULL);
    assert_true(get(d, 8192, got, 4096));
    assert_int_equal(got[0], 0xaa);
    dev_disk_close(d);
    teardown(&f);
}

/* More than 64 MiB is written by windows before it is flushed; also when some of them lie apart. */
static void much_is_flushed_by_windows(void **state)
{
    enum { MIB = 1 << 20, BYTES = 200 * MIB };
    struct fixture f;
    struct dev_disk *d;
    uint8_t got[4096];
    setup(&f);
    synced = 0;
    assert_int_equal(truncate(f.base, BYTES), 0);
    d = open_disk(&f, true, false, count_syncs);
    for (unsigned at = 0; at < BYTES - DISK_BYTES; at += DISK_BYTES)
        if (at / (16 * MIB) % 3 != 1)
            assert_true(put(d, at, (uint8_t)(at / MIB), DISK_BYTES));
    assert_true(dev_disk_flush(d));
    assert_int_equal(synced, 1);
    assert_true(put(d, 0, 0x55, 4096));
    assert_true(dev_disk_flush(d));
    assert_int_equal(synced, 2);
    assert_true(get(d, 100 * MIB, got, 4096));
    assert_int_equal(got[0], 100);
    assert_true(get(d, 20 * MIB, got, 4096));
    assert_int_equal(got[0], 0);
    dev_disk_close(d);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_was_cut_short_fails_to_read),
        cmocka_unit_test(an_overlay_that_was_cut_short_fails_to_read),
        cmocka_unit_test(a_full_host_keeps_what_was_acknowledged),
        cmocka_unit_test(an_overlay_opens_under_a_limit),
        cmocka_unit_test(a_flush_that_failed_fails_for_good),
        cmocka_unit_test(what_is_given_up_may_be_done_again),
        cmocka_unit_test(an_overlay_that_is_left_has_what_was_written),
        cmocka_unit_test(much_is_flushed_by_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
