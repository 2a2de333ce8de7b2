/* The test ("finisher") device: SiFive's sifive,test1 binding. It holds no state. */
#include "devices/board/power.h"

#define FINISH_FAIL  0x3333u
#define FINISH_PASS  0x5555u
#define FINISH_RESET 0x7777u

static enum gw_bus_result power_read(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t *value)
{
    *value = 0;
    return GW_BUS_OK;
}

static enum gw_bus_result power_write(struct gw_device *d, uint64_t offset, unsigned size,
                                      uint64_t value)
{
    struct dev_power *p = (struct dev_power *)(void *)d;
    unsigned code = (unsigned)(value >> 16) & 0xffffu;
    if (offset != 0 || size < 2 || !p->request)
        return GW_BUS_OK;
    switch (value & 0xffffu) {
    case FINISH_PASS: p->request(p->context, DEV_POWER_OFF, 0); break;
    case FINISH_FAIL: p->request(p->context, DEV_POWER_FAIL, code); break;
    case FINISH_RESET: p->request(p->context, DEV_POWER_RESET, 0); break;
    default: break;
    }
    return GW_BUS_OK;
}

static const struct state_desc power_state = {.name = "power", .version = 1};

const struct gw_device_class dev_power_class = {
    .name = "power",
    .instance_size = sizeof(struct dev_power),
    .state = &power_state,
    .window_bytes = 0x1000,
    .read = power_read,
    .write = power_write,
};
