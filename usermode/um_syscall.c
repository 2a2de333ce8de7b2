/* System calls: the table and its dispatch. Linux on riscv64 takes the number in a7, arguments in
 * a0 to a5, and returns the result or -errno in a0 (RISC-V Linux uABI; Linux syscall(2)). */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

enum { REG_A0 = 10, REG_A7 = 17 };

static const struct um_call calls[] = {
#define UM_SYS_NONE(nr, name_, args_) [nr] = {.name = #name_, .args = args_, .kind = UM_CALL_NONE},
#define UM_SYS_PASS(nr, name_, args_, flags_)                                                      \
    [nr] = {.name = #name_,                                                                        \
            .args = args_,                                                                         \
            .kind = UM_CALL_PASS,                                                                  \
            .flags = flags_,                                                                       \
            .host = SYS_##name_},
#define UM_SYS_OWN(nr, name_, args_, flags_)                                                       \
    [nr] = {.name = #name_,                                                                        \
            .args = args_,                                                                         \
            .kind = UM_CALL_OWN,                                                                   \
            .flags = flags_,                                                                       \
            .fn = um_sys_##name_},
#include "usermode/um_syscalls.inc"
};

const struct um_call *um_call_find(uint64_t nr)
{
    return nr < sizeof calls / sizeof *calls && calls[nr].name ? &calls[nr] : NULL;
}

int64_t um_host(struct um_proc *p, unsigned flags, long nr, uint64_t a, uint64_t b, uint64_t c,
                uint64_t d, uint64_t e, uint64_t f)
{
    const uint64_t args[6] = {a, b, c, d, e, f};
    if (flags & UM_BLOCK)
        return um_host_blocking_call(&p->cpu->run.attention, nr, args);
    return um_host_call(nr, args);
}

/* A fault while p->copying comes back here by siglongjmp. */
static int64_t guarded_copy(struct um_proc *p, void *to, const void *from, uint64_t size)
{
    if (p->copying) {
        memcpy(to, from, size);
        return 0;
    }
    if (sigsetjmp(p->copy_fault, 0)) {
        p->copying = false;
        return -EFAULT;
    }
    p->copying = true;
    memcpy(to, from, size);
    p->copying = false;
    return 0;
}

int64_t um_copy_in(struct um_proc *p, void *to, uint64_t from, uint64_t size)
{
    const void *host = um_space_ptr(p->space, from, size, PROT_READ);
    return host ? guarded_copy(p, to, host, size) : -EFAULT;
}

int64_t um_copy_out(struct um_proc *p, uint64_t to, const void *from, uint64_t size)
{
    void *host = um_space_ptr(p->space, to, size, PROT_WRITE);
    return host ? guarded_copy(p, host, from, size) : -EFAULT;
}

/* The host's call of the same name; pointers are checked by the kernel, as everywhere. */
static int64_t pass(struct um_proc *p, const struct um_call *c, const uint64_t *a)
{
    uint64_t args[6] = {a[0], a[1], a[2], a[3], a[4], a[5]};
    char buf[2][PATH_MAX];
    unsigned paths = 0;
    for (unsigned i = 0; c->args[i]; i++) {
        switch (c->args[i]) {
        case 'p': {
            const char *path = NULL;
            int64_t r = a[i] ? um_path(p, a[i], buf[paths++ & 1], &path) : 0;
            if (r)
                return r;
            args[i] = (uintptr_t)path;
            break;
        }
        case 's':
        case 'w':
        case '*': args[i] = um_arg(p, a[i]); break;
        default: break;
        }
    }
    return um_host(p, c->flags, c->host, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static int64_t call(struct um_proc *p, const struct um_call *c, const uint64_t *a)
{
    if (!c || c->kind == UM_CALL_NONE)
        return -ENOSYS;
    if (sigsetjmp(p->copy_fault, 0)) {
        p->copying = false;
        return -EFAULT;
    }
    p->copying = true;
    int64_t r = c->kind == UM_CALL_PASS ? pass(p, c, a) : c->fn(p, a);
    p->copying = false;
    return r;
}

/* Linux, signal(7): a socket that has a timeout of its own answers EINTR whatever the handler's
 * flags. */
static uint8_t restart_flags(const struct um_call *c, uint64_t fd)
{
    const int option = c->flags & UM_TIMED_IN ? SO_RCVTIMEO : SO_SNDTIMEO;
    struct timeval limit = {0, 0};
    socklen_t size = sizeof limit;
    if (c->flags & (UM_TIMED_IN | UM_TIMED_OUT))
        getsockopt((int)fd, SOL_SOCKET, option, &limit, &size);
    if (limit.tv_sec || limit.tv_usec)
        return UM_BLOCK | UM_NOHAND;
    return c->flags;
}

/* Not while somebody looks on, or a signal is to be delivered first. */
bool um_syscall_at_once(void *opaque)
{
    struct um_proc *p = opaque;
    struct rv_cpu *cpu = p->cpu;
    const struct um_call *c = um_call_find(cpu->x[REG_A7]);
    if (!c || !(c->flags & UM_AT_ONCE) || p->cfg->strace_fd >= 0 || p->debug || p->sig.suspended ||
        __atomic_load_n(&cpu->run.attention, __ATOMIC_ACQUIRE))
        return false;
    p->result.syscalls++;
    cpu->c.reservation = RV_NO_RESERVATION;
    cpu->x[REG_A0] = (uint64_t)call(p, c, &cpu->x[REG_A0]);
    return true;
}

void um_syscall(struct um_proc *p)
{
    struct rv_cpu *cpu = p->cpu;
    uint64_t nr = cpu->x[REG_A7], pc = cpu->run.pc, a[6];
    memcpy(a, &cpu->x[REG_A0], sizeof a);
    const struct um_call *c = um_call_find(nr);
    p->result.syscalls++;
    __atomic_store_n(&p->call, nr + 1, __ATOMIC_RELAXED);
    cpu->run.pc = pc + 4;
    cpu->c.reservation = RV_NO_RESERVATION;
    if (p->cfg->strace_fd >= 0)
        um_strace_enter(p, nr, a);
    int64_t r = call(p, c, a);
    __atomic_store_n(&p->call, 0, __ATOMIC_RELAXED);
    if (p->cfg->strace_fd >= 0)
        um_strace_leave(p, nr, a, r);
    if (p->keep_registers) {
        p->keep_registers = false;
        return;
    }
    cpu->x[REG_A0] = (uint64_t)r;
    /* Only an interrupted call keeps its temporary mask, for the handlers that interrupted it. */
    if (r != -EINTR)
        um_suspend_end(p);
    if (r == -EINTR && c && (c->flags & UM_BLOCK)) {
        p->restart.active = true;
        p->restart.flags = restart_flags(c, a[0]);
        p->restart.pc = pc;
        p->restart.a0 = a[0];
    }
}
