/* Files that are known again, see seen.h. Nothing is opened here: by now nothing can be. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "devices/host/sample.h"
#include "machine/state/seen.h"
#include "spec/spec.h"
#include "godwit/word.h"

static const uint32_t modes[] = {[DEV_DISK_TEMPORARY] = SPEC_DISK_TEMPORARY,
                                 [DEV_DISK_OVERLAY] = SPEC_DISK_OVERLAY,
                                 [DEV_DISK_RW] = SPEC_DISK_RW};

/* ---- what is seen ------------------------------------------------------------------------------ */

static void see_status(struct file_spec *f, const struct stat *st)
{
    f->bytes = (uint64_t)st->st_size;
    f->mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

static void see_file(struct file_spec *f)
{
    struct stat st;
    f->bytes = f->mtime_ns = f->sample = 0;
    if (f->path && stat(f->path, &st) == 0)
        see_status(f, &st);
}

enum gw_status vm_see_names(struct vm *m, struct gw_error *err)
{
    struct machine_spec *s = &m->seen;
    enum gw_status st = spec_copy(spec_machine, s, m->spec, err);
    if (st != GW_OK)
        return st;
    m->has_seen = true;
    st = spec_make_absolute(s, err);
    for (unsigned i = 0; i < SPEC_FLASH_BANKS; i++)
        see_file(&s->flash[i]);
    for (unsigned i = 0; i < s->fw_cfg_count; i++)
        see_file(&s->fw_cfg[i]);
    for (unsigned i = 0; i < s->loads_count; i++)
        see_file(&s->loads[i]);
    return st;
}

/* What the machine has of a file, since that is what was in it. */
static void see_fw_cfg(struct vm *m, struct file_spec *f)
{
    const struct dev_fw_cfg *cfg = (struct dev_fw_cfg *)(void *)m->board->fw_cfg;
    for (unsigned i = 0; i < cfg->file_count; i++)
        if (f->name && !strcmp(cfg->name[i], f->name))
            f->sample = dev_sample_bytes(cfg->file[i].data, cfg->file[i].size);
}

/* One that the machine writes to is seen as it is by now. */
static void see_flash(struct vm *m, unsigned bank, struct file_spec *f)
{
    const struct dev_flash *flash = board_flash(m->board, bank);
    struct stat st;
    if (flash->fd < 0)
        return;
    if (fstat(flash->fd, &st) == 0)
        see_status(f, &st);
    f->sample = dev_sample_bytes(flash->rom.mem.host, DEV_FLASH_BYTES);
}

static enum gw_status see_disk(struct dev_disk *d, struct disk_spec *s, struct gw_error *err)
{
    struct dev_disk_identity id;
    if (!dev_disk_identify(d, &id))
        return gw_fail(err, GW_ERR_IO, dev_disk_path(d), "cannot read the disk: %s",
                       strerror(errno));
    s->mode = modes[id.mode];
    s->bytes = id.bytes;
    s->mtime_ns = id.mtime_ns;
    s->sample = id.sample;
    s->overlay_mtime_ns = id.overlay_mtime_ns;
    s->overlay_state = id.overlay_state;
    return GW_OK;
}

enum gw_status vm_see_files(struct vm *m, struct machine_spec *s, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; i < SPEC_FLASH_BANKS; i++)
        see_flash(m, i, &s->flash[i]);
    for (unsigned i = 0; i < s->fw_cfg_count; i++)
        see_fw_cfg(m, &s->fw_cfg[i]);
    for (unsigned i = 0; st == GW_OK && i < s->disks_count; i++)
        st = see_disk(m->board->disk[i], &s->disks[i], err);
    return st;
}

/* ---- whether it is that ------------------------------------------------------------------------ */

/* saved, now: the same disk. Where a file was saved without a sample, its time of change tells, if it is that
 * file and no copy. So it does where a machine writes and a sample may miss what it wrote. */
static bool is_same_disk(const struct disk_spec *saved, const struct disk_spec *now, bool same_file)
{
    bool exact = saved->sample && (saved->mode != SPEC_DISK_RW || saved->bytes <= DEV_SAMPLE_WHOLE);
    if ((saved->sample && saved->sample != now->sample) ||
        (!exact && same_file && saved->mtime_ns != now->mtime_ns))
        return false;
    if (saved->mode != SPEC_DISK_OVERLAY)
        return true;
    return saved->overlay_state ? saved->overlay_state == now->overlay_state
                                : !same_file || saved->overlay_mtime_ns == now->overlay_mtime_ns;
}

/* What is sampled is as it was, and yet it is another disk: who touched it should know that this is why. */
static enum gw_status other_disk(struct vm *m, const char *path, const struct disk_spec *saved,
                                 const struct disk_spec *now, struct gw_error *err)
{
    const char *hint =
        saved->mode == SPEC_DISK_RW
            ? "godwit restore -d COPY,rw @, with a copy of what was there then"
        : saved->mode == SPEC_DISK_OVERLAY
            ? "godwit restore -d COPY,overlay=COPY @, with a copy of what was there then"
            : "godwit restore -d COPY @, with a copy of what was there then";
    bool time_alone = saved->mode == SPEC_DISK_RW && saved->sample == now->sample;
    gw_fail(err, GW_ERR_STATE, path,
            "cannot restore the disk: it was %s since the machine was saved",
            time_alone ? "touched, if not written to where no sample is," : "written to");
    gw_hint_of(err, hint, m->o->restore->name);
    return GW_ERR_STATE;
}

static enum gw_status check_disk(struct vm *m, unsigned i, const struct disk_spec *saved,
                                 struct gw_error *err)
{
    const char *path = dev_disk_path(m->board->disk[i]);
    struct disk_spec now = {0};
    enum gw_status st = see_disk(m->board->disk[i], &now, err);
    if (st != GW_OK)
        return st;
    if (now.mode != saved->mode) {
        const struct spec_record *r = spec_find(spec_machine, "disks")->record;
        char *kind = spec_print(spec_find(r, "mode"), saved);
        gw_fail(err, GW_ERR_ARG, path,
                "cannot restore the disk: it was of the kind %s when it was saved",
                kind ? kind : "?");
        free(kind);
        return GW_ERR_ARG;
    }
    if (now.bytes != saved->bytes)
        return gw_fail(err, GW_ERR_STATE, path,
                       "cannot restore the disk: it had %" PRIu64 " bytes when it was saved",
                       saved->bytes);
    return is_same_disk(saved, &now, !strcmp(m->seen.disks[i].path, saved->path))
               ? GW_OK
               : other_disk(m, path, saved, &now, err);
}

static enum gw_status check_file(const struct file_spec *saved, const struct file_spec *now,
                                 struct gw_error *err)
{
    bool same = saved->sample ? saved->sample == now->sample : saved->mtime_ns == now->mtime_ns;
    return same && saved->bytes == now->bytes
               ? GW_OK
               : gw_fail(err, GW_ERR_STATE, now->path,
                         "cannot restore: the file was written to since the save");
}

/* Firmware finds them by number too, so each stands where it stood. */
static enum gw_status check_fw_cfg(struct vm *m, const struct machine_spec *saved,
                                   struct gw_error *err)
{
    const struct machine_spec *s = &m->seen;
    enum gw_status st = GW_OK;
    if (s->fw_cfg_count != saved->fw_cfg_count)
        return gw_fail(err, GW_ERR_ARG, "--fw-cfg",
                       "cannot restore: the machine was saved with %u file(s) of firmware's",
                       saved->fw_cfg_count);
    for (unsigned i = 0; st == GW_OK && i < s->fw_cfg_count; i++) {
        const struct file_spec *was = &saved->fw_cfg[i];
        struct file_spec is = s->fw_cfg[i];
        const char *name = was->name ? was->name : "", *now = is.name ? is.name : "";
        if (strcmp(name, now) != 0)
            return gw_fail(err, GW_ERR_ARG, now,
                           "cannot restore: the machine was saved with %s in its place", name);
        see_fw_cfg(m, &is);
        st = check_file(was, &is, err);
    }
    return st;
}

static enum gw_status check_flash(struct vm *m, const struct machine_spec *saved,
                                  struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < SPEC_FLASH_BANKS; i++) {
        struct file_spec now = m->seen.flash[i];
        if (!now.path || !now.rw)
            continue;
        if (!saved->flash[i].path)
            return gw_fail(err, GW_ERR_ARG, now.path,
                           "cannot restore: the machine was saved with no file in bank %u", i);
        see_flash(m, i, &now);
        st = check_file(&saved->flash[i], &now, err);
    }
    return st;
}

enum gw_status vm_check_files(struct vm *m, const struct machine_spec *saved, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < saved->disks_count; i++)
        st = check_disk(m, i, &saved->disks[i], err);
    if (st == GW_OK)
        st = check_fw_cfg(m, saved, err);
    return st == GW_OK ? check_flash(m, saved, err) : st;
}
