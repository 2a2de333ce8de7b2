/*
 * A machine whose memory is copied while it runs, by its log of written pages: what was copied is the memory
 * in the end, and at rest no page is in the log. test_machine_dirty FOLDER WAY: the folder has the guests,
 * which are made of w_pages.c. It is a debugger's client, for the stops. WAY cost prints what the log costs.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "godwit/dirty.h"
#include "machine/vm.h"
#include "spec/spec.h"
#include "tests/machine/guest/w_pages.h"

enum { ROUNDS = 200, MAX_STEPS = 2000, DISK_BYTES = 1 << 20, SWEPT = 65536 };
enum { PAGES_OF_ALL = (0x81000000 - 0x80000000) / GW_PAGE_SIZE };

struct way {
    const char *name;
    unsigned harts;
    const char *options[4][2]; /* of godwit run */
};
static const struct way ways[] = {
    {"jit", 1, {{NULL}}},
    {"interp", 1, {{"engine", "interp"}}},
    {"tlb", 1, {{"no-flat-map", NULL}}},
    {"small", 1, {{"code-cache", "64K"}, {"max-block", "1"}}},
    {"threads", 4, {{NULL}}},
    {"threads_interp", 4, {{"engine", "interp"}}},
    {"threads_tlb", 4, {{"no-flat-map", NULL}}},
    {"turns", 4, {{"deterministic", NULL}}},
    {"turns_interp", 4, {{"deterministic", NULL}, {"engine", "interp"}}},
    {"cost", 1, {{"memory", "1G"}}},
};

/* The machine, and the thread that watches it. */
struct run {
    const struct way *way;
    void *(*watch)(void *run);
    struct machine_steer *steer;
    struct gw_dirty *log;
    const struct gw_ram *ram;
    uint8_t *copy;
    uint64_t copied_bytes;
    uint64_t *pages; /* that are to be copied */
    uint32_t random;
    uint64_t collected, compared;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopped, over;
};

/* On the thread that watches, which cmocka knows nothing of. */
static void expect(const struct run *r, const char *what, uint64_t got, uint64_t want)
{
    if (got == want)
        return;
    fprintf(stderr, "%s: %s is %#llx, should be %#llx\n", r->way->name, what,
            (unsigned long long)got, (unsigned long long)want);
    exit(1);
}

/* ---- stops ---------------------------------------------------------------------------------- */

static struct gw_debug *debug_of(const struct run *r)
{
    return r->steer->debug;
}

static void told_stopped(void *context, const struct gw_debug_stop *stop)
{
    struct run *r = context;
    pthread_mutex_lock(&r->lock);
    r->stopped = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void told_ended(void *context)
{
    struct run *r = context;
    expect(r, "the watcher is through", r->over, true);
}

static void hold(struct run *r)
{
    debug_of(r)->ops->stop(debug_of(r));
    pthread_mutex_lock(&r->lock);
    while (!r->stopped)
        pthread_cond_wait(&r->changed, &r->lock);
    r->stopped = false;
    pthread_mutex_unlock(&r->lock);
}

static void let_go(struct run *r)
{
    struct gw_error err;
    expect(r, "going on", debug_of(r)->ops->resume(debug_of(r), NULL, UINT64_MAX, &err), GW_OK);
}

/* ---- what the guest has to say, and is told -------------------------------------------------- */

static const struct pages_control *control(const struct run *r)
{
    return (const void *)gw_ram_host(r->ram, PAGES_CONTROL);
}

static void tell(struct run *r, size_t offset, uint64_t value)
{
    uint64_t n = debug_of(r)->ops->write(debug_of(r), GW_DEBUG_PHYSICAL, PAGES_CONTROL + offset,
                                         &value, sizeof value);
    expect(r, "bytes written", n, sizeof value);
}

/* While the guest runs. */
static uint64_t now(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint64_t all_steps(const struct run *r)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < r->way->harts; i++)
        sum += now(&control(r)->steps[i]);
    return sum;
}

/* ---- the copy ------------------------------------------------------------------------------- */

/* The guest writes there by right, and devices do, whether somebody copies or not. */
__attribute__((no_sanitize("thread"))) static void copy_page(struct run *r, uint64_t page)
{
    const volatile uint64_t *from =
        (const volatile uint64_t *)(const volatile void *)(r->ram->host + page * GW_PAGE_SIZE);
    uint64_t *to = (uint64_t *)(void *)(r->copy + page * GW_PAGE_SIZE);
    for (unsigned i = 0; i < GW_PAGE_SIZE / 8; i++)
        to[i] = from[i];
}

static void copy_all(struct run *r)
{
    for (uint64_t page = 0; page < r->log->pages; page++)
        copy_page(r, page);
}

static void copy_collected(struct run *r)
{
    for (uint64_t i = 0; i < r->log->pages / 64; i++) {
        for (uint64_t bits = r->pages[i]; bits; bits &= bits - 1)
            copy_page(r, i * 64 + (unsigned)__builtin_ctzll(bits));
        r->pages[i] = 0;
    }
}

static uint64_t count_bits(const struct run *r)
{
    uint64_t bits = 0;
    for (uint64_t i = 0; i < r->log->pages / 64; i++)
        bits += (unsigned)__builtin_popcountll(r->pages[i]);
    return bits;
}

/* What was collected and not yet copied stays. */
static uint64_t collect(struct run *r)
{
    uint64_t before = count_bits(r), n = r->log->ops->collect(r->log, r->pages);
    expect(r, "no more bits than pages", count_bits(r) - before <= n, true);
    return n;
}

static void start(struct run *r)
{
    struct gw_error err;
    expect(r, "start", r->log->ops->start(r->log, &err), GW_OK);
}

/* Of the memory's first pages, those that are not to be copied now have been. */
static void expect_copied(const struct run *r, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        if (!(r->pages[i / 64] >> i % 64 & 1) &&
            memcmp(r->copy + i * GW_PAGE_SIZE, r->ram->host + i * GW_PAGE_SIZE, GW_PAGE_SIZE))
            expect(r, "a page that was written and not collected", r->ram->base + i * GW_PAGE_SIZE,
                   0);
}

/* ---- at random moments ---------------------------------------------------------------------- */

/* By what the guest gets done: a host that has much to do makes no difference. */
static void run_a_little(struct run *r)
{
    r->random = r->random * 1664525u + 1013904223u;
    uint64_t until = all_steps(r) + (r->random >> 8) % MAX_STEPS;
    let_go(r);
    copy_collected(r);
    while (!now(&control(r)->stop) && all_steps(r) < until)
        sched_yield();
    hold(r);
}

static void rounds(struct run *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        run_a_little(r);
        while (i % 2 && control(r)->busy) {
            let_go(r);
            hold(r);
        }
        r->collected += collect(r);
        if (!control(r)->busy) {
            expect_copied(r, PAGES_OF_ALL);
            r->compared++;
        }
    }
}

static void come_to_rest(struct run *r)
{
    tell(r, offsetof(struct pages_control, stop), 1);
    while (!control(r)->done) {
        run_a_little(r);
        r->collected += collect(r);
    }
}

static void *copy_while_it_runs(void *context)
{
    struct run *r = context;
    hold(r);
    start(r);
    let_go(r);
    copy_all(r);
    hold(r);
    rounds(r, ROUNDS / 2);
    r->log->ops->stop(r->log); /* and anew, with another copy */
    run_a_little(r);
    start(r);
    let_go(r);
    copy_all(r);
    hold(r);
    rounds(r, ROUNDS / 2);
    come_to_rest(r);
    collect(r);
    copy_collected(r);
    expect_copied(r, r->log->pages);
    /* Nothing is written now, but by who watches. */
    run_a_little(r);
    expect(r, "pages at rest", collect(r), 0);
    tell(r, offsetof(struct pages_control, off), 1);
    expect(r, "pages that were told", collect(r), 1);
    copy_collected(r);
    expect_copied(r, r->log->pages);
    printf("%s: %llu pages collected, %llu steps, %llu requests of the disk\n", r->way->name,
           (unsigned long long)r->collected, (unsigned long long)all_steps(r),
           (unsigned long long)control(r)->disk);
    for (unsigned i = 0; i < r->way->harts; i++)
        expect(r, "each hart did something", control(r)->steps[i] > 0, true);
    expect(r, "the disk was read", control(r)->disk > 0, true);
    expect(r, "comparisons between", r->compared >= ROUNDS / 2, true);
    r->over = true;
    debug_of(r)->ops->detach(debug_of(r));
    return NULL;
}

/* ---- what it costs -------------------------------------------------------------------------- */

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The guest stores to so many pages: nanoseconds for each. */
static double sweep(struct run *r, uint64_t pages)
{
    tell(r, offsetof(struct pages_control, sweep), pages);
    let_go(r);
    while (now(&control(r)->sweep))
        sched_yield();
    hold(r);
    return 100.0 * (double)control(r)->ticks / (double)pages;
}

/* At least so many, since the guest writes its control page. */
static void collect_swept(struct run *r, uint64_t pages)
{
    double begin = now_us();
    uint64_t n = r->log->ops->collect(r->log, r->pages);
    printf("collect %llu pages: %.1f us\n", (unsigned long long)n, now_us() - begin);
    expect(r, "swept pages are collected", n == pages || n == pages + 1, true);
}

static void *measure(void *context)
{
    static const uint64_t counts[] = {1, 16, 256, 1024, 4096, 16384, SWEPT};
    struct run *r = context;
    hold(r);
    tell(r, offsetof(struct pages_control, stop), 1);
    while (!control(r)->done)
        run_a_little(r);
    sweep(r, SWEPT);
    printf("a store to each of %u pages, no log: %.1f ns\n", SWEPT, sweep(r, SWEPT));
    double begin = now_us();
    start(r);
    printf("start: %.1f us\n", now_us() - begin);
    printf("first stores: %.1f ns\n", sweep(r, SWEPT));
    printf("second stores: %.1f ns\n", sweep(r, SWEPT));
    collect_swept(r, SWEPT);
    collect_swept(r, 0);
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        sweep(r, counts[i]);
        collect_swept(r, counts[i]);
    }
    begin = now_us();
    r->log->ops->stop(r->log);
    printf("stop: %.1f us\n", now_us() - begin);
    tell(r, offsetof(struct pages_control, off), 1);
    r->over = true;
    debug_of(r)->ops->detach(debug_of(r));
    return NULL;
}

/* ---- machines ------------------------------------------------------------------------------- */

static enum gw_status offer(void *context, struct machine_steer *steer, struct gw_error *err)
{
    struct run *r = context;
    const struct gw_debug_client c = {.stopped = told_stopped, .ended = told_ended, .context = r};
    struct vm *m = steer->machine;
    r->steer = steer;
    r->log = engine_world_dirty(m->world);
    r->ram = board_ram(m->board);
    assert_non_null(r->log);
    assert_int_equal(r->log->pages, r->ram->size / GW_PAGE_SIZE);
    r->copied_bytes = r->ram->size;
    r->copy = mmap(NULL, r->copied_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(r->copy, MAP_FAILED);
    r->pages = calloc(r->log->pages / 64, sizeof *r->pages);
    assert_non_null(r->pages);
    assert_true(debug_of(r)->ops->attach(debug_of(r), &c));
    assert_int_equal(pthread_create(&r->thread, NULL, r->watch, r), 0);
    return GW_OK;
}

static void say(struct machine_spec *s, const char *option, const char *value)
{
    struct gw_error err;
    const struct spec_field *f = spec_find_option(spec_machine, option);
    assert_non_null(f);
    if (spec_option(spec_machine, s, f, value, &err) != GW_OK)
        fail_msg("--%s: %s", option, err.message);
}

static void describe(const struct way *way, const char *program, const char *disk,
                     struct machine_spec *s)
{
    char cpus[8];
    snprintf(cpus, sizeof cpus, "%u", way->harts);
    spec_init(spec_machine, s);
    say(s, "bios", "none");
    say(s, "kernel", program);
    say(s, "disk", disk);
    say(s, "cpus", cpus);
    say(s, "cpu", "max");
    say(s, "memory", "64M");
    say(s, "timeout", "10m");
    say(s, "serial", "file:/dev/null");
    say(s, "quiet", NULL);
    say(s, "no-sandbox", NULL);
    for (unsigned i = 0; way->options[i][0]; i++)
        say(s, way->options[i][0], way->options[i][1]);
    spec_settle(s);
}

static void make_disk(char *path)
{
    static uint32_t words[DISK_BYTES / 4];
    int fd = mkstemp(path);
    for (unsigned i = 0; i < DISK_BYTES / 4; i++)
        words[i] = i * 2654435761u;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, words, sizeof words), sizeof words);
    close(fd);
}

static const char *folder;
static const struct way *chosen;

static void machine_runs(void **state)
{
    char disk[] = "/tmp/godwit-dirty-XXXXXX", program[4096];
    struct machine_spec spec;
    struct machine_result result;
    struct gw_error err = {0};
    struct run r = {.way = chosen,
                    .watch = strcmp(chosen->name, "cost") ? copy_while_it_runs : measure,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .changed = PTHREAD_COND_INITIALIZER};
    const struct machine_control c = {.open = offer, .context = &r};
    const struct machine_options o = {.spec = &spec, .control = &c};
    snprintf(program, sizeof program, "%s/w_pages_%u.elf", folder, chosen->harts);
    make_disk(disk);
    describe(chosen, program, disk, &spec);
    enum gw_status st = godwit_machine()->run(&o, &result, &err);
    unlink(disk);
    spec_clear(spec_machine, &spec);
    if (st != GW_OK)
        fail_msg("%s: %s: %s", chosen->name, err.object, err.message);
    if (result.ended != MACHINE_ENDED_POWEROFF)
        fail_msg("%s: the guest ended with %u", chosen->name, result.code);
    pthread_join(r.thread, NULL);
    munmap(r.copy, r.copied_bytes);
    free(r.pages);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(machine_runs)};
    folder = argc > 1 ? argv[1] : "";
    for (unsigned i = 0; argc > 2 && i < sizeof ways / sizeof ways[0]; i++)
        if (!strcmp(ways[i].name, argv[2]))
            chosen = &ways[i];
    if (!chosen) {
        fprintf(stderr, "usage: test_machine_dirty FOLDER WAY\n");
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
