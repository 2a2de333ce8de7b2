/* Streams, and snapshots that go through them: in pieces, cut off, damaged, and one after another. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/snapshot/format1.h"
#include "tests/snapshot/memory_stream.h"
#include "tests/snapshot/sample.h"

enum { ROOM = 1 << 14 };

static const struct sample one = {.flag = 1,
                                  .half = 0x1234,
                                  .word = 0x89abcdef,
                                  .wide = 0x0123456789abcdef,
                                  .list = {5, 4, 3, 2, 1}};
static uint8_t ram[SAMPLE_PAGES * SNAP_PAGE_BYTES];

/* ---- bytes ------------------------------------------------------------------------------------ */

static void bytes_go_through_in_pieces(void **state)
{
    uint8_t from[1000], to[1000], memory[1000];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 7);
    for (size_t piece = 0; piece < 40; piece++) {
        struct memory_stream m = {.bytes = memory, .size = sizeof memory, .piece = piece};
        struct gw_sink sink = memory_sink(&m);
        struct gw_source source;
        for (size_t at = 0, n = 1; at < sizeof from; at += n, n = n % 90 + 1) {
            n = n < sizeof from - at ? n : sizeof from - at;
            assert_true(gw_sink_put(&sink, from + at, n));
        }
        assert_true(sink.bytes == sizeof from && !sink.error);
        assert_memory_equal(memory, from, sizeof from);
        m.at = 0;
        source = memory_source(&m);
        for (size_t at = 0, n = 1; at < sizeof to; at += n, n = n % 70 + 1) {
            n = n < sizeof to - at ? n : sizeof to - at;
            assert_true(gw_source_get(&source, to + at, n));
        }
        assert_true(source.bytes == sizeof to && gw_source_get(&source, to, 0));
        assert_memory_equal(to, from, sizeof to);
    }
}

static void a_failure_stays(void **state)
{
    uint8_t bytes[100] = {1}, to[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct memory_stream m = {.bytes = bytes, .size = 100, .fail_after = 10, .error = ENOSPC};
    struct gw_sink sink = memory_sink(&m);
    struct gw_source source;
    unsigned calls;
    assert_true(gw_sink_put(&sink, to, 8));
    assert_false(gw_sink_put(&sink, to, 8));
    assert_int_equal(sink.error, ENOSPC);
    assert_int_equal(sink.bytes, 10);
    calls = m.calls;
    m.fail_after = 0;
    assert_false(gw_sink_put(&sink, to, 1));
    assert_false(gw_sink_put(&sink, to, 0));
    assert_int_equal(m.calls, calls);

    m = (struct memory_stream){.bytes = bytes, .size = 100, .fail_after = 10, .error = EIO};
    memset(bytes, 5, sizeof bytes);
    source = memory_source(&m);
    assert_true(gw_source_get(&source, to, 8));
    assert_false(gw_source_get(&source, to, 8));
    assert_int_equal(source.error, EIO);
    assert_memory_equal(to, ((uint8_t[8]){5, 5, 0, 0, 0, 0, 0, 0}), 8);
    m.fail_after = 0;
    memset(to, 1, sizeof to);
    assert_false(gw_source_get(&source, to, 8));
    assert_memory_equal(to, ((uint8_t[8]){0}), 8);
}

static void an_end_is_told_from_a_failure(void **state)
{
    uint8_t bytes[4], to[8];
    struct memory_stream m = {.bytes = bytes, .size = 4};
    struct gw_source source = memory_source(&m);
    struct gw_sink sink = memory_sink(&m);
    assert_false(gw_source_get(&source, to, 5));
    assert_int_equal(source.error, GW_STREAM_ENDED);
    assert_false(gw_sink_put(&sink, to, 1)); /* it takes nothing, and does not say why */
    assert_int_equal(sink.error, EIO);
}

struct end {
    int fd;
    size_t bytes;
};

static void *write_end(void *context)
{
    struct end *e = context;
    struct gw_sink sink = gw_fd_sink(&e->fd);
    uint8_t piece[701];
    for (size_t at = 0; at < e->bytes; at += sizeof piece) {
        for (size_t i = 0; i < sizeof piece; i++)
            piece[i] = (uint8_t)((at + i) * 13);
        gw_sink_put(&sink, piece, sizeof piece);
    }
    close(e->fd);
    return NULL;
}

/* More than fits into it, so that both ends wait for one another. */
static void pipes_and_sockets_are_streams(void **state)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        int fd[2];
        struct end e = {.bytes = 701 * 700 * 4};
        struct gw_source source = gw_fd_source(&fd[0]);
        pthread_t thread;
        uint8_t piece[700];
        assert_int_equal(kind ? socketpair(AF_UNIX, SOCK_STREAM, 0, fd) : pipe(fd), 0);
        e.fd = fd[1];
        assert_int_equal(pthread_create(&thread, NULL, write_end, &e), 0);
        for (size_t at = 0; at < e.bytes; at += sizeof piece) {
            assert_true(gw_source_get(&source, piece, sizeof piece));
            for (size_t i = 0; i < sizeof piece; i++)
                assert_int_equal(piece[i], (uint8_t)((at + i) * 13));
        }
        assert_false(gw_source_get(&source, piece, 1));
        assert_int_equal(source.error, GW_STREAM_ENDED);
        pthread_join(thread, NULL);
        close(fd[0]);
    }
}

/* ---- snapshots -------------------------------------------------------------------------------- */

/* To memory, in pieces; the status, and in *size how much came. */
static enum gw_status write_to(struct memory_stream *m, size_t *size)
{
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct gw_sink sink = memory_sink(m);
    struct snap_writer *w;
    enum gw_status st = api->create_stream(&w, &sink, "stream", &err);
    if (st == GW_OK)
        st = sample_fill(api, w, &one, &err);
    if (st != GW_OK)
        assert_true(err.status == st && err.message[0] != 0);
    *size = m->at;
    return st;
}

static size_t whole(uint8_t bytes[ROOM], unsigned format)
{
    static uint8_t two[ROOM];
    struct memory_stream m = {.bytes = two, .size = ROOM, .piece = 100};
    size_t size;
    assert_int_equal(write_to(&m, &size), GW_OK);
    if (format == 1)
        return to_format1(bytes, two, size);
    memcpy(bytes, two, size);
    return size;
}

static enum gw_status read_from(uint8_t *bytes, size_t size, size_t piece, struct sample *s)
{
    struct memory_stream m = {.bytes = bytes, .size = size, .piece = piece};
    struct gw_source from = memory_source(&m);
    struct gw_error err = {0};
    enum gw_status st = sample_read_stream(godwit_snapshot(), &from, s, ram, &err);
    if (st != GW_OK)
        assert_true(err.status == st && err.message[0] != 0);
    return st;
}

static void what_goes_in_comes_out(void **state)
{
    uint8_t bytes[ROOM], page[SNAP_PAGE_BYTES];
    for (unsigned format = 1; format <= 2; format++) {
        size_t size = whole(bytes, format);
        for (size_t piece = 0; piece < 200; piece += 1 + piece / 4) {
            struct sample s = {0};
            memset(ram, 0, sizeof ram);
            assert_int_equal(read_from(bytes, size, piece, &s), GW_OK);
            assert_true(s.flag == 1 && s.wide == one.wide && s.list[4] == 1);
            for (uint64_t i = 0; i < SAMPLE_PAGES; i++) {
                memset(page, 0, sizeof page);
                sample_page(NULL, i, page);
                assert_memory_equal(ram + i * SNAP_PAGE_BYTES, page, sizeof page);
            }
        }
    }
}

/* So what was sent can be kept, and what was kept can be sent. */
static void a_stream_is_the_file(void **state)
{
    uint8_t bytes[ROOM], file[ROOM];
    struct gw_error err = {0};
    char path[] = "/tmp/godwit-stream.XXXXXX";
    size_t size = whole(bytes, 2);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(sample_write(godwit_snapshot(), path, &one, &err), GW_OK);
    close(fd);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, file, sizeof file), size);
    assert_memory_equal(file, bytes, size);
    close(fd);
    unlink(path);
}

static void a_sink_that_fails_anywhere_fails_the_save(void **state)
{
    uint8_t bytes[ROOM];
    size_t size = whole(bytes, 2), got;
    for (size_t n = 1; n < size; n++) {
        struct memory_stream m = {
            .bytes = bytes, .size = ROOM, .piece = 50, .fail_after = n, .error = ENOSPC};
        assert_int_equal(write_to(&m, &got), GW_ERR_IO);
        assert_int_equal(got, n);
    }
    for (size_t n = 0; n < size; n++) { /* it takes no more, and has no reason */
        struct memory_stream m = {.bytes = bytes, .size = n};
        assert_int_equal(write_to(&m, &got), GW_ERR_IO);
    }
}

static void cut_off_anywhere_it_is_refused(void **state)
{
    uint8_t bytes[ROOM];
    struct sample s;
    for (unsigned format = 1; format <= 2; format++)
        for (size_t n = whole(bytes, format); n-- > 0;)
            assert_int_not_equal(read_from(bytes, n, 333, &s), GW_OK);
}

static void with_any_byte_changed_it_is_refused(void **state)
{
    uint8_t bytes[ROOM];
    struct sample s;
    for (unsigned format = 1; format <= 2; format++) {
        size_t size = whole(bytes, format);
        for (size_t i = 0; i < size; i++) {
            bytes[i] ^= (uint8_t)(1u << (i % 8));
            assert_int_not_equal(read_from(bytes, size, 0, &s), GW_OK);
            bytes[i] ^= (uint8_t)(1u << (i % 8));
        }
    }
}

/* A source that fails is not taken for a file that is cut short. */
static void a_failing_source_says_why(void **state)
{
    uint8_t bytes[ROOM];
    size_t size = whole(bytes, 2);
    for (size_t n = 1; n < size; n += 7) {
        struct memory_stream m = {
            .bytes = bytes, .size = size, .fail_after = n, .error = ECONNRESET};
        struct gw_source from = memory_source(&m);
        struct gw_error err = {0};
        struct sample s;
        assert_int_equal(sample_read_stream(godwit_snapshot(), &from, &s, ram, &err), GW_ERR_IO);
        assert_non_null(strstr(err.message, strerror(ECONNRESET)));
    }
}

/* ---- the order of a stream ---------------------------------------------------------------------- */

/* States "before" and "behind", and pages "a" and "b" between them. */
static size_t four_sections(uint8_t bytes[ROOM])
{
    const struct snap_api *api = godwit_snapshot();
    struct snap_page_source pages = {.count = SAMPLE_PAGES, .get = sample_page};
    struct memory_stream m = {.bytes = bytes, .size = ROOM};
    struct gw_sink sink = memory_sink(&m);
    struct gw_error err = {0};
    struct snap_writer *w;
    assert_int_equal(api->create_stream(&w, &sink, "stream", &err), GW_OK);
    assert_int_equal(api->write_manifest(w, &sample_manifest, &err), GW_OK);
    assert_int_equal(api->write_state(w, "before", &sample_desc, &one, &err), GW_OK);
    assert_int_equal(api->write_pages(w, "a", &pages, &err), GW_OK);
    assert_int_equal(api->write_pages(w, "b", &pages, &err), GW_OK);
    assert_int_equal(api->write_state(w, "behind", &sample_desc, &one, &err), GW_OK);
    assert_int_equal(api->commit(w, &err), GW_OK);
    return m.at;
}

struct stream {
    struct memory_stream m;
    struct gw_source from;
    struct snap_reader *r;
};

static const struct snap_api *open_four(struct stream *s, uint8_t *bytes, size_t size)
{
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    *s = (struct stream){.m = {.bytes = bytes, .size = size, .piece = 77}};
    s->from = memory_source(&s->m);
    assert_int_equal(api->open_stream(&s->r, &s->from, "stream", &err), GW_OK);
    return api;
}

static void states_are_kept_and_pages_pass(void **state)
{
    uint8_t bytes[ROOM];
    size_t size = four_sections(bytes);
    struct stream s;
    const struct snap_api *api = open_four(&s, bytes, size);
    struct snap_page_sink sink = {.count = SAMPLE_PAGES, .put = sample_put, .context = ram};
    struct sample got = {0};
    struct gw_error err = {0};
    assert_string_equal(api->manifest(s.r)->machine, "virt-1");
    assert_int_equal(api->section_count(s.r), 1);
    assert_int_equal(api->load_pages(s.r, "b", &sink, &err), GW_OK); /* a passes by */
    assert_int_equal(api->load_pages(s.r, "b", &sink, &err), GW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "came before"));
    assert_int_equal(api->load_pages(s.r, "a", &sink, &err), GW_ERR_FORMAT);
    assert_int_equal(api->load_state(s.r, "behind", &sample_desc, &got, &err), GW_OK);
    assert_int_equal(api->load_state(s.r, "before", &sample_desc, &got, &err), GW_OK);
    assert_int_equal(api->load_state(s.r, "before", &sample_desc, &got, &err), GW_OK);
    assert_int_equal(api->load_state(s.r, "none", &sample_desc, &got, &err), GW_ERR_FORMAT);
    assert_int_equal(api->verify(s.r, &err), GW_OK);
    assert_int_equal(api->section_count(s.r), 6); /* with the index */
    api->close(s.r);
}

static void what_follows_is_not_touched(void **state)
{
    static uint8_t twice[2 * ROOM];
    size_t size = four_sections(twice);
    struct memory_stream m = {.bytes = twice, .size = 2 * size + 5, .piece = 100};
    struct gw_source from = memory_source(&m);
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    memcpy(twice + size, twice, size);
    for (unsigned i = 0; i < 2; i++) {
        struct snap_reader *r;
        assert_int_equal(api->open_stream(&r, &from, "stream", &err), GW_OK);
        assert_int_equal(i ? api->verify(r, &err) : api->finish(r, &err), GW_OK);
        assert_int_equal(from.bytes, (i + 1) * size);
        api->close(r);
    }
}

static enum gw_status refuse_page(void *context, uint64_t page, const uint8_t *bytes,
                                  struct gw_error *err)
{
    return gw_fail(err, GW_ERR_STATE, "sink", "no more");
}

/* Nobody knows where in it the stream is then. */
static void after_a_failure_nothing_more_is_read(void **state)
{
    uint8_t bytes[ROOM];
    size_t size = four_sections(bytes), at;
    struct stream s;
    const struct snap_api *api = open_four(&s, bytes, size);
    struct snap_page_sink sink = {.count = SAMPLE_PAGES, .put = refuse_page};
    struct sample got;
    struct gw_error err = {0};
    assert_int_equal(api->load_pages(s.r, "a", &sink, &err), GW_ERR_STATE);
    at = s.m.at;
    assert_int_equal(api->load_pages(s.r, "a", &sink, &err), GW_ERR_FORMAT);
    assert_int_equal(api->load_pages(s.r, "b", &sink, &err), GW_ERR_FORMAT);
    assert_int_equal(api->load_state(s.r, "behind", &sample_desc, &got, &err), GW_ERR_FORMAT);
    assert_int_equal(api->finish(s.r, &err), GW_ERR_FORMAT);
    assert_int_equal(api->verify(s.r, &err), GW_ERR_FORMAT);
    assert_int_equal(api->load_state(s.r, "before", &sample_desc, &got, &err), GW_OK);
    assert_int_equal(s.m.at, at);
    api->close(s.r);
}

static void *write_snapshot(void *context)
{
    const struct snap_api *api = godwit_snapshot();
    struct gw_sink sink = gw_fd_sink(context);
    struct gw_error err = {0};
    struct snap_writer *w;
    for (unsigned i = 0; i < 100; i++) /* more than a pipe holds */
        if (api->create_stream(&w, &sink, "pipe", &err) == GW_OK)
            sample_fill(api, w, &one, &err);
    close(*(int *)context);
    return NULL;
}

static void snapshots_go_through_a_pipe(void **state)
{
    int fd[2];
    struct gw_error err = {0};
    struct gw_source from = gw_fd_source(&fd[0]);
    struct sample s;
    pthread_t thread;
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_snapshot, &fd[1]), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(sample_read_stream(godwit_snapshot(), &from, &s, ram, &err), GW_OK);
    assert_int_not_equal(sample_read_stream(godwit_snapshot(), &from, &s, ram, &err), GW_OK);
    pthread_join(thread, NULL);
    close(fd[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_through_in_pieces),
        cmocka_unit_test(a_failure_stays),
        cmocka_unit_test(an_end_is_told_from_a_failure),
        cmocka_unit_test(pipes_and_sockets_are_streams),
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(a_stream_is_the_file),
        cmocka_unit_test(a_sink_that_fails_anywhere_fails_the_save),
        cmocka_unit_test(cut_off_anywhere_it_is_refused),
        cmocka_unit_test(with_any_byte_changed_it_is_refused),
        cmocka_unit_test(a_failing_source_says_why),
        cmocka_unit_test(states_are_kept_and_pages_pass),
        cmocka_unit_test(what_follows_is_not_touched),
        cmocka_unit_test(after_a_failure_nothing_more_is_read),
        cmocka_unit_test(snapshots_go_through_a_pipe),
    };
    return cmocka_run_group_tests_name("snapshot streams", tests, NULL, NULL);
}
