/* What firmware is offered by fw_cfg: files of the user's, and what it is to boot. */
#include <stdlib.h>
#include <string.h>

#include "machine/boot/command.h"

static void put_little(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++, v >>= 8)
        p[i] = (uint8_t)v;
}

static enum gw_status add_number(struct dev_fw_cfg *f, unsigned key, uint64_t v, unsigned size,
                                 struct gw_error *err)
{
    uint8_t bytes[8];
    put_little(bytes, v, size);
    return dev_fw_cfg_add(f, key, bytes, size, err);
}

/* An item with its size in another. */
static enum gw_status add_bytes(struct dev_fw_cfg *f, unsigned size_key, unsigned data_key,
                                const void *bytes, size_t size, struct gw_error *err)
{
    enum gw_status st = dev_fw_cfg_add(f, data_key, bytes, size, err);
    return st == GW_OK ? add_number(f, size_key, size, 4, err) : st;
}

static enum gw_status add_kernel(struct dev_fw_cfg *f, struct vm *m, struct gw_error *err)
{
    char *line = command_bootargs(m->spec);
    struct initrd initrd = {0};
    struct blob kernel;
    enum gw_status st = line ? vm_file(m, &kernel, m->spec->kernel, "kernel", err)
                             : gw_fail(err, GW_ERR_NOMEM, "", "no memory for the command line");
    if (st == GW_OK) {
        st = add_bytes(f, DEV_FW_CFG_KERNEL_SIZE, DEV_FW_CFG_KERNEL_DATA, kernel.data, kernel.size,
                       err);
        blob_close(&kernel);
    }
    if (st == GW_OK)
        st = initrd_open(m, &initrd, err);
    if (st == GW_OK && initrd.size)
        st = add_bytes(f, DEV_FW_CFG_INITRD_SIZE, DEV_FW_CFG_INITRD_DATA, initrd.data, initrd.size,
                       err);
    if (st == GW_OK)
        st = add_bytes(f, DEV_FW_CFG_CMDLINE_SIZE, DEV_FW_CFG_CMDLINE_DATA, line, strlen(line) + 1,
                       err);
    initrd_close(&initrd);
    free(line);
    return st;
}

bool vm_offers_kernel(const struct machine_spec *s)
{
    return s->flash[0].path != NULL;
}

enum gw_status vm_offer(struct vm *m, struct gw_error *err)
{
    struct dev_fw_cfg *f = (struct dev_fw_cfg *)(void *)m->board->fw_cfg;
    enum gw_status st = add_number(f, DEV_FW_CFG_CPUS, m->cpus, 2, err);
    if (st == GW_OK && m->spec->kernel && vm_offers_kernel(m->spec) &&
        !vm_is_withheld(m, m->spec->kernel) && !vm_is_withheld(m, m->spec->initrd))
        st = add_kernel(f, m, err);
    for (unsigned i = 0; st == GW_OK && i < m->spec->fw_cfg_count; i++) {
        const struct file_spec *file = &m->spec->fw_cfg[i];
        struct blob b;
        if (!file->path || !file->name)
            return gw_fail(err, GW_ERR_FORMAT, "fw_cfg file", "cannot be offered: it has no name");
        st = blob_open(&b, file->path, "fw_cfg file", err);
        if (st == GW_OK)
            st = dev_fw_cfg_add_file(f, file->name, b.data, b.size, err);
        blob_close(&b);
    }
    return st;
}
