/* The registry: a line a device. */
#include <stdlib.h>
#include <string.h>

#include "devices/riscv/clint.h"
#include "devices/board/flash.h"
#include "devices/board/fw_cfg.h"
#include "devices/board/pci_host.h"
#include "devices/riscv/plic.h"
#include "devices/board/power.h"
#include "devices/board/pvpanic.h"
#include "devices/registry.h"
#include "devices/board/rtc.h"
#include "devices/board/uart.h"
#include "devices/virtio/mmio.h"

static const struct gw_device_class *const classes[] = {
    &dev_clint_class,   &dev_flash_class,    &dev_fw_cfg_class,     &dev_pci_host_class,
    &dev_pci_io_class,  &dev_pci_mmio_class, &dev_pci_mmio64_class, &dev_plic_class,
    &dev_power_class,   &dev_pvpanic_class,  &dev_rtc_class,        &dev_uart_class,
    &virtio_mmio_class,
};

const struct gw_device_class *dev_class_at(unsigned i)
{
    return i < sizeof classes / sizeof classes[0] ? classes[i] : NULL;
}

const struct gw_device_class *dev_class(const char *name)
{
    for (unsigned i = 0; dev_class_at(i); i++)
        if (!strcmp(classes[i]->name, name))
            return classes[i];
    return NULL;
}

struct gw_device *dev_new(const struct gw_device_class *cls, struct gw_events *events,
                          struct gw_bus *bus)
{
    struct gw_device *d = calloc(1, cls->instance_size);
    if (!d)
        return NULL;
    d->cls = cls;
    d->events = events;
    d->dma.bus = bus;
    if (cls->init)
        cls->init(d);
    if (cls->reset)
        cls->reset(d);
    return d;
}

void dev_free(struct gw_device *d)
{
    if (!d)
        return;
    if (d->cls->destroy)
        d->cls->destroy(d);
    free(d);
}
