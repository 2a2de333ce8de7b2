/* A machine that is restored from a pipe is the one that is restored from the file; what a file may not say of
 * one. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "godwit/stream.h"
#include "machine/machine.h"
#include "snapshot/snapshot.h"
#include "spec/spec.h"

#define AT UINT64_C(0x80000000)
enum { ROOM = 1 << 20 };

static const struct snap_api *snapshots(struct gw_error *err)
{
    return godwit_snapshot();
}

static char *beside(const char *dir, const char *name)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
    return path;
}

/* Counts in memory and in x6. */
static void write_program(const char *path)
{
    static const uint32_t code[] = {
        0x00010297, /* auipc t0, 16 */
        0x00130313, /* 1: addi t1, t1, 1 */
        0x0062b023, /* sd t1, 0(t0) */
        0xff9ff06f, /* j 1b */
    };
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, code, sizeof code), sizeof code);
    close(fd);
}

/* Runs to a count, from the beginning or from a snapshot, and saves there. forge: changes what a file said of
 * the machine; NULL: nothing does. */
static enum gw_status try_run(const char *program, struct snap_reader *from, uint64_t to,
                              const char *saved, void (*forge)(struct machine_spec *s),
                              struct gw_error *err)
{
    struct machine_spec mine, s, withheld;
    struct machine_saved saved_machine = {.fd = -1, .reader = from, .withheld = &withheld};
    struct machine_options o = {
        .spec = &s, .open_snapshots = snapshots, .restore = from ? &saved_machine : NULL};
    struct machine_result r = {0};
    spec_init(spec_machine, &mine);
    free((void *)(uintptr_t)mine.bios);
    mine.bios = strdup("none");
    mine.memory_bytes = 16 << 20;
    mine.no_sandbox = mine.quiet = mine.clock_insns = true;
    mine.stop_insn = to;
    mine.save_at_end = strdup(saved);
    mine.loads_count = 1;
    mine.loads[0].path = strdup(program);
    mine.loads[0].at = AT;
    spec_settle(&mine);
    saved_machine.spec = from ? godwit_snapshot()->manifest(from) : NULL;
    spec_init(spec_machine, &withheld);
    assert_int_equal(from ? spec_merge(&s, &withheld, saved_machine.spec, &mine, NULL, err)
                          : spec_copy(spec_machine, &s, &mine, err),
                     GW_OK);
    if (forge)
        forge(&s);
    enum gw_status st = godwit_machine()->run(&o, &r, err);
    assert_true(st != GW_OK || r.ended == MACHINE_ENDED_STOP_INSN);
    spec_clear(spec_machine, &s);
    spec_clear(spec_machine, &withheld);
    spec_clear(spec_machine, &mine);
    return st;
}

static void run(const char *program, struct snap_reader *from, uint64_t to, const char *saved)
{
    struct gw_error err = {0};
    if (try_run(program, from, to, saved, NULL, &err) != GW_OK)
        fail_msg("%s: %s", err.object, err.message);
}

static size_t read_file(const char *path, uint8_t *to)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, to, ROOM);
    close(fd);
    assert_true(n > 0 && n < ROOM);
    return (size_t)n;
}

struct sender {
    int fd;
    const uint8_t *bytes;
    size_t size;
};

static void *send_all(void *context)
{
    struct sender *s = context;
    struct gw_sink sink = gw_fd_sink(&s->fd);
    gw_sink_put(&sink, s->bytes, s->size);
    close(s->fd);
    return NULL;
}

static void a_pipe_restores_what_a_file_does(void **state)
{
    static uint8_t file[ROOM], a[ROOM], b[ROOM];
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct snap_reader *r;
    char dir[] = "/tmp/godwit-pipe.XXXXXX";
    assert_non_null(mkdtemp(dir));
    setenv("XDG_CONFIG_HOME", dir, 1); /* where the key of seals is made */
    char *program = beside(dir, "program"), *first = beside(dir, "first"),
         *second = beside(dir, "second");
    write_program(program);
    run(program, NULL, 10000, first);

    assert_int_equal(api->open(&r, first, &err), GW_OK);
    run(program, r, 20000, second);
    api->close(r);
    size_t size = read_file(first, file), size_a = read_file(second, a);

    int fd[2];
    assert_int_equal(pipe(fd), 0);
    struct sender sender = {.fd = fd[1], .bytes = file, .size = size};
    struct gw_source from = gw_fd_source(&fd[0]);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_all, &sender), 0);
    assert_int_equal(api->open_stream(&r, &from, "pipe", &err), GW_OK);
    run(program, r, 20000, second);
    api->close(r);
    pthread_join(thread, NULL);
    close(fd[0]);
    assert_true(from.bytes < size && size - from.bytes < 1024); /* a stream ends before its seal */

    assert_int_equal(read_file(second, b), size_a);
    assert_memory_equal(a, b, size_a);
    unlink(program);
    unlink(first);
    unlink(second);
    char *key = beside(dir, "godwit/seal.key"), *folder = beside(dir, "godwit");
    unlink(key);
    rmdir(folder);
    assert_int_equal(rmdir(dir), 0);
    free(key);
    free(folder);
    free(program);
    free(first);
    free(second);
}

/* ---- what no option says -------------------------------------------------------------------- */

static void put(const char **to, const char *text)
{
    free((void *)(uintptr_t)*to);
    *to = text ? strdup(text) : NULL;
}

static void file_without_name(struct machine_spec *s)
{
    s->fw_cfg_count = 1;
    put(&s->fw_cfg[0].path, s->loads[0].path);
}

static void file_without_path(struct machine_spec *s)
{
    s->fw_cfg_count = 2;
    put(&s->fw_cfg[0].path, s->loads[0].path);
    put(&s->fw_cfg[0].name, "opt/first");
    put(&s->fw_cfg[1].name, "opt/second");
}

static void load_without_path(struct machine_spec *s)
{
    put(&s->loads[0].path, NULL);
}

static void second_load_without_path(struct machine_spec *s)
{
    s->loads_count = 2;
}

/* A manifest is a stranger's word: its lists may have files that are none. */
static void files_without_names_are_refused(void **state)
{
    static const struct {
        void (*forge)(struct machine_spec *s);
        const char *object, *why;
        bool reset_alone; /* wants it: a restore does not */
    } rows[] = {
        {file_without_name, "fw_cfg file", "cannot be offered: it has no name", false},
        {file_without_path, "fw_cfg file", "cannot be offered: it has no name", false},
        {load_without_path, "file", "cannot be opened: it has no name", true},
        {second_load_without_path, "file", "cannot be opened: it has no name", true},
    };
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct snap_reader *r;
    char dir[] = "/tmp/godwit-names.XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *program = beside(dir, "program"), *saved = beside(dir, "saved"),
         *again = beside(dir, "again");
    setenv("XDG_CONFIG_HOME", "/proc/nowhere", 1); /* what is saved has no seal */
    write_program(program);
    run(program, NULL, 10000, saved);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned restored = 0; restored < 2; restored++) {
            bool refused = !restored || !rows[i].reset_alone;
            assert_int_equal(api->open(&r, saved, &err), GW_OK);
            assert_int_equal(
                try_run(program, restored ? r : NULL, 20000, again, rows[i].forge, &err),
                refused ? GW_ERR_FORMAT : GW_OK);
            assert_int_equal(unlink(again), refused ? -1 : 0);
            if (refused) {
                assert_string_equal(err.object, rows[i].object);
                assert_string_equal(err.message, rows[i].why);
            }
            api->close(r);
        }
    unlink(program);
    unlink(saved);
    assert_int_equal(rmdir(dir), 0);
    free(program);
    free(saved);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_restores_what_a_file_does),
        cmocka_unit_test(files_without_names_are_refused),
    };
    return cmocka_run_group_tests_name("restore from a stream", tests, NULL, NULL);
}
