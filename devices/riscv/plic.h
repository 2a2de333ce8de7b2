/*
 * The platform-level interrupt controller (RISC-V PLIC specification 1.0.0) at the layout of
 * SiFive's: 96 sources (0 does not exist), two contexts a hart: 2h is M mode, 2h + 1 is S mode.
 * A vCPU thread, under the device lock.
 */
#ifndef DEV_PLIC_H
#define DEV_PLIC_H

#include "godwit/device.h"
#include "devices/riscv/harts.h"

enum {
    DEV_PLIC_SOURCES = 96,
    DEV_PLIC_WORDS = DEV_PLIC_SOURCES / 32,
    DEV_PLIC_CONTEXTS = 2 * DEV_MAX_HARTS,
};

struct dev_plic {
    struct gw_device d;
    unsigned contexts;                    /* 2 unless set; what is above reads 0 */
    struct gw_irq out[DEV_PLIC_CONTEXTS]; /* MEIP, SEIP of each hart */
    uint32_t priority[DEV_PLIC_SOURCES];
    uint32_t level[DEV_PLIC_WORDS];   /* the wires */
    uint32_t pending[DEV_PLIC_WORDS]; /* accepted by the core, not claimed */
    uint32_t claimed[DEV_PLIC_WORDS]; /* gateway closed until completion */
    uint32_t enable[DEV_PLIC_CONTEXTS * DEV_PLIC_WORDS];
    uint32_t threshold[DEV_PLIC_CONTEXTS];
};

extern const struct gw_device_class dev_plic_class;

/* An input: give it to a device as its line. source 1..95. */
struct gw_irq dev_plic_input(struct dev_plic *p, unsigned source);

#endif
