/*
 * The firmware configuration device: numbered items and named files that the machine offers to
 * firmware, read byte by byte through a data register, or by a DMA descriptor. The guest writes
 * none of them. Items are added before the vCPU starts. vCPU thread.
 */
#ifndef DEV_FW_CFG_H
#define DEV_FW_CFG_H

#include "godwit/device.h"
#include "godwit/status.h"

enum {
    DEV_FW_CFG_ITEMS = 0x18,    /* numbers below the directory of files */
    DEV_FW_CFG_FILES = 64,      /* files at most */
    DEV_FW_CFG_NAME_BYTES = 56, /* of a file, with its end */
    DEV_FW_CFG_CPUS = 0x05,     /* 16 bits */
    DEV_FW_CFG_KERNEL_SIZE = 0x08,
    DEV_FW_CFG_INITRD_SIZE = 0x0b,
    DEV_FW_CFG_KERNEL_DATA = 0x11,
    DEV_FW_CFG_INITRD_DATA = 0x12,
    DEV_FW_CFG_CMDLINE_SIZE = 0x14,
    DEV_FW_CFG_CMDLINE_DATA = 0x15,
};

struct dev_fw_cfg_item {
    const uint8_t *data; /* the device's copy, freed with it */
    uint32_t size;
};

struct dev_fw_cfg {
    struct gw_device d;
    /* what is offered: configuration */
    struct dev_fw_cfg_item item[DEV_FW_CFG_ITEMS], file[DEV_FW_CFG_FILES], directory;
    char name[DEV_FW_CFG_FILES][DEV_FW_CFG_NAME_BYTES];
    unsigned file_count;
    /* state */
    uint16_t selected;
    uint32_t offset; /* of the next byte */
    uint64_t dma_at; /* what was written of the descriptor's address so far */
};

extern const struct gw_device_class dev_fw_cfg_class;

/* Copies size bytes. key: one of DEV_FW_CFG_*, replaced when it was there. GW_ERR_NOMEM, _ARG. */
enum gw_status dev_fw_cfg_add(struct dev_fw_cfg *f, unsigned key, const void *data, uint64_t size,
                              struct gw_error *err);
/* name: 1 to 55 bytes. GW_ERR_ARG for a bad or second one, GW_ERR_LIMIT, GW_ERR_NOMEM. */
enum gw_status dev_fw_cfg_add_file(struct dev_fw_cfg *f, const char *name, const void *data,
                                   uint64_t size, struct gw_error *err);

#endif
