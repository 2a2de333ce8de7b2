/*
 * A program that is watched: what godwit/debug.h asks of it, beside what translator/debug.h does for
 * all targets. Its one unit is its thread.
 */
#include "translator/debug.h"

#include <fcntl.h>
#include <unistd.h>

#include "usermode/um.h"

static void wake(void *context)
{
    const struct um_proc *p = context;
    engine_ask(p->engine);
}

/* Guest memory by way of the kernel, which asks for no permission and faults nobody: a piece within one
 * mapping. What is mapped but not there (behind a file's end) is none. */
static uint64_t move(const struct um_proc *p, int fd, uint64_t addr, void *bytes, uint64_t size,
                     bool write)
{
    struct um_region r;
    bool found = um_space_find(p->space, addr, false, &r);
    uint64_t n = found && r.end - addr < size ? r.end - addr : size;
    off_t at = (off_t)(p->space->base + addr);
    ssize_t done = !found ? 0 : write ? pwrite(fd, bytes, n, at) : pread(fd, bytes, n, at);
    return done > 0 ? (uint64_t)done : 0;
}

static uint64_t move_all(const struct um_proc *p, int unit, uint64_t addr, uint8_t *bytes,
                         uint64_t size, bool write)
{
    uint64_t done = 0, n;
    if (unit == GW_DEBUG_PHYSICAL)
        return 0;
    int fd = open("/proc/self/mem", (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    while (fd >= 0 && done < size &&
           (n = move(p, fd, addr + done, bytes + done, size - done, write)))
        done += n;
    if (fd >= 0)
        close(fd);
    return done;
}

static uint64_t read_memory(void *context, int unit, uint64_t addr, void *to, uint64_t size)
{
    return move_all(context, unit, addr, to, size, false);
}

static uint64_t write_memory(void *context, int unit, uint64_t addr, const void *from,
                             uint64_t size)
{
    struct um_proc *p = context;
    uint64_t done = move_all(p, unit, addr, (uint8_t *)(uintptr_t)from, size, true);
    um_engine_code_changed(p, addr, done);
    return done;
}

enum gw_status um_debug_start(struct um_proc *p, struct gw_error *err)
{
    const struct debug_config cfg = {.isa = p->isa,
                                     .units = 1,
                                     .unit_name = "thread",
                                     .in_place = true,
                                     .context = p,
                                     .wake = wake,
                                     .read = read_memory,
                                     .write = write_memory};
    if (!p->cfg->watch)
        return GW_OK;
    enum gw_status st = debug_new(&p->debug, &cfg, err);
    if (st != GW_OK)
        return st;
    debug_set_engine(p->debug, 0, p->cpu, p->engine);
    p->cfg->watch(p->cfg->watch_context, debug_api(p->debug));
    debug_begin(p->debug);
    return GW_OK;
}

void um_debug_stop(struct um_proc *p)
{
    if (p->debug)
        debug_end(p->debug);
    debug_free(p->debug);
    p->debug = NULL;
}

void um_debug_forget(struct um_proc *p)
{
    debug_forget(p->debug);
    p->debug = NULL;
}
