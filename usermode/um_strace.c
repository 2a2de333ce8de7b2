/* --strace: a line for each system call, on a descriptor of our own. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "usermode/um.h"

struct line {
    char text[1024];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->text + l->len, sizeof l->text - l->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        l->len += (size_t)n < sizeof l->text - l->len ? (size_t)n : sizeof l->text - l->len - 1;
}

static void flush(struct um_proc *p, const struct line *l)
{
    size_t done = 0;
    while (done < l->len) {
        ssize_t n = write(p->cfg->strace_fd, l->text + done, l->len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            p->result.strace_error = n ? errno : EIO;
            return;
        }
    }
}

static void add_bytes(struct um_proc *p, struct line *l, uint64_t addr, uint64_t size, bool string)
{
    enum { MOST = 40 };
    char c;
    if (!um_space_ok(p->space, addr, 1, PROT_READ)) {
        add(l, "%#llx", (unsigned long long)addr);
        return;
    }
    add(l, "\"");
    uint64_t i = 0;
    for (; i < size && i < MOST && !um_copy_in(p, &c, addr + i, 1) && !(string && c == 0); i++) {
        if (c == '\n')
            add(l, "\\n");
        else if (c == '"' || c == '\\')
            add(l, "\\%c", c);
        else if (c >= ' ' && c < 127)
            add(l, "%c", c);
        else
            add(l, "\\%o", (unsigned char)c);
    }
    add(l, i == MOST ? "\"..." : "\"");
}

static void add_arg(struct um_proc *p, struct line *l, char kind, const uint64_t *a)
{
    const int at_fdcwd = -100;
    switch (kind) {
    case 'a':
        if ((int)*a == at_fdcwd)
            add(l, "AT_FDCWD");
        else
            add(l, "%d", (int)*a);
        break;
    case 'd':
    case 'f': add(l, "%d", (int)*a); break;
    case 'u': add(l, "%u", (unsigned)*a); break;
    case 'l': add(l, "%lld", (long long)*a); break;
    case 'o': add(l, "%#o", (unsigned)*a); break;
    case 'p':
    case 's': add_bytes(p, l, *a, 4096, true); break;
    case 'w': add_bytes(p, l, *a, a[1], false); break;
    case '*':
        if (*a == 0)
            add(l, "NULL");
        else
            add(l, "%#llx", (unsigned long long)*a);
        break;
    default: add(l, "%#llx", (unsigned long long)*a); break;
    }
}

static void add_call(struct um_proc *p, struct line *l, uint64_t nr, const uint64_t *a)
{
    const struct um_call *c = um_call_find(nr);
    l->len = 0;
    add(l, "%ld ", (long)gettid());
    if (!c) {
        add(l, "syscall_%llu(%#llx, %#llx, %#llx)", (unsigned long long)nr,
            (unsigned long long)a[0], (unsigned long long)a[1], (unsigned long long)a[2]);
        return;
    }
    add(l, "%s(", c->name);
    for (unsigned i = 0; c->args[i]; i++) {
        if (i)
            add(l, ", ");
        add_arg(p, l, c->args[i], a + i);
    }
    add(l, ")");
}

/* Calls that don't come back, or whose arguments go with them, are printed before. */
static bool printed_before(uint64_t nr)
{
    const struct um_call *c = um_call_find(nr);
    return c && (c->fn == um_sys_execve || c->fn == um_sys_exit || c->fn == um_sys_exit_group ||
                 c->fn == um_sys_rt_sigreturn);
}

void um_strace_enter(struct um_proc *p, uint64_t nr, const uint64_t *a)
{
    struct line l;
    if (!printed_before(nr))
        return;
    add_call(p, &l, nr, a);
    add(&l, "\n");
    flush(p, &l);
}

void um_strace_leave(struct um_proc *p, uint64_t nr, const uint64_t *a, int64_t r)
{
    struct line l;
    const struct um_call *c = um_call_find(nr);
    if (printed_before(nr) && r >= 0)
        return;
    add_call(p, &l, nr, a);
    if (r < 0 && r > -4096)
        add(&l, " = -1 %s (%s)", strerrorname_np((int)-r), strerror((int)-r));
    else if (c && (c->fn == um_sys_mmap || c->fn == um_sys_brk || c->fn == um_sys_mremap))
        add(&l, " = %#llx", (unsigned long long)r);
    else
        add(&l, " = %lld", (long long)r);
    if (!c || c->kind == UM_CALL_NONE)
        add(&l, " [not there]");
    add(&l, "\n");
    flush(p, &l);
}

void um_strace_signal(struct um_proc *p, int signal, const uint8_t *info)
{
    struct line l;
    int32_t code;
    uint64_t addr;
    if (p->cfg->strace_fd < 0)
        return;
    memcpy(&code, info + 8, sizeof code);
    memcpy(&addr, info + 16, sizeof addr);
    const char *name = sigabbrev_np(signal);
    l.len = 0;
    add(&l, "%ld --- SIG%s%s code %d", (long)gettid(), name ? name : "RT", "", code);
    if (code > 0)
        add(&l, " addr %#llx", (unsigned long long)addr);
    add(&l, " pc %#llx ---\n", (unsigned long long)p->cpu->run.pc);
    flush(p, &l);
}
