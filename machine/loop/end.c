/*
 * Ends, and waits that may not hold them up. A wait for the host (its disks, a snapshot's file) goes by
 * small steps, between which it comes here: those who ask are answered, and an end that was asked for is
 * seen. What waits in one call of the host's, which cannot be given up, is the control thread's affair:
 * it cuts the machine off when its time is over (machine/host.c).
 */
#include <time.h>

#include "machine/vm.h"

#define NS_PER_S UINT64_C(1000000000)
/* Disks are flushed for so long at the end. What is not flushed by then is in the host's memory, and
 * its system writes it. Whoever asked for a stop waits for that; a timeout and signals mean now. */
#define STOP_NS   (30 * NS_PER_S)
#define SIGNAL_NS (2 * NS_PER_S)
/* More than any step of a wait should take. */
#define STEP_NS (5 * NS_PER_S)

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void answer_looks(struct vm *m)
{
    struct asker a;
    while (asks_take_look(&m->asks, UINT64_MAX, &a))
        vm_answer_look(m, &a, false);
}

bool vm_go_on(void *context)
{
    struct vm *m = context;
    answer_looks(m);
    if (!m->ending)
        return !host_end_asked(m->host);
    if (!host_end_asked(m->host)) /* the guest's own */
        return true;
    if (!m->end_by_ns)
        m->end_by_ns = now_ns() + (m->result->ended == MACHINE_ENDED_STOPPED ? STOP_NS : SIGNAL_NS);
    host_allow(m->host, STEP_NS);
    return now_ns() < m->end_by_ns && !host_hurries(m->host);
}

bool vm_saves_on(struct vm *m)
{
    answer_looks(m);
    host_allow(m->host, STEP_NS);
    return m->ending ? !host_hurries(m->host) : !host_end_asked(m->host);
}

void vm_begin_end(struct vm *m)
{
    m->ending = true;
}

void vm_cut(void *context, enum host_end why, int signal)
{
    static const enum machine_ended ends[] = {
        [HOST_GOES_ON] = MACHINE_ENDED_ERROR,       [HOST_END_SIGNAL] = MACHINE_ENDED_SIGNAL,
        [HOST_END_TIMEOUT] = MACHINE_ENDED_TIMEOUT, [HOST_END_STOP] = MACHINE_ENDED_STOPPED,
        [HOST_END_QUIT] = MACHINE_ENDED_QUIT,       [HOST_END_KILL] = MACHINE_ENDED_KILLED,
    };
    struct vm *m = context;
    struct machine_result result = {.ended = ends[why],
                                    .signal = signal,
                                    .insns = __atomic_load_n(&m->seen_insns, __ATOMIC_RELAXED)};
    terminal_restore_now();
    if (m->o->cut)
        m->o->cut(m->o->cut_context, &result);
}
