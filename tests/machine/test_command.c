/* The archive that brings our init into the guest: cpio, ELF, and the page that init reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/boot/command.h"

enum { DATA_PAGE = 0x20000, HEADER = 110 };

struct file {
    const uint8_t *bytes;
    size_t size;
};

static uint64_t number(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    while (bytes--)
        v = v << 8 | p[bytes];
    return v;
}

static size_t hex(const uint8_t *p)
{
    char text[9] = {0};
    memcpy(text, p, 8);
    return strtoul(text, NULL, 16);
}

/* The archive's one file, whose end mark follows it. */
static struct file only_file(const uint8_t *archive, size_t size)
{
    struct file f;
    size_t name_bytes = hex(archive + 6 + 8 * 11), at = (HEADER + name_bytes + 3) & ~(size_t)3;
    assert_memory_equal(archive, "070701", 6);
    assert_string_equal((const char *)archive + HEADER, "godwit-init");
    assert_int_equal(name_bytes, sizeof "godwit-init");
    assert_int_equal(hex(archive + 6 + 8), 0100755);
    f = (struct file){archive + at, hex(archive + 6 + 8 * 6)};
    at = (at + f.size + 3) & ~(size_t)3;
    assert_true(at + HEADER < size);
    assert_memory_equal(archive + at, "070701", 6);
    assert_string_equal((const char *)archive + at + HEADER, "TRAILER!!!");
    assert_int_equal(size % 4, 0);
    return f;
}

static const uint8_t *segment(struct file f, unsigned i, uint64_t *vaddr, uint64_t *size)
{
    const uint8_t *p = f.bytes + number(f.bytes + 32, 8) + i * number(f.bytes + 54, 2);
    uint64_t offset = number(p + 8, 8);
    *vaddr = number(p + 16, 8);
    *size = number(p + 32, 8);
    assert_int_equal(number(p, 4), 1);
    assert_int_equal(number(p + 40, 8), *size);
    assert_int_equal(offset % 4096, *vaddr % 4096);
    assert_true(offset + *size <= f.size);
    return f.bytes + offset;
}

static void list_is(struct file f, unsigned member, const char *const *want)
{
    uint64_t vaddr, size;
    const uint8_t *page = segment(f, 1, &vaddr, &size);
    uint64_t at = number(page + member, 8);
    assert_int_equal(vaddr, DATA_PAGE);
    for (; *want; want++, at += 8) {
        uint64_t text;
        assert_in_range(at, DATA_PAGE + 256, DATA_PAGE + size - 8);
        text = number(page + (at - DATA_PAGE), 8);
        assert_in_range(text, DATA_PAGE + 256, DATA_PAGE + size - 1);
        assert_string_equal((const char *)page + (text - DATA_PAGE), *want);
    }
    assert_int_equal(number(page + (at - DATA_PAGE), 8), 0);
}

static struct file make(const struct command_config *cfg, uint8_t **archive)
{
    size_t size;
    assert_int_equal(command_archive(cfg, archive, &size, NULL), GW_OK);
    return only_file(*archive, size);
}

static void words_are_searched_in_the_path(void **state)
{
    struct command_config cfg = {.command = "ls -l a\\ b \\\\  end", .power = 0x100000};
    uint8_t *archive;
    struct file f = make(&cfg, &archive);
    uint64_t vaddr, size;
    const uint8_t *page = segment(f, 1, &vaddr, &size);
    list_is(f, 0, (const char *const[]){"ls", "-l", "a b", "\\", "", "end", NULL});
    list_is(
        f, 8,
        (const char *const[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                              "HOME=/root", "TERM=dumb", NULL});
    list_is(f, 16,
            (const char *const[]){"/usr/local/sbin/ls", "/usr/local/bin/ls", "/usr/sbin/ls",
                                  "/usr/bin/ls", "/sbin/ls", "/bin/ls", NULL});
    assert_int_equal(number(page + 24, 8), 0);
    assert_int_equal(number(page + 32, 8), 0x100000);
    free(archive);
}

static void a_path_is_taken_as_it_is(void **state)
{
    struct command_config cfg = {
        .command = "./a\\ b/c", .term = "xterm", .no_input = true, .frames = true};
    uint8_t *archive;
    struct file f = make(&cfg, &archive);
    uint64_t vaddr, size;
    list_is(f, 16, (const char *const[]){"./a b/c", NULL});
    assert_int_equal(number(segment(f, 1, &vaddr, &size) + 24, 8), 7);
    free(archive);
}

static void the_code_is_entered_where_it_lies(void **state)
{
    struct command_config cfg = {.command = "x"};
    uint8_t *archive;
    struct file f = make(&cfg, &archive);
    uint64_t vaddr, size, entry = number(f.bytes + 24, 8);
    const uint8_t *code = segment(f, 0, &vaddr, &size);
    assert_in_range(entry, vaddr, vaddr + size - 4);
    assert_int_equal(number(code + (entry - vaddr), 4), 0x00020437); /* lui s0, 0x20: DATA_PAGE */
    assert_int_equal(number(f.bytes + 18, 2), 243);
    free(archive);
}

/* Each word's room is counted before it is filled: sanitizers look. */
static void many_and_long_words(void **state)
{
    enum { WORDS = 4096, LONG = 100000 };
    char *text = malloc(2 * WORDS + LONG + 1);
    struct command_config cfg = {.command = text};
    uint8_t *archive;
    size_t size;
    memset(text, 'w', 2 * WORDS + LONG);
    for (unsigned i = 1; i < WORDS; i++)
        text[LONG + 2 * i] = ' ';
    text[2 * WORDS + LONG] = 0;
    make(&cfg, &archive);
    free(archive);
    text[LONG / 2] = ' ';
    assert_int_equal(command_archive(&cfg, &archive, &size, NULL), GW_ERR_ARG);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_searched_in_the_path),
        cmocka_unit_test(a_path_is_taken_as_it_is),
        cmocka_unit_test(the_code_is_entered_where_it_lies),
        cmocka_unit_test(many_and_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
