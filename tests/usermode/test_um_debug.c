/* A program under a debugger: what it is shown, where it stops, and that the program does not notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "godwit/little.h"
#include "usermode/usermode.h"

static const uint8_t program[] = {
#include "tests/usermode/watched.inc"
};

enum { CODE_VADDR = 0x10000, DATA_VADDR = 0x20000, CODE_AT = 0x1000, ROUNDS = 200 };
enum { EM_RV = 243, HEAD = 2 };

struct image {
    Elf64_Ehdr h;
    Elf64_Phdr ph[HEAD];
};

struct places {
    uint64_t loop, callee, call, patch, finish;
};

struct watched {
    bool interp;
    struct gw_debug *d;
    struct places at;
    void (*offered)(struct watched *w);
    void (*stopped)(struct watched *w, const struct gw_debug_stop *stop);
    unsigned stops;
    uint64_t last; /* the test's */
    bool ended;
    struct um_result result;
    pthread_t thread;
};

/* ---- the program ---------------------------------------------------------------------------- */

/* Where the n-th jump of the head leads. */
static uint64_t target(unsigned n)
{
    uint32_t jal = (uint32_t)gw_little(program + 4 * (size_t)n, 4);
    uint32_t offset = (jal >> 21 & 0x3ff) << 1 | (jal >> 20 & 1) << 11 | (jal >> 12 & 0xff) << 12;
    return CODE_VADDR + 4 * (uint64_t)n + offset;
}

static void write_program(char *path)
{
    static uint8_t file[CODE_AT + sizeof program];
    struct image m = {
        .h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
              .e_type = ET_EXEC,
              .e_machine = EM_RV,
              .e_version = EV_CURRENT,
              .e_entry = CODE_VADDR,
              .e_phoff = offsetof(struct image, ph),
              .e_ehsize = sizeof m.h,
              .e_phentsize = sizeof m.ph[0],
              .e_phnum = HEAD},
        .ph = {{.p_type = PT_LOAD,
                .p_flags = PF_R | PF_X,
                .p_offset = CODE_AT,
                .p_vaddr = CODE_VADDR,
                .p_filesz = sizeof program,
                .p_memsz = sizeof program,
                .p_align = 4096},
               {.p_type = PT_LOAD,
                .p_flags = PF_R | PF_W,
                .p_vaddr = DATA_VADDR,
                .p_memsz = 4096,
                .p_align = 4096}}};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    memcpy(file, &m, sizeof m);
    memcpy(file + CODE_AT, program, sizeof program);
    assert_int_equal(write(fd, file, sizeof file), sizeof file);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
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

static void offer(void *context, struct gw_debug *d)
{
    struct watched *w = context;
    const struct gw_debug_client c = {.stopped = told_stopped, .ended = told_ended, .context = w};
    w->d = d;
    assert_true(d->ops->attach(d, &c));
    w->offered(w);
}

static void run(struct watched *w)
{
    char path[] = "/tmp/godwit-watched-XXXXXX";
    char *const argv[] = {path, NULL}, *const none[] = {NULL};
    struct gw_error err = {0};
    const struct um_config cfg = {.path = path,
                                  .argv = argv,
                                  .envp = none,
                                  .self_argv = none,
                                  .once_argv = none,
                                  .strace_fd = -1,
                                  .interp = w->interp,
                                  .watch = offer,
                                  .watch_context = w};
    w->at = (struct places){.loop = target(1),
                            .callee = target(2),
                            .call = target(3),
                            .patch = target(4),
                            .finish = target(5)};
    write_program(path);
    enum gw_status st = um_run(&cfg, NULL, NULL, &w->result, &err);
    if (w->result.child)
        _exit(w->result.status);
    unlink(path);
    if (st != GW_OK)
        fail_msg("%s: %s", err.object, err.message);
    assert_int_equal(w->result.ending, UM_EXIT);
    assert_true(w->ended);
}

static void each_engine(struct watched w, unsigned stops)
{
    for (unsigned i = 0; i < 2; i++) {
        w.interp = i;
        w.stops = 0;
        w.ended = false;
        run(&w);
        assert_int_equal(w.stops, stops);
    }
}

static uint64_t reg(struct watched *w, const char *name)
{
    uint8_t bytes[16] = {0};
    unsigned i = 0;
    while (i < w->d->reg_count && strcmp(w->d->regs[i].name, name) != 0)
        i++;
    assert_true(w->d->ops->reg_get(w->d, 0, i, bytes));
    return gw_little(bytes, 8);
}

static void add_break(struct watched *w, uint64_t pc)
{
    struct gw_error err;
    assert_int_equal(w->d->ops->break_add(w->d, GW_DEBUG_ALL, pc, &err), GW_OK);
}

static void remove_break(struct watched *w, uint64_t pc)
{
    struct gw_error err;
    assert_int_equal(w->d->ops->break_remove(w->d, GW_DEBUG_ALL, pc, &err), GW_OK);
}

static void go_on(struct watched *w, const struct gw_debug_plan *plan)
{
    struct gw_error err;
    assert_int_equal(w->d->ops->resume(w->d, plan, UINT64_MAX, &err), GW_OK);
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* Some rounds later, with no breakpoint there. */
static void patch_what_has_run(struct watched *w)
{
    uint8_t insn[4];
    if (w->stops < 13)
        return;
    remove_break(w, w->at.callee);
    gw_put_little(insn, 0x00390913, 4); /* addi s2, s2, 3 */
    assert_int_equal(w->d->ops->write(w->d, 0, w->at.patch, insn, 4), 4);
    uint64_t so_far = reg(w, "s2");
    w->last = so_far + 3 * (ROUNDS - so_far);
}

static void look(struct watched *w, const struct gw_debug_stop *stop)
{
    struct gw_debug_unit unit;
    uint8_t code[sizeof program + 8192];
    if (stop->pc == w->at.finish) {
        assert_int_equal(reg(w, "s2"), w->last);
        go_on(w, NULL);
        return;
    }
    assert_int_equal(stop->why, GW_DEBUG_BREAK);
    if (w->stops > 10) {
        patch_what_has_run(w);
        go_on(w, NULL);
        return;
    }
    assert_int_equal(stop->pc, w->at.patch);
    assert_int_equal(reg(w, "pc"), w->at.patch);
    assert_int_equal(reg(w, "s1"), reg(w, "s2") + 1);
    assert_int_equal(reg(w, "a7"), 172);
    assert_int_equal(reg(w, "a0"), getpid());
    assert_true(w->d->ops->unit(w->d, 0, &unit));
    assert_string_equal(unit.name, "thread0");
    assert_int_equal(unit.insns, stop->insns);
    /* Code may not be written by the program, and ends with its page. */
    assert_int_equal(w->d->ops->read(w->d, 0, CODE_VADDR, code, sizeof code), 4096);
    assert_memory_equal(code, program, sizeof program);
    assert_int_equal(w->d->ops->read(w->d, 0, DATA_VADDR - 8, code, 8), 0);
    assert_int_equal(w->d->ops->read(w->d, GW_DEBUG_PHYSICAL, CODE_VADDR, code, 8), 0);
    assert_int_equal(w->d->ops->read(w->d, 0, DATA_VADDR, code, 8), 8);
    assert_int_equal(gw_little(code, 8), reg(w, "s1"));
    if (w->stops == 10) {
        remove_break(w, w->at.patch);
        add_break(w, w->at.callee);
    }
    go_on(w, NULL);
}

static void offer_look(struct watched *w)
{
    assert_int_equal(w->d->ops->units(w->d), 1);
    add_break(w, w->at.patch);
    add_break(w, w->at.finish);
}

static void registers_and_memory_are_what_the_program_has(void **state)
{
    each_engine((struct watched){.offered = offer_look, .stopped = look}, 14);
}

/* Over a call of the kernel's a step goes like over any other. */
static void step(struct watched *w, const struct gw_debug_stop *stop)
{
    const struct gw_debug_plan plan = {.step = true, .until = UINT64_MAX};
    switch (w->stops) {
    case 1:
        assert_int_equal(stop->why, GW_DEBUG_BREAK);
        assert_int_equal(stop->pc, w->at.call);
        break;
    case 2: assert_int_equal(stop->pc, w->at.patch); break;
    case 3: assert_int_equal(stop->pc, w->at.patch + 4); break;
    default: assert_int_equal(stop->pc, w->at.loop); break;
    }
    assert_true(w->stops == 1 || stop->why == GW_DEBUG_STEP);
    if (w->stops == 1)
        remove_break(w, w->at.call);
    go_on(w, w->stops < 4 ? &plan : NULL);
}

static void offer_step(struct watched *w)
{
    add_break(w, w->at.call);
}

static void a_step_over_a_system_call_ends_behind_it(void **state)
{
    each_engine((struct watched){.offered = offer_step, .stopped = step}, 4);
}

/* Stops at each 7th instruction, and at places that a child has too. */
static void disturb(struct watched *w, const struct gw_debug_stop *stop)
{
    const struct gw_debug_plan plan = {.until = stop->insns + 7, .step = w->stops % 5 == 0};
    if (stop->why == GW_DEBUG_COUNT)
        assert_int_equal(stop->insns, w->last);
    w->last = stop->insns + 7;
    go_on(w, &plan);
}

static void offer_disturb(struct watched *w)
{
    add_break(w, w->at.callee);
    add_break(w, w->at.loop);
    w->d->ops->stop(w->d);
}

static void offer_nothing(struct watched *w)
{
}

static void a_program_is_the_same_when_it_is_watched(void **state)
{
    struct watched alone = {.offered = offer_nothing, .stopped = disturb};
    run(&alone);
    assert_int_equal(alone.result.status, ROUNDS);
    for (unsigned i = 0; i < 2; i++) {
        struct watched w = {.interp = i, .offered = offer_disturb, .stopped = disturb};
        run(&w);
        assert_int_equal(w.result.status, ROUNDS);
        assert_int_equal(w.result.insns, alone.result.insns);
        assert_int_equal(w.result.syscalls, alone.result.syscalls);
        assert_true(w.stops > w.result.insns / 10);
    }
}

/* ---- from another thread -------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_stopped;

static void hand_over(struct watched *w, const struct gw_debug_stop *stop)
{
    pthread_mutex_lock(&lock);
    w->last = stop->pc;
    is_stopped = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for_stop(void)
{
    pthread_mutex_lock(&lock);
    while (!is_stopped)
        pthread_cond_wait(&changed, &lock);
    is_stopped = false;
    pthread_mutex_unlock(&lock);
}

static void set_s3(struct watched *w, uint64_t value)
{
    uint8_t bytes[8];
    gw_put_little(bytes, value, 8);
    assert_string_equal(w->d->regs[19].name, "s3");
    assert_true(w->d->ops->reg_set(w->d, 0, 19, bytes));
}

static void *watch_from_outside(void *context)
{
    struct watched *w = context;
    wait_for_stop(); /* before the first instruction */
    add_break(w, w->at.loop);
    go_on(w, NULL);
    for (unsigned i = 0; i < 20; i++) {
        wait_for_stop();
        assert_int_equal(w->last, w->at.loop);
        set_s3(w, UINT64_C(1) << 40);
        remove_break(w, w->at.loop);
        go_on(w, NULL);
        w->d->ops->stop(w->d);
        wait_for_stop();
        add_break(w, w->at.loop);
        go_on(w, NULL);
    }
    wait_for_stop();
    remove_break(w, w->at.loop);
    set_s3(w, 0);
    go_on(w, NULL);
    return NULL;
}

static void offer_outside(struct watched *w)
{
    w->d->ops->stop(w->d);
    assert_int_equal(pthread_create(&w->thread, NULL, watch_from_outside, w), 0);
}

static void another_thread_may_watch(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct watched w = {.interp = i, .offered = offer_outside, .stopped = hand_over};
        run(&w);
        pthread_join(w.thread, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_and_memory_are_what_the_program_has),
        cmocka_unit_test(a_step_over_a_system_call_ends_behind_it),
        cmocka_unit_test(a_program_is_the_same_when_it_is_watched),
        cmocka_unit_test(another_thread_may_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
