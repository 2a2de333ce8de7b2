/*
 * Threads of the program: how they begin and end, and the group's end. docs/threads.md.
 *
 * A thread of the guest is a thread of the host with an engine of its own in the world of the first one. What
 * it is for the guest ends first: its mutexes are let go and its word is cleared, by us, since the host's kernel
 * would look for both at the guest's addresses. The host's thread then goes without touching the guest's memory.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

enum { HOST_STACK_BYTES = 512 << 10 };

/* --- the end of a thread, for the guest --------------------------------------------------------- */

struct robust_head { /* the same on all 64-bit machines */
    uint64_t next, futex_offset, pending;
};

/* Compares and swaps a word of the guest's. False: it can't be written, or *seen is what is there instead. */
static bool swap_word(struct um_proc *p, uint64_t addr, uint32_t *seen, uint32_t value)
{
    uint32_t *word = um_space_ptr(p->space, addr, sizeof *word, PROT_WRITE);
    uint32_t expected = *seen;
    if (!word || addr % sizeof *word)
        return false;
    if (sigsetjmp(p->copy_fault, 0)) {
        p->copying = false;
        return false;
    }
    p->copying = true;
    bool done = __atomic_compare_exchange_n(word, &expected, value, false, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST);
    p->copying = false;
    *seen = expected;
    return done;
}

static void wake_one(struct um_proc *p, uint64_t addr)
{
    um_host(p, 0, SYS_futex, um_arg(p, addr), FUTEX_WAKE, 1, 0, 0, 0);
}

/* As handle_futex_death() of Linux has it: its owner has died. */
static void let_go_of(struct um_proc *p, uint32_t tid, uint64_t addr, bool pi, bool pending)
{
    uint32_t seen, before;
    if (um_copy_in(p, &seen, addr, sizeof seen))
        return;
    if (pending && !pi && !seen) {
        wake_one(p, addr);
        return;
    }
    do {
        before = seen;
        if ((before & FUTEX_TID_MASK) != tid)
            return;
        if (swap_word(p, addr, &seen, (before & FUTEX_WAITERS) | FUTEX_OWNER_DIED)) {
            if (!pi && (before & FUTEX_WAITERS))
                wake_one(p, addr);
            return;
        }
    } while (seen != before);
}

/* Of a thread that is not running: t; p's is this one. */
static void let_go_of_all(struct um_proc *p, const struct um_proc *t)
{
    enum { MOST = 2048 }; /* the kernel's; lists may be circular */
    const uint64_t head = t->robust_list;
    struct robust_head h;
    if (!head || um_copy_in(p, &h, head, sizeof h))
        return;
    uint64_t at = h.next, next, pending = h.pending & ~UINT64_C(1);
    for (unsigned n = 0; (at & ~UINT64_C(1)) != head && n < MOST; n++, at = next) {
        uint64_t entry = at & ~UINT64_C(1);
        bool last = um_copy_in(p, &next, entry, sizeof next) != 0;
        if (entry != pending)
            let_go_of(p, t->tid, entry + h.futex_offset, at & 1, false);
        if (last)
            break;
    }
    if (pending)
        let_go_of(p, t->tid, pending + h.futex_offset, h.pending & 1, true);
}

void um_thread_release(struct um_proc *p)
{
    const uint32_t none = 0;
    let_go_of_all(p, p);
    if (p->clear_tid && !um_copy_out(p, p->clear_tid, &none, sizeof none))
        wake_one(p, p->clear_tid);
}

void um_thread_exit(struct um_proc *p, int status)
{
    um_lock(p);
    bool last = --p->group->live == 0;
    um_unlock(p);
    if (last) {
        um_exit(p, status);
        return;
    }
    p->ended = p->done = true;
}

/* --- the host's thread -------------------------------------------------------------------------- */

/* What the new thread is told, and tells; on its maker's stack until `tid` is set. */
struct beginning {
    struct um_proc *t;
    const struct um_clone *c;
    uint32_t tid; /* under the group's lock */
};

static void unlink_thread(struct um_proc *t)
{
    struct um_proc **at = &t->group->threads;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

static void begin(struct um_proc *t, struct beginning *b)
{
    const struct um_clone *c = b->c;
    struct um_group *g = t->group;
    um_signals_of_ours(); /* with its first thread the C library catches that itself; guest code may send it */
    um_signals_thread(t);
    uint32_t tid = (uint32_t)gettid();
    unshare((int)(~c->flags & (CLONE_FS | CLONE_FILES)));
    if (c->flags & CLONE_PARENT_SETTID)
        um_copy_out(t, c->parent_tid, &tid, sizeof tid);
    if (c->flags & CLONE_CHILD_SETTID)
        um_copy_out(t, c->child_tid, &tid, sizeof tid);
    um_lock(t);
    t->tid = b->tid = tid;
    pthread_cond_broadcast(&g->started);
    um_unlock(t);
    um_mask_host(t);
}

/* The process ends by another thread. If that can't be woken, by this one. */
static _Noreturn void wait_for_the_end(struct um_proc *t)
{
    const struct timespec a_while = {0, 20 * 1000 * 1000};
    struct um_group *g = t->group;
    enum { ROUNDS = 250, ROUNDS_LENT = 5 };
    for (unsigned n = 0;; n++) {
        nanosleep(&a_while, NULL);
        if (__atomic_load_n(&g->stopped, __ATOMIC_ACQUIRE))
            continue;
        um_kick(g->main);
        if (n > (g->main->borrows ? ROUNDS_LENT : ROUNDS))
            um_leave(g->main);
    }
}

/* The thread has become a child's only one, by a fork. */
static _Noreturn void end_process(struct um_proc *p)
{
    if (p->ended) {
        um_host_sigmask(um_host_mask(UINT64_MAX), NULL);
        um_group_wait(p);
    }
    um_group_end(p);
    um_host_sigmask(UINT64_MAX, NULL);
    um_engine_end_dump(p);
    um_leave(p);
}

void um_leave(const struct um_proc *p)
{
    const struct um_result *r = &p->result;
    if (r->ending == UM_SIGNAL)
        um_raise(r->signal);
    int status = r->ending == UM_TIMEOUT ? 124 : r->ending == UM_EXIT ? r->status : 0;
    if (!status && (r->strace_error || r->dump_error))
        status = 125;
    _exit(status);
}

static void free_thread(struct um_proc *t)
{
    free(t->cpu);
    free(t);
}

/* Faults are not blocked: the guest's memory is looked at. */
static void end(struct um_proc *t)
{
    struct um_group *g = t->group;
    um_engine_part(t);
    um_thread_release(t);
    um_signals_give_back(t);
    um_host_sigmask(UINT64_MAX, NULL);
    um_lock(t);
    unlink_thread(t);
    pthread_mutex_unlock(&g->lock);
    free_thread(t);
}

static void *live(void *context)
{
    struct beginning *b = context;
    struct um_proc *t = b->t;
    struct gw_error err;
    begin(t, b);
    if (um_run_loop(t, &err)) {
        fprintf(stderr, "godwit: error: %s\n", err.message);
        um_exit(t, 125);
    }
    um_host_sigmask(um_host_mask(UINT64_MAX) | um_sigbit(UM_SIG_OURS), NULL);
    if (t->group->main == t)
        end_process(t);
    if (!t->ended)
        wait_for_the_end(t);
    end(t);
    return NULL;
}

/* --- a new thread -------------------------------------------------------------------------------- */

void um_child_registers(struct um_proc *p, const struct um_clone *c)
{
    struct rv_cpu *cpu = p->cpu;
    cpu->x[10] = 0;
    if (c->stack)
        cpu->x[2] = c->stack;
    if (c->flags & CLONE_SETTLS)
        cpu->x[4] = c->tls;
}

static void copy_registers(struct rv_cpu *to, const struct rv_cpu *from)
{
    memcpy(to->x, from->x, sizeof to->x);
    memcpy(to->f, from->f, sizeof to->f);
    to->run.pc = from->run.pc;
    to->run.fp_flags = from->run.fp_flags;
    to->c.frm = from->c.frm;
    to->c.reservation = RV_NO_RESERVATION;
    to->run.view_dirty = 1;
}

/* NULL: no memory, or as many as there can be. */
static struct um_proc *new_thread(const struct um_proc *p, const struct um_clone *c)
{
    struct gw_error err;
    struct um_proc *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->isa = p->isa;
    t->dump = p->dump;
    t->cfg = p->cfg;
    t->group = p->group;
    t->space = p->space;
    t->actions = p->actions;
    t->exe = p->exe;
    t->exe_dev = p->exe_dev;
    t->exe_ino = p->exe_ino;
    t->stack = p->stack;
    t->start_ns = p->start_ns;
    t->result.child = p->result.child;
    t->sig.mask = p->sig.mask;
    t->clear_tid = c->flags & CLONE_CHILD_CLEARTID ? c->child_tid : 0;
    t->cpu = um_cpu_new(p, &err);
    if (!t->cpu) {
        free_thread(t);
        return NULL;
    }
    copy_registers(t->cpu, p->cpu);
    um_child_registers(t, c);
    if (um_engine_join(t, p, &err)) {
        free_thread(t);
        return NULL;
    }
    return t;
}

/* At the first one: what the program has becomes what its threads share. This thread is in no translated code. */
static bool share(struct um_proc *p)
{
    if (p->group->threaded)
        return true;
    if (!um_space_share(p->space))
        return false;
    if (!um_engine_share(p)) {
        um_space_forked(p->space);
        return false;
    }
    p->group->threaded = true;
    return true;
}

static int make(struct beginning *b)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, HOST_STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attr, live, b);
    pthread_attr_destroy(&attr);
    return error;
}

int64_t um_thread_start(struct um_proc *p, const struct um_clone *c)
{
    struct um_group *g = p->group;
    struct um_proc *t = share(p) ? new_thread(p, c) : NULL;
    if (!t)
        return -EAGAIN;
    struct beginning b = {.t = t, .c = c};
    um_lock(p);
    t->next = g->threads;
    g->threads = t;
    g->live++;
    um_unlock(p);
    um_host_sigmask(UINT64_MAX, NULL); /* the new thread opens what it may take */
    int error = make(&b);
    um_signals_of_ours(); /* with its first thread the C library catches that itself */
    um_lock(p);
    while (!error && !b.tid)
        pthread_cond_wait(&g->started, &g->lock);
    if (error) {
        unlink_thread(t);
        g->live--;
    }
    um_unlock(p);
    um_mask_host(p);
    if (error) {
        um_engine_part(t);
        free_thread(t);
        return -EAGAIN;
    }
    return b.tid;
}

/* --- the group ----------------------------------------------------------------------------------- */

bool um_group_end(struct um_proc *p)
{
    enum { MOST_WAITS = 30 };
    const struct timespec a_while = {0, 10 * 1000 * 1000};
    struct um_group *g = p->group;
    if (g->threaded) {
        /* Until that child lets go of memory; not for ever, since it may not: then it keeps the world. */
        for (unsigned n = 0; __atomic_load_n(&g->borrowed, __ATOMIC_ACQUIRE); n++) {
            if (n == MOST_WAITS)
                um_leave(p);
            nanosleep(&a_while, NULL);
        }
        um_engine_stop_all(p);
    }
    um_lock(p);
    for (struct um_proc *t = g->threads; t; t = t->next) {
        if (!t->ended)
            let_go_of_all(p, t);
        if (t != p && t->engine)
            g->insns += um_engine_retired(t);
        if (t != p)
            g->syscalls += t->result.syscalls;
    }
    p->result.insns = um_engine_retired(p) + g->insns;
    p->result.syscalls += g->syscalls;
    bool only = g->threads == p && !p->next;
    um_unlock(p);
    return only;
}

void um_group_hold(struct um_proc *p)
{
    um_space_hold(p->space);
    um_engine_hold_all(p);
    um_lock(p);
}

void um_group_let_go(struct um_proc *p)
{
    um_unlock(p);
    um_engine_let_go(p);
    um_space_let_go(p->space);
}

void um_group_forked(struct um_proc *p)
{
    struct um_group *g = p->group;
    struct um_proc *next;
    um_engine_forget_others(p);
    for (struct um_proc *t = g->threads; t; t = next) {
        next = t->next;
        if (t != p && t != g->first)
            free_thread(t);
    }
    um_space_forked(p->space);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->started, NULL);
    p->next = NULL;
    p->tid = (uint32_t)gettid();
    g->main = g->threads = p;
    g->live = 1;
    g->threaded = false;
    g->ending = g->timed_out = g->borrowed = 0;
    g->insns = g->syscalls = 0;
    um_signals_first(p);
}
