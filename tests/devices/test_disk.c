/* Disk files and overlays. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/host/disk.h"
#include "devices/host/sample.h"
#include "godwit/little.h"
#include "tests/devices/fakes.h"

enum { DISK_BYTES = 64 * 1024 + 512 }; /* the last cluster is a partial one */

struct fixture {
    char base[64], overlay[64];
    uint8_t model[DISK_BYTES]; /* what the guest should read */
};

static void setup(struct fixture *f)
{
    int fd;
    snprintf(f->base, sizeof f->base, "/tmp/godwit-disk-XXXXXX");
    fd = mkstemp(f->base);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < DISK_BYTES; i++)
        f->model[i] = (uint8_t)(i * 7 + i / 512);
    assert_int_equal(write(fd, f->model, DISK_BYTES), DISK_BYTES);
    close(fd);
    snprintf(f->overlay, sizeof f->overlay, "%.40s.overlay", f->base);
}

static void teardown(struct fixture *f)
{
    unlink(f->base);
    unlink(f->overlay);
}

static struct dev_disk *open_disk(const char *path, bool rw, const char *overlay)
{
    struct dev_disk_config cfg = {.path = path, .rw = rw, .overlay = overlay};
    struct gw_error err = {0};
    struct dev_disk *d = NULL;
    assert_int_equal(dev_disk_open(&d, &cfg, &err), GW_OK);
    assert_int_equal(dev_disk_begin(d, &err), GW_OK);
    return d;
}

static enum gw_status open_fails(const char *path, const char *overlay)
{
    struct dev_disk_config cfg = {.path = path, .overlay = overlay};
    struct gw_error err = {0};
    struct dev_disk *d = NULL;
    enum gw_status st = dev_disk_open(&d, &cfg, &err);
    assert_true(st == GW_OK || !d);
    if (st == GW_OK)
        st = dev_disk_begin(d, &err);
    dev_disk_close(d);
    return st;
}

static void check_all(struct fixture *f, struct dev_disk *d)
{
    static uint8_t got[DISK_BYTES];
    /* odd pieces, so that runs and vectors do not line up */
    struct iovec iov[3] = {{got, 1000}, {got + 1000, 5000}, {got + 6000, DISK_BYTES - 6000}};
    memset(got, 0xee, sizeof got);
    assert_true(dev_disk_read(d, iov, 3, 0));
    assert_memory_equal(got, f->model, DISK_BYTES);
}

static void write_at(struct fixture *f, struct dev_disk *d, uint64_t offset, unsigned size,
                     uint8_t fill)
{
    static uint8_t data[DISK_BYTES];
    unsigned half = size / 3;
    struct iovec iov[2] = {{data, half}, {data + half, size - half}};
    for (unsigned i = 0; i < size; i++)
        data[i] = (uint8_t)(fill + i);
    assert_true(dev_disk_write(d, iov, 2, offset));
    memcpy(f->model + offset, data, size);
}

static void random_writes(struct fixture *f, struct dev_disk *d, unsigned count)
{
    uint32_t rng = 12345;
    for (unsigned i = 0; i < count; i++) {
        uint32_t sectors = DISK_BYTES / 512, at, n;
        rng = rng * 1664525u + 1013904223u;
        at = (rng >> 8) % sectors;
        n = 1 + (rng >> 20) % 24;
        if (n > sectors - at)
            n = sectors - at;
        write_at(f, d, at * 512u, n * 512, (uint8_t)rng);
        if (i % 8 == 0)
            check_all(f, d);
    }
    check_all(f, d);
}

static void temporary_overlay_leaves_the_file_alone(void **state)
{
    struct fixture f;
    static uint8_t before[DISK_BYTES], after[DISK_BYTES];
    struct dev_disk *d;
    int fd;
    setup(&f);
    memcpy(before, f.model, DISK_BYTES);
    d = open_disk(f.base, false, NULL);
    assert_int_equal(dev_disk_sectors(d), DISK_BYTES / 512);
    check_all(&f, d);
    assert_int_equal(dev_disk_discarded(d), 0);
    write_at(&f, d, 512, 512, 9);
    assert_int_equal(dev_disk_discarded(d), DEV_DISK_CLUSTER);
    random_writes(&f, d, 100);
    dev_disk_close(d);
    fd = open(f.base, O_RDONLY);
    assert_int_equal(read(fd, after, DISK_BYTES), DISK_BYTES);
    close(fd);
    assert_memory_equal(before, after, DISK_BYTES);
    teardown(&f);
}

static void kept_overlay_is_there_again(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    setup(&f);
    d = open_disk(f.base, false, f.overlay);
    random_writes(&f, d, 50);
    dev_disk_close(d);
    d = open_disk(f.base, false, f.overlay);
    check_all(&f, d);
    assert_int_equal(dev_disk_discarded(d), 0);
    random_writes(&f, d, 20);
    dev_disk_close(d);
    d = open_disk(f.base, false, f.overlay);
    check_all(&f, d);
    dev_disk_close(d);
    teardown(&f);
}

static void rw_writes_the_file(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    setup(&f);
    d = open_disk(f.base, true, NULL);
    random_writes(&f, d, 30);
    assert_true(dev_disk_flush(d));
    dev_disk_close(d);
    d = open_disk(f.base, false, NULL);
    check_all(&f, d);
    dev_disk_close(d);
    teardown(&f);
}

static void broken_files_are_refused(void **state)
{
    struct fixture f;
    char other[80];
    int fd;
    setup(&f);
    assert_int_equal(open_fails("/nonexistent/disk", NULL), GW_ERR_NOTFOUND);
    assert_int_equal(open_fails("/", NULL), GW_ERR_FORMAT);
    assert_int_equal(open_fails("/dev/null", NULL), GW_ERR_FORMAT);
    snprintf(other, sizeof other, "%s.other", f.base);
    fd = open(other, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(open_fails(other, NULL), GW_ERR_FORMAT); /* empty */
    assert_int_equal(ftruncate(fd, 1000), 0);
    assert_int_equal(open_fails(other, NULL), GW_ERR_FORMAT);   /* no whole sectors */
    assert_int_equal(open_fails(f.base, other), GW_ERR_FORMAT); /* no overlay of ours */
    close(fd);
    unlink(other);
    /* an overlay that was made for a disk of another size */
    dev_disk_close(open_disk(f.base, false, f.overlay));
    assert_int_equal(truncate(f.base, DISK_BYTES + 512), 0);
    assert_int_equal(open_fails(f.base, f.overlay), GW_ERR_FORMAT);
    teardown(&f);
}

static void a_disk_that_is_written_elsewhere_is_refused(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    setup(&f);
    d = open_disk(f.base, true, NULL);
    assert_int_equal(open_fails(f.base, NULL), GW_ERR_STATE);
    dev_disk_close(d);
    d = open_disk(f.base, false, NULL);
    dev_disk_close(open_disk(f.base, false, NULL)); /* readers may share */
    dev_disk_close(d);
    teardown(&f);
}

/* A file of 64 KiB with these bytes at `at`, from its end where that is negative. */
static void put_magic(const char *path, const char *magic, size_t bytes, int at)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(ftruncate(fd, 65536), 0);
    assert_int_equal(pwrite(fd, magic, bytes, at < 0 ? 65536 + at : at), bytes);
    close(fd);
}

static void images_of_other_formats_are_refused_unless_they_are_said_to_be_raw(void **state)
{
    static const char qcow2_with_data_file[80] = {'Q', 'F', 'I', '\xfb', [7] = 3, [79] = 4};
    static const struct {
        const char *magic;
        size_t bytes;
        int at;
        const char *name, *hint;
    } rows[] = {
        {"QFI\xfb\0\0\0\3", 8, 0, "qcow2", "qemu-img convert -f qcow2 -O raw "},
        {"QFI\xfb\0\0\0\1", 8, 0, "qcow", "qemu-img convert -f qcow -O raw "},
        {"QED\0", 4, 0, "QED", "qemu-img convert -f qed -O raw "},
        {"\x7f\x10\xda\xbe", 4, 64, "VDI", "qemu-img convert -f vdi -O raw "},
        {"conectix", 8, 0, "VHD", "qemu-img convert -f vpc -O raw "},
        {"conectix", 8, -512, "VHD", "qemu-img convert -f vpc -O raw "},
        {"vhdxfile", 8, 0, "VHDX", "qemu-img convert -f vhdx -O raw "},
        /* These name other files, or may: which ones would be the guest's choice. */
        {"QFI\xfb\0\0\0\3\0\0\0\0\0\0\2", 16, 0, "other files", "-d "},
        {"QFI\xfb\0\0\0\2\0\0\0\0\0\1\0", 16, 0, "other files", "-d "},
        {qcow2_with_data_file, sizeof qcow2_with_data_file, 0, "other files", "-d "},
        {"QED\0\0\0\1\0\4\0\0\0\1\0\0\0\1", 17, 0, "other files", "-d "},
        {"KDMV\1\0\0\0", 8, 0, "VMDK image that may name other files", "-d "},
        {"COWD\1\0\0\0", 8, 0, "VMDK image that may name other files", "-d "},
        {"# Disk DescriptorFile\n", 22, 0, "VMDK image that may name other files", "-d "},
        {"\x1f\x8b\x08\0", 4, 0, "gzip", "gzip -dc "},
        {"\xfd"
         "7zXZ\0",
         6, 0, "xz", "xz -dc "},
        {"\x28\xb5\x2f\xfd", 4, 0, "zstd", "zstd -dc "},
        {"BZh91AY&SY", 10, 0, "bzip2", "bzip2 -dc "},
        {"GWOVL\0\0\1", 8, 0, "overlay", "-d DISK,overlay="},
        {"\177GWSNAP\n", 8, 0, "snapshot", "godwit restore "},
    };
    static const char *const raw[] = {"QFI", "QED1", "BZhello, world", "\x1f\x8b\x09", "conectiX"};
    struct fixture f;
    setup(&f);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dev_disk_config cfg = {.path = f.base, .rw = i % 2};
        struct gw_error err = {0};
        struct dev_disk *d = NULL;
        put_magic(f.base, rows[i].magic, rows[i].bytes, rows[i].at);
        assert_int_equal(dev_disk_open(&d, &cfg, &err), GW_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, rows[i].name));
        assert_non_null(strstr(err.message, "format=raw"));
        assert_memory_equal(err.hint, rows[i].hint, strlen(rows[i].hint));
        assert_non_null(strstr(err.hint, f.base));
        cfg.raw = true;
        assert_int_equal(dev_disk_open(&d, &cfg, &err), GW_OK);
        dev_disk_close(d);
    }
    /* of no whole sectors, as what is compressed often is: what it is, is said first */
    put_magic(f.base, "\x1f\x8b\x08\0", 4, 0);
    assert_int_equal(truncate(f.base, 1001), 0);
    assert_int_equal(open_fails(f.base, NULL), GW_ERR_UNSUPPORTED);
    for (unsigned i = 0; i < sizeof raw / sizeof raw[0]; i++) {
        put_magic(f.base, raw[i], strlen(raw[i]), 0);
        dev_disk_close(open_disk(f.base, false, NULL));
    }
    teardown(&f);
}

/* ---- what files are known by ---------------------------------------------------------------- */

static struct dev_disk_identity identify(struct dev_disk *d)
{
    struct dev_disk_identity id;
    assert_true(dev_disk_identify(d, &id));
    return id;
}

static uint64_t state_in_file(const struct fixture *f)
{
    uint8_t b[8];
    int fd = open(f->overlay, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, b, sizeof b, 24), sizeof b);
    close(fd);
    return gw_little(b, sizeof b);
}

static void an_overlay_that_was_written_to_has_another_state(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    uint64_t seen[8];
    setup(&f);
    d = open_disk(f.base, false, f.overlay);
    seen[0] = identify(d).overlay_state;
    assert_true(seen[0] != 0 && seen[0] == state_in_file(&f));
    check_all(&f, d);
    assert_true(identify(d).overlay_state == seen[0]);
    for (unsigned i = 1; i < 7; i++) {
        if (i == 3) { /* nobody asked before: it is the file that tells */
            dev_disk_close(d);
            d = open_disk(f.base, false, f.overlay);
            assert_true(identify(d).overlay_state == seen[2]);
        }
        if (i == 4)
            assert_true(dev_disk_discard(d, 0, DEV_DISK_CLUSTER));
        else if (i == 5)
            assert_true(dev_disk_write_zeroes(d, 0, DEV_DISK_CLUSTER, true));
        else
            write_at(&f, d, 512 * i, 512, 9);
        seen[i] = state_in_file(&f); /* before it is flushed */
        for (unsigned k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
        write_at(&f, d, 8192, 512, 9);
        assert_true(state_in_file(&f) == seen[i]); /* once is enough */
        assert_true(identify(d).overlay_state == seen[i]);
    }
    dev_disk_close(d);
    teardown(&f);
}

static void an_overlay_is_for_the_disk_that_it_was_made_on(void **state)
{
    struct fixture f;
    struct dev_disk *d;
    uint8_t zeros[16] = {0};
    int fd;
    setup(&f);
    d = open_disk(f.base, false, f.overlay);
    write_at(&f, d, 512, 512, 9);
    dev_disk_close(d);
    assert_int_equal(utimensat(AT_FDCWD, f.base, (struct timespec[2]){{1, 0}, {1, 0}}, 0), 0);
    d = open_disk(f.base, false, f.overlay); /* the time says nothing */
    check_all(&f, d);
    dev_disk_close(d);
    fd = open(f.base, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, DISK_BYTES / 2), 1);
    assert_int_equal(open_fails(f.base, f.overlay), GW_ERR_STATE);
    close(fd);
    /* One that was made before this was known: taken, and its state known from the first write on. */
    fd = open(f.overlay, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 24), sizeof zeros);
    close(fd);
    d = open_disk(f.base, false, f.overlay);
    assert_int_equal(identify(d).overlay_state, 0);
    f.model[DISK_BYTES / 2] = 'x';
    check_all(&f, d);
    write_at(&f, d, 1024, 512, 9);
    assert_true(identify(d).overlay_state != 0);
    dev_disk_close(d);
    teardown(&f);
}

static uint64_t sample_of(int fd, uint64_t bytes)
{
    uint64_t sample = 0;
    assert_true(dev_sample_file(fd, bytes, &sample));
    assert_true(sample != 0);
    return sample;
}

static void poke(int fd, uint64_t at, uint8_t byte)
{
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

/* A byte changes, and changes back. */
static bool is_seen(int fd, uint64_t bytes, uint64_t at)
{
    uint64_t before = sample_of(fd, bytes), after;
    uint8_t was;
    assert_int_equal(pread(fd, &was, 1, (off_t)at), 1);
    poke(fd, at, was ^ 1);
    after = sample_of(fd, bytes);
    poke(fd, at, was);
    assert_true(sample_of(fd, bytes) == before);
    return before != after;
}

static void put_at(int fd, uint64_t at, uint64_t v, unsigned size)
{
    uint8_t b[8];
    gw_put_little(b, v, size);
    assert_int_equal(pwrite(fd, b, size, (off_t)at), size);
}

static void a_sample_tells_files_apart(void **state)
{
    const uint64_t small = DEV_SAMPLE_WHOLE, large = UINT64_C(3) << 30;
    const uint64_t dos = UINT64_C(1234567) * 512, gpt = UINT64_C(2099200) * 512;
    int fd = memfd_create("sample", MFD_CLOEXEC);
    uint64_t bare;
    assert_int_equal(ftruncate(fd, (off_t)small), 0);
    for (uint64_t at = 1; at < small; at += small / 7)
        assert_true(is_seen(fd, small, at)); /* all of it counts */
    assert_int_equal(ftruncate(fd, (off_t)large), 0);
    assert_true(is_seen(fd, large, 1024) && is_seen(fd, large, large - 1));
    assert_true(is_seen(fd, large, 65536)); /* btrfs' first block */
    assert_false(is_seen(fd, large, dos + 1024) || is_seen(fd, large, gpt + 1024));
    bare = sample_of(fd, large);
    put_at(fd, 510, 0xaa55, 2);
    put_at(fd, 446 + 4, 0x83, 1);
    put_at(fd, 446 + 8, dos / 512, 4);
    assert_true(sample_of(fd, large) != bare);
    assert_true(is_seen(fd, large, dos + 1024) && is_seen(fd, large, dos + 65536 + 64));
    put_at(fd, 446 + 4, 0xee, 1);
    assert_int_equal(pwrite(fd, "EFI PART", 8, 512), 8);
    put_at(fd, 512 + 72, 2, 8);
    put_at(fd, 512 + 80, 128, 4);
    put_at(fd, 512 + 84, 128, 4);
    put_at(fd, 1024 + 3 * 128 + 32, gpt / 512, 8);
    assert_true(is_seen(fd, large, gpt + 1024));
    assert_false(is_seen(fd, large, dos + 1024));
    /* Tables that make no sense. */
    for (unsigned at = 446; at < 512 + 92; at++)
        for (unsigned v = 0; v < 256; v += 85) {
            uint8_t was;
            assert_int_equal(pread(fd, &was, 1, at), 1);
            poke(fd, at, (uint8_t)v);
            sample_of(fd, large);
            poke(fd, at, was);
        }
    close(fd);
    assert_true(dev_sample_bytes("", 0) != 0 &&
                dev_sample_bytes("a", 1) != dev_sample_bytes("b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temporary_overlay_leaves_the_file_alone),
        cmocka_unit_test(kept_overlay_is_there_again),
        cmocka_unit_test(rw_writes_the_file),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(images_of_other_formats_are_refused_unless_they_are_said_to_be_raw),
        cmocka_unit_test(a_disk_that_is_written_elsewhere_is_refused),
        cmocka_unit_test(an_overlay_that_was_written_to_has_another_state),
        cmocka_unit_test(an_overlay_is_for_the_disk_that_it_was_made_on),
        cmocka_unit_test(a_sample_tells_files_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
