/* The list of guest mappings, and the system calls that stand on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/usermode/sanitizer.h"
#include "usermode/um_pages.h"
#include "usermode/um_space.h"

enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
#define FIXED_AT UINT64_C(0x10000000)

static int setup(void **state)
{
    static struct um_space s;
    assert_int_equal(um_space_init(&s, 0, NULL), GW_OK);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    um_space_free(*state);
    return 0;
}

static int by_map(void **state)
{
    static struct um_space s;
    assert_int_equal(um_space_init(&s, 65536, NULL), GW_OK);
    *state = &s;
    return 0;
}

static int64_t map_at(struct um_space *s, uint64_t addr, uint64_t pages, uint32_t prot)
{
    return um_space_mmap(s, addr, pages * UM_PAGE, prot, ANON | MAP_FIXED, -1, 0);
}

static void neighbours_merge_and_split(void **state)
{
    struct um_space *s = *state;
    assert_int_equal(map_at(s, FIXED_AT, 4, RW), FIXED_AT);
    assert_int_equal(map_at(s, FIXED_AT + 4 * UM_PAGE, 4, RW), FIXED_AT + 4 * UM_PAGE);
    assert_int_equal(s->count, 1);
    assert_int_equal(um_space_mprotect(s, FIXED_AT + 2 * UM_PAGE, UM_PAGE, PROT_READ), 0);
    assert_int_equal(s->count, 3);
    assert_true(um_space_ok(s, FIXED_AT, 8 * UM_PAGE, PROT_READ));
    assert_false(um_space_ok(s, FIXED_AT, 3 * UM_PAGE, PROT_WRITE));
    assert_true(um_space_ok(s, FIXED_AT + 3 * UM_PAGE, 5 * UM_PAGE, PROT_WRITE));
    assert_int_equal(um_space_munmap(s, FIXED_AT + UM_PAGE, 6 * UM_PAGE), 0);
    assert_int_equal(s->count, 2);
    struct um_region r;
    assert_false(um_space_find(s, FIXED_AT + 3 * UM_PAGE, false, &r));
    assert_true(um_space_find(s, FIXED_AT + 7 * UM_PAGE, false, &r));
    assert_int_equal(map_at(s, FIXED_AT + UM_PAGE, 6, RW), FIXED_AT + UM_PAGE);
    assert_int_equal(s->count, 1);
}

static void pages_behave_as_the_list_says(void **state)
{
    struct um_space *s = *state;
    assert_int_equal(map_at(s, FIXED_AT, 2, RW), FIXED_AT);
    uint8_t *host = um_space_ptr(s, FIXED_AT, 2 * UM_PAGE, RW);
    assert_non_null(host);
    memset(host, 0xa5, 2 * UM_PAGE);
    assert_null(um_space_ptr(s, FIXED_AT, 2 * UM_PAGE + 1, PROT_READ));
    assert_null(um_space_ptr(s, FIXED_AT - 1, 2, PROT_READ));
    assert_int_equal(map_at(s, FIXED_AT + UM_PAGE, 1, RW), FIXED_AT + UM_PAGE);
    assert_int_equal(host[UM_PAGE - 1], 0xa5);
    assert_int_equal(host[UM_PAGE], 0);
}

static void hostile_ranges_are_refused(void **state)
{
    struct um_space *s = *state;
    static const struct {
        uint64_t addr, size;
        int want;
    } rows[] = {
        {FIXED_AT, 0, -EINVAL},
        {FIXED_AT + 1, UM_PAGE, -EINVAL},
        {FIXED_AT, UINT64_MAX, -ENOMEM},
        {FIXED_AT, UINT64_MAX - UM_PAGE, -ENOMEM},
        {UM_LIMIT - UM_PAGE, 2 * UM_PAGE, -ENOMEM},
        {UM_LIMIT, UM_PAGE, -ENOMEM},
        {UINT64_MAX & ~(uint64_t)4095, UM_PAGE, -ENOMEM},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(um_space_mmap(s, rows[i].addr, rows[i].size, RW, ANON | MAP_FIXED, -1, 0),
                         rows[i].want);
    assert_int_equal(um_space_munmap(s, UM_LIMIT - UM_PAGE, UINT64_MAX - UM_PAGE), -EINVAL);
    assert_int_equal(um_space_munmap(s, FIXED_AT, 0), -EINVAL);
    assert_int_equal(um_space_mprotect(s, FIXED_AT, UM_PAGE, RW), -ENOMEM);
    assert_int_equal(um_space_mprotect(s, UINT64_MAX - 4095, 8192, RW), -ENOMEM);
    assert_false(um_space_ok(s, UINT64_MAX, 2, 0));
    assert_false(um_space_ok(s, FIXED_AT, UINT64_MAX, 0));
    assert_int_equal(s->count, 0);
}

static void protection_changes_up_to_a_hole(void **state)
{
    struct um_space *s = *state;
    assert_int_equal(map_at(s, FIXED_AT, 3, RW), FIXED_AT);
    assert_int_equal(map_at(s, FIXED_AT + 4 * UM_PAGE, 2, RW), FIXED_AT + 4 * UM_PAGE);
    assert_int_equal(um_space_mprotect(s, FIXED_AT + UM_PAGE, 8 * UM_PAGE, PROT_READ), -ENOMEM);
    assert_false(um_space_ok(s, FIXED_AT + UM_PAGE, 1, PROT_WRITE));
    assert_true(um_space_ok(s, FIXED_AT, UM_PAGE, RW));
    assert_true(um_space_ok(s, FIXED_AT + UM_PAGE, 2 * UM_PAGE, PROT_READ));
    assert_true(um_space_ok(s, FIXED_AT + 4 * UM_PAGE, 2 * UM_PAGE, RW));
    assert_int_equal(um_space_mprotect(s, FIXED_AT + 3 * UM_PAGE, 2 * UM_PAGE, 0), -ENOMEM);
    assert_true(um_space_ok(s, FIXED_AT + 4 * UM_PAGE, 2 * UM_PAGE, RW));
    assert_int_equal(s->count, 3);
}

static void huge_pages_lie_on_their_borders(void **state)
{
    struct um_space *s = *state;
    const uint64_t huge = UINT64_C(2) << 20;
    s->mmap_top = UINT64_C(0x20000000) + UM_PAGE;
    int64_t at = um_space_mmap(s, 0, UM_PAGE, RW, ANON | MAP_HUGETLB, -1, 0);
    if (at < 0) { /* the host keeps none, and says so of a place that is right */
        assert_int_equal(at, -ENOMEM);
        return;
    }
    assert_int_equal(at, 0x20000000 - huge);
    assert_true(um_space_ok(s, (uint64_t)at, huge, RW));
}

static void noreplace_and_hints(void **state)
{
    struct um_space *s = *state;
    assert_int_equal(map_at(s, FIXED_AT, 1, RW), FIXED_AT);
    assert_int_equal(um_space_mmap(s, FIXED_AT, UM_PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0),
                     -EEXIST);
    int64_t other = um_space_mmap(s, FIXED_AT, UM_PAGE, RW, ANON, -1, 0);
    assert_true(other > 0 && other != FIXED_AT);
    int64_t hinted = um_space_mmap(s, FIXED_AT + 0x5123, UM_PAGE, RW, ANON, -1, 0);
    assert_int_equal(hinted, FIXED_AT + 0x5000);
}

static void room_is_found_from_the_top_down(void **state)
{
    struct um_space *s = *state;
    s->mmap_top = UINT64_C(0x20000000);
    int64_t a = um_space_mmap(s, 0, 2 * UM_PAGE, RW, ANON, -1, 0);
    int64_t b = um_space_mmap(s, 0, UM_PAGE, PROT_READ, ANON, -1, 0);
    assert_int_equal(a, 0x20000000 - 2 * UM_PAGE);
    assert_int_equal(b, a - UM_PAGE);
    assert_int_equal(um_space_munmap(s, (uint64_t)a, UM_PAGE), 0);
    /* The hole is too small for two pages, and right for one. */
    assert_int_equal(um_space_mmap(s, 0, 2 * UM_PAGE, RW, ANON, -1, 0), b - 2 * UM_PAGE);
    assert_int_equal(um_space_mmap(s, 0, UM_PAGE, RW, ANON, -1, 0), a);
}

static void brk_grows_shrinks_and_stops_at_mappings(void **state)
{
    struct um_space *s = *state;
    s->brk_start = s->brk = FIXED_AT;
    assert_int_equal(um_space_brk(s, 0), FIXED_AT);
    assert_int_equal(um_space_brk(s, FIXED_AT + 5000), FIXED_AT + 5000);
    memset(um_space_ptr(s, FIXED_AT, 8192, PROT_WRITE), 1, 8192);
    assert_int_equal(um_space_brk(s, FIXED_AT + 100), FIXED_AT + 100);
    assert_false(um_space_ok(s, FIXED_AT + UM_PAGE, 1, 0));
    assert_int_equal(um_space_brk(s, FIXED_AT + 5000), FIXED_AT + 5000);
    const uint8_t *second = um_space_ptr(s, FIXED_AT + UM_PAGE, 1, PROT_READ);
    assert_int_equal(second[0], 0);
    assert_int_equal(map_at(s, FIXED_AT + 4 * UM_PAGE, 1, RW), FIXED_AT + 4 * UM_PAGE);
    assert_int_equal(um_space_brk(s, FIXED_AT + 5 * UM_PAGE), FIXED_AT + 5000);
    assert_int_equal(um_space_brk(s, FIXED_AT + 4 * UM_PAGE), FIXED_AT + 4 * UM_PAGE);
    assert_int_equal(um_space_brk(s, UINT64_MAX), FIXED_AT + 4 * UM_PAGE);
}

static void mremap_grows_in_place_or_moves(void **state)
{
    struct um_space *s = *state;
    assert_int_equal(map_at(s, FIXED_AT, 1, RW), FIXED_AT);
    *(uint8_t *)um_space_ptr(s, FIXED_AT, 1, PROT_WRITE) = 42;
    assert_int_equal(um_space_mremap(s, FIXED_AT, UM_PAGE, 2 * UM_PAGE, 0, 0), FIXED_AT);
    assert_int_equal(map_at(s, FIXED_AT + 2 * UM_PAGE, 1, PROT_READ), FIXED_AT + 2 * UM_PAGE);
    assert_int_equal(um_space_mremap(s, FIXED_AT, 2 * UM_PAGE, 3 * UM_PAGE, 0, 0), -ENOMEM);
    int64_t to = um_space_mremap(s, FIXED_AT, 2 * UM_PAGE, 3 * UM_PAGE, MREMAP_MAYMOVE, 0);
    assert_true(to > 0 && to != FIXED_AT);
    assert_int_equal(*(uint8_t *)um_space_ptr(s, (uint64_t)to, 1, PROT_READ), 42);
    struct um_region r;
    assert_false(um_space_find(s, FIXED_AT, false, &r));
    assert_int_equal(um_space_mremap(s, FIXED_AT, UM_PAGE, UM_PAGE, 0, 0), -EFAULT);
    assert_int_equal(um_space_mremap(s, (uint64_t)to, 3 * UM_PAGE, UM_PAGE, 0, 0), to);
    assert_false(um_space_ok(s, (uint64_t)to, UM_PAGE + 1, 0));
    assert_int_equal(
        um_space_mremap(s, (uint64_t)to, UM_PAGE, UM_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, UM_LIMIT),
        -EINVAL);
}

static void strings_end_inside_readable_memory(void **state)
{
    struct um_space *s = *state;
    uint64_t len;
    bool too_long;
    assert_int_equal(map_at(s, FIXED_AT, 2, RW), FIXED_AT);
    assert_int_equal(um_space_mprotect(s, FIXED_AT + UM_PAGE, UM_PAGE, PROT_READ), 0);
    char *host = um_space_ptr(s, FIXED_AT, UM_PAGE, RW);
    memset(host, 'x', UM_PAGE);
    const uint64_t near_end = FIXED_AT + UM_PAGE - 3;
    assert_non_null(um_space_string(s, near_end, 100, &len, &too_long));
    assert_int_equal(len, 3);
    assert_null(um_space_string(s, near_end, 3, &len, &too_long));
    assert_true(too_long);
    assert_int_equal(um_space_munmap(s, FIXED_AT + UM_PAGE, UM_PAGE), 0);
    assert_null(um_space_string(s, near_end, 100, &len, &too_long));
    assert_false(too_long);
    assert_null(um_space_string(s, UINT64_MAX - 1, 100, &len, &too_long));
}

static void kernel_arguments_out_of_range_fault(void **state)
{
    struct um_space *s = *state;
    char buf[8];
    int fds[2];
    assert_int_equal(um_space_arg(s, 0), 0);
    assert_int_equal(um_space_arg(s, 5), s->base + 5);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    const uint64_t bad[] = {s->limit, UINT64_MAX, UINT64_C(1) << 46, UINT64_C(1) << 63};
    for (unsigned i = 0; i < 4; i++) {
        void *host = (void *)(uintptr_t)um_space_arg(s, bad[i]);
        assert_int_equal(read(fds[0], host, 3), -1);
        assert_int_equal(errno, EFAULT);
    }
    assert_int_equal(read(fds[0], buf, 3), 3);
    close(fds[0]);
    close(fds[1]);
}

struct told {
    unsigned calls;
    uint64_t vaddr, size;
};

static void on_code(void *opaque, uint64_t vaddr, uint64_t size)
{
    struct told *t = opaque;
    t->calls++;
    t->vaddr = vaddr;
    t->size = size;
}

static void engine_is_told_of_code_that_changes(void **state)
{
    struct um_space *s = *state;
    struct told t = {0, 0, 0};
    s->code_changed = on_code;
    s->opaque = &t;
    map_at(s, FIXED_AT, 4, RW);
    assert_int_equal(t.calls, 0);
    um_space_mprotect(s, FIXED_AT + UM_PAGE, UM_PAGE, PROT_READ | PROT_EXEC);
    assert_int_equal(t.calls, 0);
    um_space_mprotect(s, FIXED_AT + UM_PAGE, UM_PAGE, RW);
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.vaddr, FIXED_AT + UM_PAGE);
    um_space_mprotect(s, FIXED_AT + UM_PAGE, UM_PAGE, PROT_READ | PROT_EXEC);
    um_space_munmap(s, FIXED_AT, 4 * UM_PAGE);
    assert_int_equal(t.calls, 2);
}

/* A limit on address space leaves no room for a reservation of the window: none is needed. */
static void works_under_a_limit_on_address_space(void **state)
{
    (void)state;
    if (address_sanitizer)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit lim = {UINT64_C(256) << 20, UINT64_C(256) << 20};
        struct um_space s;
        if (setrlimit(RLIMIT_AS, &lim) || um_space_init(&s, 0, NULL))
            _exit(1);
        int64_t a = um_space_mmap(&s, 0, UM_PAGE, RW, ANON, -1, 0);
        _exit(a > 0 && um_space_ptr(&s, (uint64_t)a, UM_PAGE, RW) ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- where the host's pages are larger -------------------------------------------------------- */

enum { LARGE = 65536 };

static void what_is_shared_is_on_host_pages_of_its_own(void **state)
{
    struct um_space *s = *state;
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 4 * LARGE), 0);
    int64_t a = um_space_mmap(s, 0, UM_PAGE, RW, MAP_SHARED, fd, 3 * UM_PAGE);
    int64_t b = um_space_mmap(s, 0, UM_PAGE, RW, ANON, -1, 0);
    assert_true(a > 0 && b > 0);
    assert_int_equal(a % LARGE, 3 * UM_PAGE);
    assert_int_not_equal(a / LARGE, b / LARGE);
    assert_false(s->refused);
    /* Nothing else may come there, but in its place. */
    const uint64_t near = (uint64_t)a + UM_PAGE;
    assert_int_equal(map_at(s, near, 1, RW), -EINVAL);
    assert_true(s->refused);
    assert_false(um_space_ok(s, near, 1, 0));
    assert_true(um_space_ok(s, (uint64_t)a, UM_PAGE, 0));
    assert_int_equal(map_at(s, (uint64_t)a, 2, RW), a);
    /* Nor may it come where others are, or where no host could map it. */
    s->refused = false;
    const uint64_t own = (uint64_t)b + UM_PAGE;
    assert_int_equal(um_space_mmap(s, own, UM_PAGE, RW, MAP_SHARED | MAP_FIXED, fd, own % LARGE),
                     -EINVAL);
    assert_int_equal(um_space_mmap(s, FIXED_AT, UM_PAGE, RW, MAP_SHARED | MAP_FIXED, fd, UM_PAGE),
                     -EINVAL);
    assert_true(s->refused);
    assert_int_equal(um_space_mmap(s, FIXED_AT, UM_PAGE, RW, MAP_SHARED | MAP_FIXED, fd, LARGE),
                     FIXED_AT);
    close(fd);
}

static void a_copy_of_a_file_is_not_what_is_discarded(void **state)
{
    struct um_space *s = *state;
    static const char text[] = "of the file";
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(pwrite(fd, text, sizeof text, UM_PAGE), sizeof text);
    assert_int_equal(map_at(s, FIXED_AT, 1, RW), FIXED_AT);
    const uint64_t at = FIXED_AT + 2 * UM_PAGE;
    assert_int_equal(um_space_mmap(s, at, UM_PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, UM_PAGE), at);
    char *there = um_space_ptr(s, at, UM_PAGE, PROT_READ);
    char *before = um_space_ptr(s, FIXED_AT, 1, PROT_WRITE);
    assert_string_equal(there, text);
    *before = 5;
    assert_int_equal(um_pages_discard(s, FIXED_AT, 16 * UM_PAGE, MADV_DONTNEED), 0);
    assert_int_equal(*before, 0);
    assert_string_equal(there, text);
    assert_int_equal(um_space_mremap(s, at, UM_PAGE, 2 * UM_PAGE, 0, 0), -EINVAL);
    close(fd);
}

int main(void)
{
#define T(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LARGER(name) cmocka_unit_test_setup_teardown(name, by_map, teardown)
    const struct CMUnitTest tests[] = {
        T(neighbours_merge_and_split),
        T(pages_behave_as_the_list_says),
        T(hostile_ranges_are_refused),
        T(noreplace_and_hints),
        T(room_is_found_from_the_top_down),
        T(brk_grows_shrinks_and_stops_at_mappings),
        T(mremap_grows_in_place_or_moves),
        T(protection_changes_up_to_a_hole),
        T(huge_pages_lie_on_their_borders),
        T(strings_end_inside_readable_memory),
        T(kernel_arguments_out_of_range_fault),
        T(engine_is_told_of_code_that_changes),
        T(works_under_a_limit_on_address_space),
        LARGER(what_is_shared_is_on_host_pages_of_its_own),
        LARGER(a_copy_of_a_file_is_not_what_is_discarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
