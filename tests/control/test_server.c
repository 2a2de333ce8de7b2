/* The server's end of a control socket, on a machine that answers when the test lets it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/server_int.h"
#include "tests/control/fake_machine.h"

static const struct ctl_ended powered_off = {.how = "poweroff", .status = 3, .insns = 42};

static unsigned open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void requests_reach_the_machine_and_answers_their_client(void **state)
{
    static const struct {
        const char *request;
        enum machine_ask what;
        const char *text;
    } rows[] = {
        {"status", MACHINE_ASK_STATUS, ""}, {"stats", MACHINE_ASK_STATS, ""},
        {"pause", MACHINE_ASK_PAUSE, ""},   {"resume", MACHINE_ASK_RESUME, ""},
        {"reset", MACHINE_ASK_RESET, ""},   {"stop now please", MACHINE_ASK_STOP, "now please"},
    };
    struct gw_error err = {.status = GW_ERR_STATE, .object = "o\tb", .message = "m", .hint = "h\n"};
    struct fake_machine f;
    char line[64];
    fake_start(&f, -1);
    int fd = fake_client(&f);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(line, sizeof line, "godwit 1 %s\n", rows[i].request);
        fake_say(&f, fd, line);
        assert_int_equal(f.asks, 1);
        assert_int_equal(f.ask[0].what, rows[i].what);
        assert_string_equal(f.ask[0].text, rows[i].text);
        assert_string_equal(fake_hear(&f, fd), "");
        if (i & 1) {
            fake_answer(&f, "", &err);
            assert_string_equal(fake_hear(&f, fd), "error 7\to b\tm\th \n");
        } else {
            fake_answer(&f, "a=1\nb=2\n", NULL);
            assert_string_equal(fake_hear(&f, fd), "=a=1\n=b=2\nok\n");
        }
    }
    close(fd);
    fake_end(&f, &powered_off);
}

static void requests_of_one_connection_are_served_in_turn(void **state)
{
    struct fake_machine f;
    fake_start(&f, -1);
    int fd = fake_client(&f), other = fake_client(&f);
    fake_say(&f, fd, "godwit 1 pause\ngodwit 1 res");
    fake_say(&f, fd, "ume\ngodwit 1 status\n");
    fake_say(&f, other, "godwit 1 stats\n");
    assert_int_equal(f.asks, 2); /* one each */
    fake_answer(&f, "", NULL);
    assert_int_equal(f.ask[1].what, MACHINE_ASK_RESUME);
    fake_answer(&f, "x\n", NULL);
    fake_answer(&f, "", NULL);
    fake_answer(&f, "s\n", NULL);
    assert_int_equal(f.asks, 0);
    assert_string_equal(fake_hear(&f, fd), "ok\nok\n=s\nok\n");
    assert_string_equal(fake_hear(&f, other), "=x\nok\n");
    close(fd);
    close(other);
    fake_end(&f, &powered_off);
}

static void what_is_no_request_is_refused_and_harms_nobody(void **state)
{
    static const struct {
        const char *line, *why;
    } rows[] = {
        {"godwit 1 frobnicate\n", "knows no such request"},
        {"godwit 2 pause\n", "does not speak"},
        {"GET / HTTP/1.1\n", "not a request of ours"},
        {"\n", "not a request of ours"},
        {"godwit 1\n", "knows no such request"},
        {"godwit 1 save /x\n", "must come with"},
        {"godwit 1 console\n", "its console is where it was started"},
    };
    struct fake_machine f;
    fake_start(&f, -1);
    int fd = fake_client(&f);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_say(&f, fd, rows[i].line);
        const char *heard = fake_hear(&f, fd);
        assert_non_null(heard);
        assert_memory_equal(heard, "error ", 6);
        assert_non_null(strstr(heard, rows[i].why));
    }
    f.deaf = true;
    fake_say(&f, fd, "godwit 1 pause\n");
    assert_non_null(strstr(fake_hear(&f, fd), "too much to do"));
    f.deaf = false;
    fake_say(&f, fd, "godwit 1 pause\n");
    fake_answer(&f, "", NULL);
    assert_string_equal(fake_hear(&f, fd), "ok\n");
    close(fd);
    assert_int_equal(f.asks, 0);
    fake_end(&f, &powered_off);
}

static void a_line_without_end_loses_its_connection(void **state)
{
    char much[CTL_LINE_BYTES + 1];
    struct fake_machine f;
    fake_start(&f, -1);
    int fd = fake_client(&f);
    memset(much, 'x', CTL_LINE_BYTES);
    much[CTL_LINE_BYTES] = 0;
    fake_say(&f, fd, much);
    assert_null(fake_hear(&f, fd));
    close(fd);
    fake_end(&f, &powered_off);
}

static void a_client_that_left_gets_nobody_elses_answer(void **state)
{
    struct fake_machine f;
    fake_start(&f, -1);
    int fd = fake_client(&f);
    fake_say(&f, fd, "godwit 1 status\n");
    close(fd);
    int other = fake_client(&f); /* before the answer that is due */
    fake_say(&f, other, "godwit 1 stats\n");
    fake_answer(&f, "first\n", NULL);
    assert_string_equal(fake_hear(&f, other), "");
    fake_answer(&f, "second\n", NULL);
    assert_string_equal(fake_hear(&f, other), "=second\nok\n");
    close(other);
    fake_end(&f, &powered_off);
}

/* Whoever comes is served, however many do nothing or wait. */
static void a_new_client_takes_the_place_of_who_is_missed_least(void **state)
{
    enum { PLACES = 32, ASKED = 4, WAITS = 9 };
    struct fake_machine f;
    int fd[PLACES + 1];
    fake_start(&f, -1);
    for (unsigned i = 0; i < PLACES; i++)
        fd[i] = fake_client(&f);
    fake_say(&f, fd[ASKED], "godwit 1 status\n");
    fake_answer(&f, "", NULL);
    assert_string_equal(fake_hear(&f, fd[ASKED]), "ok\n");
    fake_say(&f, fd[WAITS], "godwit 1 wait\n");
    fake_say(&f, fd[1], "godwit 1 sta"); /* was heard later than the others that asked nothing */
    /* In this order: who asked nothing, the longest silent first; who has asked; who waits. */
    fd[PLACES] = fake_client(&f);
    assert_null(fake_hear(&f, fd[0]));
    close(fd[0]);
    for (unsigned i = 2; i < PLACES; i++) {
        if (i == ASKED || i == WAITS)
            continue;
        int more = fake_client(&f);
        fake_say(&f, more, "godwit 1 pause\n"); /* is busy from now on */
        assert_null(fake_hear(&f, fd[i]));
        close(fd[i]);
        fd[i] = more;
        if (f.asks == FAKE_ASKS)
            break;
    }
    assert_int_equal(f.asks, FAKE_ASKS);
    for (unsigned i = 0; i < FAKE_ASKS; i++)
        fake_answer(&f, "", NULL);
    assert_string_equal(fake_hear(&f, fd[2]), "ok\n");
    assert_string_equal(fake_hear(&f, fd[ASKED]), "");
    assert_string_equal(fake_hear(&f, fd[WAITS]), "");
    fake_say(&f, fd[1], "tus\n");
    fake_answer(&f, "x\n", NULL);
    assert_string_equal(fake_hear(&f, fd[1]), "=x\nok\n");
    for (unsigned i = 1; i <= PLACES; i++)
        close(fd[i]);
    fake_end(&f, &powered_off);
}

/* Those who were dropped while their answers are due: the answers go nowhere, and the places are used. */
static void who_is_served_is_not_held_up_by_answers_that_are_due(void **state)
{
    enum { PLACES = 32 };
    struct fake_machine f;
    int fd[PLACES + FAKE_ASKS];
    fake_start(&f, -1);
    for (unsigned i = 0; i < FAKE_ASKS - 1; i++) {
        fd[i] = fake_client(&f);
        fake_say(&f, fd[i], "godwit 1 pause\n");
    }
    for (unsigned i = FAKE_ASKS - 1; i < PLACES; i++) {
        fd[i] = fake_client(&f);
        fake_say(&f, fd[i], "godwit 1 wait\n");
    }
    int last = fake_client(&f); /* in the place of one that waits */
    fake_say(&f, last, "godwit 1 stop\n");
    assert_int_equal(f.asks, FAKE_ASKS);
    assert_int_equal(f.ask[FAKE_ASKS - 1].what, MACHINE_ASK_STOP);
    for (unsigned i = 0; i < PLACES; i++)
        close(fd[i]);
    for (unsigned i = 0; i < PLACES; i++) { /* others, that wait */
        fd[i] = fake_client(&f);
        fake_say(&f, fd[i], "godwit 1 wait\n");
    }
    for (unsigned i = 0; i < FAKE_ASKS; i++)
        fake_answer(&f, "late\n", NULL);
    for (unsigned i = 0; i < PLACES; i++) {
        const char *heard = fake_hear(&f, fd[i]);
        assert_true(!heard || !*heard);
        close(fd[i]);
    }
    close(last);
    fake_end(&f, &powered_off);
}

static void who_waits_is_told_of_the_end(void **state)
{
    struct fake_machine f;
    struct ctl_ended e;
    char text[256] = "";
    fake_start(&f, -1);
    int fd = fake_client(&f), idle = fake_client(&f);
    fake_say(&f, fd, "godwit 1 wait\n");
    assert_string_equal(fake_hear(&f, fd), "");
    ctl_server_end(f.server, &powered_off);
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 39);
    assert_string_equal(text, "=ended=poweroff\n=status=3\n=insns=42\nok\n");
    assert_int_equal(recv(idle, text, sizeof text, 0), 0);
    assert_true(ctl_ended_read(&f.dir, "one", &e));
    assert_string_equal(e.how, "poweroff");
    assert_false(ctl_name_is_taken(&f.dir, "one"));
    close(fd);
    close(idle);
    fake_dir_gone(&f);
}

enum { MOST_FILES = 40 };

/* The same file so many times. */
static void send_with_files(int fd, const char *text, int file, unsigned count)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    union {
        char bytes[CMSG_SPACE(MOST_FILES * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof file);
    for (unsigned i = 0; i < count; i++)
        memcpy(CMSG_DATA(c) + i * sizeof file, &file, sizeof file);
    assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void send_with_file(int fd, const char *text, int file)
{
    send_with_files(fd, text, file, 1);
}

static void a_file_comes_with_a_save_and_none_stays_behind(void **state)
{
    struct fake_machine f;
    struct stat mine, theirs;
    int pipes[2];
    fake_start(&f, -1);
    int fd = fake_client(&f);
    assert_int_equal(pipe(pipes), 0);
    unsigned before = open_descriptors();
    send_with_file(fd, "godwit 1 save /a/name with spaces\n", pipes[1]);
    fake_pump(&f);
    assert_int_equal(f.asks, 1);
    assert_string_equal(f.ask[0].text, "/a/name with spaces");
    fstat(pipes[1], &mine);
    fstat(f.ask[0].fd, &theirs);
    assert_int_equal(mine.st_ino, theirs.st_ino);
    fake_answer(&f, "", NULL); /* closes it */
    assert_string_equal(fake_hear(&f, fd), "ok\n");
    assert_int_equal(open_descriptors(), before);
    for (unsigned i = 0; i < 50; i++) /* only the last is kept, until the client goes */
        send_with_file(fd, "g", pipes[1]);
    fake_pump(&f);
    assert_int_equal(open_descriptors(), before + 1);
    for (unsigned n = 1; n <= MOST_FILES; n++) { /* several in a message, more than fit */
        send_with_files(fd, "g", pipes[1], n);
        fake_pump(&f);
        assert_int_equal(open_descriptors(), before + 1);
    }
    close(fd);
    fake_pump(&f);
    assert_int_equal(open_descriptors(), before - 2); /* both ends of the connection */
    close(pipes[0]);
    close(pipes[1]);
    fake_end(&f, &powered_off);
}

static void a_name_that_is_taken_is_not_served_twice(void **state)
{
    struct fake_machine f;
    struct ctl_server *second;
    struct gw_error err = {0};
    fake_start(&f, -1);
    struct ctl_server_config cfg = {.dir = &f.dir, .name = "one", .console_fd = -1};
    assert_int_equal(ctl_server_new(&second, &cfg, &err), GW_ERR_STATE);
    assert_null(second);
    int fd = fake_client(&f); /* the first is as reachable as before */
    fake_say(&f, fd, "godwit 1 status\n");
    assert_int_equal(f.asks, 1);
    fake_answer(&f, "", NULL);
    close(fd);
    fake_end(&f, &powered_off);
}

static void a_machine_that_never_ran_leaves_its_name_free(void **state)
{
    struct fake_machine f;
    struct ctl_server *s;
    struct gw_error err = {0};
    fake_dir(&f);
    struct ctl_server_config cfg = {.dir = &f.dir, .name = "one", .console_fd = -1};
    assert_int_equal(ctl_server_new(&s, &cfg, &err), GW_OK);
    ctl_server_end(s, NULL);
    assert_false(ctl_name_is_taken(&f.dir, "one"));
    ctl_server_end(NULL, NULL);
    fake_dir_gone(&f);
}

/* In the middle of a run that will not return; the lock is held by a thread that will not either. */
static void a_machine_that_is_cut_off_is_told_of_and_leaves_its_name_free(void **state)
{
    static const struct ctl_ended killed = {.how = "killed", .status = 137, .insns = 7};
    for (unsigned held = 0; held < 2; held++) {
        struct ctl_ended e = {0};
        struct fake_machine f;
        fake_start(&f, -1);
        int busy = fake_client(&f), fd = fake_client(&f);
        fake_say(&f, busy, "godwit 1 pause\n");
        fake_say(&f, fd, "godwit 1 kill\n");
        assert_int_equal(f.kills, 1);
        assert_int_equal(f.asks, 1);
        if (held)
            pthread_mutex_lock(&f.server->lock);
        ctl_server_cut(f.server, &killed);
        if (held)
            pthread_mutex_unlock(&f.server->lock);
        assert_false(ctl_name_is_taken(&f.dir, "one"));
        assert_true(ctl_ended_read(&f.dir, "one", &e));
        assert_string_equal(e.how, "killed");
        assert_string_equal(fake_hear(&f, fd), "=ended=killed\n=status=137\n=insns=7\nok\n");
        assert_string_equal(fake_hear(&f, busy), "");
        fake_answer(&f, "", NULL);
        close(fd);
        close(busy);
        fake_end(&f, &powered_off);
    }
}

/* The folder is the machine's user's, who may be another one than its clients'. */
static void a_client_follows_no_link_in_the_folder(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct gw_error err = {0};
    struct fake_machine f;
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    fake_start(&f, -1);
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/other", f.dir.fd);
    assert_int_equal(bind(other, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(renameat(f.dir.fd, "one.own/sock", f.dir.fd, "one.own/real"), 0);
    assert_int_equal(symlinkat("../other", f.dir.fd, "one.own/sock"), 0);
    assert_int_equal(ctl_connect(&f.dir, "one", &fd, &err), GW_ERR_STATE);
    assert_int_equal(fd, -1);
    assert_string_equal(err.message, "cannot reach the machine: Socket operation on non-socket");
    assert_int_equal(renameat(f.dir.fd, "one.own/real", f.dir.fd, "one.own/sock"), 0);
    close(fake_client(&f));
    assert_int_equal(unlinkat(f.dir.fd, "other", 0), 0);
    close(other);
    fake_end(&f, &powered_off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_reach_the_machine_and_answers_their_client),
        cmocka_unit_test(requests_of_one_connection_are_served_in_turn),
        cmocka_unit_test(what_is_no_request_is_refused_and_harms_nobody),
        cmocka_unit_test(a_line_without_end_loses_its_connection),
        cmocka_unit_test(a_client_that_left_gets_nobody_elses_answer),
        cmocka_unit_test(a_new_client_takes_the_place_of_who_is_missed_least),
        cmocka_unit_test(who_is_served_is_not_held_up_by_answers_that_are_due),
        cmocka_unit_test(who_waits_is_told_of_the_end),
        cmocka_unit_test(a_file_comes_with_a_save_and_none_stays_behind),
        cmocka_unit_test(a_name_that_is_taken_is_not_served_twice),
        cmocka_unit_test(a_client_follows_no_link_in_the_folder),
        cmocka_unit_test(a_machine_that_never_ran_leaves_its_name_free),
        cmocka_unit_test(a_machine_that_is_cut_off_is_told_of_and_leaves_its_name_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
