/* Sources: PCI Local Bus 3.0, 6.1 (header); PCI Express Base 3.0, 7.2.2 (ECAM). */
#include "devices/board/pci_host.h"

enum { VENDOR = 0x1b36, DEVICE = 0x0008, SUBSYSTEM_VENDOR = 0x1af4, SUBSYSTEM = 0x1100 };
enum { AT_ID = 0, AT_COMMAND = 4, AT_CLASS = 8, AT_SUBSYSTEM = 0x2c, AT_INTERRUPT = 0x3c };
enum { FUNCTION_BYTES = 4096, CLASS_HOST_BRIDGE = 0x0600, COMMAND_BITS = 0x0547 };

static struct dev_pci_host *host(struct gw_device *d)
{
    return (struct dev_pci_host *)(void *)d;
}

static uint64_t all_ones(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

/* The bridge's header, by words. */
static uint32_t header(const struct dev_pci_host *p, uint64_t at)
{
    switch (at) {
    case AT_ID: return VENDOR | (uint32_t)DEVICE << 16;
    case AT_COMMAND: return p->command;
    case AT_CLASS: return (uint32_t)CLASS_HOST_BRIDGE << 16;
    case AT_SUBSYSTEM: return SUBSYSTEM_VENDOR | (uint32_t)SUBSYSTEM << 16;
    case AT_INTERRUPT: return p->interrupt_line;
    default: return 0;
    }
}

static enum gw_bus_result ecam_read(struct gw_device *d, uint64_t offset, unsigned size,
                                    uint64_t *value)
{
    uint64_t at = offset & ~UINT64_C(3), v;
    *value = all_ones(size);
    if (offset >= FUNCTION_BYTES)
        return GW_BUS_OK;
    v = header(host(d), at);
    if (size == 8)
        v |= (uint64_t)header(host(d), at + 4) << 32;
    *value &= v >> (8 * (offset & 3));
    return GW_BUS_OK;
}

static enum gw_bus_result ecam_write(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        if (offset + i == AT_COMMAND)
            host(d)->command = (uint16_t)((host(d)->command & 0xff00) | byte) & COMMAND_BITS;
        else if (offset + i == AT_COMMAND + 1)
            host(d)->command = (uint16_t)((host(d)->command & 0x00ff) | byte << 8) & COMMAND_BITS;
        else if (offset + i == AT_INTERRUPT)
            host(d)->interrupt_line = byte;
    }
    return GW_BUS_OK;
}

static void ecam_reset(struct gw_device *d)
{
    host(d)->command = 0;
    host(d)->interrupt_line = 0;
}

static enum gw_status ecam_check(const void *object, struct gw_error *err)
{
    const struct dev_pci_host *p = object;
    if (p->command & ~COMMAND_BITS)
        return gw_fail(err, GW_ERR_FORMAT, "pci-host", "state that the device cannot hold");
    return GW_OK;
}

static const struct state_field ecam_fields[] = {
    STATE_SCALAR(struct dev_pci_host, command, STATE_U16),
    STATE_SCALAR(struct dev_pci_host, interrupt_line, STATE_U8),
};

static const struct state_desc ecam_state = {
    .name = "pci-host",
    .version = 1,
    .fields = ecam_fields,
    .field_count = STATE_COUNT_(ecam_fields),
    .check = ecam_check,
};

const struct gw_device_class dev_pci_host_class = {
    .name = "pci-host",
    .instance_size = sizeof(struct dev_pci_host),
    .state = &ecam_state,
    .window_bytes = DEV_PCI_ECAM_BYTES,
    .read = ecam_read,
    .write = ecam_write,
    .reset = ecam_reset,
};

/* ---- empty windows -------------------------------------------------------------------------- */

static enum gw_bus_result hole_read(struct gw_device *d, uint64_t offset, unsigned size,
                                    uint64_t *value)
{
    *value = all_ones(size);
    return GW_BUS_OK;
}

static enum gw_bus_result hole_write(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    return GW_BUS_OK;
}

static const struct state_desc io_state = {.name = "pci-io", .version = 1};
static const struct state_desc mmio_state = {.name = "pci-mmio", .version = 1};
static const struct state_desc mmio64_state = {.name = "pci-mmio64", .version = 1};

const struct gw_device_class dev_pci_io_class = {
    .name = "pci-io",
    .instance_size = sizeof(struct gw_device),
    .state = &io_state,
    .window_bytes = DEV_PCI_IO_BYTES,
    .read = hole_read,
    .write = hole_write,
};

const struct gw_device_class dev_pci_mmio_class = {
    .name = "pci-mmio",
    .instance_size = sizeof(struct gw_device),
    .state = &mmio_state,
    .window_bytes = DEV_PCI_MMIO_BYTES,
    .read = hole_read,
    .write = hole_write,
};

const struct gw_device_class dev_pci_mmio64_class = {
    .name = "pci-mmio64",
    .instance_size = sizeof(struct gw_device),
    .state = &mmio64_state,
    .window_bytes = DEV_PCI_MMIO64_BYTES,
    .read = hole_read,
    .write = hole_write,
};
