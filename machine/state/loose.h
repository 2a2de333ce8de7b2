/* State of a machine that belongs to no device and no CPU, as it stands in a snapshot. */
#ifndef MACHINE_LOOSE_H
#define MACHINE_LOOSE_H

#include "machine/vm.h"

struct vm_loose {
    /* of each hart; zero where there is none */
    uint64_t retired_insns[SPEC_MAX_CPUS];
    uint64_t hart_at[SPEC_MAX_CPUS], hart_opaque[SPEC_MAX_CPUS]; /* see struct sbi_hart */
    uint64_t sbi_timer_ns[SPEC_MAX_CPUS];                        /* UINT64_MAX: not armed */
    uint8_t hart_state[SPEC_MAX_CPUS];                           /* enum sbi_hart_state */
    uint32_t turn;
    uint64_t clock_ns, skipped_ns;
    uint64_t tohost;
    uint64_t output_bytes, panic_output, panic_timer_ns, panic_matched, panic_end_matched;
    uint32_t panic_looks;
    uint8_t panicked;
};

extern const struct state_desc vm_loose_state;

void vm_loose_gather(struct vm *m, struct vm_loose *l);
void vm_loose_scatter(struct vm *m, const struct vm_loose *l);

#endif
