/*
 * Inside the room: the program that runs, and what its parts call of one another.
 *
 * Asynchronous signals are recorded by the host's handler and delivered at safe points, which
 * run.attention asks the engine for. The host's signal mask is the guest's (but for SIGSEGV,
 * SIGBUS and SIGFPE, which the engine lives on, and the signal of the timeout), so that the kernel keeps what
 * is pending, and waits and inheritance need no help.
 */
#ifndef UM_H
#define UM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "frontend/riscv64/rv_cpu.h"
#include "usermode/um_space.h"
#include "usermode/usermode.h"

struct debug;
struct engine;
struct engine_dump;
struct um_proc;

/* --- signals (um_signal.c, um_frame.c, um_sys_signal.c) --------------------------------------- */

enum {
    UM_NSIG = 64,
    UM_SIGINFO_BYTES = 128, /* the same layout on all 64-bit hosts and guests */
    UM_QUEUE = 64,
    UM_SIG_TIMEOUT = 32, /* the C library's; no guest can want it */
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
 * signals blocked, released by the main thread. */
struct um_pending {
    uint32_t used;
    int32_t signal;
    uint64_t order;
    uint8_t info[UM_SIGINFO_BYTES];
};

struct um_signals {
    struct um_sigaction act[UM_NSIG + 1];
    uint64_t known;      /* bit n-1: act[n] tells the truth (what was inherited is asked late) */
    uint64_t mask;       /* bit n-1: signal n is blocked */
    uint64_t saved_mask; /* with suspended: what comes back after the handler */
    bool suspended;      /* mask is the temporary one of sigsuspend, ppoll, ... */
    struct um_altstack alt;
    uint64_t trampoline; /* guest address of the code that calls rt_sigreturn, 0: not yet there */
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

struct um_proc {
    const struct guest_isa *isa;
    struct rv_cpu *cpu;
    struct engine *engine;          /* NULL in tests of the parts */
    struct engine_dump *dump; /* NULL: none */
    struct debug *debug;            /* NULL: nobody can watch */
    const struct um_config *cfg;
    struct um_space space;
    struct um_signals sig;
    char *exe; /* absolute path of the program on the host */
    uint64_t exe_dev, exe_ino;
    struct um_stack stack; /* as it was at the start */
    bool done;             /* result is set: leave the run loop */
    bool keep_registers;   /* the system call has set them: no result goes to a0 */
    bool copying;          /* in a system call: a host fault means EFAULT */
    sigjmp_buf copy_fault; /* where to, then */
    struct {               /* the last fault of an instruction of ours, as the host told it */
        int signal, code;
    } host_fault;
    uint32_t timed_out; /* atomic: set by the handler */
    bool clock_refused; /* it was said that the program may not set the host's clock */
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

void um_exit(struct um_proc *p, int status);
void um_die(struct um_proc *p, int signal);
uint64_t um_now_ns(void); /* CLOCK_MONOTONIC */

/* --- engine (um_engine.c) --------------------------------------------------------------------- */

enum um_stop { UM_STOP_BUDGET, UM_STOP_SYSCALL, UM_STOP_FAULT, UM_STOP_ATTENTION, UM_STOP_BROKEN };

enum gw_status um_engine_start(struct um_proc *p, struct gw_error *err);
enum um_stop um_engine_run(struct um_proc *p, uint64_t max_insns, bool exact);
void um_engine_code_changed(struct um_proc *p, uint64_t vaddr, uint64_t size);
bool um_engine_host_fault(struct um_proc *p, int signal, void *info, void *uctx);
bool um_engine_forked(struct um_proc *p); /* in the child; false: no memory for a new one */
void um_engine_stop(struct um_proc *p);
uint64_t um_engine_retired(const struct um_proc *p);
const struct counter_desc *um_engine_counters(struct um_proc *p, const void **object);

/* --- debuggers (um_debug.c) ------------------------------------------------------------------- */

/* Behind um_engine_start() and ahead of um_engine_stop(): offers the program to who wants to watch it. */
enum gw_status um_debug_start(struct um_proc *p, struct gw_error *err);
void um_debug_stop(struct um_proc *p);
void um_debug_forget(struct um_proc *p); /* in a child that was forked, which nobody watches */

/* --- system calls (um_syscall.c) -------------------------------------------------------------- */

typedef int64_t um_call_fn(struct um_proc *p, const uint64_t *a);

enum {
    UM_BLOCK = 1,      /* may wait: a signal ends it with EINTR */
    UM_RESTART = 2,    /* begun again after a handler with SA_RESTART, or when none ran */
    UM_NOHAND = 4,     /* begun again when no handler ran */
    UM_AGAIN = 8,      /* begun again whatever ran: no caller expects EINTR */
    UM_TIMED_IN = 16,  /* not begun again after a handler by a socket with SO_RCVTIMEO */
    UM_TIMED_OUT = 32, /* nor with SO_SNDTIMEO */
    UM_AT_ONCE = 64,   /* neither waits, nor lets a signal in, nor changes memory's layout or what runs:
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
    return um_space_arg(&p->space, addr);
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

/* --- signals ---------------------------------------------------------------------------------- */

void um_signals_start(struct um_proc *p);
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
struct um_sigaction *um_action(struct um_proc *p, int signal);
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
