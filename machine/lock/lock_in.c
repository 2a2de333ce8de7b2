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
    enum gw_status status;
    struct gw_error err;
};

static void enter_io(struct dev_io_job *job)
{
    struct entry *e = (struct entry *)(void *)job;
    e->status = sandbox_enter(e->sandbox, SANDBOX_IO, &e->err);
}

/* Everything is open, and the threads run that work for devices; the network's has entered when it
 * started. A thread that starts others locks itself in behind that: see threads.c. */
enum gw_status vm_lock_in(struct vm *m, struct gw_error *err)
{
    struct entry e = {.job = {.run = enter_io}, .sandbox = m->sandbox};
    if (!m->sandbox)
        return GW_OK;
    if (broker_saves(m->broker) && vm_open_snapshots(m, err) != GW_OK)
        return err->status;
    dev_io_submit(m->board->io, &e.job);
    dev_io_drain(m->board->io);
    if (e.status != GW_OK) {
        *err = e.err;
        return e.status;
    }
    return vm_has_threads(m) ? GW_OK : sandbox_enter(m->sandbox, SANDBOX_MAIN, err);
}
