/*
 * Signals: what the host's handler records, and its delivery at safe points.
 *
 * A signal that has been recorded stays blocked on the host until it is delivered: what follows waits
 * in the kernel, in order and within its limits, and a source that never rests (a timer of 1 ns) finds
 * the handler no more often than the guest gets to run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

/* The handler gets no context: its thread of the program. Threads that are none of it (who watches has one) have
 * what comes to them done by the first. Set before any handler is installed. */
static _Thread_local struct um_proc *handler_proc;
static struct um_proc *first_proc;

#define BIT(s) (UINT64_C(1) << ((s)-1))

static const uint64_t default_ignores = BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH);
static const uint64_t default_stops = BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU);
static const uint64_t faults = BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE);
static const uint64_t ours = BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(UM_SIG_OURS);
static const uint64_t unblockable = BIT(SIGKILL) | BIT(SIGSTOP);

bool um_default_kills(int signal)
{
    return !((default_ignores | default_stops) & um_sigbit(signal));
}

uint64_t um_host_mask(uint64_t mask)
{
    return mask & ~ours;
}

void um_mask_host(const struct um_proc *p)
{
    um_host_sigmask(um_host_mask(p->sig.mask | um_signals_recorded(p)), NULL);
}

/* Standard signals don't queue twice. There is a slot for each signal, and for those that came while the
 * mask was being changed; beyond them a signal is lost, as it is by the kernel beyond
 * RLIMIT_SIGPENDING. Runs with all signals blocked. */
static void record(struct um_signals *s, int signal, const void *info)
{
    struct um_pending *free_slot = NULL;
    for (unsigned i = 0; i < UM_QUEUE; i++) {
        struct um_pending *q = &s->queue[i];
        if (!__atomic_load_n(&q->used, __ATOMIC_ACQUIRE)) {
            if (!free_slot)
                free_slot = q;
        } else if (q->signal == signal && signal <= UM_SIG_OURS) { // NOLINT: q is never NULL
            return;
        }
    }
    if (!free_slot)
        return;
    free_slot->signal = signal;
    free_slot->order = s->order++;
    memcpy(free_slot->info, info, UM_SIGINFO_BYTES);
    __atomic_store_n(&free_slot->used, 1, __ATOMIC_RELEASE);
    __atomic_fetch_add(&s->recorded, 1, __ATOMIC_RELEASE);
}

static _Noreturn void internal_fault(void)
{
    static const char text[] = "godwit: error: internal fault in user mode\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(125);
}

/* The interrupted code goes on with the signal blocked. */
static void block_until_delivered(int signal, ucontext_t *u)
{
    uint64_t mask;
    memcpy(&mask, &u->uc_sigmask, sizeof mask);
    mask |= um_host_mask(um_sigbit(signal));
    memcpy(&u->uc_sigmask, &mask, sizeof mask);
}

/* Of our own, by what it carries: the time limit, or a look at what is new is wanted. */
static bool is_ours(const struct um_proc *p, const siginfo_t *info)
{
    return (info->si_code == SI_TIMER || info->si_code == SI_QUEUE) &&
           info->si_value.sival_ptr == p->group;
}

/* The signal of ours: true if it is none of the guest's. A lease of ours that broke (um_file_busy) is neither. */
static bool take_ours(struct um_proc *p, const siginfo_t *info)
{
    if (is_ours(p, info) && info->si_code == SI_TIMER)
        __atomic_store_n(&p->group->timed_out, 1, __ATOMIC_RELAXED);
    return is_ours(p, info) || info->si_code > 0;
}

void um_kick(const struct um_proc *p)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = UM_SIG_OURS;
    info.si_code = SI_QUEUE;
    info.si_value.sival_ptr = p->group;
    __atomic_store_n(&p->cpu->run.attention, 1, __ATOMIC_RELEASE);
    syscall(SYS_rt_tgsigqueueinfo, getpid(), p->tid, UM_SIG_OURS, &info);
}

static void on_signal(int signal, siginfo_t *info, void *uctx)
{
    struct um_proc *p = handler_proc ? handler_proc : first_proc;
    int saved_errno = errno;
    /* si_code > 0: by an instruction of ours, not sent by kill */
    if ((BIT(signal) & faults) && info->si_code > 0) {
        p->host_fault.signal = signal;
        p->host_fault.code = info->si_code;
        if (um_engine_host_fault(p, signal, info, uctx))
            return;
        if (!p->copying || signal == SIGFPE)
            internal_fault();
        siglongjmp(p->copy_fault, 1);
    }
    if (BIT(signal) & faults)
        um_host_sigmask(UINT64_MAX, NULL); /* until we return: see catch_signal */
    if (signal != UM_SIG_OURS || !take_ours(p, info)) {
        record(&p->sig, signal, info);
        block_until_delivered(signal, uctx);
    }
    __atomic_store_n(&p->cpu->run.attention, 1, __ATOMIC_RELEASE);
    um_host_interrupt(uctx);
    errno = saved_errno;
}

static int64_t catch_signal(int signal, uint64_t guest_flags)
{
    uint64_t flags = SA_SIGINFO | SA_ONSTACK | (guest_flags & (UM_SA_NOCLDSTOP | UM_SA_NOCLDWAIT));
    /* Handlers of faults are left by siglongjmp, too, which restores no mask: they change none. */
    if (BIT(signal) & faults)
        return um_host_sigaction(signal, (uintptr_t)on_signal, flags | SA_NODEFER, 0, NULL);
    return um_host_sigaction(signal, (uintptr_t)on_signal, flags, UINT64_MAX, NULL);
}

/* Under the lock. */
static struct um_sigaction *action(struct um_proc *p, int signal)
{
    struct um_actions *s = p->actions;
    if (!(s->known & um_sigbit(signal))) {
        s->known |= um_sigbit(signal);
        struct sigaction old;
        /* Inherited: default or ignored. The library refuses its own two signals. */
        if ((signal == SIGFPE || !(um_sigbit(signal) & ours)) &&
            sigaction(signal, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            s->act[signal].handler = UM_SIG_IGN;
    }
    return &s->act[signal];
}

struct um_sigaction um_action(struct um_proc *p, int signal)
{
    um_lock(p);
    struct um_sigaction act = *action(p, signal);
    um_unlock(p);
    return act;
}

static const int engine_signals[] = {SIGSEGV, SIGBUS, SIGFPE};

static void catch_faults(void)
{
    for (unsigned i = 0; i < 3; i++)
        catch_signal(engine_signals[i], 0);
}

int64_t um_signals_exec(struct um_proc *p, int fd, const char *file, char *const *argv,
                        char *const *envp)
{
    for (unsigned i = 0; i < 3; i++)
        if (um_action(p, engine_signals[i]).handler == UM_SIG_IGN)
            um_host_sigaction(engine_signals[i], (uintptr_t)SIG_IGN, 0, 0, NULL);
    int64_t r = fd <= STDERR_FILENO
                    ? um_host(p, UM_BLOCK, SYS_execve, (uintptr_t)file, (uintptr_t)argv,
                              (uintptr_t)envp, 0, 0, 0)
                    : um_host(p, UM_BLOCK, SYS_execveat, (uint64_t)fd, (uintptr_t) "",
                              (uintptr_t)argv, (uintptr_t)envp, AT_EMPTY_PATH, 0);
    catch_faults();
    return r;
}

/* Of this thread. */
static void start_handlers(struct um_proc *p)
{
    handler_proc = p;
    /* Generated code may use the host's stack pointer as it likes. */
    stack_t ss = {.ss_sp = p->host_altstack, .ss_size = sizeof p->host_altstack};
    sigaltstack(&ss, NULL);
    p->sig.alt.flags = UM_SS_DISABLE;
}

void um_signals_thread(struct um_proc *p)
{
    start_handlers(p);
    um_host_sigmask(um_host_mask(UINT64_MAX), NULL);
}

void um_signals_of_ours(void)
{
    catch_signal(UM_SIG_OURS, 0);
}

void um_signals_start(struct um_proc *p)
{
    first_proc = p;
    start_handlers(p);
    uint64_t args[6] = {SIG_BLOCK, 0, (uintptr_t)&p->sig.mask, 8, 0, 0};
    um_host_call(SYS_rt_sigprocmask, args);
    um_host_sigmask(um_host_mask(p->sig.mask), NULL);
    um_action(p, SIGFPE); /* what was inherited, before it is ours */
    catch_faults();
    if (p->cfg->timeout_ns)
        um_signals_of_ours();
    for (int s = 1; p->cfg->own_deaths && s <= UM_NSIG; s++) {
        if (um_default_kills(s) && s != SIGKILL && !(BIT(s) & ours) &&
            um_action(p, s).handler == UM_SIG_DFL)
            catch_signal(s, 0);
    }
}

static void release(struct um_signals *s, struct um_pending *q)
{
    __atomic_store_n(&q->used, 0, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&s->recorded, 1, __ATOMIC_RELEASE);
}

/* The host's mask is the caller's to set anew. */
static void forget(struct um_signals *s, uint64_t set)
{
    for (unsigned i = 0; i < UM_QUEUE; i++)
        if (__atomic_load_n(&s->queue[i].used, __ATOMIC_ACQUIRE) &&
            (set & um_sigbit(s->queue[i].signal)))
            release(s, &s->queue[i]);
}

void um_signals_forget_all(struct um_proc *p)
{
    forget(&p->sig, UINT64_MAX);
}

void um_signals_first(struct um_proc *p)
{
    first_proc = p;
}

void um_signals_give_back(struct um_proc *p)
{
    uint8_t info[UM_SIGINFO_BYTES];
    int32_t code;
    for (int signal; (signal = um_signal_take(p, UINT64_MAX, info)) != 0;) {
        memcpy(&code, info + 8, sizeof code);
        if (code != SI_TKILL)
            syscall(SYS_rt_sigqueueinfo, getpid(), signal, info);
    }
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
}

/* Does the handler stand for the signal of ours already, whatever the guest does? */
static bool has_ours(const struct um_proc *p)
{
    return p->cfg->timeout_ns || p->group->threaded;
}

/* Under the lock, which what the host is told keeps in step with what the guest is. */
static int64_t set_action(struct um_proc *p, int signal, const struct um_sigaction *act)
{
    struct um_sigaction *a = action(p, signal);
    *a = *act;
    a->mask &= ~unblockable;
    bool is_default = a->handler == UM_SIG_DFL;
    if (um_signals_recorded(p) & BIT(signal) &&
        (a->handler == UM_SIG_IGN || (is_default && (default_ignores & BIT(signal))))) {
        forget(&p->sig, BIT(signal));
        um_mask_host(p);
    }
    if (BIT(signal) & (signal == UM_SIG_OURS && !has_ours(p) ? 0 : ours))
        return 0;
    uint64_t child_flags = a->flags & (UM_SA_NOCLDSTOP | UM_SA_NOCLDWAIT);
    if (is_default && !(p->cfg->own_deaths && um_default_kills(signal)))
        return um_host_sigaction(signal, (uintptr_t)SIG_DFL, child_flags, 0, NULL);
    if (a->handler == UM_SIG_IGN)
        return um_host_sigaction(signal, (uintptr_t)SIG_IGN, child_flags, 0, NULL);
    return catch_signal(signal, a->flags);
}

int64_t um_set_action(struct um_proc *p, int signal, const struct um_sigaction *act)
{
    um_lock(p);
    int64_t r = set_action(p, signal, act);
    um_unlock(p);
    return r;
}

void um_set_mask(struct um_proc *p, uint64_t mask)
{
    p->sig.mask = mask & ~unblockable;
    um_mask_host(p);
    if (um_signals_waiting(p))
        __atomic_store_n(&p->cpu->run.attention, 1, __ATOMIC_RELEASE);
}

void um_suspend_mask(struct um_proc *p, uint64_t mask)
{
    p->sig.saved_mask = p->sig.mask;
    p->sig.suspended = true;
    um_set_mask(p, mask);
}

int64_t um_suspend_from(struct um_proc *p, uint64_t mask_addr, uint64_t size)
{
    uint64_t mask;
    if (!mask_addr)
        return 0;
    if (size != sizeof mask)
        return -EINVAL;
    int64_t r = um_copy_in(p, &mask, mask_addr, sizeof mask);
    if (r == 0)
        um_suspend_mask(p, mask);
    return r;
}

void um_suspend_end(struct um_proc *p)
{
    if (p->sig.suspended) {
        p->sig.suspended = false;
        um_set_mask(p, p->sig.saved_mask);
    }
}

uint64_t um_signals_recorded(const struct um_proc *p)
{
    uint64_t set = 0;
    if (!__atomic_load_n(&p->sig.recorded, __ATOMIC_ACQUIRE))
        return 0;
    for (unsigned i = 0; i < UM_QUEUE; i++)
        if (__atomic_load_n(&p->sig.queue[i].used, __ATOMIC_ACQUIRE))
            set |= um_sigbit(p->sig.queue[i].signal);
    return set;
}

bool um_signals_waiting(const struct um_proc *p)
{
    return um_signals_recorded(p) & ~p->sig.mask;
}

int um_signal_take(struct um_proc *p, uint64_t set, uint8_t info[UM_SIGINFO_BYTES])
{
    struct um_pending *best = NULL;
    if (!__atomic_load_n(&p->sig.recorded, __ATOMIC_ACQUIRE))
        return 0;
    for (unsigned i = 0; i < UM_QUEUE; i++) {
        struct um_pending *q = &p->sig.queue[i];
        if (!__atomic_load_n(&q->used, __ATOMIC_ACQUIRE) || !(set & um_sigbit(q->signal)))
            continue;
        if (!best || q->signal < best->signal ||
            (q->signal == best->signal && q->order < best->order))
            best = q;
    }
    if (!best)
        return 0;
    int signal = best->signal;
    memcpy(info, best->info, UM_SIGINFO_BYTES);
    release(&p->sig, best);
    return signal;
}

/* Starts the handler. False when the frame can't be written: then SIGSEGV has been raised. */
static void run_handler(struct um_proc *p, int signal, const uint8_t *info)
{
    struct um_sigaction act = um_action(p, signal);
    if (p->restart.active) {
        if ((p->restart.flags & UM_AGAIN) ||
            ((p->restart.flags & UM_RESTART) && (act.flags & UM_SA_RESTART))) {
            p->cpu->run.pc = p->restart.pc;
            p->cpu->x[10] = p->restart.a0;
        }
        p->restart.active = false;
    }
    if (!um_frame_push(p, signal, info, &act)) {
        if (signal == SIGSEGV) {
            act.handler = UM_SIG_DFL;
            um_set_action(p, SIGSEGV, &act);
        }
        um_signal_fault(p, SIGSEGV, SI_KERNEL, 0);
        return;
    }
    p->sig.suspended = false;
    uint64_t mask = p->sig.mask | act.mask;
    if (!(act.flags & UM_SA_NODEFER))
        mask |= um_sigbit(signal);
    um_set_mask(p, mask);
    if (act.flags & UM_SA_RESETHAND) {
        act.handler = UM_SIG_DFL;
        um_set_action(p, signal, &act);
    }
}

static void deliver_one(struct um_proc *p, int signal, const uint8_t *info)
{
    uint64_t handler = um_action(p, signal).handler;
    if (handler == UM_SIG_IGN)
        return;
    if (handler != UM_SIG_DFL) {
        um_strace_signal(p, signal, info);
        run_handler(p, signal, info);
        return;
    }
    if (default_ignores & um_sigbit(signal))
        return;
    if (default_stops & um_sigbit(signal)) {
        kill(getpid(), SIGSTOP);
        return;
    }
    um_strace_signal(p, signal, info);
    um_die(p, signal);
}

void um_signals_deliver(struct um_proc *p)
{
    uint8_t info[UM_SIGINFO_BYTES];
    bool some = false;
    for (int signal; !p->done && (signal = um_signal_take(p, ~p->sig.mask, info)) != 0;) {
        deliver_one(p, signal, info);
        some = true;
    }
    if (p->sig.suspended)
        um_suspend_end(p);
    else if (some) /* the handlers' masks are set: what was delivered is open again */
        um_mask_host(p);
    /* Interrupted for nothing that the guest sees. */
    if (p->restart.active && (p->restart.flags & (UM_RESTART | UM_NOHAND | UM_AGAIN))) {
        p->cpu->run.pc = p->restart.pc;
        p->cpu->x[10] = p->restart.a0;
    }
    p->restart.active = false;
}

void um_signal_fault(struct um_proc *p, int signal, int code, uint64_t addr)
{
    /* siginfo: si_signo, si_errno, si_code, padding, si_addr */
    uint8_t info[UM_SIGINFO_BYTES] = {0};
    int32_t head[3] = {signal, 0, code};
    memcpy(info, head, sizeof head);
    memcpy(info + 16, &addr, sizeof addr);
    uint64_t handler = um_action(p, signal).handler;
    um_strace_signal(p, signal, info);
    if (handler == UM_SIG_DFL || handler == UM_SIG_IGN || (p->sig.mask & um_sigbit(signal))) {
        um_die(p, signal);
        return;
    }
    run_handler(p, signal, info);
}

_Noreturn void um_raise(int signal)
{
    um_host_sigaction(signal, (uintptr_t)SIG_DFL, 0, 0, NULL);
    um_host_sigmask(~um_sigbit(signal), NULL);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
    um_host_sigmask(0, NULL);
    _exit(128 + signal);
}
