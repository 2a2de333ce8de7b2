/* Who a machine of root's becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/lock/user.h"

static void names_and_numbers_are_users_that_root_becomes(void **state)
{
    static const struct {
        const char *wanted;
        bool changes, regroups;
        uint32_t uid, gid;
    } rows[] = {
        {"root", false, false, 0, 0},
        {"0", false, false, 0, 0},
        {"0:7", false, true, 0, 7},
        {"root:root", false, true, 0, 0},
        {"12345:54321", true, false, 12345, 54321},
        {"nobody:7", true, false, 65534, 7},
        {"nobody:root", true, false, 65534, 0},
    };
    struct lock_user u;
    if (geteuid() != 0)
        skip();
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(lock_user_choose(&u, rows[i].wanted, NULL), GW_OK);
        assert_int_equal(u.changes, rows[i].changes);
        assert_int_equal(u.regroups, rows[i].regroups);
        assert_int_equal(u.uid, rows[i].uid);
        assert_int_equal(u.gid, rows[i].gid);
        assert_false(u.kept);
    }
    assert_int_equal(lock_user_choose(&u, NULL, NULL), GW_OK);
    assert_true(u.changes && u.uid != 0 && u.gid != 0 && u.name[0]);
}

static void what_is_no_user_is_refused(void **state)
{
    static const struct {
        const char *wanted, *why;
    } rows[] = {
        {"", "there is none"},
        {":5", "there is none"},
        {"no-such-user-here", "there is none"},
        {"12x", "there is none"},
        {"-1:5", "there is none"},
        {"4294967295:5", "there is none"}, /* means "as it is" to the kernel */
        {"99999999999999999999:5", "there is none"},
        {"12345", "its group is not known"},
        {"12345:", "no such group"},
        {"12345:no-such-group-here", "no such group"},
        {"12345:4294967295", "no such group"},
    };
    struct gw_error err;
    struct lock_user u;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(lock_user_choose(&u, rows[i].wanted, &err), GW_ERR_ARG);
        assert_string_equal(err.object, rows[i].wanted);
        if (!strstr(err.message, rows[i].why))
            fail_msg("%s: %s", rows[i].wanted, err.message);
    }
}

static void who_is_not_root_stays_who_it_is(void **state)
{
    struct gw_error err;
    struct lock_user u;
    char text[32];
    if (geteuid() == 0 && (setgid(54321) < 0 || setuid(12345) < 0)) /* the last test of all */
        skip();
    assert_int_equal(lock_user_choose(&u, NULL, NULL), GW_OK);
    assert_false(u.changes || u.kept);
    assert_int_equal(u.uid, geteuid());
    assert_int_equal(lock_user_choose(&u, "root", &err), GW_ERR_ARG);
    assert_non_null(strstr(err.message, "only root"));
    snprintf(text, sizeof text, "%u:1", (unsigned)geteuid() + 1);
    assert_int_equal(lock_user_choose(&u, text, &err), GW_ERR_ARG);
    snprintf(text, sizeof text, "%u:%u", (unsigned)geteuid(), (unsigned)getegid() + 1);
    assert_int_equal(lock_user_choose(&u, text, &err), GW_ERR_ARG);
    assert_non_null(strstr(err.message, "only root enters"));
    snprintf(text, sizeof text, "%u:%u", (unsigned)geteuid(), (unsigned)getegid());
    assert_int_equal(lock_user_choose(&u, text, NULL), GW_OK);
    assert_false(u.changes || u.regroups || u.kept);
    assert_true(lock_user_become(&u, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers_are_users_that_root_becomes),
        cmocka_unit_test(what_is_no_user_is_refused),
        cmocka_unit_test(who_is_not_root_stays_who_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
