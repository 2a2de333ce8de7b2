/*
 * A bank of parallel NOR flash behind the common flash interface: two 16-bit chips side by side on
 * a bus of 32 bits, 32 MiB, erased in blocks of 256 KiB, with Intel's command set. While both chips
 * are in read-array mode the bank is read-only memory for the CPU; otherwise every access comes here.
 *
 * The bytes are in the host's memory. A file fills them at the start; with rw, what is programmed
 * or erased is written to the file before the status says that it is done, on the vCPU thread:
 * firmware writes rarely, waits for the status, and has to learn of a failure. Otherwise it is lost
 * at the end of the run. vCPU thread.
 */
#ifndef DEV_FLASH_H
#define DEV_FLASH_H

#include "devices/host/fault.h"
#include "godwit/device.h"
#include "godwit/status.h"

enum {
    DEV_FLASH_BYTES = 32 << 20,
    DEV_FLASH_BLOCK = 256 << 10,
    DEV_FLASH_BUFFER = 4 << 10, /* of a buffered program */
};

struct dev_flash {
    struct gw_device d;
    /* the bytes; mem.host is NULL while all are erased and nobody gave a file */
    struct gw_rom rom;
    /* the file; path belongs to whoever gave it */
    const char *path;
    int fd;                                                   /* -1: not written to */
    uint64_t touched[DEV_FLASH_BYTES / DEV_FLASH_BLOCK / 64]; /* blocks written since the start */
    struct dev_fault_sink fault; /* set before dev_flash_open(), or not at all */
    bool said;                   /* that the file could not be written */
    /* state, beside the bytes */
    uint32_t mode, command; /* what a read gives; which cycle is awaited */
    uint32_t status;        /* of each chip */
    uint32_t words;         /* still to come, of a buffered program */
    uint32_t filled;        /* 1 once the buffer's place is known */
    uint64_t buffer_at;     /* offset of the buffer in the bank, a multiple of its size */
    uint64_t buffer[DEV_FLASH_BUFFER /
                    8]; /* 8 bytes each, the lowest first; all ones where nothing was written */
};

extern const struct gw_device_class dev_flash_class;

/* Before the vCPU starts, once: what the bank holds. A file must be as long as the bank; path stays
 * valid while the device lives. With rw it is locked against others while the device lives, without while it
 * is read. GW_ERR_IO, _FORMAT, _NOTFOUND, _NOMEM; _STATE: another machine has it. */
enum gw_status dev_flash_open(struct dev_flash *f, const char *path, bool rw, struct gw_error *err);
/* After the device was placed at base, then given to dev_bus_add_rom(). */
struct gw_rom *dev_flash_rom(struct dev_flash *f, uint64_t base);
/* Pages of 4 KiB, for snapshots. get: NULL where all is erased. put: GW_ERR_NOMEM. */
const uint8_t *dev_flash_get_page(const struct dev_flash *f, uint64_t page);
enum gw_status dev_flash_put_page(struct dev_flash *f, uint64_t page, const uint8_t *bytes,
                                  struct gw_error *err);
/* Bytes of blocks that were written to and are in no file. */
uint64_t dev_flash_discarded(const struct dev_flash *f);

#endif
