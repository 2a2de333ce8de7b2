/*
 * Inside the room: the program that runs, and what its parts call of one another. docs/threads.md.
 *
 * Asynchronous signals are recorded by the host's handler and delivered at safe points, which
 * run.attention asks the engine for. The host's signal mask is the guest's (but for SIGSEGV,
 * SIGBUS and SIGFPE, which the engine lives on, and a signal of ours), so that the kernel keeps what
 * is pending, and waits and inheritance need no help.
 *
 * A guest's thread is a thread of the host, under the same number: what is about a thread needs no help either.
 */
#ifndef UM_H
#define UM_H

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "frontend/riscv64/rv_cpu.h"
#include "usermode/um_space.h"
#include "usermode/usermode.h"

struct debug;
struct engine;
struct engine_dump;
struct engine_stats;
struct um_proc;

/* --- signals (um_signal.c, um_frame.c, um_sys_signal.c) --------------------------------------- */

enum {
    UM_NSIG = 64,
    UM_SIGINFO_BYTES = 128, /* the same layout on all 64-bit hosts and guests */
    UM_QUEUE = 64,
    UM_SIG_OURS =
        33, /* of the time limit, and from thread to thread; the guest's C library has it too */
};

enum { UM_SIG_DFL = 0, UM_SIG_IGN = 1 };
/* sa_flags as the generic ABI has them; equal on x86-64 */
#define UM_SA_NOCLDSTOP 0x00000001u
#define UM_SA_NOCLDWAIT 0x00000002u
#define UM_SA_ONSTACK   0x08000000u
#define UM_SA_RESTART   0x10000000u
#define UM_SA_NODEFER   0x40000000u
#define UM_SA_RESETHAND 0x80000000u
enum { UM_SS_ONSTACK = 1, UM_SS_DISABLE = 2 };
#define UM_SS_AUTODISARM 0x80000000u

struct um_sigaction { /* the riscv64 kernel's: there is no restorer */
    uint64_t handler, flags, mask;
};

struct um_altstack {
    uint64_t sp;
    uint32_t flags, pad;
    uint64_t size;
};

/* A signal that the host's handler has recorded. used: atomic; written by the handler with all
 * signals blocked, released by its thread. */
struct um_pending {
    uint32_t used;
    int32_t signal;
    uint64_t order;
    uint8_t info[UM_SIGINFO_BYTES];
};

/* A process's; a child that borrows its parent's memory has its own. */
struct um_actions {
    struct um_sigaction act[UM_NSIG + 1];
    uint64_t known;      /* bit n-1: act[n] tells the truth (what was inherited is asked late) */
    uint64_t trampoline; /* guest address of the code that calls rt_sigreturn, 0: not yet there */
};

/* A thread's. */
struct um_signals {
    uint64_t mask;       /* bit n-1: signal n is blocked */
    uint64_t saved_mask; /* with suspended: what comes back after the handler */
    bool suspended;      /* mask is the temporary one of sigsuspend, ppoll, ... */
    struct um_altstack alt;
    uint64_t order;
    uint32_t recorded; /* atomic: slots in use */
    struct um_pending queue[UM_QUEUE];
};

static inline uint64_t um_sigbit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

/* --- the program ------------------------------------------------------------------------------ */

/* What was built, and /proc tells of: the stack pointer (16-byte aligned, at argc), the argument strings
 * one behind the other, the auxiliary vector with its AT_NULL. */
enum { UM_AUX_WORDS = 48 };
struct um_stack {
    uint64_t sp, args_start, args_end;
    uint64_t aux[UM_AUX_WORDS];
    unsigned aux_words;
};

/* The guest whose Linux this room speaks: system calls, signal frames, structures. */
#define UM_ARCH "riscv64"

/* What the threads of a program share; it lies with the first one's. */
struct um_group {
    struct um_space space;
    struct um_actions actions;
    struct um_proc *first; /* who has this beside it */
    struct um_proc *main;  /* whose host thread ends the process */
    bool threaded;         /* there was more than one: locks are taken */
    bool clock_refused;    /* it was said that the program may not set the host's clock */
    uint32_t timed_out;    /* atomic: set by the handler */
    bool clone_refused;    /* it was said why */
    uint32_t stopped;      /* atomic: no other thread runs any more, for good */
    uint32_t ending;       /* atomic: the process ends, as main's result has it */
    uint32_t borrowed;     /* atomic: threads whose child has their memory and state */

    pthread_mutex_t
        lock; /* of actions and what follows, where threaded; no other is taken within it */
    pthread_cond_t started;
    struct um_proc *threads;   /* all there are, main too */
    uint32_t live;             /* of them, whose guest's thread has not ended */
    uint64_t insns, syscalls;  /* of those that are gone */
    struct engine_stats *gone; /* the same; NULL: none yet */
};

/* A thread of the program, and what it needs of the program. */
struct um_proc {
    const struct guest_isa *isa;
    struct rv_cpu *cpu;
    struct engine *engine;    /* NULL in tests of the parts */
    struct engine_dump *dump; /* NULL: none */
    struct debug *debug;      /* NULL: nobody can watch */
    const struct um_config *cfg;
    struct um_group *group;
    struct um_space *space;     /* the group's */
    struct um_actions *actions; /* the same, unless borrows */
    struct um_signals sig;
    char **exec_words[2]; /* lists of an execve that is being made */
    char *exe; /* absolute path of the program on the host */
    uint64_t exe_dev, exe_ino;
    struct um_stack stack; /* as it was at the start */
    /* Of a program with threads. */
    struct um_proc *next; /* in group.threads */
    uint32_t tid;         /* 0: has not started */
    bool ended;           /* the guest's thread has: the process goes on */
    uint64_t clear_tid;   /* guest addresses that are its end's, or 0: a word to clear, */
    uint64_t robust_list; /* and mutexes that it may hold */
    uint64_t call;        /* atomic: number of the system call that it is in, + 1; or 0 */
    bool borrows;        /* the process is a child that has its parent's memory and state (vfork) */
    bool done;           /* result is set: leave the run loop */
    bool keep_registers; /* the system call has set them: no result goes to a0 */
    bool copying;        /* in a system call: a host fault means EFAULT */
    sigjmp_buf copy_fault; /* where to, then */
    struct {               /* the last fault of an instruction of ours, as the host told it */
        int signal, code;
    } host_fault;
    bool
        pages_refused; /* it was said that pages of the host's do not let the program have something */
    /* The system call that EINTR interrupted, until signals have been delivered. */
    struct {
        bool active;
        uint8_t flags; /* UM_RESTART ... */
        uint64_t pc, a0;
    } restart;
    struct um_result result;
    uint64_t start_ns;
    uint8_t host_altstack[65536];
};

/* The process ends: it exits, dies, or meets --stop-insn. The first one who says so has it. */
void um_end(struct um_proc *p, const struct um_result *how);
void um_exit(struct um_proc *p, int status);
void um_die(struct um_proc *p, int signal);
/* Registers as they are at the start of a thread: 0, but for those that init and reset make. */
struct rv_cpu *um_cpu_new(const struct um_proc *p, struct gw_error *err);
enum gw_status um_run_loop(struct um_proc *p, struct gw_error *err);
/* The time limit, from now on, of the thread that ends the process. */
enum gw_status um_timeout_start(struct um_proc *p, struct gw_error *err);
static inline void um_lock(const struct um_proc *p)
{
    if (p->group->threaded)
        pthread_mutex_lock(&p->group->lock);
}
static inline void um_unlock(const struct um_proc *p)
{
    if (p->group->threaded)
        pthread_mutex_unlock(&p->group->lock);
}
uint64_t um_now_ns(void); /* CLOCK_MONOTONIC */

/* --- engine (um_engine.c) --------------------------------------------------------------------- */

enum um_stop { UM_STOP_BUDGET, UM_STOP_SYSCALL, UM_STOP_FAULT, UM_STOP_ATTENTION, UM_STOP_BROKEN };

enum gw_status um_engine_start(struct um_proc *p, struct gw_error *err);
enum um_stop um_engine_run(struct um_proc *p, uint64_t max_insns, bool exact);
void um_engine_code_changed(struct um_proc *p, uint64_t vaddr, uint64_t size);
bool um_engine_host_fault(struct um_proc *p, int signal, void *info, void *uctx);
bool um_engine_forked(struct um_proc *p); /* in the child; false: no memory for a new one */
bool um_engine_share(struct um_proc *p);  /* other threads may join; false: out of memory */
/* Of a thread that was made by parent, and is none yet; and when it ends. */
enum gw_status um_engine_join(struct um_proc *p, const struct um_proc *parent,
                              struct gw_error *err);
void um_engine_part(struct um_proc *p);
/* Guest code is run by nobody but the caller from then on; for fork, until let go, nobody is in the translator. */
void um_engine_stop_all(struct um_proc *p);
void um_engine_hold_all(struct um_proc *p);
void um_engine_let_go(struct um_proc *p);
void um_engine_stop(struct um_proc *p);
void um_engine_recover(struct um_proc *p);  /* who ran it last may have been killed meanwhile */
void um_engine_end_dump(struct um_proc *p); /* of what stays open where the engine does */
/* In a child of a fork: engines of the threads that it has not. */
void um_engine_forget_others(struct um_proc *p);
uint64_t um_engine_retired(const struct um_proc *p);
const struct counter_desc *um_engine_counters(struct um_proc *p, const void **object);

/* --- debuggers (um_debug.c) ------------------------------------------------------------------- */

/* Behind um_engine_start() and ahead of um_engine_stop(): offers the program to who wants to watch it. */
enum gw_status um_debug_start(struct um_proc *p, struct gw_error *err);
void um_debug_stop(struct um_proc *p);
void um_debug_forget(struct um_proc *p); /* in a child that was forked, which nobody watches */

/* --- threads (um_thread.c, um_sys_thread.c, um_vfork.c) ----------------------------------------- */

/* What clone and clone3 ask for; guest addresses. */
struct um_clone {
    uint64_t flags; /* but for the signal at the child's end */
    uint64_t exit_signal, stack, tls, parent_tid, child_tid, pidfd;
};
/* A new thread of the program, which p's thread goes on beside: its number, or -errno. */
int64_t um_thread_start(struct um_proc *p, const struct um_clone *c);
/* The guest's thread ends, and perhaps the process with it. */
void um_thread_exit(struct um_proc *p, int status);
/* What the kernel does with a thread's mutexes and its word at its end. */
void um_thread_release(struct um_proc *p);
/* The host's thread that ends the process waits until it does. */
void um_group_wait(struct um_proc *p);
/* Nobody else runs, for good; sums up. False: there are other threads, whose memory has to stay. */
bool um_group_end(struct um_proc *p);
/* Around a fork by a program with threads; in the child, of which p is the one thread. */
void um_group_hold(struct um_proc *p);
void um_group_let_go(struct um_proc *p);
void um_group_forked(struct um_proc *p);
/* Has the thread look at what is new, wherever it is: also from a handler. */
void um_kick(const struct um_proc *p);
/* A child that has p's memory and state until it executes another program or ends. */
int64_t um_vfork(struct um_proc *p, const struct um_clone *c);
/* What of the registers is a child's own: its result, stack pointer and thread pointer. */
void um_child_registers(struct um_proc *p, const struct um_clone *c);
/* The same, and what else a new process does before it runs (um_sys_thread.c). */
void um_child_start(struct um_proc *p, const struct um_clone *c);
/* The process ends at once, as p's result has it. */
_Noreturn void um_leave(const struct um_proc *p);

/* --- system calls (um_syscall.c) -------------------------------------------------------------- */

typedef int64_t um_call_fn(struct um_proc *p, const uint64_t *a);

enum {
    UM_BLOCK = 1,      /* may wait: a signal ends it with EINTR */
    UM_RESTART = 2,    /* begun again after a handler with SA_RESTART, or when none ran */
    UM_NOHAND = 4,     /* begun again when no handler ran */
    UM_AGAIN = 8,      /* begun again whatever ran: no caller expects EINTR */
    UM_TIMED_IN = 16,  /* not begun again after a handler by a socket with SO_RCVTIMEO */
    UM_TIMED_OUT = 32, /* nor with SO_SNDTIMEO */
    UM_AT_ONCE =
        64, /* neither waits, nor lets a signal in, nor changes memory's layout or what runs:
                          it is done without leaving generated code */
};

enum um_call_kind { UM_CALL_NONE, UM_CALL_PASS, UM_CALL_OWN };

struct um_call {
    const char *name;
    const char *args; /* a letter for each argument: um_strace.c */
    um_call_fn *fn;   /* UM_CALL_OWN */
    int32_t host;     /* UM_CALL_PASS: the host's number */
    uint8_t kind, flags;
};

const struct um_call *um_call_find(uint64_t nr); /* NULL: no such number */
void um_syscall(struct um_proc *p);              /* run.pc is at the ecall */
/* engine_config.syscall; opaque: um_proc. */
bool um_syscall_at_once(void *opaque);
/* The host's system call with arguments as given; flags as above. */
int64_t um_host(struct um_proc *p, unsigned flags, long nr, uint64_t a, uint64_t b, uint64_t c,
                uint64_t d, uint64_t e, uint64_t f);

/* Gives up the right to set the host's clock, before the program starts. */
void um_clock_keep(void);

/* Flags of openat, openat2, pipe2 and F_SETFL as the host's kernel has them, and F_GETFL's back. */
uint64_t um_open_flags_in(uint64_t guest);
uint64_t um_open_flags_out(uint64_t host);

/* Copies between guest and us: -EFAULT, or 0. */
int64_t um_copy_in(struct um_proc *p, void *to, uint64_t from, uint64_t size);
int64_t um_copy_out(struct um_proc *p, uint64_t to, const void *from, uint64_t size);
static inline uint64_t um_arg(const struct um_proc *p, uint64_t addr)
{
    return um_space_arg(p->space, addr);
}

#define UM_SYS_NONE(nr, name, args)
#define UM_SYS_PASS(nr, name, args, flags)
#define UM_SYS_OWN(nr, name, args, flags) um_call_fn um_sys_##name;
#include "usermode/um_syscalls.inc"
#undef UM_SYS_NONE
#undef UM_SYS_PASS
#undef UM_SYS_OWN

/* --- trace (um_strace.c) ---------------------------------------------------------------------- */

void um_strace_enter(struct um_proc *p, uint64_t nr, const uint64_t *a);
void um_strace_leave(struct um_proc *p, uint64_t nr, const uint64_t *a, int64_t result);
void um_strace_signal(struct um_proc *p, int signal, const uint8_t *info);

/* --- paths and programs (um_path.c, um_load.c) ------------------------------------------------ */

/* The host path for a guest path string at addr: in guest memory itself, or in buf (PATH_MAX
 * bytes) when the sysroot or /proc/self/exe redirects it. -errno, or 0. */
int64_t um_path(struct um_proc *p, uint64_t addr, char *buf, const char **path);
/* The rest of a path that begins with our own folder in /proc, or NULL. */
const char *um_proc_self(const char *path);
/* The same of a path from descriptor dir, for files that tell of the guest; the result may be in buf
 * (PATH_MAX bytes). */
const char *um_proc_self_at(int dir, const char *path, char *buf);

/* Frees what an execve left behind, which has failed, or has been that of a child with this memory. */
void um_exec_forget(struct um_proc *p);

/* What stands in a program file: scripts are resolved to their interpreters. */
enum um_file_kind { UM_FILE_GUEST, UM_FILE_OTHER };
/* Maps the program (and its interpreter), builds the stack, sets pc and sp. */
enum gw_status um_load(struct um_proc *p, const struct um_config *cfg, struct gw_error *err);
/* Is path a program for the guest, or a script whose interpreter is? -errno when unreadable. */
int64_t um_file_kind(struct um_proc *p, const char *path, enum um_file_kind *kind);
/* Has somebody opened the file for writing, so that it may not be executed? As far as can be found out:
 * Linux before 6.14 tells the owner and root. */
bool um_file_busy(int fd);

/* The initial stack, below top (page-aligned, mapped). */
struct um_stack_request {
    uint64_t top, bottom; /* guest addresses */
    char *const *argv, *const *envp;
    const char *execfn;
    uint64_t entry, phdr, phnum, interp_base;
    uint8_t random[16];
};
enum gw_status um_stack_build(struct um_space *space, const struct um_stack_request *rq,
                              struct um_stack *out, struct gw_error *err);

/* --- /proc/self (um_proc_self.c) -------------------------------------------------------------- */

/* Opens a file of /proc/self (its name without that) that tells of the guest and not of us: a
 * descriptor, -errno, or -ENOSYS: it is not one of those. flags as for open. */
int64_t um_proc_self_open(struct um_proc *p, const char *name, uint64_t flags);
bool um_proc_self_made(const char *name); /* is it one of those? */
/* The same of a path outside of it: /proc/cpuinfo. */
int64_t um_proc_open(struct um_proc *p, const char *path, uint64_t flags);

/* --- signals ---------------------------------------------------------------------------------- */

void um_signals_start(struct um_proc *p);
/* Of another thread, on it: all but faults and the signal of ours stay blocked until um_mask_host(). */
void um_signals_thread(struct um_proc *p);
void um_signals_first(
    struct um_proc *p);        /* gets what comes to threads that are none of the program's */
void um_signals_of_ours(void); /* is caught from now on */
/* The thread ends: what it took of the process's signals is the others'. All are blocked. */
void um_signals_give_back(struct um_proc *p);
/* Delivers what is pending and not blocked; then forgets p->restart. */
void um_signals_deliver(struct um_proc *p);
/* A fault of the instruction at run.pc. */
void um_signal_fault(struct um_proc *p, int signal, int code, uint64_t addr);
bool um_signals_waiting(const struct um_proc *p); /* recorded and not blocked */
/* Blocks what the guest's mask blocks; the temporary mask of ppoll, sigsuspend, ... until
 * um_signals_deliver has run. */
void um_set_mask(struct um_proc *p, uint64_t mask);
void um_suspend_mask(struct um_proc *p, uint64_t mask);
/* The same with a mask of size bytes in guest memory, or none (0): -EINVAL, -EFAULT, or 0. */
int64_t um_suspend_from(struct um_proc *p, uint64_t mask_addr, uint64_t size);
void um_suspend_end(struct um_proc *p);
void um_signals_forget_all(struct um_proc *p); /* the child of a fork */
/* The host's execve, by which the new program inherits what the guest ignores and blocks. fd > 2: of what
 * is open there, and not of file. -EINTR: a signal has to be delivered first, which the program would
 * have blocked for ever. */
int64_t um_signals_exec(struct um_proc *p, int fd, const char *file, char *const *argv,
                        char *const *envp);
struct um_sigaction um_action(struct um_proc *p, int signal);
int64_t um_set_action(struct um_proc *p, int signal, const struct um_sigaction *act);
uint64_t um_host_mask(uint64_t mask); /* what of it the host is ever told to block */
/* Tells the host: the guest's mask, and what has been recorded. */
void um_mask_host(const struct um_proc *p);
/* Takes a recorded signal of set out of the queue: its number, or 0. */
int um_signal_take(struct um_proc *p, uint64_t set, uint8_t info[UM_SIGINFO_BYTES]);
uint64_t um_signals_recorded(const struct um_proc *p);
bool um_default_kills(int signal);
/* Frame of a handler: false when the stack can't take it. */
bool um_frame_push(struct um_proc *p, int signal, const uint8_t info[UM_SIGINFO_BYTES],
                   const struct um_sigaction *act);
bool um_frame_pop(struct um_proc *p);
bool um_on_altstack(const struct um_proc *p, uint64_t sp);

#endif
