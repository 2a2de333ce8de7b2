/*
 * A PCI Express host with nothing on its bus but its own bridge function, which a scan finds at
 * 00:00.0: configuration space by ECAM, and the windows in which devices' registers would lie. Where
 * no function answers, reads give all ones and writes are lost, as on a bus with no target.
 * vCPU thread.
 */
#ifndef DEV_PCI_HOST_H
#define DEV_PCI_HOST_H

#include "godwit/device.h"

#define DEV_PCI_ECAM_BYTES   (UINT64_C(256) << 20) /* 256 buses */
#define DEV_PCI_IO_BYTES     (UINT64_C(64) << 10)
#define DEV_PCI_MMIO_BYTES   (UINT64_C(1) << 30)
#define DEV_PCI_MMIO64_BYTES (UINT64_C(16) << 30)

struct dev_pci_host {
    struct gw_device d;
    uint16_t command;       /* of the bridge; its bits do nothing */
    uint8_t interrupt_line; /* a scratch byte for system software (PCI 3.0, 6.2.4) */
};

extern const struct gw_device_class dev_pci_host_class; /* the ECAM window */
/* The empty windows of ports, 32-bit and 64-bit memory. */
extern const struct gw_device_class dev_pci_io_class, dev_pci_mmio_class, dev_pci_mmio64_class;

#endif
