/* State of a machine that belongs to no device, no CPU and no firmware, as it stands in a snapshot. */
#ifndef MACHINE_LOOSE_H
#define MACHINE_LOOSE_H

#include "machine/vm.h"

struct vm_loose {
    uint32_t turn;
    uint64_t clock_ns, skipped_ns;
    uint64_t tohost;
    uint64_t output_bytes, panic_output, panic_timer_ns, panic_matched, panic_end_matched;
    uint32_t panic_looks;
    uint8_t panicked;
};

extern const struct state_desc vm_loose_state;

void vm_loose_gather(struct vm *m, struct vm_loose *l);
/* After the vCPUs, since their counts are its time. */
void vm_loose_scatter(struct vm *m, const struct vm_loose *l);

#endif
