/* pvpanic. Source: the interface's specification, docs/specs/pvpanic of QEMU; its one register. */
#include "devices/board/pvpanic.h"

static enum gw_bus_result pvpanic_read(struct gw_device *d, uint64_t offset, unsigned size,
                                       uint64_t *value)
{
    *value = offset == 0 ? DEV_PVPANIC_EVENTS : 0;
    return GW_BUS_OK;
}

static enum gw_bus_result pvpanic_write(struct gw_device *d, uint64_t offset, unsigned size,
                                        uint64_t value)
{
    struct dev_pvpanic *p = (struct dev_pvpanic *)(void *)d;
    unsigned events = (unsigned)value & DEV_PVPANIC_EVENTS;
    if (offset == 0 && events && p->report)
        p->report(p->context, events);
    return GW_BUS_OK;
}

static const struct state_desc pvpanic_state = {.name = "pvpanic", .version = 1};

const struct gw_device_class dev_pvpanic_class = {
    .name = "pvpanic",
    .instance_size = sizeof(struct dev_pvpanic),
    .state = &pvpanic_state,
    .window_bytes = 0x1000, /* one byte; the bus places whole pages */
    .read = pvpanic_read,
    .write = pvpanic_write,
};
