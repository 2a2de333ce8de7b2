/* fw_cfg. Source: the interface's specification, docs/specs/fw_cfg of QEMU, for memory-mapped hosts. */
#include <stdlib.h>
#include <string.h>

#include "devices/board/fw_cfg.h"

enum { AT_DATA = 0, AT_SELECTOR = 8, AT_DMA = 16 };
enum { KEY_SIGNATURE = 0, KEY_ID = 1, KEY_DIRECTORY = 0x19, KEY_FILES = 0x20 };
enum { KEY_WRITE = 0x4000 }; /* once meant writing; ignored, as the rest of the key decides */
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { DESCRIPTOR_BYTES = 16, ENTRY_BYTES = 64, ITEM_MAX = 1 << 30 };

#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

static struct dev_fw_cfg *fw(struct gw_device *d)
{
    return (struct dev_fw_cfg *)(void *)d;
}

static uint64_t big(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_big(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = size; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

/* A register is big-endian: what the CPU loads has its bytes the other way round. */
static uint64_t swapped(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

/* ---- items ---------------------------------------------------------------------------------- */

static const struct dev_fw_cfg_item *selected(const struct dev_fw_cfg *f)
{
    static const uint8_t signature[] = {'Q', 'E', 'M', 'U'}, id[] = {3, 0, 0, 0};
    static const struct dev_fw_cfg_item none = {0};
    static const struct dev_fw_cfg_item builtin[] = {
        [KEY_SIGNATURE] = {signature, sizeof signature},
        [KEY_ID] = {id, sizeof id}, /* the data register, and DMA */
    };
    unsigned key = f->selected & ~(unsigned)KEY_WRITE;
    if (key < sizeof builtin / sizeof builtin[0])
        return &builtin[key];
    if (key < DEV_FW_CFG_ITEMS)
        return &f->item[key];
    if (key == KEY_DIRECTORY)
        return &f->directory;
    if (key >= KEY_FILES && key - KEY_FILES < f->file_count)
        return &f->file[key - KEY_FILES];
    return &none;
}

static void select_item(struct dev_fw_cfg *f, uint16_t key)
{
    f->selected = key;
    f->offset = 0;
}

/* Beyond its end an item reads as zeros. */
static uint32_t left(const struct dev_fw_cfg *f)
{
    const struct dev_fw_cfg_item *item = selected(f);
    return f->offset < item->size ? item->size - f->offset : 0;
}

static void skip(struct dev_fw_cfg *f, uint32_t bytes)
{
    if (__builtin_add_overflow(f->offset, bytes, &f->offset))
        f->offset = UINT32_MAX;
}

static uint64_t read_data(struct dev_fw_cfg *f, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++) {
        if (left(f))
            v |= (uint64_t)selected(f)->data[f->offset] << (8 * i);
        skip(f, 1);
    }
    return v;
}

/* ---- DMA ------------------------------------------------------------------------------------ */

/* All of the guest's buffer is memory before any of it is written. */
static bool copy_out(struct dev_fw_cfg *f, uint64_t to, uint32_t length)
{
    static const uint8_t zeros[4096];
    uint32_t n = left(f) < length ? left(f) : length;
    if (length == 0)
        return true;
    if (to + length < to || !gw_bus_ram(f->d.dma.bus, to, length))
        return false;
    if (n && !gw_dma_write(&f->d.dma, to, selected(f)->data + f->offset, n))
        return false;
    for (uint32_t at = n; at < length;) {
        uint32_t chunk = length - at < sizeof zeros ? length - at : (uint32_t)sizeof zeros;
        if (!gw_dma_write(&f->d.dma, to + at, zeros, chunk))
            return false;
        at += chunk;
    }
    return true;
}

static void run_dma(struct dev_fw_cfg *f, uint64_t at)
{
    uint8_t descriptor[DESCRIPTOR_BYTES], done[4];
    uint32_t control, length, result = 0;
    if (!f->d.dma.bus || !gw_dma_read(&f->d.dma, at, descriptor, sizeof descriptor))
        return; /* nowhere to tell of it */
    control = (uint32_t)big(descriptor, 4);
    length = (uint32_t)big(descriptor + 4, 4);
    if (control & DMA_SELECT)
        select_item(f, (uint16_t)(control >> 16));
    if (control & DMA_READ) {
        if (!copy_out(f, big(descriptor + 8, 8), length))
            result = DMA_ERROR;
        skip(f, length);
    } else if (control & DMA_WRITE) {
        result = DMA_ERROR; /* nothing can be written */
    } else if (control & DMA_SKIP) {
        skip(f, length);
    }
    put_big(done, result, 4);
    gw_dma_write(&f->d.dma, at, done, sizeof done);
}

/* The low half, or all of it at once, starts the transfer. */
static void write_dma(struct dev_fw_cfg *f, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t v = swapped(value, size);
    if (size == 4 && offset == AT_DMA) {
        f->dma_at = v << 32;
        return;
    }
    if (size == 4 && offset == AT_DMA + 4)
        v |= f->dma_at;
    else if (size != 8 || offset != AT_DMA)
        return;
    f->dma_at = 0;
    run_dma(f, v);
}

/* ---- registers ------------------------------------------------------------------------------ */

static enum gw_bus_result fw_cfg_read(struct gw_device *d, uint64_t offset, unsigned size,
                                      uint64_t *value)
{
    uint8_t signature[8];
    *value = 0;
    if (offset < AT_SELECTOR) {
        *value = read_data(fw(d), size);
    } else if (offset >= AT_DMA && offset + size <= AT_DMA + 8) {
        put_big(signature, DMA_SIGNATURE, 8);
        *value = swapped(big(signature + (offset - AT_DMA), size), size);
    }
    return GW_BUS_OK;
}

static enum gw_bus_result fw_cfg_write(struct gw_device *d, uint64_t offset, unsigned size,
                                       uint64_t value)
{
    if (offset == AT_SELECTOR && size == 2)
        select_item(fw(d), (uint16_t)swapped(value, 2));
    else if (offset >= AT_DMA)
        write_dma(fw(d), offset, size, value);
    return GW_BUS_OK;
}

/* ---- what is offered ------------------------------------------------------------------------ */

static enum gw_status copy_item(struct dev_fw_cfg_item *item, const char *name, const void *data,
                                uint64_t size, struct gw_error *err)
{
    uint8_t *copy;
    if (size > ITEM_MAX)
        return gw_fail(err, GW_ERR_LIMIT, name, "cannot be offered to firmware: over 1 GiB");
    copy = malloc(size ? size : 1);
    if (!copy)
        return gw_fail(err, GW_ERR_NOMEM, name, "no memory for what firmware is offered");
    if (size)
        memcpy(copy, data, size);
    free((void *)(uintptr_t)item->data);
    *item = (struct dev_fw_cfg_item){.data = copy, .size = (uint32_t)size};
    return GW_OK;
}

enum gw_status dev_fw_cfg_add(struct dev_fw_cfg *f, unsigned key, const void *data, uint64_t size,
                              struct gw_error *err)
{
    if (key <= KEY_ID || key >= DEV_FW_CFG_ITEMS)
        return gw_fail(err, GW_ERR_ARG, "fw_cfg", "no such item: %u", key);
    return copy_item(&f->item[key], "fw_cfg", data, size, err);
}

/* A count, then an entry a file: size, key, two bytes of nothing, name. */
static enum gw_status make_directory(struct dev_fw_cfg *f, struct gw_error *err)
{
    uint8_t list[4 + DEV_FW_CFG_FILES * ENTRY_BYTES] = {0};
    put_big(list, f->file_count, 4);
    for (unsigned i = 0; i < f->file_count; i++) {
        uint8_t *entry = list + 4 + i * ENTRY_BYTES;
        put_big(entry, f->file[i].size, 4);
        put_big(entry + 4, KEY_FILES + i, 2);
        memcpy(entry + 8, f->name[i], DEV_FW_CFG_NAME_BYTES);
    }
    return copy_item(&f->directory, "fw_cfg", list, 4 + f->file_count * ENTRY_BYTES, err);
}

enum gw_status dev_fw_cfg_add_file(struct dev_fw_cfg *f, const char *name, const void *data,
                                   uint64_t size, struct gw_error *err)
{
    unsigned at = f->file_count;
    size_t n = strlen(name);
    enum gw_status st;
    if (n == 0 || n >= DEV_FW_CFG_NAME_BYTES)
        return gw_fail(err, GW_ERR_ARG, name, "no name for a fw_cfg file: it has 1 to 55 bytes");
    for (unsigned i = 0; i < at; i++)
        if (!strcmp(f->name[i], name))
            return gw_fail(err, GW_ERR_ARG, name, "there is a fw_cfg file of this name already");
    if (at == DEV_FW_CFG_FILES)
        return gw_fail(err, GW_ERR_LIMIT, name, "too many fw_cfg files");
    st = copy_item(&f->file[at], name, data, size, err);
    if (st != GW_OK)
        return st;
    memcpy(f->name[at], name, n + 1);
    f->file_count++;
    return make_directory(f, err);
}

static void fw_cfg_reset(struct gw_device *d)
{
    select_item(fw(d), 0);
    fw(d)->dma_at = 0;
    if (!fw(d)->directory.data)
        make_directory(fw(d), NULL);
}

static void fw_cfg_destroy(struct gw_device *d)
{
    struct dev_fw_cfg *f = fw(d);
    for (unsigned i = 0; i < DEV_FW_CFG_ITEMS; i++)
        free((void *)(uintptr_t)f->item[i].data);
    for (unsigned i = 0; i < f->file_count; i++)
        free((void *)(uintptr_t)f->file[i].data);
    free((void *)(uintptr_t)f->directory.data);
}

static const struct state_field fw_cfg_fields[] = {
    STATE_SCALAR(struct dev_fw_cfg, selected, STATE_U16),
    STATE_SCALAR(struct dev_fw_cfg, offset, STATE_U32),
    STATE_SCALAR(struct dev_fw_cfg, dma_at, STATE_U64),
};

static const struct state_desc fw_cfg_state = {
    .name = "fw-cfg",
    .version = 1,
    .fields = fw_cfg_fields,
    .field_count = STATE_COUNT_(fw_cfg_fields),
};

const struct gw_device_class dev_fw_cfg_class = {
    .name = "fw-cfg",
    .instance_size = sizeof(struct dev_fw_cfg),
    .state = &fw_cfg_state,
    .window_bytes = 0x1000, /* 24 bytes; the bus places whole pages */
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .reset = fw_cfg_reset,
    .destroy = fw_cfg_destroy,
};
