/* A machine's state into a snapshot, and back. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/clock.h"
#include "machine/state/loose.h"
#include "machine/state/seen.h"
#include "frontend/riscv64/priv.h"
#include "devices/board/rtc.h"
#include "godwit/plain.h"
#include "snapshot/snapshot.h"
#include "devices/virtio/net.h"
#include "machine/vm.h"
#include "spec/spec.h"

enum { NAME_BYTES = SNAP_NAME_BYTES + 1 };

/* ---- everything that has a table ------------------------------------------------------------ */

struct part {
    char name[NAME_BYTES];
    const struct state_desc *desc;
    void *object;
};

static bool set_part(struct part *p, const struct state_desc *desc, void *object)
{
    p->desc = desc;
    p->object = object;
    return desc && desc->field_count;
}

/* Of a device: its own table, then that of what stands behind it. */
static bool device_part(struct gw_device *d, unsigned which, struct part *p)
{
    const struct state_desc *behind;
    size_t n = strlen(p->name);
    void *object;
    if (which == 0)
        return set_part(p, d->cls->state, d);
    behind = d->cls->behind ? d->cls->behind(d, &object) : NULL;
    snprintf(p->name + n, sizeof p->name - n, ".dev");
    return behind && set_part(p, behind, object);
}

static bool numbered_part(struct part *p, const char *name, unsigned i,
                          const struct state_desc *desc, void *object)
{
    snprintf(p->name, sizeof p->name, "%s%u", name, i);
    return set_part(p, desc, object);
}

/* In the order in which they are put in force: what takes lines from others comes after them, the
 * CPUs last. False past the last. */
static bool part_at(struct vm *m, unsigned index, struct part *p)
{
    struct dev_console *console[] = {m->board->console, m->board->console2};
    unsigned consoles = console[1] ? 2 : 1;
    struct gw_device *d;
    if (index < m->cpus)
        return numbered_part(p, "vcpu", index, &engine_vcpu_state, &m->vcpu[index].cpu->run);
    index -= m->cpus;
    if (index < m->cpus)
        return numbered_part(p, "sbi", index, &sbi_hart_table, &m->sbi.hart[index]);
    index -= m->cpus;
    for (unsigned i = 0; (d = board_device(m->board, i, p->name, sizeof p->name)); i++) {
        for (unsigned which = 0; which < 2; which++)
            if (device_part(d, which, p) && index-- == 0)
                return true;
    }
    if (index < consoles)
        return numbered_part(p, "console", index, &dev_console_state, console[index]);
    index -= consoles;
    return index < m->cpus && numbered_part(p, "cpu", index, m->isa->state, m->vcpu[index].cpu);
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* A save that takes long is given up when the machine is to end. */
struct saving {
    struct vm *m;
    bool given_up;
};

enum { PAGES_A_LOOK = 1024 };

static bool saves_on(struct saving *s, uint64_t page)
{
    if (page % PAGES_A_LOOK == 0 && !s->given_up)
        s->given_up = !vm_saves_on(s->m);
    return !s->given_up;
}

/* NULL where all is zero, as memory is that nobody wrote. */
static const uint8_t *get_ram(void *context, uint64_t page, uint8_t *buf)
{
    struct saving *s = context;
    const uint8_t *p = board_ram(s->m->board)->host + page * SNAP_PAGE_BYTES;
    if (!saves_on(s, page))
        return NULL;
    return p[0] == 0 && memcmp(p, p + 1, SNAP_PAGE_BYTES - 1) == 0 ? NULL : p;
}

static enum gw_status put_ram(void *context, uint64_t page, const uint8_t *bytes,
                              struct gw_error *err)
{
    const struct gw_ram *ram = context;
    memcpy(ram->host + page * SNAP_PAGE_BYTES, bytes, SNAP_PAGE_BYTES);
    return GW_OK;
}

struct overlay {
    struct dev_disk *disk;
    struct saving *saving; /* NULL: it is restored */
    bool failed;
};

static const uint8_t *get_cluster(void *context, uint64_t page, uint8_t *buf)
{
    struct overlay *o = context;
    if (!saves_on(o->saving, page) || !dev_disk_has_cluster(o->disk, page))
        return NULL;
    if (!dev_disk_get_cluster(o->disk, page, buf))
        o->failed = true;
    return buf;
}

static enum gw_status put_cluster(void *context, uint64_t page, const uint8_t *bytes,
                                  struct gw_error *err)
{
    struct overlay *o = context;
    if (!dev_disk_put_cluster(o->disk, page, bytes))
        return gw_fail(err, GW_ERR_IO, dev_disk_path(o->disk),
                       "cannot restore what was written to the disk: %s", strerror(errno));
    return GW_OK;
}

static const uint8_t *get_flash(void *context, uint64_t page, uint8_t *buf)
{
    return dev_flash_get_page(context, page);
}

static enum gw_status put_flash(void *context, uint64_t page, const uint8_t *bytes,
                                struct gw_error *err)
{
    return dev_flash_put_page(context, page, bytes, err);
}

static void flash_name(unsigned i, char *name, size_t bytes)
{
    snprintf(name, bytes, "flash-bytes%u", i);
}

static void overlay_name(unsigned i, char *name, size_t bytes)
{
    snprintf(name, bytes, "disk%u", i);
}

/* ---- a second thread -------------------------------------------------------------------------- */

/* The I/O thread reads and writes while this one packs and unpacks; who is ahead hashes. */
static void run_work(struct dev_io_job *job)
{
    struct vm_work *w = (struct vm_work *)(void *)job;
    w->work(w->arg);
}

static void submit_work(void *context, void (*work)(void *arg), void *arg)
{
    struct vm *m = context;
    m->work = (struct vm_work){.job = {.run = run_work}, .work = work, .arg = arg};
    dev_io_submit(m->board->io, &m->work.job);
}

static void wait_for_work(void *context)
{
    const struct vm *m = context;
    dev_io_drain(m->board->io);
}

static bool is_working(void *context)
{
    const struct vm *m = context;
    return !dev_io_wait(m->board->io, 0);
}

static struct snap_worker worker_of(struct vm *m)
{
    return (struct snap_worker){
        .submit = submit_work, .wait = wait_for_work, .busy = is_working, .context = m};
}

/* ---- the manifest --------------------------------------------------------------------------- */

/* The machine as it was given, with what is usual said, and what is seen of its files now. *s is to
 * be cleared, unless this fails. */
static enum gw_status describe(struct vm *m, struct machine_spec *s, struct gw_error *err)
{
    enum gw_status st = spec_copy(spec_machine, s, &m->seen, err);
    if (st != GW_OK)
        return st;
    st = spec_say_usual(s, err);
    if (m->board->net)
        memcpy(s->mac.bytes, virtio_net_mac(m->board->net), sizeof s->mac.bytes);
    else
        s->net.kind = 0; /* --net none is as good as nothing said */
    if (st == GW_OK)
        st = vm_see_files(m, s, err);
    if (st != GW_OK)
        spec_clear(spec_machine, s);
    return st;
}

/* ---- saving --------------------------------------------------------------------------------- */

static enum gw_status write_overlays(struct saving *s, const struct snap_api *api,
                                     struct snap_writer *w, struct gw_error *err)
{
    struct vm *m = s->m;
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < m->board->disk_count; i++) {
        struct overlay o = {.disk = m->board->disk[i], .saving = s};
        struct snap_page_source pages = {
            .count = dev_disk_clusters(o.disk), .get = get_cluster, .context = &o};
        char name[NAME_BYTES];
        if (dev_disk_mode(o.disk) != DEV_DISK_TEMPORARY)
            continue;
        overlay_name(i, name, sizeof name);
        st = api->write_pages(w, name, &pages, err);
        if (st == GW_OK && o.failed)
            st = gw_fail(err, GW_ERR_IO, dev_disk_path(o.disk),
                         "cannot save what was written to the disk: %s", strerror(errno));
    }
    return st;
}

static enum gw_status write_flash(struct vm *m, const struct snap_api *api, struct snap_writer *w,
                                  struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < VIRT_FLASH_BANKS; i++) {
        struct snap_page_source pages = {.count = DEV_FLASH_BYTES / SNAP_PAGE_BYTES,
                                         .get = get_flash,
                                         .context = board_flash(m->board, i)};
        char name[NAME_BYTES];
        flash_name(i, name, sizeof name);
        st = api->write_pages(w, name, &pages, err);
    }
    return st;
}

static enum gw_status write_states(struct vm *m, const struct snap_api *api, struct snap_writer *w,
                                   struct gw_error *err)
{
    struct vm_loose loose;
    struct part p;
    enum gw_status st;
    for (unsigned i = 0; i < m->cpus; i++) /* what harts asked of one another is in their state */
        rv_remote_look(m->vcpu[i].cpu);
    vm_loose_gather(m, &loose);
    dev_console_settle(m->board->console);
    if (m->board->console2)
        dev_console_settle(m->board->console2);
    st = api->write_state(w, "machine", &vm_loose_state, &loose, err);
    for (unsigned i = 0; st == GW_OK && part_at(m, i, &p); i++)
        st = api->write_state(w, p.name, p.desc, p.object, err);
    return st;
}

static enum gw_status write_all(struct vm *m, const struct snap_api *api, struct snap_writer *w,
                                struct gw_error *err)
{
    struct saving saving = {.m = m};
    struct snap_page_source pages = {
        .count = board_ram(m->board)->size / SNAP_PAGE_BYTES, .get = get_ram, .context = &saving};
    struct machine_spec spec;
    enum gw_status st = describe(m, &spec, err);
    if (st != GW_OK)
        return st;
    st = api->write_manifest(w, &spec, err);
    spec_clear(spec_machine, &spec);
    if (st == GW_OK)
        st = write_states(m, api, w, err);
    if (st == GW_OK)
        st = write_overlays(&saving, api, w, err);
    if (st == GW_OK)
        st = write_flash(m, api, w, err);
    if (st == GW_OK)
        st = api->write_pages(w, "ram", &pages, err);
    return st == GW_OK && saving.given_up
               ? gw_fail(err, GW_ERR_STATE, "", "the machine is to end, and was not saved")
               : st;
}

/* Until nothing is in flight and nothing waits to be delivered. What is finished may start more,
 * out of rings that are finite. */
static void settle(struct vm *m)
{
    enum { ROUNDS = 1000 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        gw_events_run(m->board->events, vm_retired(m));
        board_quiesce(m->board);
        if (dev_events_idle(m->board->events))
            break;
    }
}

static const struct snap_api *open_api(struct vm *m, struct gw_error *err)
{
    if (!m->snapshots && !m->o->open_snapshots)
        gw_fail(err, GW_ERR_UNSUPPORTED, "", "this program has no snapshots");
    else if (!m->snapshots)
        m->snapshots = m->o->open_snapshots(err);
    return m->snapshots;
}

/* The module has code, and code cannot be loaded any more once we are locked in. */
enum gw_status vm_open_snapshots(struct vm *m, struct gw_error *err)
{
    return !m->o->open_snapshots || open_api(m, err) ? GW_OK : err->status;
}

enum gw_status vm_save(struct vm *m, int fd, const char *name, struct gw_error *err)
{
    const struct snap_api *api = open_api(m, err);
    const struct snap_worker worker = worker_of(m);
    bool was_paused = dev_events_paused(m->board->events);
    struct snap_writer *w;
    enum gw_status st;
    if (!api)
        return err->status;
    st = api->create_on(&w, fd, &worker, name, err);
    if (st != GW_OK)
        return st;
    dev_events_pause(m->board->events);
    settle(m);
    dev_console_flush(m->board->console);
    if (m->board->console2)
        dev_console_flush(m->board->console2);
    st = write_all(m, api, w, err);
    if (st == GW_OK)
        st = api->commit(w, err);
    else
        api->abandon(w);
    if (!was_paused)
        vm_restored_runs(m); /* the world went on meanwhile */
    return st;
}

enum gw_status vm_save_as(struct vm *m, enum broker_save which, char *name, struct gw_error *err)
{
    int fd;
    struct gw_error note = {0};
    enum gw_status st = broker_open(m->broker, which, vm_retired(m), &fd, name, err);
    if (st != GW_OK)
        return st;
    st = vm_save(m, fd, name, err);
    if (st != GW_OK) {
        broker_drop(m->broker);
        return st;
    }
    st = broker_keep(m->broker, &note);
    if (st != GW_OK && err)
        *err = note;
    else if (note.message[0] && !m->spec->quiet)
        fprintf(stderr, "godwit: note: %s is not sealed: %s: %s\n", GW_PLAIN(name),
                GW_PLAIN(note.object), GW_PLAIN(note.message));
    return st;
}

/* ---- restoring ------------------------------------------------------------------------------ */

static enum gw_status check_manifest(struct vm *m, const struct machine_spec *saved,
                                     struct gw_error *err)
{
    if (saved->cpus != m->cpus)
        return gw_fail(err, GW_ERR_ARG, "-c",
                       "cannot restore: the machine was saved with %" PRIu64 " CPU(s)",
                       saved->cpus);
    if (saved->disks_count != m->board->disk_count)
        return gw_fail(err, GW_ERR_ARG, "", "cannot restore: the machine was saved with %u disk(s)",
                       saved->disks_count);
    if (saved->second_port != (m->board->console2 != NULL))
        return gw_fail(err, GW_ERR_ARG, "--serial",
                       "cannot restore: the machine was saved with %d serial port(s)",
                       saved->second_port ? 2 : 1);
    return vm_check_files(m, saved, err);
}

static enum gw_status load_overlays(struct vm *m, const struct snap_api *api, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < m->board->disk_count; i++) {
        struct overlay o = {.disk = m->board->disk[i]};
        struct snap_page_sink pages = {
            .count = dev_disk_clusters(o.disk), .put = put_cluster, .context = &o};
        char name[NAME_BYTES];
        overlay_name(i, name, sizeof name);
        if (dev_disk_mode(o.disk) == DEV_DISK_TEMPORARY)
            st = api->load_pages(m->reader, name, &pages, err);
    }
    return st;
}

static enum gw_status load_flash(struct vm *m, const struct snap_api *api, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < VIRT_FLASH_BANKS; i++) {
        struct snap_page_sink pages = {.count = DEV_FLASH_BYTES / SNAP_PAGE_BYTES,
                                       .put = put_flash,
                                       .context = board_flash(m->board, i)};
        char name[NAME_BYTES];
        flash_name(i, name, sizeof name);
        st = api->load_pages(m->reader, name, &pages, err);
    }
    return st;
}

/* What each vCPU takes for the machine's time, where they take turns, is the same. */
static enum gw_status check_counts(struct vm *m, struct gw_error *err)
{
    uint64_t sum = 0;
    bool ok = true;
    for (unsigned i = 0; i < m->cpus; i++) {
        uint64_t own = gw_retired(&m->vcpu[i].cpu->run);
        ok = ok && own <= INT64_MAX - sum;
        sum += ok ? own : 0;
    }
    for (unsigned i = 0; m->spec->clock_insns && i < m->cpus; i++)
        ok = ok && gw_retired_by_all(&m->vcpu[i].cpu->run) == sum;
    return ok ? GW_OK
              : gw_fail(err, GW_ERR_FORMAT, "vcpu", "counts of instructions that do not agree");
}

/* All fields first, then what derives from them, since that crosses from device to device. */
static enum gw_status load_states(struct vm *m, const struct snap_api *api, struct gw_error *err)
{
    struct snap_reader *r = m->reader;
    struct vm_loose loose;
    struct part p;
    enum gw_status st = api->load_state(r, "machine", &vm_loose_state, &loose, err);
    for (unsigned i = 0; st == GW_OK && part_at(m, i, &p); i++)
        st = api->load_state(r, p.name, p.desc, p.object, err);
    if (st == GW_OK)
        st = check_counts(m, err);
    if (st != GW_OK)
        return st;
    vm_loose_scatter(m, &loose);
    for (unsigned i = 0; part_at(m, i, &p); i++)
        if (p.desc->post_load)
            p.desc->post_load(p.object);
    return GW_OK;
}

/* In the order in which write_all() wrote, since a stream gives its pages but once; states, which look
 * into memory, are kept by the reader meanwhile. */
static enum gw_status load_all(struct vm *m, const struct snap_api *api, struct gw_error *err)
{
    const struct gw_ram *ram = board_ram(m->board);
    const struct snap_worker worker = worker_of(m);
    struct snap_page_sink pages = {.count = ram->size / SNAP_PAGE_BYTES,
                                   .put = put_ram,
                                   .context = (void *)(uintptr_t)ram,
                                   .worker = &worker};
    enum gw_status st = load_overlays(m, api, err);
    if (st == GW_OK)
        st = load_flash(m, api, err);
    if (st == GW_OK)
        st = api->load_pages(m->reader, "ram", &pages, err);
    if (st == GW_OK)
        st = load_states(m, api, err);
    return st == GW_OK ? api->finish(m->reader, err) : st;
}

enum gw_status vm_restore(struct vm *m, struct gw_error *err)
{
    const struct machine_saved *from = m->o->restore;
    const struct snap_api *api = open_api(m, err);
    uint8_t generation[DEV_VMGENID_BYTES];
    enum gw_status st;
    if (!api)
        return err->status;
    st = check_manifest(m, from->spec, err);
    m->reader = from->reader;
    if (st == GW_OK && !m->reader)
        st = api->open_on(&m->reader, from->fd, from->name, from->root, err);
    if (st == GW_OK)
        st = load_all(m, api, err);
    if (!from->reader)
        api->close(m->reader);
    m->reader = NULL;
    if (st != GW_OK)
        return st;
    vm_reset_derived(m);
    if (m->board->net)
        virtio_net_look_at_cable(m->board->net);
    /* Who restores the file a second time has the same past, up to here. What can be repeated stays. */
    if (!m->spec->clock_insns) {
        vm_fresh_bytes(m, generation, sizeof generation);
        board_renew(m->board, generation);
    }
    return GW_OK;
}

/* By the host's clock the guest's calendar goes on where the world is now, never backwards; what the
 * guest has set it ahead or behind stays. */
void vm_restored_runs(struct vm *m)
{
    struct dev_rtc *rtc = (struct dev_rtc *)(void *)m->board->rtc;
    struct timespec ts;
    uint64_t wall;
    dev_events_resume(m->board->events);
    if (m->spec->clock_insns)
        return;
    clock_gettime(CLOCK_REALTIME, &ts);
    wall = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
    wall -= dev_now(m->board->events);
    if (wall > rtc->offset_ns)
        rtc->offset_ns = wall;
    rtc->d.cls->state->post_load(rtc);
}
