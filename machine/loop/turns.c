/*
 * The vCPUs of a machine take turns on one thread. So does a machine's only vCPU, all the time; and
 * several do where runs are to be repeatable, since threads never are.
 *
 * A turn ends at instruction counts (of all vCPUs together) that are multiples of TURN, or earlier
 * where the vCPU waits, stops, or asks another one for something. Where nothing else is said, that
 * depends on the guest alone, so what is said in repeat.c holds for several vCPUs too; the vCPU whose
 * turn it is belongs to the machine's state. Time is the number of instructions that all of them
 * retired, so while one runs it stands still for the others.
 */
#include "devices/clock.h"
#include "frontend/riscv64/priv.h"
#include "godwit/plain.h"
#include "machine/vm.h"

/* Instructions between two looks at the event queue, unless something asks for attention: bounds
 * the lateness of device timers to some tens of microseconds. */
#define QUANTUM 32768u
/* By the instruction clock the guest may move a deadline nearer while it runs, which is seen at the
 * next look: that is at most 50 microseconds of its time late, or this many instructions. */
#define QUANTUM_MIN 1000u
/* Long against what an exact stop costs, short against what guests wait for one another. Divides
 * the period of repeat.c. */
#define TURN 131072u

/* Test programs report through a word of memory: 1 is success, odd values carry a code. */
void vm_look_at_tohost(struct vm *m)
{
    struct gw_dma dma = {.bus = &m->board->bus.bus};
    uint8_t b[8];
    uint64_t v = 0;
    if (!gw_dma_read(&dma, m->tohost, b, sizeof b))
        return;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)b[i] << (8 * i);
    if (v & 1)
        vm_end(m, v == 1 ? MACHINE_ENDED_POWEROFF : MACHINE_ENDED_EXIT, (unsigned)(v >> 1));
}

void vm_reset(struct vm *m)
{
    struct gw_error err = {0};
    m->reset_wanted = false;
    m->resets++;
    m->turn = 0;
    board_reset(m->board);
    sbi_reset(&m->sbi);
    if (vm_check_reset(m, &err) != GW_OK || vm_boot(m, &err) != GW_OK) {
        gw_print_error(stderr, &err);
        vm_end(m, MACHINE_ENDED_ERROR, 0);
        return;
    }
    vm_reset_derived(m);
}

/* How far the engine may go before the next look. */
static uint64_t next_stop(struct vm *m, const struct vcpu *v, uint64_t retired, bool *exact)
{
    uint64_t limit = QUANTUM, until;
    *exact = m->spec->deterministic;
    if (m->spec->deterministic)
        return vm_repeat_limit(m, retired, vm_deadline(v));
    if (m->spec->clock_insns) {
        if (m->spec->mips && m->spec->mips * 50 < limit)
            limit = m->spec->mips * 50 < QUANTUM_MIN ? QUANTUM_MIN : m->spec->mips * 50;
        uint64_t deadline = gw_events_next_deadline(m->board->events);
        uint64_t own = vm_deadline(v);
        until = dev_events_insns_until(m->board->events, own < deadline ? own : deadline, retired);
        *exact = true;
        if (until < limit)
            limit = until;
    }
    if (m->spec->stop_insn && m->spec->stop_insn - retired <= limit) {
        limit = m->spec->stop_insn - retired;
        *exact = true;
    }
    return limit;
}

/* Who runs now: the vCPU whose turn it is, or the next that may. NULL: none, and time went on. */
static struct vcpu *who_runs(struct vm *m)
{
    uint64_t deadline = UINT64_MAX;
    for (unsigned i = 0; i < m->cpus; i++) {
        unsigned at = (m->turn + i) % m->cpus;
        if (vm_may_run(&m->vcpu[at]) && vm_debug_allows(&m->vcpu[at])) {
            m->turn = at;
            return &m->vcpu[at];
        }
    }
    for (unsigned i = 0; i < m->cpus; i++) {
        uint64_t own = vm_deadline(&m->vcpu[i]);
        deadline = own < deadline ? own : deadline;
    }
    gw_events_wait(m->board->events, deadline);
    return NULL;
}

/* The time of the others goes on by what this one did. */
static void share_time(struct vm *m, const struct vcpu *v, uint64_t insns)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (i != v->index)
            gw_others_retired(&m->vcpu[i].cpu->run, insns);
}

static void step(struct vm *m, uint64_t retired)
{
    bool exact;
    struct vcpu *v = who_runs(m);
    if (!v)
        return;
    uint64_t limit = next_stop(m, v, retired, &exact), left = TURN - retired % TURN;
    uint64_t before = engine_retired(v->engine), done;
    if (m->cpus > 1 && left < limit) {
        limit = left;
        exact = true;
    }
    vm_faults_of(v->engine);
    enum engine_stop stop = vm_run_engine(v, limit, exact);
    switch (stop) {
    case ENGINE_HCALL:
        sbi_call(&m->sbi, v->index);
        break; /* who is to fence does so before it runs */
    case ENGINE_BUDGET:
    case ENGINE_WAIT:
    case ENGINE_ATTENTION:
    case ENGINE_ASKED: break;
    default: vm_end(m, MACHINE_ENDED_ERROR, (unsigned)stop); break;
    }
    if (m->cpus == 1)
        return;
    done = engine_retired(v->engine) - before;
    share_time(m, v, done);
    /* Attention without progress ends no turn: outsiders ask for it at any time. */
    if (done >= left || m->sbi.asked)
        m->turn = (v->index + 1) % m->cpus;
    m->sbi.asked = false;
}

void vm_loop(struct vm *m)
{
    vm_debug_begin(m);
    while (!m->over) {
        uint64_t retired = vm_retired(m);
        vm_debug_look(m);
        gw_events_run(m->board->events, retired);
        if (m->spec->deterministic)
            vm_repeat_settle(m, retired);
        if (m->reset_wanted)
            vm_reset(m);
        if (m->tohost)
            vm_look_at_tohost(m);
        if (vm_steer(m, retired))
            continue;
        if (m->spec->stop_insn && retired >= m->spec->stop_insn && vm_repeat_may_stop(m, retired))
            vm_end(m, MACHINE_ENDED_STOP_INSN, 0);
        if (!m->over)
            step(m, retired);
    }
    vm_debug_end(m);
}
