/* The run directory: whose it is, who has which name, and how a machine ended. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/control/fake_machine.h"

static void names_are_plain(void **state)
{
    static const struct {
        const char *name;
        bool fine;
    } rows[] = {
        {"a", true},     {"web-1.x_2", true}, {"0", true},    {"", false},     {".hidden", false},
        {"-x", false},   {"_x", false},       {"a/b", false}, {"../x", false}, {"a b", false},
        {"a\nb", false}, {"\xc3\xa4", false}, {"a%s", false},
    };
    char longest[CTL_NAME_BYTES + 1];
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(ctl_name_is_fine(rows[i].name), rows[i].fine);
    memset(longest, 'x', sizeof longest);
    longest[CTL_NAME_BYTES - 1] = 0;
    assert_true(ctl_name_is_fine(longest));
    longest[CTL_NAME_BYTES - 1] = 'x';
    longest[CTL_NAME_BYTES] = 0;
    assert_false(ctl_name_is_fine(longest));
}

static void a_name_is_one_machines_until_it_lets_go(void **state)
{
    struct fake_machine f;
    struct gw_error err = {0};
    int first, second;
    fake_dir(&f);
    assert_false(ctl_name_is_taken(&f.dir, "one"));
    assert_int_equal(ctl_name_take(&f.dir, "one", &first, &err), GW_OK);
    assert_true(ctl_name_is_taken(&f.dir, "one"));
    assert_int_equal(ctl_name_take(&f.dir, "one", &second, &err), GW_ERR_STATE);
    assert_int_equal(second, -1);
    assert_int_equal(ctl_name_take(&f.dir, "../one", &second, &err), GW_ERR_ARG);
    assert_int_equal(ctl_name_remove(&f.dir, "one", &err), GW_ERR_STATE);
    assert_string_equal(err.hint, "godwit stop one");
    close(first);
    assert_false(ctl_name_is_taken(&f.dir, "one"));
    assert_int_equal(ctl_name_remove(&f.dir, "one", &err), GW_OK);
    assert_int_equal(ctl_name_remove(&f.dir, "one", &err), GW_ERR_NOTFOUND);
    assert_int_equal(ctl_name_remove(&f.dir, "../one", &err), GW_ERR_NOTFOUND);
    fake_dir_gone(&f);
}

static void names_come_in_order_and_nothing_else_does(void **state)
{
    static const char *const wanted[] = {"a", "b", "c"};
    struct fake_machine f;
    char **names;
    int fd;
    fake_dir(&f);
    for (unsigned i = 3; i-- > 0;) {
        assert_int_equal(ctl_name_take(&f.dir, wanted[i], &fd, NULL), GW_OK);
        close(fd);
    }
    fd = openat(f.dir.fd, "b.log", O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(ctl_names(&f.dir, &names), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(names[i], wanted[i]);
        free(names[i]);
    }
    free(names);
    fake_dir_gone(&f);
}

static void the_directory_is_this_users_alone(void **state)
{
    struct fake_machine f;
    struct ctl_dir d;
    struct gw_error err = {0};
    char link[80], file[80], far[600];
    fake_dir(&f);
    chmod(f.path, 0750);
    assert_int_equal(ctl_dir_open(&d, f.path, &err), GW_ERR_STATE);
    assert_non_null(strstr(err.message, "mode 750"));
    assert_int_equal(d.fd, -1);
    chmod(f.path, 0700);
    snprintf(link, sizeof link, "%s.link", f.path);
    assert_int_equal(symlink(f.path, link), 0);
    assert_int_equal(ctl_dir_open(&d, link, &err), GW_ERR_STATE);
    unlink(link);
    snprintf(file, sizeof file, "%s.file", f.path);
    close(open(file, O_CREAT | O_WRONLY, 0700));
    assert_int_equal(ctl_dir_open(&d, file, &err), GW_ERR_STATE);
    unlink(file);
    memset(far, 'x', sizeof far);
    far[sizeof far - 1] = 0;
    assert_int_equal(ctl_dir_open(&d, far, &err), GW_ERR_ARG);
    if (geteuid() == 0) {
        assert_int_equal(chown(f.path, 12345, 0), 0);
        assert_int_equal(ctl_dir_open(&d, f.path, &err), GW_ERR_STATE);
        assert_int_equal(chown(f.path, 0, 0), 0);
    }
    fake_dir_gone(&f);
}

static void the_directory_is_found_in_the_environment(void **state)
{
    struct fake_machine f;
    struct ctl_dir d;
    char under[80];
    fake_dir(&f);
    setenv("GODWIT_RUN_DIR", f.path, 1);
    assert_int_equal(ctl_dir_open(&d, NULL, NULL), GW_OK);
    assert_string_equal(d.path, f.path);
    ctl_dir_close(&d);
    setenv("GODWIT_RUN_DIR", "", 1);
    setenv("XDG_RUNTIME_DIR", f.path, 1);
    snprintf(under, sizeof under, "%s/godwit", f.path);
    assert_int_equal(ctl_dir_open(&d, NULL, NULL), GW_OK);
    assert_string_equal(d.path, under);
    ctl_dir_close(&d);
    assert_int_equal(rmdir(under), 0);
    unsetenv("GODWIT_RUN_DIR");
    unsetenv("XDG_RUNTIME_DIR");
    fake_dir_gone(&f);
}

static void an_end_is_read_as_it_was_written(void **state)
{
    static const char *const broken[] = {"", "exit", "exit x 1", "exit 1", "exit 1 x"};
    struct ctl_ended e = {.how = "stop-text", .status = 122, .insns = UINT64_MAX}, back = {0};
    struct fake_machine f;
    int fd, lock;
    fake_dir(&f);
    assert_int_equal(ctl_name_take(&f.dir, "one", &lock, NULL), GW_OK);
    assert_false(ctl_ended_read(&f.dir, "one", &back));
    fd = openat(f.dir.fd, "one.ended", O_CREAT | O_WRONLY, 0600);
    assert_true(ctl_ended_write(fd, &e));
    close(fd);
    assert_true(ctl_ended_read(&f.dir, "one", &back));
    assert_string_equal(back.how, e.how);
    assert_int_equal(back.status, e.status);
    assert_int_equal(back.insns, e.insns);
    for (unsigned i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        size_t n = strlen(broken[i]);
        fd = openat(f.dir.fd, "one.ended", O_TRUNC | O_WRONLY);
        assert_int_equal(write(fd, broken[i], n), (ssize_t)n);
        close(fd);
        assert_false(ctl_ended_read(&f.dir, "one", &back));
    }
    close(lock);
    fake_dir_gone(&f);
}

static void the_socket_of_one_that_was_killed_is_removed_and_no_others(void **state)
{
    struct fake_machine f;
    int lock;
    fake_dir(&f);
    close(ctl_folder_open(&f.dir, "one"));
    close(openat(f.dir.fd, "one.own/sock", O_CREAT | O_WRONLY, 0600));
    assert_int_equal(ctl_name_take(&f.dir, "one", &lock, NULL), GW_OK);
    ctl_name_tidy(&f.dir, "one");
    assert_int_equal(faccessat(f.dir.fd, "one.own/sock", F_OK, 0), 0);
    close(lock);
    ctl_name_tidy(&f.dir, "one");
    assert_int_equal(faccessat(f.dir.fd, "one.own/sock", F_OK, 0), -1);
    assert_false(ctl_name_is_taken(&f.dir, "one"));
    fake_dir_gone(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_plain),
        cmocka_unit_test(a_name_is_one_machines_until_it_lets_go),
        cmocka_unit_test(names_come_in_order_and_nothing_else_does),
        cmocka_unit_test(the_directory_is_this_users_alone),
        cmocka_unit_test(the_directory_is_found_in_the_environment),
        cmocka_unit_test(an_end_is_read_as_it_was_written),
        cmocka_unit_test(the_socket_of_one_that_was_killed_is_removed_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
