/* When which thread of a machine enters the sandbox. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "machine/vm.h"

/* Descriptors of this process; where user networking has a table of its own, of that too. What a machine
 * opens later is bounded: the control socket's clients and what they send, a peer for each line, maps
 * that are closed again. */
enum { FILES_MOST = 1024, FILES_LATER = 100 };
/* The same of memory: requests in flight, flows of the network, what packs a snapshot, threads' stacks. */
#define MEMORY_LATER (UINT64_C(1) << 30)
enum { RAM_PER_LATER = 32 }; /* and what is kept of each page of RAM while the machine is saved */

/* ---- user networking's thread ---------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Standard error stays, for what a forbidden call says. */
bool vm_own_net_files(void *context, const int *keep, unsigned count)
{
    const struct vm *m = context;
    int *all = calloc(count + 2, sizeof *all);
    unsigned next = 0;
    if (!all || unshare(CLONE_FILES) < 0) {
        free(all);
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        all[i] = keep[i];
    all[count] = STDERR_FILENO;
    all[count + 1] = sandbox_names_fd(m->sandbox);
    qsort(all, count + 2, sizeof *all, by_number);
    for (unsigned i = 0; i < count + 2; i++) {
        if (all[i] < 0)
            continue;
        if ((unsigned)all[i] > next)
            close_range(next, (unsigned)all[i] - 1, 0);
        next = (unsigned)all[i] + 1;
    }
    close_range(next, ~0u, 0);
    free(all);
    /* No socket is to be mistaken for standard input and output. */
    return open("/dev/null", O_RDWR | O_CLOEXEC) == 0 && fcntl(0, F_DUPFD_CLOEXEC, 0) == 1;
}

bool vm_enter_net(void *context)
{
    const struct vm *m = context;
    enum sandbox_role role = m->spec->net_restrict == SPEC_ON ? SANDBOX_NET_IN : SANDBOX_NET;
    return sandbox_enter(m->sandbox, role, NULL) == GW_OK;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* What whoever started the program left open for it, beside standard input and output: nothing of ours stays
 * open over an exec. Who waits for the end of a pipe is not to wait for a machine, and code in a machine has
 * no use of it. Files that options name so (/dev/fd/3) have been opened anew. */
static void close_inherited(void)
{
    DIR *d = opendir("/proc/self/fd");
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        int fd = atoi(e->d_name);
        if (fd > STDERR_FILENO && fcntl(fd, F_GETFD) == 0)
            close(fd);
    }
    if (d)
        closedir(d);
}

enum gw_status vm_limit_files(struct vm *m, struct gw_error *err)
{
    struct rlimit limit;
    unsigned used = 0;
    if (m->sandbox || m->o->detached) /* the process is the machine's alone */
        close_inherited();
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return GW_OK;
    if (limit.rlim_max > FILES_MOST)
        limit.rlim_max = FILES_MOST;
    limit.rlim_cur = limit.rlim_max;
    for (int fd = 0; fd < (int)limit.rlim_cur; fd++)
        used += fcntl(fd, F_GETFD) >= 0;
    if (used + FILES_LATER > limit.rlim_cur) {
        gw_fail(err, GW_ERR_LIMIT, "", "too few descriptors: the host allows %u, and %u are open",
                (unsigned)limit.rlim_cur, used);
        if (err)
            snprintf(err->hint, sizeof err->hint, "ulimit -n %d", FILES_MOST);
        return GW_ERR_LIMIT;
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    sandbox_bound(m->sandbox, MEMORY_LATER + m->spec->memory_bytes / RAM_PER_LATER);
    return GW_OK;
}

/* ---- all of them ------------------------------------------------------------------------------ */

struct entry {
    struct dev_io_job job;
    const struct sandbox *sandbox;
    enum sandbox_role role;
    enum gw_status status;
    struct gw_error err;
};

static void enter(struct dev_io_job *job)
{
    struct entry *e = (struct entry *)(void *)job;
    e->status = sandbox_enter(e->sandbox, e->role, &e->err);
}

static enum gw_status lock_in_thread(const struct vm *m, struct dev_io *io, enum sandbox_role role,
                                     struct gw_error *err)
{
    struct entry e = {.job = {.run = enter}, .sandbox = m->sandbox, .role = role};
    dev_io_submit(io, &e.job);
    dev_io_drain(io);
    if (e.status != GW_OK)
        *err = e.err;
    return e.status;
}

/* Everything is open, the threads run that work for devices, and nobody has looked into what strangers may
 * have made. The network's thread has entered when it started. */
enum gw_status vm_lock_in(struct vm *m, struct gw_error *err)
{
    enum gw_status st;
    if (!m->sandbox)
        return GW_OK;
    broker_bound(m->broker);
    if ((m->o->restore || broker_saves(m->broker)) && vm_open_snapshots(m, err) != GW_OK)
        return err->status;
    st = lock_in_thread(m, host_io(m->host), SANDBOX_CONTROL, err);
    if (st == GW_OK)
        st = lock_in_thread(m, m->board->io, SANDBOX_IO, err);
    for (unsigned i = 0; st == GW_OK && i < m->board->disk_count; i++)
        st = lock_in_thread(m, m->board->disk_io[i], SANDBOX_DISK, err);
    return st == GW_OK ? sandbox_enter(m->sandbox, SANDBOX_LOAD, err) : st;
}
