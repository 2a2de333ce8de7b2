/* A machine that is watched: see watched.h. */
#include "tests/machine/watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "godwit/little.h"
#include "spec/spec.h"

static const uint8_t program[] = {
#include "tests/machine/watched.inc"
};
/* The words behind the head's jumps. */
enum { JUMPS = 7, AT_HARTS = 4 * JUMPS, AT_TICK = AT_HARTS + 4, AT_ROUNDS = AT_HARTS + 8 };

const struct way watched_ways[] = {
    {.name = "jit", .harts = 1, .tick = SLOW_TICK, .rounds = ROUNDS},
    {.name = "interpreter",
     .harts = 1,
     .tick = SLOW_TICK,
     .rounds = ROUNDS,
     .options = {{"engine", "interp"}}},
    {.name = "two threads", .harts = 2, .tick = SLOW_TICK, .rounds = ROUNDS},
#ifndef __SANITIZE_THREAD__ /* which would see the harts race in the guest's memory, as they may */
    {.name = "two threads, interpreter",
     .harts = 2,
     .tick = SLOW_TICK,
     .rounds = ROUNDS,
     .options = {{"engine", "interp"}}},
#endif
    {.name = "repeatable",
     .harts = 1,
     .tick = TICK,
     .rounds = ROUNDS,
     .options = {{"deterministic", NULL}}},
    {.name = "repeatable, interpreter",
     .harts = 1,
     .tick = TICK,
     .rounds = ROUNDS,
     .options = {{"deterministic", NULL}, {"engine", "interp"}}},
    {.name = "repeatable, two harts",
     .harts = 2,
     .tick = TICK,
     .rounds = ROUNDS,
     .options = {{"deterministic", NULL}}},
    {.name = "repeatable, two harts, interpreter, one instruction a block",
     .harts = 2,
     .tick = TICK,
     .rounds = ROUNDS,
     .options = {{"deterministic", NULL}, {"engine", "interp"}, {"max-block", "1"}}},
};
const unsigned watched_way_count = sizeof watched_ways / sizeof watched_ways[0];

bool is_repeatable(const struct way *way)
{
    return way->tick == TICK;
}

void expect_at(const struct watched *w, const char *what, uint64_t got, uint64_t want,
               const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s: %s is %#llx, should be %#llx\n", w->way->name, what, (unsigned long long)got,
                (unsigned long long)want);
    _fail(file, line);
}

/* ---- the guest ------------------------------------------------------------------------------ */

/* Where the n-th jump of the head leads, from the program's start. */
static uint64_t target(unsigned n)
{
    uint32_t jal = (uint32_t)gw_little(program + 4 * (size_t)n, 4);
    uint32_t offset = (jal >> 21 & 0x3ff) << 1 | (jal >> 20 & 1) << 11 | (jal >> 12 & 0xff) << 12;
    return 4 * (uint64_t)n + offset;
}

static void find_places(struct watched *w)
{
    w->at = (struct places){.loop = RAM + HIGH + target(1),
                            .callee = RAM + HIGH + target(2),
                            .patch = RAM + HIGH + target(3),
                            .finish = RAM + HIGH + target(4),
                            .trap = RAM + HIGH + target(5),
                            .back = RAM + target(6)};
}

static void write_program(const struct way *way, char *path)
{
    uint8_t bytes[sizeof program];
    int fd = mkstemp(path);
    memcpy(bytes, program, sizeof program);
    gw_put_little(bytes + AT_HARTS, way->harts, 4);
    gw_put_little(bytes + AT_TICK, way->tick, 4);
    gw_put_little(bytes + AT_ROUNDS, way->rounds, 4);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
}

/* ---- the machine ---------------------------------------------------------------------------- */

static void say(struct machine_spec *s, const char *option, const char *value)
{
    struct gw_error err;
    const struct spec_field *f = spec_find_option(spec_machine, option);
    assert_non_null(f);
    if (spec_option(spec_machine, s, f, value, &err) != GW_OK)
        fail_msg("--%s: %s", option, err.message);
}

static void describe(const struct way *way, const char *path, struct machine_spec *s)
{
    char text[64];
    spec_init(spec_machine, s);
    say(s, "bios", "none");
    snprintf(text, sizeof text, "%s@0x80000000", path);
    say(s, "load", text);
    snprintf(text, sizeof text, "%u", way->harts);
    say(s, "cpus", text);
    say(s, "memory", "64M");
    say(s, "timeout", "60s");
    say(s, "serial", "file:/dev/null");
    say(s, "quiet", NULL);
    say(s, "no-sandbox", NULL); /* it would stay, and more machines are to come */
    for (unsigned i = 0; way->options[i][0]; i++)
        say(s, way->options[i][0], way->options[i][1]);
    spec_settle(s);
}

static enum gw_status offer(void *context, struct machine_steer *steer, struct gw_error *err)
{
    struct watched *w = context;
    w->d = steer->debug;
    w->offered(w);
    return GW_OK;
}

void watched_run(struct watched *w)
{
    char path[] = "/tmp/godwit-watched-XXXXXX";
    struct machine_spec spec;
    struct gw_error err = {0};
    const struct machine_control control = {.open = offer, .context = w};
    const struct machine_options o = {.spec = &spec, .control = &control};
    find_places(w);
    write_program(w->way, path);
    describe(w->way, path, &spec);
    enum gw_status st = godwit_machine()->run(&o, &w->result, &err);
    unlink(path);
    spec_clear(spec_machine, &spec);
    if (st != GW_OK)
        fail_msg("%s: %s: %s", w->way->name, err.object, err.message);
    expect(w, "the end", w->result.ended, MACHINE_ENDED_POWEROFF);
}

/* ---- the client ----------------------------------------------------------------------------- */

static void told_stopped(void *context, const struct gw_debug_stop *stop)
{
    struct watched *w = context;
    w->stops++;
    w->stopped(w, stop);
}

static void told_ended(void *context)
{
    struct watched *w = context;
    w->ended = true;
}

void watched_attach(struct watched *w)
{
    const struct gw_debug_client c = {.stopped = told_stopped, .ended = told_ended, .context = w};
    assert_true(w->d->ops->attach(w->d, &c));
    assert_false(w->d->ops->attach(w->d, &c)); /* one at a time */
}

/* ---- for the client ------------------------------------------------------------------------- */

static unsigned find_reg(const struct watched *w, const char *name)
{
    for (unsigned i = 0; i < w->d->reg_count; i++)
        if (!strcmp(w->d->regs[i].name, name))
            return i;
    fail_msg("no register %s", name);
    return 0;
}

uint64_t reg(struct watched *w, unsigned unit, const char *name)
{
    uint8_t bytes[16] = {0};
    if (!w->d->ops->reg_get(w->d, unit, find_reg(w, name), bytes))
        fail_msg("%s: %s can't be read", w->way->name, name);
    return gw_little(bytes, 8);
}

bool set_reg(struct watched *w, unsigned unit, const char *name, uint64_t value)
{
    uint8_t bytes[16] = {0};
    gw_put_little(bytes, value, 8);
    return w->d->ops->reg_set(w->d, unit, find_reg(w, name), bytes);
}

uint64_t word(struct watched *w, uint64_t paddr)
{
    uint8_t bytes[8];
    expect(w, "bytes", w->d->ops->read(w->d, GW_DEBUG_PHYSICAL, paddr, bytes, 8), 8);
    return gw_little(bytes, 8);
}

void add_break(struct watched *w, int unit, uint64_t pc)
{
    struct gw_error err;
    if (w->d->ops->break_add(w->d, unit, pc, &err) != GW_OK)
        fail_msg("%s: breakpoint: %s", w->way->name, err.message);
}

void remove_break(struct watched *w, int unit, uint64_t pc)
{
    struct gw_error err;
    if (w->d->ops->break_remove(w->d, unit, pc, &err) != GW_OK)
        fail_msg("%s: breakpoint: %s", w->way->name, err.message);
}

void go_on(struct watched *w, const struct gw_debug_plan *plan)
{
    struct gw_error err;
    if (w->d->ops->resume(w->d, plan, UINT64_MAX, &err) != GW_OK)
        fail_msg("%s: going on: %s", w->way->name, err.message);
}

uint64_t insns_of(struct watched *w, unsigned unit)
{
    struct gw_debug_unit u;
    assert_true(w->d->ops->unit(w->d, unit, &u));
    return u.insns;
}

uint64_t retired_by_all(struct watched *w)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < w->way->harts; i++)
        sum += insns_of(w, i);
    return sum;
}
