/* State of a machine that belongs to no device, no CPU and no firmware, as it stands in a snapshot. */
#include "devices/clock.h"
#include "machine/state/loose.h"

static enum gw_status check(const void *object, struct gw_error *err)
{
    const struct vm_loose *l = object;
    bool ok = l->panicked <= 1 && l->panic_matched < TEXT_WATCH_MAX &&
              l->panic_end_matched < TEXT_WATCH_MAX && l->clock_ns <= INT64_MAX &&
              l->skipped_ns <= INT64_MAX && l->turn < SPEC_MAX_CPUS;
    if (!ok)
        return gw_fail(err, GW_ERR_FORMAT, "machine", "state that the machine cannot hold");
    return GW_OK;
}

static const struct state_field fields[] = {
    STATE_SCALAR(struct vm_loose, turn, STATE_U32),
    STATE_SCALAR(struct vm_loose, clock_ns, STATE_U64),
    STATE_SCALAR(struct vm_loose, skipped_ns, STATE_U64),
    STATE_SCALAR(struct vm_loose, tohost, STATE_U64),
    STATE_SCALAR(struct vm_loose, output_bytes, STATE_U64),
    STATE_SCALAR(struct vm_loose, panic_output, STATE_U64),
    STATE_SCALAR(struct vm_loose, panic_timer_ns, STATE_U64),
    STATE_SCALAR(struct vm_loose, panic_matched, STATE_U64),
    STATE_SCALAR(struct vm_loose, panic_end_matched, STATE_U64),
    STATE_SCALAR(struct vm_loose, panic_looks, STATE_U32),
    STATE_SCALAR(struct vm_loose, panicked, STATE_U8),
};

const struct state_desc vm_loose_state = {
    .name = "machine",
    .version = 3, /* 2 had the harts' counts and what the firmware knew of them, too */
    .oldest = 2,
    .fields = fields,
    .field_count = STATE_COUNT_(fields),
    .check = check,
};

void vm_loose_gather(struct vm *m, struct vm_loose *l)
{
    struct dev_clock clock;
    dev_events_save_clock(m->board->events, vm_retired(m), &clock);
    *l = (struct vm_loose){
        .turn = m->turn,
        .clock_ns = clock.now_ns,
        .skipped_ns = clock.skipped_ns,
        .tohost = m->tohost,
        .output_bytes = m->output_bytes,
        .panic_output = m->panic_output,
        .panic_timer_ns = m->panic_timer.deadline_ns,
        .panic_matched = m->panic.matched,
        .panic_end_matched = m->panic_end.matched,
        .panic_looks = m->panic_looks,
        .panicked = m->panicked,
    };
}

void vm_loose_scatter(struct vm *m, const struct vm_loose *l)
{
    struct dev_clock clock = {.now_ns = l->clock_ns, .skipped_ns = l->skipped_ns};
    m->turn = l->turn < m->cpus ? l->turn : 0;
    dev_events_load_clock(m->board->events, vm_retired(m), &clock);
    gw_timer_arm(m->board->events, &m->panic_timer, l->panic_timer_ns);
    m->tohost = l->tohost;
    m->output_bytes = l->output_bytes;
    m->panic_output = l->panic_output;
    m->panic.matched = l->panic_matched < m->panic.length ? l->panic_matched : 0;
    m->panic_end.matched = l->panic_end_matched < m->panic_end.length ? l->panic_end_matched : 0;
    m->panic_looks = l->panic_looks;
    m->panicked = l->panicked;
}
