/* System calls on time, waiting, and what the machine is. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

#include "frontend/riscv64/decode.h"
#include "usermode/um.h"

/* By the C library, which asks the vDSO. */
int64_t um_sys_clock_gettime(struct um_proc *p, const uint64_t *a)
{
    struct timespec ts;
    if (clock_gettime((clockid_t)a[0], &ts))
        return -errno;
    return um_copy_out(p, a[1], &ts, sizeof ts);
}

/* What is left of a sleep stands at rem when a signal ends it: all of it, when that signal came
 * before the kernel was entered. */
static int64_t fill_rest(struct um_proc *p, uint64_t req, uint64_t rem)
{
    struct timespec ts;
    if (!rem || rem == req)
        return 0;
    int64_t r = um_copy_in(p, &ts, req, sizeof ts);
    return r ? r : um_copy_out(p, rem, &ts, sizeof ts);
}

int64_t um_sys_nanosleep(struct um_proc *p, const uint64_t *a)
{
    int64_t r = fill_rest(p, a[0], a[1]);
    return r ? r
             : um_host(p, UM_BLOCK, SYS_nanosleep, um_arg(p, a[0]), um_arg(p, a[1]), 0, 0, 0, 0);
}

int64_t um_sys_clock_nanosleep(struct um_proc *p, const uint64_t *a)
{
    int64_t r = a[1] & TIMER_ABSTIME ? 0 : fill_rest(p, a[2], a[3]);
    return r ? r
             : um_host(p, UM_BLOCK, SYS_clock_nanosleep, a[0], a[1], um_arg(p, a[2]),
                       um_arg(p, a[3]), 0, 0);
}

int64_t um_sys_gettimeofday(struct um_proc *p, const uint64_t *a)
{
    struct timeval tv;
    struct timezone tz;
    if (gettimeofday(&tv, &tz))
        return -errno;
    int64_t r = a[0] ? um_copy_out(p, a[0], &tv, sizeof tv) : 0;
    return r || !a[1] ? r : um_copy_out(p, a[1], &tz, sizeof tz);
}

int64_t um_sys_uname(struct um_proc *p, const uint64_t *a)
{
    struct utsname u;
    if (uname(&u))
        return -errno;
    memset(u.machine, 0, sizeof u.machine);
    snprintf(u.machine, sizeof u.machine, "%s", p->isa->name);
    return um_copy_out(p, a[0], &u, sizeof u);
}

int64_t um_sys_futex(struct um_proc *p, const uint64_t *a)
{
    uint64_t fourth = a[3];
    unsigned flags = 0;
    switch (a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_WAIT_REQUEUE_PI: /* a time limit stands there */
        fourth = um_arg(p, a[3]);
        flags = UM_BLOCK;
        break;
    default: break;
    }
    return um_host(p, flags, SYS_futex, um_arg(p, a[0]), a[1], a[2], fourth, um_arg(p, a[4]), a[5]);
}

int64_t um_sys_ppoll(struct um_proc *p, const uint64_t *a)
{
    int64_t r = um_suspend_from(p, a[3]);
    if (r)
        return r;
    return um_host(p, UM_BLOCK, SYS_ppoll, um_arg(p, a[0]), a[1], um_arg(p, a[2]), 0, 0, 0);
}

int64_t um_sys_pselect6(struct um_proc *p, const uint64_t *a)
{
    uint64_t mask[2] = {0, 0}; /* address, size */
    int64_t r = a[5] ? um_copy_in(p, mask, a[5], sizeof mask) : 0;
    if (r == 0)
        r = um_suspend_from(p, mask[0]);
    if (r)
        return r;
    return um_host(p, UM_BLOCK, SYS_pselect6, a[0], um_arg(p, a[1]), um_arg(p, a[2]),
                   um_arg(p, a[3]), um_arg(p, a[4]), 0);
}

/* --- riscv_hwprobe: Linux Documentation/arch/riscv/hwprobe.rst -------------------------------- */

struct hwprobe_pair {
    int64_t key;
    uint64_t value;
};

enum hwprobe_key {
    KEY_MVENDORID = 0,
    KEY_MARCHID = 1,
    KEY_MIMPID = 2,
    KEY_BASE_BEHAVIOR = 3,
    KEY_IMA_EXT_0 = 4,
    KEY_CPUPERF_0 = 5,
    KEY_ZICBOZ_BLOCK_SIZE = 6,
    KEY_HIGHEST_VIRT_ADDRESS = 7,
    KEY_TIME_CSR_FREQ = 8,
    KEY_MISALIGNED_SCALAR_PERF = 9,
};

static uint64_t extensions(const struct rv_cpu *cpu)
{
    static const struct {
        uint64_t ext;
        uint8_t bit;
    } map[] = {
        {RV_EXT_D, 0},      {RV_EXT_C, 1},      {RV_EXT_ZBA, 3},     {RV_EXT_ZBB, 4},
        {RV_EXT_ZBS, 5},    {RV_EXT_ZICBOZ, 6}, {RV_EXT_ZBC, 7},     {RV_EXT_ZBKB, 8},
        {RV_EXT_ZBKC, 9},   {RV_EXT_ZBKX, 10},  {RV_EXT_ZKND, 11},   {RV_EXT_ZKNE, 12},
        {RV_EXT_ZKNH, 13},  {RV_EXT_ZFH, 27},   {RV_EXT_ZFHMIN, 28}, {RV_EXT_ZIHINTNTL, 29},
        {RV_EXT_ZFA, 32},   {RV_EXT_ZACAS, 34}, {RV_EXT_ZICOND, 35}, {RV_EXT_ZIHINTPAUSE, 36},
        {RV_EXT_ZIMOP, 42}, {RV_EXT_ZCB, 44},   {RV_EXT_ZCMOP, 47},  {RV_EXT_ZAWRS, 48},
        {RV_EXT_ZABHA, 58},
    };
    uint64_t bits = 0;
    for (unsigned i = 0; i < sizeof map / sizeof *map; i++)
        if (cpu->cfg.ext & map[i].ext)
            bits |= UINT64_C(1) << map[i].bit;
    return bits;
}

static void probe(const struct um_proc *p, struct hwprobe_pair *pair)
{
    enum { BASE_IMA = 1, MISALIGNED_FAST = 3 };
    pair->value = 0;
    switch (pair->key) {
    case KEY_MVENDORID:
    case KEY_MARCHID:
    case KEY_MIMPID:
    case KEY_ZICBOZ_BLOCK_SIZE: break;
    case KEY_BASE_BEHAVIOR: pair->value = BASE_IMA; break;
    case KEY_IMA_EXT_0: pair->value = extensions(p->cpu); break;
    case KEY_CPUPERF_0:
    case KEY_MISALIGNED_SCALAR_PERF: pair->value = MISALIGNED_FAST; break;
    case KEY_HIGHEST_VIRT_ADDRESS: pair->value = p->space.limit - 1; break;
    case KEY_TIME_CSR_FREQ: pair->value = p->cpu->cfg.timebase_hz; break;
    default: pair->key = -1; break;
    }
}

int64_t um_sys_riscv_hwprobe(struct um_proc *p, const uint64_t *a)
{
    /* Flags ask which CPUs have something: none of them is offered. A CPU set given must at least
     * be readable and name one. */
    if (a[4] || (a[2] == 0) != (a[3] == 0))
        return -EINVAL;
    if (a[2] && !um_space_ok(&p->space, a[3], a[2], PROT_READ))
        return -EFAULT;
    for (uint64_t i = 0; i < a[1]; i++) {
        struct hwprobe_pair pair;
        int64_t r = um_copy_in(p, &pair, a[0] + i * sizeof pair, sizeof pair);
        if (r)
            return r;
        probe(p, &pair);
        r = um_copy_out(p, a[0] + i * sizeof pair, &pair, sizeof pair);
        if (r)
            return r;
    }
    return 0;
}
