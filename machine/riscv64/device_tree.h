/* The device tree of the boards, with the bindings that stock kernels and firmware know. */
#ifndef MACHINE_DEVICE_TREE_H
#define MACHINE_DEVICE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/status.h"

struct dt_config {
    const char *isa;      /* "rv64imafdc_..." */
    const char *isa_list; /* NUL-separated, isa_list_bytes in all */
    size_t isa_list_bytes;
    const char *mmu; /* "riscv,sv48"; NULL: none */
    unsigned harts;  /* 1 to DEV_MAX_HARTS */
    uint64_t ram_base, ram_bytes;
    uint64_t timebase_hz;
    bool second_port;   /* a second serial port */
    bool generation_id; /* see devices/board/vmgenid.h */
    uint32_t cbo_bytes; /* cache-block size; 0: none of its extensions */
};

/* What the loader adds to /chosen, of our tree or of a user's. */
struct dt_chosen {
    const char *bootargs;             /* NULL: none */
    uint64_t initrd_at, initrd_bytes; /* 0 bytes: none */
    const uint8_t *seed;              /* NULL: none */
    uint32_t seed_bytes;
};

enum { DT_MAX_BYTES = 1 << 20, DT_SLACK = 4096 };

/* *blob: malloc()ed, the caller's to free. */
enum gw_status dt_build(const struct dt_config *cfg, uint8_t **blob, size_t *size,
                        struct gw_error *err);
/* Checks a tree of the user's and copies it. name: for messages. */
enum gw_status dt_import(const uint8_t *from, size_t from_size, const char *name, uint8_t **blob,
                         size_t *size, struct gw_error *err);
/* Replaces *blob by a tree with these properties, and DT_SLACK bytes of room. */
enum gw_status dt_set_chosen(uint8_t **blob, size_t *size, const struct dt_chosen *chosen,
                             struct gw_error *err);

#endif
