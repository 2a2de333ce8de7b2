/*
 * A machine whose vCPUs run each on a thread of its own, by the host's clock. The first one's is the
 * thread that made the machine.
 *
 * The device lock is held for everything that is not guest code: devices (dev_bus takes it for an
 * access), the event queue and timers, SBI, and what this room keeps. Whoever holds it may be any
 * vCPU's thread. A vCPU's own state is touched by its thread alone, in guest code or under the lock,
 * or by the first one's while nothing of the guest runs.
 *
 * Nothing of the guest runs while the first vCPU's thread has the world stopped (no vCPU is in guest
 * code) and then holds the lock (none is in a device, or in SBI). So it pauses, saves and resets. The
 * world is never stopped by who holds the lock, since a vCPU in guest code may wait for it.
 *
 * A remote fence waits until the vCPU that it asked has done it, or is not in engine_run(), since it
 * does what was asked before it runs guest code again. Who waits holds no lock, and is not in there
 * itself, so two that fence one another do not wait for ever.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "devices/clock.h"
#include "frontend/riscv64/priv.h"
#include "machine/vm.h"

#define QUANTUM 32768u /* instructions between two looks at timers */
#define SPINS   100u   /* looks before a wait gives its processor to others */

static bool is_over(const struct vm *m)
{
    return __atomic_load_n(&m->over, __ATOMIC_RELAXED);
}

static void publish(struct vcpu *v)
{
    __atomic_store_n(&v->retired, engine_retired(v->engine), __ATOMIC_RELAXED);
}

/* ---- the first vCPU's thread holds the world ------------------------------------------------ */

/* Under the lock. */
static bool wants_world(const struct vm *m)
{
    return m->paused || m->reset_wanted || m->save_name || vm_debug_wanted(m);
}

static void hold(struct vm *m)
{
    engine_world_stop(m->world);
    pthread_mutex_lock(&m->lock);
    m->held = true;
    while (!m->over) {
        uint64_t retired = vm_retired(m);
        if (vm_debug_held(m)) {
            vm_debug_wait(m);
            continue;
        }
        gw_events_run(m->board->events, retired);
        if (m->reset_wanted)
            vm_reset(m);
        if (!vm_steer(m, retired))
            break;
    }
    m->held = false;
    /* Who decided before that it runs decides anew. */
    vm_kick(m);
    pthread_mutex_unlock(&m->lock);
    engine_world_resume(m->world);
}

/* ---- a vCPU --------------------------------------------------------------------------------- */

static void wait_for_fences(struct vm *m, uint32_t harts)
{
    for (unsigned i = 0; i < m->cpus; i++) {
        const struct vcpu *v = &m->vcpu[i];
        for (unsigned n = 0; harts >> i & 1 && !is_over(m); n++) {
            if (rv_remote_done(v->cpu, RV_REMOTE_FENCES) ||
                !__atomic_load_n(&v->running, __ATOMIC_SEQ_CST))
                break;
            if (n >= SPINS)
                sched_yield();
        }
    }
}

/* How far the vCPU may go. --stop-insn is met by the sum of counts that are as old as the vCPUs' last
 * looks, so the end comes a little late. */
static uint64_t next_stop(struct vm *m, bool *exact)
{
    uint64_t retired = vm_retired(m), left;
    *exact = false;
    if (!m->spec->stop_insn)
        return QUANTUM;
    if (retired >= m->spec->stop_insn) {
        vm_end(m, MACHINE_ENDED_STOP_INSN, 0);
        return 0;
    }
    left = (m->spec->stop_insn - retired) / m->cpus + 1;
    *exact = left < QUANTUM;
    return *exact ? left : QUANTUM;
}

static void run(struct vcpu *v, uint64_t limit, bool exact, uint64_t resets)
{
    struct vm *m = v->m;
    uint32_t fences = 0;
    __atomic_store_n(&v->running, 1, __ATOMIC_SEQ_CST);
    enum engine_stop stop = vm_run_engine(v, limit, exact);
    __atomic_store_n(&v->running, 0, __ATOMIC_SEQ_CST);
    publish(v);
    if (stop == ENGINE_BUDGET || stop == ENGINE_WAIT || stop == ENGINE_ATTENTION ||
        stop == ENGINE_ASKED)
        return;
    pthread_mutex_lock(&m->lock);
    if (stop != ENGINE_HCALL)
        vm_end(m, MACHINE_ENDED_ERROR, (unsigned)stop);
    else if (resets == m->resets) /* else the call is one of a life that is over */
        fences = sbi_call(&m->sbi, v->index);
    pthread_mutex_unlock(&m->lock);
    wait_for_fences(m, fences);
}

/* A look at everything, then guest code, or sleep. See gw_events_sleep() for why the flag is cleared
 * before the look. */
static void pass(struct vcpu *v)
{
    struct vm *m = v->m;
    struct gw_events *q = m->board->events;
    uint32_t *attention = &v->cpu->run.attention;
    bool exact, runs, wanted;
    __atomic_exchange_n(attention, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&m->lock);
    gw_events_run(q, vm_retired(m));
    if (m->tohost)
        vm_look_at_tohost(m);
    uint64_t limit = next_stop(m, &exact), resets = m->resets;
    __atomic_store_n(&m->seen_insns, vm_retired(m), __ATOMIC_RELAXED);
    wanted = wants_world(m);
    if (wanted && v->index != 0)
        gw_events_kick(q, &m->vcpu[0].cpu->run.attention);
    runs = vm_may_run(v) && vm_debug_allows(v);
    uint64_t deadline = vm_deadline(v), timers = gw_events_next_deadline(q);
    pthread_mutex_unlock(&m->lock);
    if (is_over(m))
        return;
    if (wanted && v->index == 0)
        hold(m);
    else if (runs)
        run(v, limit, exact, resets);
    else
        gw_events_sleep(q, attention, deadline < timers ? deadline : timers);
}

/* One that is not locked in yet is an attacker's way out for who runs guest code already: nobody does before
 * all are. The first one's thread ends the run too, so it is locked in as that, and opens the gate. */
static enum gw_status enter(struct vcpu *v, unsigned others, struct gw_error *err)
{
    struct vm *m = v->m;
    enum gw_status st =
        sandbox_enter_again(m->sandbox, v->index ? SANDBOX_VCPU : SANDBOX_MAIN, err);
    pthread_mutex_lock(&m->lock);
    if (st != GW_OK)
        vm_end(m, MACHINE_ENDED_ERROR, 0);
    m->entered += v->index != 0;
    pthread_cond_broadcast(&m->gate);
    while (v->index ? !m->gate_open : m->entered < others)
        pthread_cond_wait(&m->gate, &m->lock);
    m->gate_open = true;
    pthread_cond_broadcast(&m->gate);
    pthread_mutex_unlock(&m->lock);
    return st;
}

static void *live(void *context)
{
    struct vcpu *v = context;
    struct gw_error err;
    if (v->index)
        enter(v, 0, &err);
    vm_faults_of(v->engine);
    while (!is_over(v->m))
        pass(v);
    return NULL;
}

/* ---- all of them ---------------------------------------------------------------------------- */

enum gw_status vm_run_threads(struct vm *m, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    unsigned started = 1;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->gate, NULL);
    m->board->bus.lock = &m->lock;
    for (unsigned i = 0; i < m->cpus; i++)
        publish(&m->vcpu[i]);
    m->threads = true;
    vm_debug_begin(m);
    for (; started < m->cpus; started++) {
        struct vcpu *v = &m->vcpu[started];
        int e = pthread_create(&v->thread, NULL, live, v);
        if (e) {
            st = gw_fail(err, GW_ERR_NOMEM, "", "cannot start a thread for CPU %u: %s", started,
                         strerror(e));
            pthread_mutex_lock(&m->lock);
            vm_end(m, MACHINE_ENDED_ERROR, 0);
            pthread_mutex_unlock(&m->lock);
            break;
        }
    }
    if (st == GW_OK)
        st = enter(&m->vcpu[0], started - 1, err);
    else
        enter(&m->vcpu[0], started - 1, NULL);
    live(&m->vcpu[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(m->vcpu[i].thread, NULL);
    m->threads = false;
    vm_debug_end(m);
    m->board->bus.lock = NULL;
    pthread_cond_destroy(&m->gate);
    pthread_mutex_destroy(&m->lock);
    return st;
}
