/* The console's two directions, over pipes. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "devices/host/console.h"
#include "tests/devices/fakes.h"

struct fixture {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_io *io;
    struct dev_console *c;
    const struct dev_serial *s;
    int in[2], out[2];
    unsigned pokes, tapped;
    uint8_t menu;
    uint32_t opened; /* atomic */
};

static void poke(void *context)
{
    ((struct fixture *)context)->pokes++;
}

static void tap(void *context, uint8_t byte)
{
    ((struct fixture *)context)->tapped++;
}

static void menu(void *context, uint8_t key)
{
    ((struct fixture *)context)->menu = key;
}

static void menu_open(void *context)
{
    __atomic_add_fetch(&((struct fixture *)context)->opened, 1, __ATOMIC_SEQ_CST);
}

static void setup_as(struct fixture *f, bool escape, bool patient, bool framed)
{
    struct gw_error err = {0};
    struct dev_console_config cfg = {.source = "uart",
                                     .escape = escape,
                                     .patient = patient,
                                     .framed = framed,
                                     .poke = poke,
                                     .tap = tap,
                                     .menu = menu,
                                     .menu_open = menu_open,
                                     .context = f};
    memset(f, 0, sizeof *f);
    f->q = fake_events(&f->clock);
    assert_int_equal(pipe(f->in), 0);
    assert_int_equal(pipe(f->out), 0);
    assert_int_equal(dev_io_new(&f->io, &err), GW_OK);
    cfg.events = f->q;
    cfg.io = f->io;
    cfg.in_fd = f->in[0];
    cfg.out_fd = f->out[1];
    assert_int_equal(dev_console_new(&f->c, &cfg, &err), GW_OK);
    dev_console_start(f->c);
    f->s = dev_console_serial(f->c);
}

static void setup_with(struct fixture *f, bool escape, bool patient)
{
    setup_as(f, escape, patient, false);
}

static void setup(struct fixture *f, bool escape)
{
    setup_with(f, escape, false);
}

static void teardown(struct fixture *f)
{
    dev_io_free(f->io);
    dev_console_free(f->c);
    gw_events_free(f->q);
    close(f->in[0]);
    if (f->in[1] >= 0)
        close(f->in[1]);
    if (f->out[0] >= 0)
        close(f->out[0]);
    close(f->out[1]);
}

/* Bytes from the console, as many as asked for. */
static void get_all(struct fixture *f, uint8_t *to, size_t want)
{
    size_t got = 0;
    while (got < want) {
        size_t n = f->s->get(f->s->context, to + got, want - got);
        got += n;
        if (!n) {
            gw_events_wait(f->q, UINT64_MAX);
            gw_events_run(f->q, 0);
        }
    }
}

static void output_arrives_in_order(void **state)
{
    struct fixture f;
    static uint8_t got[200000];
    size_t count = 0, sent = 0;
    setup(&f, false);
    while (count < sizeof got) {
        for (unsigned i = 0; i < 20000 && sent < sizeof got; i++)
            f.s->put(f.s->context, (uint8_t)(sent++ * 31 >> 3));
        ssize_t n = read(f.out[0], got + count, sizeof got - count);
        assert_true(n > 0);
        count += (size_t)n;
    }
    for (size_t i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], (uint8_t)(i * 31 >> 3));
    assert_int_equal(f.tapped, sizeof got);
    dev_console_flush(f.c);
    teardown(&f);
}

static void stuck_reader_does_not_hold_the_vcpu(void **state)
{
    struct fixture f;
    static uint8_t got[65536];
    size_t put = 0;
    setup(&f, false);
    while (f.s->room(f.s->context) && put < 10000000) {
        f.s->put(f.s->context, 'x');
        put++;
    }
    assert_in_range(put, DEV_CONSOLE_OUT_BYTES / 2, DEV_CONSOLE_OUT_BYTES + 100000);
    for (unsigned i = 0; i < 1000; i++)
        f.s->put(f.s->context, 'y'); /* dropped at worst */
    assert_true(read(f.out[0], got, sizeof got) > 0);
    while (!f.pokes) { /* told that there is room again */
        gw_events_wait(f.q, UINT64_MAX);
        gw_events_run(f.q, 0);
    }
    close(f.out[0]);
    f.out[0] = -1;
    signal(SIGPIPE, SIG_IGN);
    dev_console_flush(f.c); /* the reader is gone: what is left is thrown away */
    assert_true(f.s->room(f.s->context));
    teardown(&f);
}

static void input_waits_for_credit(void **state)
{
    struct fixture f;
    static uint8_t sent[50000], got[50000];
    size_t at = 0, done = 0;
    setup(&f, false);
    fcntl(f.in[1], F_SETFL, O_NONBLOCK);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 13 >> 2);
    while (done < sizeof sent) {
        ssize_t n = at < sizeof sent ? write(f.in[1], sent + at, sizeof sent - at) : 0;
        if (n > 0)
            at += (size_t)n;
        get_all(&f, got + done, 1000);
        done += 1000;
    }
    assert_memory_equal(got, sent, sizeof sent);
    assert_true(f.pokes > 0);
    teardown(&f);
}

static void end_of_input_is_quiet(void **state)
{
    struct fixture f;
    uint8_t got[3];
    setup(&f, false);
    assert_int_equal(write(f.in[1], "end", 3), 3);
    close(f.in[1]);
    f.in[1] = -1;
    get_all(&f, got, 3);
    assert_memory_equal(got, "end", 3);
    assert_int_equal(f.s->get(f.s->context, got, 3), 0);
    teardown(&f);
}

static void file_as_input(void **state)
{
    struct fixture f;
    char path[] = "/tmp/godwit-console-XXXXXX";
    static uint8_t sent[10000], got[10000];
    struct gw_error err = {0};
    struct dev_console_config cfg = {.source = "uart", .out_fd = -1, .poke = poke, .context = &f};
    memset(&f, 0, sizeof f);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i >> 3);
    cfg.in_fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(cfg.in_fd, sent, sizeof sent), sizeof sent);
    lseek(cfg.in_fd, 0, SEEK_SET);
    f.q = fake_events(&f.clock);
    assert_int_equal(dev_io_new(&f.io, &err), GW_OK);
    cfg.events = f.q;
    cfg.io = f.io;
    assert_int_equal(dev_console_new(&f.c, &cfg, &err), GW_OK);
    dev_console_start(f.c);
    f.s = dev_console_serial(f.c);
    get_all(&f, got, sizeof got);
    assert_memory_equal(got, sent, sizeof got);
    f.s->put(f.s->context, 'x'); /* nowhere to go, and no harm */
    dev_io_free(f.io);
    dev_console_free(f.c);
    gw_events_free(f.q);
    close(cfg.in_fd);
}

static void escape_opens_the_menu(void **state)
{
    struct fixture f;
    uint8_t got[4] = {0};
    setup(&f, true);
    assert_int_equal(write(f.in[1],
                           "a\x1dq"
                           "b\x1d]c",
                           7),
                     7);
    get_all(&f, got, 4);
    assert_memory_equal(got,
                        "ab\x1d"
                        "c",
                        4);
    while (!f.menu) {
        gw_events_wait(f.q, UINT64_MAX);
        gw_events_run(f.q, 0);
    }
    assert_int_equal(f.menu, 'q');
    assert_int_equal(__atomic_load_n(&f.opened, __ATOMIC_SEQ_CST), 2);
    teardown(&f);
}

/* Until no event is left that was posted before: the I/O thread has nothing more to read, or may not. */
static size_t get_frames(struct fixture *f, uint8_t *to, size_t max)
{
    size_t got = 0, n;
    unsigned still = 0;
    while (still < 50) {
        gw_events_run(f->q, 0);
        n = f->s->get(f->s->context, to + got, max - got < 5 ? max - got : 5); /* as from a FIFO */
        got += n;
        still = n ? 0 : still + 1;
        if (!n)
            usleep(1000);
    }
    return got;
}

/* A guest that takes each frame and says so. Returns the bytes of the input; *ends: empty frames. */
static size_t take_frames(struct fixture *f, uint8_t *to, size_t max, unsigned *ends)
{
    uint8_t head[2];
    size_t got = 0;
    *ends = 0;
    while (get_frames(f, head, 2) == 2) {
        size_t n = head[0] | head[1] << 8;
        assert_in_range(n, 0, DEV_CONSOLE_FRAME_BYTES);
        assert_in_range(n, 0, max - got);
        assert_int_equal(get_frames(f, to + got, n), n);
        dev_console_allow(f->c, (uint32_t)n + 2);
        got += n;
        *ends += n == 0;
    }
    return got;
}

static void frames_carry_every_byte_and_the_end(void **state)
{
    struct fixture f;
    static uint8_t sent[20000], got[20000];
    unsigned ends;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 77 >> 4);
    setup_as(&f, false, false, true);
    assert_int_equal(write(f.in[1], sent, sizeof sent), sizeof sent);
    close(f.in[1]);
    f.in[1] = -1;
    assert_int_equal(get_frames(&f, got, sizeof got), 0); /* the guest is not ready */
    dev_console_ready(f.c);
    assert_int_equal(take_frames(&f, got, sizeof got, &ends), sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    assert_int_equal(ends, 1);
    dev_console_ready(f.c); /* started anew: the end is told again, and nothing else */
    assert_int_equal(take_frames(&f, got, sizeof got, &ends), 0);
    assert_int_equal(ends, 1);
    teardown(&f);
}

static void no_more_is_given_than_the_guest_allows(void **state)
{
    struct fixture f;
    static uint8_t sent[20000], got[20000];
    size_t n;
    unsigned ends;
    setup_as(&f, false, false, true);
    memset(sent, 'x', sizeof sent);
    assert_int_equal(write(f.in[1], sent, sizeof sent), sizeof sent);
    dev_console_ready(f.c);
    assert_int_equal(get_frames(&f, got, sizeof got), DEV_CONSOLE_WINDOW_BYTES);
    dev_console_allow(f.c, 2); /* room for a header is none for a byte */
    assert_int_equal(get_frames(&f, got, sizeof got), 0);
    dev_console_allow(f.c, 1);
    assert_int_equal(get_frames(&f, got, sizeof got), 3);
    dev_console_allow(f.c, UINT32_MAX); /* a guest that counts wrong */
    assert_int_equal(get_frames(&f, got, sizeof got), DEV_CONSOLE_WINDOW_BYTES);
    /* A reset within a frame: nothing comes until it is ready again, and then frames from the start. */
    dev_console_allow(f.c, 500);
    assert_int_equal(f.s->get(f.s->context, got, 7), 7);
    dev_console_reset(f.c);
    assert_int_equal(get_frames(&f, got, sizeof got), 0);
    dev_console_ready(f.c);
    n = take_frames(&f, got, sizeof got, &ends);
    assert_in_range(n, 1000, sizeof sent);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got[i], 'x');
    assert_int_equal(ends, 0);
    teardown(&f);
}

static uint8_t byte_at(size_t at)
{
    return (uint8_t)(at * 31 >> 5);
}

static size_t read_on(struct fixture *f, size_t at)
{
    static uint8_t got[65536];
    ssize_t n = read(f->out[0], got, sizeof got);
    assert_true(n > 0);
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(got[i], byte_at(at++));
    return at;
}

/* The guest sees room all the time, and loses nothing: whoever runs it waits where it is full. */
static void a_patient_console_is_waited_for_between_two_runs(void **state)
{
    struct fixture f;
    size_t put = 0, at = 0;
    setup_with(&f, false, true);
    for (unsigned run = 0; run < 6; run++) {
        while (dev_console_full(f.c))
            at = read_on(&f, at);
        for (unsigned i = 0; i < DEV_CONSOLE_RUN_BYTES; i++) {
            assert_true(f.s->room(f.s->context));
            f.s->put(f.s->context, byte_at(put++));
        }
    }
    assert_true(dev_console_full(f.c));
    while (at < put)
        at = read_on(&f, at);
    assert_false(dev_console_full(f.c));
    gw_events_run(f.q, 0);
    assert_int_equal(f.pokes, 0); /* that it was waited for is nothing the guest can tell */
    teardown(&f);
}

struct job {
    struct dev_io_job job;
    unsigned *order;
    unsigned *next;
};

static void run_job(struct dev_io_job *job)
{
    struct job *j = (struct job *)(void *)job;
    *j->order = ++*j->next;
}

static void jobs_run_in_order(void **state)
{
    struct gw_error err = {0};
    struct dev_io *io;
    struct job jobs[100];
    unsigned order[100] = {0}, next = 0;
    assert_int_equal(dev_io_new(&io, &err), GW_OK);
    for (unsigned i = 0; i < 100; i++) {
        jobs[i] = (struct job){.job.run = run_job, .order = &order[i], .next = &next};
        dev_io_submit(io, &jobs[i].job);
        if (i == 49) {
            dev_io_drain(io);
            assert_int_equal(next, 50);
        }
    }
    dev_io_free(io); /* finishes what is queued */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(order[i], i + 1);
}

static void wait_to_be_told(struct dev_io_job *job)
{
    struct job *j = (struct job *)(void *)job;
    while (!__atomic_load_n(j->order, __ATOMIC_SEQ_CST))
        usleep(1000);
}

static void a_wait_for_jobs_has_an_end(void **state)
{
    struct gw_error err = {0};
    struct dev_io *io;
    unsigned go = 0;
    struct job j = {.job.run = wait_to_be_told, .order = &go};
    assert_int_equal(dev_io_new(&io, &err), GW_OK);
    assert_true(dev_io_wait(io, 0));
    dev_io_submit(io, &j.job);
    assert_false(dev_io_wait(io, 20000000));
    __atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
    assert_true(dev_io_wait(io, UINT64_C(60000000000)));
    dev_io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_arrives_in_order),
        cmocka_unit_test(stuck_reader_does_not_hold_the_vcpu),
        cmocka_unit_test(input_waits_for_credit),
        cmocka_unit_test(end_of_input_is_quiet),
        cmocka_unit_test(file_as_input),
        cmocka_unit_test(escape_opens_the_menu),
        cmocka_unit_test(frames_carry_every_byte_and_the_end),
        cmocka_unit_test(no_more_is_given_than_the_guest_allows),
        cmocka_unit_test(a_patient_console_is_waited_for_between_two_runs),
        cmocka_unit_test(jobs_run_in_order),
        cmocka_unit_test(a_wait_for_jobs_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
