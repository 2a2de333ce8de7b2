/* The snapshot container: what goes in comes out, and broken files are told from whole ones. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/snapshot/format1.h"
#include "tests/snapshot/sample.h"

static const struct sample one = {.flag = 1,
                                  .half = 0x1234,
                                  .word = 0x89abcdef,
                                  .wide = 0x0123456789abcdef,
                                  .list = {5, 4, 3, 2, 1}};

struct world {
    const struct snap_api *api;
    char dir[64], path[96], other[96];
    uint8_t *ram;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/godwit-snap.XXXXXX");
    if (!mkdtemp(w->dir))
        return -1;
    snprintf(w->path, sizeof w->path, "%s/one", w->dir);
    snprintf(w->other, sizeof w->other, "%s/two", w->dir);
    w->api = godwit_snapshot();
    w->ram = calloc(SAMPLE_PAGES, SNAP_PAGE_BYTES);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    unlink(w->path);
    unlink(w->other);
    rmdir(w->dir); /* fails where a temporary file was left, and the next test would see it */
    free(w->ram);
    free(w);
    return 0;
}

static size_t read_file(const char *path, uint8_t **out)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    *out = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
    close(fd);
    return (size_t)st.st_size;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void save(struct world *w, const char *path)
{
    struct gw_error err = {0};
    assert_int_equal(sample_write(w->api, path, &one, &err), GW_OK);
}

static void what_goes_in_comes_out(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct sample s = {.not_state = w};
    uint8_t page[SNAP_PAGE_BYTES];
    save(w, w->path);
    assert_int_equal(sample_read(w->api, w->path, &s, w->ram, &err), GW_OK);
    assert_int_equal(s.flag, one.flag);
    assert_int_equal(s.half, one.half);
    assert_int_equal(s.word, one.word);
    assert_true(s.wide == one.wide);
    assert_memory_equal(s.list, one.list, sizeof s.list);
    assert_ptr_equal(s.not_state, w);
    for (uint64_t i = 0; i < SAMPLE_PAGES; i++) {
        memset(page, 0, sizeof page);
        sample_page(NULL, i, page);
        assert_memory_equal(w->ram + i * SNAP_PAGE_BYTES, page, sizeof page);
    }
}

static void manifest_keeps_every_value(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct snap_reader *r;
    const struct machine_spec *m;
    save(w, w->path);
    assert_int_equal(w->api->open(&r, w->path, &err), GW_OK);
    m = w->api->manifest(r);
    assert_string_equal(m->machine, "virt-1");
    assert_string_equal(m->append, sample_manifest.append);
    assert_null(m->kernel);
    assert_true(m->seed == UINT64_MAX && m->clock_insns && !m->deterministic);
    assert_int_equal(m->mips, 1000);
    assert_int_equal(m->disks_count, 1);
    assert_int_equal(m->disks[0].mode, SPEC_DISK_TEMPORARY);
    assert_true(m->disks[0].mtime_ns == UINT64_MAX - 1);
    w->api->close(r);
}

static void equal_machines_have_equal_files(void **state)
{
    struct world *w = *state;
    uint8_t *a, *b;
    size_t n;
    save(w, w->path);
    save(w, w->other);
    n = read_file(w->path, &a);
    assert_int_equal(read_file(w->other, &b), n);
    assert_memory_equal(a, b, n);
    /* Pages that are not there, and those that are all alike, take no room. */
    assert_in_range(n, 500, 3000);
    free(a);
    free(b);
}

/* Nothing but an error, whatever the file is. */
static void refused(struct world *w, const char *why)
{
    struct sample s = {0};
    struct gw_error err = {0};
    enum gw_status st = sample_read(w->api, w->other, &s, w->ram, &err);
    if (st == GW_OK)
        print_error("taken: %s\n", why);
    assert_int_not_equal(st, GW_OK);
    assert_int_equal(err.status, st);
    assert_true(err.message[0] != 0 && strchr(err.message, '\n') == NULL);
}

/* The file of a save in a format; *bytes: the caller's to free, with room for a byte more. */
static size_t of_format(struct world *w, unsigned format, uint8_t **bytes)
{
    uint8_t *two;
    size_t n;
    save(w, w->path);
    n = read_file(w->path, &two);
    if (format != 1) {
        *bytes = two;
        return n;
    }
    *bytes = malloc(n + 1);
    n = to_format1(*bytes, two, n);
    free(two);
    return n;
}

static void files_of_before_are_read(void **state)
{
    struct world *w = *state;
    struct sample s = {0};
    struct gw_error err = {0};
    uint8_t *bytes;
    size_t n = of_format(w, 1, &bytes);
    write_file(w->other, bytes, n);
    assert_int_equal(sample_read(w->api, w->other, &s, w->ram, &err), GW_OK);
    assert_true(s.flag == one.flag && s.wide == one.wide && w->ram[3 * SNAP_PAGE_BYTES] == 3);
    free(bytes);
}

static void cut_at_every_byte_it_is_refused(void **state)
{
    struct world *w = *state;
    for (unsigned format = 1; format <= 2; format++) {
        uint8_t *bytes;
        size_t n = of_format(w, format, &bytes);
        write_file(w->other, bytes, n);
        for (size_t i = n; i-- > 0;) {
            assert_int_equal(truncate(w->other, (off_t)i), 0);
            refused(w, "cut short");
        }
        bytes[n] = 0;
        write_file(w->other, bytes, n + 1);
        refused(w, "a byte more");
        free(bytes);
    }
}

static void with_any_byte_changed_it_is_refused(void **state)
{
    struct world *w = *state;
    for (unsigned format = 1; format <= 2; format++) {
        uint8_t *bytes;
        size_t n = of_format(w, format, &bytes);
        int fd;
        write_file(w->other, bytes, n);
        fd = open(w->other, O_WRONLY);
        for (size_t i = 0; i < n; i++) {
            uint8_t changed = bytes[i] ^ (uint8_t)(1u << (i % 8));
            assert_int_equal(pwrite(fd, &changed, 1, (off_t)i), 1);
            refused(w, "changed");
            assert_int_equal(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
        }
        close(fd);
        free(bytes);
    }
}

static void foreign_files_are_refused(void **state)
{
    struct world *w = *state;
    struct sample s;
    struct gw_error err = {0};
    char elf[4096] = "\177ELF";
    write_file(w->other, "", 0);
    refused(w, "empty");
    write_file(w->other, "hello\n", 6);
    refused(w, "text");
    write_file(w->other, elf, sizeof elf);
    refused(w, "ELF");
    assert_int_equal(sample_read(w->api, w->dir, &s, w->ram, &err), GW_ERR_FORMAT);
    assert_int_equal(sample_read(w->api, "/nowhere/at/all", &s, w->ram, &err), GW_ERR_NOTFOUND);
    unlink(w->other);
    assert_int_equal(mkfifo(w->other, 0600), 0);
    refused(w, "a pipe");
}

/* Whatever stands behind the number, as nobody knows what another format has there. */
static void other_formats_are_refused_by_number(void **state)
{
    struct world *w = *state;
    struct sample s = {0};
    uint8_t *bytes;
    size_t n;
    save(w, w->path);
    n = read_file(w->path, &bytes);
    for (unsigned hashed = 0; hashed < 2; hashed++) {
        struct gw_error err = {0};
        snap_put(bytes + 8, 3, 4);
        if (hashed)
            snap_put(bytes + 16, snap_hash(bytes, 16), 8);
        write_file(w->other, bytes, n);
        assert_int_equal(sample_read(w->api, w->other, &s, w->ram, &err), GW_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "format 3"));
    }
    free(bytes);
}

/* A program that knows format 1 alone looks for this hash first, and then says what format it is. */
static void a_program_of_before_finds_its_hash(void **state)
{
    enum { HASH_AT = 32 };
    struct world *w = *state;
    uint8_t *bytes;
    save(w, w->path);
    read_file(w->path, &bytes);
    assert_true(snap_get(bytes + HASH_AT, 8) == snap_hash(bytes, HASH_AT));
    free(bytes);
}

static void other_tables_are_refused_by_name(void **state)
{
    struct world *w = *state;
    struct sample s = {0};
    struct gw_error err = {0};
    struct snap_reader *r;
    struct state_field fields[STATE_COUNT_(sample_fields)];
    struct state_desc d = sample_desc;
    memcpy(fields, sample_fields, sizeof fields);
    save(w, w->path);
    assert_int_equal(w->api->open(&r, w->path, &err), GW_OK);
    d.version = 4;
    assert_int_equal(w->api->load_state(r, "first", &d, &s, &err), GW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "version 3"));
    d.version = 3;
    d.fields = fields;
    fields[2].name = "renamed";
    assert_int_equal(w->api->load_state(r, "first", &d, &s, &err), GW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "word"));
    fields[2].name = "word";
    d.field_count--;
    assert_int_equal(w->api->load_state(r, "first", &d, &s, &err), GW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "list"));
    assert_int_equal(w->api->load_state(r, "absent", &sample_desc, &s, &err), GW_ERR_FORMAT);
    assert_int_equal(w->api->load_state(r, "ram", &sample_desc, &s, &err), GW_ERR_FORMAT);
    w->api->close(r);
}

static void values_that_a_device_cannot_hold_are_refused(void **state)
{
    struct world *w = *state;
    struct sample bad = one;
    struct gw_error err = {0};
    bad.flag = 2;
    assert_int_equal(sample_write(w->api, w->other, &bad, &err), GW_OK);
    refused(w, "flag");
}

static void what_was_there_stays_until_the_new_one_is_whole(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct snap_writer *out;
    uint8_t *bytes;
    save(w, w->path);
    assert_int_equal(w->api->create(&out, w->path, &err), GW_OK);
    assert_int_equal(w->api->write_manifest(out, &sample_manifest, &err), GW_OK);
    w->api->abandon(out);
    assert_true(read_file(w->path, &bytes) > 500);
    free(bytes);
    unlink(w->path);
    assert_int_equal(rmdir(w->dir), 0); /* nothing else was left there */
    assert_int_equal(w->api->create(&out, w->path, &err), GW_ERR_IO);
    assert_int_equal(mkdir(w->dir, 0700), 0);
}

static void text_that_json_cannot_hold_is_refused(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct snap_writer *out;
    struct machine_spec m = sample_manifest;
    m.append = "\xff\xfe";
    assert_int_equal(w->api->create(&out, w->path, &err), GW_OK);
    assert_int_not_equal(w->api->write_manifest(out, &m, &err), GW_OK);
    w->api->abandon(out);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_goes_in_comes_out),
        TEST(manifest_keeps_every_value),
        TEST(equal_machines_have_equal_files),
        TEST(files_of_before_are_read),
        TEST(cut_at_every_byte_it_is_refused),
        TEST(with_any_byte_changed_it_is_refused),
        TEST(foreign_files_are_refused),
        TEST(other_formats_are_refused_by_number),
        TEST(a_program_of_before_finds_its_hash),
        TEST(other_tables_are_refused_by_name),
        TEST(values_that_a_device_cannot_hold_are_refused),
        TEST(what_was_there_stays_until_the_new_one_is_whole),
        TEST(text_that_json_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests_name("snapshot container", tests, NULL, NULL);
}
