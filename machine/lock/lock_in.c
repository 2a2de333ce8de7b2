/* When which thread of a machine enters the sandbox. */
#include "machine/vm.h"

bool vm_enter_net(void *context)
{
    const struct vm *m = context;
    return sandbox_enter(m->sandbox, SANDBOX_NET, NULL) == GW_OK;
}

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

/* Everything is open, and the threads run that work for devices; the network's has entered when it
 * started. A thread that starts others locks itself in behind that: see threads.c. */
enum gw_status vm_lock_in(struct vm *m, struct gw_error *err)
{
    enum gw_status st;
    if (!m->sandbox)
        return GW_OK;
    if (broker_saves(m->broker) && vm_open_snapshots(m, err) != GW_OK)
        return err->status;
    st = lock_in_thread(m, host_io(m->host), SANDBOX_CONTROL, err);
    if (st == GW_OK)
        st = lock_in_thread(m, m->board->io, SANDBOX_IO, err);
    for (unsigned i = 0; st == GW_OK && i < m->board->disk_count; i++)
        st = lock_in_thread(m, m->board->disk_io[i], SANDBOX_DISK, err);
    if (st != GW_OK || vm_has_threads(m))
        return st;
    return sandbox_enter(m->sandbox, SANDBOX_MAIN, err);
}
