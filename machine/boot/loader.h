/*
 * Puts kernel, firmware, initrd and device tree into guest memory. Files are hostile: each length
 * and address is checked before it is used.
 */
#ifndef MACHINE_LOADER_H
#define MACHINE_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/riscv64/device_tree.h"
#include "godwit/device.h"
#include "godwit/status.h"

/* A file in memory, read only. */
struct blob {
    const char *name; /* for messages */
    const uint8_t *data;
    size_t size;
};

enum gw_status blob_open(struct blob *b, const char *path, const char *what, struct gw_error *err);
/* Of a descriptor, which stays the caller's. */
enum gw_status blob_map(struct blob *b, int fd, const char *path, const char *what,
                        struct gw_error *err);
void blob_close(struct blob *b);

struct image {
    uint64_t entry;
    uint64_t first, last; /* guest memory taken: [first, last) */
    bool is_elf;
    uint64_t tohost; /* paddr of the symbol of that name in an ELF file (test suites); 0: none */
};

/* A RISC-V Linux Image or an ELF file for EM_RISCV, by its first bytes. base: where an Image's
 * text_offset counts from. */
enum gw_status load_kernel(const struct gw_dma *dma, const struct blob *file, uint64_t base,
                           struct image *out, struct gw_error *err);
/* Firmware: an ELF file, or raw bytes to be put at base and entered there. */
enum gw_status load_firmware(const struct gw_dma *dma, const struct blob *file, uint64_t base,
                             struct image *out, struct gw_error *err);

/* What lies above the kernel. Addresses are below `limit` and above `floor`, and do not overlap. */
struct placement {
    uint64_t initrd_at, dtb_at;
    uint64_t initrd_bytes, dtb_bytes; /* kept for each; filled in once they are there */
};
enum gw_status place_high(uint64_t floor, uint64_t limit, uint64_t initrd_bytes, uint64_t dtb_bytes,
                          struct placement *out, struct gw_error *err);

#endif
