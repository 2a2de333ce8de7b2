/* The console of a detached machine: kept, shown, typed into, by one viewer at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/control/fake_machine.h"

enum { KEPT = 64 * 1024 };

static const struct ctl_ended powered_off = {.how = "poweroff"};

/* A machine whose guest speaks and listens at *guest. */
static void start(struct fake_machine *f, int *guest)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fake_start(f, ends[1]);
    *guest = ends[0];
}

static void end(struct fake_machine *f, int guest)
{
    int console = f->watch[1].watch->fd;
    fake_end(f, &powered_off);
    close(guest);
    close(console); /* whoever made it closes it */
}

static void guest_says(struct fake_machine *f, int guest, const char *text, size_t size)
{
    while (size) {
        ssize_t n = send(guest, text, size, MSG_NOSIGNAL);
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
        fake_pump(f);
    }
}

static int view(struct fake_machine *f)
{
    int fd = fake_client(f);
    fake_say(f, fd, "godwit 1 console\n");
    return fd;
}

static void what_was_said_before_is_shown_first(void **state)
{
    struct fake_machine f;
    int guest;
    start(&f, &guest);
    guest_says(&f, guest, "hello\n", 6);
    int fd = view(&f);
    assert_string_equal(fake_hear(&f, fd), "ok\nhello\n");
    guest_says(&f, guest, "more", 4);
    assert_string_equal(fake_hear(&f, fd), "more");
    close(fd);
    end(&f, guest);
}

static void of_much_the_last_is_kept(void **state)
{
    static char much[KEPT + 1000], heard[KEPT + 8];
    struct fake_machine f;
    int guest;
    start(&f, &guest);
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = (char)('a' + i % 23);
    guest_says(&f, guest, much, sizeof much);
    int fd = view(&f);
    const char *text = fake_hear(&f, fd);
    assert_int_equal(strlen(text), KEPT + 3);
    snprintf(heard, sizeof heard, "ok\n%.*s", KEPT, much + 1000);
    assert_string_equal(text, heard);
    close(fd);
    end(&f, guest);
}

static void what_is_typed_reaches_the_guest_whole(void **state)
{
    struct fake_machine f;
    char typed[5000], got[8192];
    size_t used = 0;
    int guest;
    start(&f, &guest);
    int fd = view(&f);
    assert_string_equal(fake_hear(&f, fd), "ok\n");
    for (size_t i = 0; i < sizeof typed - 1; i++)
        typed[i] = (char)('A' + i % 26);
    typed[sizeof typed - 1] = 0;
    fake_say(&f, fd, typed);
    for (ssize_t n; used < sizeof typed - 1; used += (size_t)n) {
        n = recv(guest, got + used, sizeof got - used, MSG_DONTWAIT);
        assert_true(n > 0);
        fake_pump(&f);
    }
    assert_int_equal(used, sizeof typed - 1);
    assert_memory_equal(got, typed, used);
    close(fd);
    end(&f, guest);
}

static void a_guest_that_does_not_read_holds_back_its_typist_alone(void **state)
{
    struct fake_machine f;
    char block[1024];
    size_t typed = 0, got = 0;
    int guest, small = 4096;
    start(&f, &guest);
    setsockopt(f.watch[1].watch->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    int fd = view(&f), other = fake_client(&f);
    memset(block, 'x', sizeof block);
    for (unsigned quiet = 0; quiet < 100;) {
        ssize_t n = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        fake_pump(&f);
        typed += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
    }
    fake_say(&f, other, "godwit 1 status\n"); /* everybody else is served */
    fake_answer(&f, "", NULL);
    assert_string_equal(fake_hear(&f, other), "ok\n");
    for (unsigned quiet = 0; quiet < 100; fake_pump(&f)) {
        ssize_t n = recv(guest, block, sizeof block, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
    }
    assert_int_equal(got, typed);
    close(fd);
    close(other);
    end(&f, guest);
}

static void one_views_at_a_time(void **state)
{
    struct fake_machine f;
    int guest;
    start(&f, &guest);
    int first = view(&f), second = view(&f);
    assert_non_null(strstr(fake_hear(&f, second), "somebody else is at its console"));
    close(first);
    fake_pump(&f);
    fake_say(&f, second, "godwit 1 console\n");
    assert_string_equal(fake_hear(&f, second), "ok\n");
    close(second);
    end(&f, guest);
}

static void who_falls_behind_what_is_kept_is_left_and_may_come_back(void **state)
{
    static char much[KEPT];
    struct fake_machine f;
    int guest;
    start(&f, &guest);
    int fd = view(&f);
    memset(much, 'y', sizeof much);
    for (unsigned i = 0; i < 16; i++) /* its socket takes some of it, and it reads nothing */
        guest_says(&f, guest, much, sizeof much);
    const char *text = fake_hear(&f, fd);
    assert_true(text && strlen(text) < 16 * sizeof much);
    assert_null(fake_hear(&f, fd));
    close(fd);
    fd = view(&f);
    assert_int_equal(strlen(fake_hear(&f, fd)), KEPT + 3);
    close(fd);
    end(&f, guest);
}

static void the_last_words_are_shown(void **state)
{
    struct fake_machine f;
    char text[64] = "";
    int guest;
    start(&f, &guest);
    int console = f.watch[1].watch->fd, fd = view(&f);
    assert_string_equal(fake_hear(&f, fd), "ok\n");
    assert_int_equal(send(guest, "bye\n", 4, 0), 4); /* and nobody reports it any more */
    fake_end(&f, &powered_off);
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 4);
    assert_string_equal(text, "bye\n");
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 0);
    close(fd);
    close(guest);
    close(console);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_before_is_shown_first),
        cmocka_unit_test(of_much_the_last_is_kept),
        cmocka_unit_test(what_is_typed_reaches_the_guest_whole),
        cmocka_unit_test(a_guest_that_does_not_read_holds_back_its_typist_alone),
        cmocka_unit_test(one_views_at_a_time),
        cmocka_unit_test(who_falls_behind_what_is_kept_is_left_and_may_come_back),
        cmocka_unit_test(the_last_words_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
