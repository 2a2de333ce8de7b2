/*
 * A child that has its parent's memory, and its parent's thread, until it executes another program or ends: what
 * vfork and posix_spawn make. The host's kernel holds that thread, and no other, meanwhile; so the child runs on
 * its stack and by its engine, and what of the thread's state is not to be the child's doing is put back behind
 * it.
 */
#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

/* AddressSanitizer's; there is none where it is not. */
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *at, size_t bytes);

/* The child's frames below this one were never returned from: what the sanitizer knows of them is not so any more. */
static void forget_frames(void)
{
    enum { DEEP = 256 << 10 };
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region((char *)__builtin_frame_address(0) - DEEP, DEEP);
}

struct lent {
    struct um_proc *p;
    const struct um_clone *c;
    struct um_actions actions; /* the child's */
    struct um_signals sig;     /* what follows: the parent's */
    struct um_result result;
    sigjmp_buf copy_fault;
    struct debug *debug;
    uint64_t pc, x[32], f[32], call;
    uint64_t clear_tid, robust_list;
    uint32_t fp_flags, frm;
};
_Static_assert(sizeof((struct lent *)0)->x == sizeof((struct rv_cpu *)0)->x, "all registers");
_Static_assert(sizeof((struct lent *)0)->f == sizeof((struct rv_cpu *)0)->f, "all registers");

static void keep(struct um_proc *p, struct lent *l)
{
    const struct rv_cpu *cpu = p->cpu;
    um_lock(p);
    l->actions = *p->actions;
    um_unlock(p);
    l->sig = p->sig;
    l->result = p->result;
    memcpy(&l->copy_fault, &p->copy_fault, sizeof l->copy_fault);
    l->debug = p->debug;
    l->pc = cpu->run.pc;
    memcpy(l->x, cpu->x, sizeof l->x);
    memcpy(l->f, cpu->f, sizeof l->f);
    l->call = p->call;
    l->clear_tid = p->clear_tid;
    l->robust_list = p->robust_list;
    l->fp_flags = cpu->run.fp_flags;
    l->frm = cpu->c.frm;
}

static void put_back(struct um_proc *p, const struct lent *l, struct um_actions *actions)
{
    struct rv_cpu *cpu = p->cpu;
    um_engine_recover(p);
    p->borrows = false;
    p->actions = actions;
    p->sig = l->sig;
    p->result = l->result;
    memcpy(&p->copy_fault, &l->copy_fault, sizeof l->copy_fault);
    p->copying = true; /* in the system call that this is */
    p->debug = l->debug;
    p->done = p->keep_registers = p->restart.active = false;
    p->call = l->call;
    p->clear_tid = l->clear_tid;
    p->robust_list = l->robust_list;
    cpu->run.pc = l->pc;
    memcpy(cpu->x, l->x, sizeof l->x);
    memcpy(cpu->f, l->f, sizeof l->f);
    cpu->run.fp_flags = l->fp_flags;
    cpu->c.frm = (uint8_t)l->frm;
    cpu->c.reservation = RV_NO_RESERVATION;
    cpu->run.view_dirty = 1;
    __atomic_store_n(&cpu->run.attention, 1, __ATOMIC_RELEASE);
}

static void child(void *context)
{
    struct lent *l = context;
    struct um_proc *p = l->p;
    struct gw_error err;
    p->borrows = true;
    p->actions = &l->actions;
    p->debug = NULL;
    p->copying = false;
    p->result.child = true;
    um_signals_forget_all(p);
    um_child_start(p, l->c);
    p->robust_list = 0;
    um_timeout_start(p, &err); /* timers are not inherited */
    um_mask_host(p);
    if (um_run_loop(p, &err))
        _exit(125);
    um_host_sigmask(UINT64_MAX, NULL);
    um_leave(p);
}

int64_t um_vfork(struct um_proc *p, const struct um_clone *c)
{
    const uint64_t flags = c->flags | c->exit_signal;
    struct um_actions *actions = p->actions;
    struct lent l = {.p = p, .c = c};
    bool nested = p->borrows;
    um_host_sigmask(UINT64_MAX, NULL);
    keep(p, &l);
    __atomic_fetch_add(&p->group->borrowed, 1, __ATOMIC_SEQ_CST);
    int64_t pid = um_host_vfork(flags, um_arg(p, c->pidfd), child, &l);
    forget_frames();
    um_exec_forget(p);
    __atomic_fetch_sub(&p->group->borrowed, 1, __ATOMIC_SEQ_CST);
    if (pid > 0) {
        put_back(p, &l, actions);
        p->borrows = nested;
    }
    um_mask_host(p);
    return pid;
}
