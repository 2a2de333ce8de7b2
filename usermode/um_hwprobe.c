/* riscv_hwprobe: what the CPUs have (Linux Documentation/arch/riscv/hwprobe.rst), as Linux 6.12 knows
 * it. One program has one kind of CPU, so that a set of CPUs is all or nothing. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/priv.h"
#include "usermode/um.h"

struct pair {
    int64_t key;
    uint64_t value;
};

enum key {
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
    KEY_UNKNOWN = -1, /* in the answer */
};

enum { WHICH_CPUS = 1 }; /* the flag */

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
        {RV_EXT_ZIMOP, 42}, {RV_EXT_C, 43},     {RV_EXT_ZCB, 44},    {RV_EXT_C, 45},
        {RV_EXT_ZCMOP, 47}, {RV_EXT_ZAWRS, 48}, {RV_EXT_ZABHA, 58},
    }; /* C is Zca and, with D, Zcd */
    uint64_t bits = 0;
    for (unsigned i = 0; i < sizeof map / sizeof *map; i++)
        if (cpu->cfg.ext & map[i].ext)
            bits |= UINT64_C(1) << map[i].bit;
    return bits;
}

static struct pair answer(const struct um_proc *p, int64_t key)
{
    enum { BASE_IMA = 1, MISALIGNED_FAST = 3 };
    struct pair a = {key, 0};
    switch (key) {
    case KEY_MVENDORID:
    case KEY_MARCHID:
    case KEY_MIMPID: break;
    case KEY_BASE_BEHAVIOR: a.value = BASE_IMA; break;
    case KEY_IMA_EXT_0: a.value = extensions(p->cpu); break;
    case KEY_CPUPERF_0:
    case KEY_MISALIGNED_SCALAR_PERF: a.value = MISALIGNED_FAST; break;
    case KEY_ZICBOZ_BLOCK_SIZE: a.value = p->cpu->cfg.ext & RV_EXT_ZICBOZ ? RV_CBO_BYTES : 0; break;
    case KEY_HIGHEST_VIRT_ADDRESS: a.value = p->space->limit; break; /* in fact the first above */
    case KEY_TIME_CSR_FREQ: a.value = p->cpu->cfg.timebase_hz; break;
    default: a.key = KEY_UNKNOWN; break;
    }
    return a;
}

/* Is what the CPUs have what the guest asks for? Of what is a set of bits, those that it names. */
static bool matches(struct pair have, struct pair wanted)
{
    bool bits =
        have.key == KEY_BASE_BEHAVIOR || have.key == KEY_IMA_EXT_0 || have.key == KEY_CPUPERF_0;
    return (bits ? have.value & wanted.value : have.value) == wanted.value;
}

static void online_cpus(cpu_set_t *set)
{
    unsigned first, last;
    CPU_ZERO(set);
    FILE *f = fopen("/sys/devices/system/cpu/online", "re"); /* 0-3,8 */
    if (!f) { /* those that we may run on are online at least */
        sched_getaffinity(0, sizeof *set, set);
        return;
    }
    for (int c = ','; c == ',' && fscanf(f, "%u", &first) == 1;) {
        last = first;
        c = fgetc(f);
        if (c == '-' && fscanf(f, "%u", &last) == 1)
            c = fgetc(f);
        for (; first <= last && first < CPU_SETSIZE; first++)
            CPU_SET(first, set);
    }
    fclose(f);
}

/* The guest's set, of which those that are online count. */
static int64_t set_in(struct um_proc *p, cpu_set_t *set, uint64_t from, uint64_t size,
                      bool none_is_all)
{
    cpu_set_t online;
    CPU_ZERO(set);
    int64_t r = um_copy_in(p, set, from, size);
    if (r)
        return r;
    online_cpus(&online);
    if (none_is_all && CPU_COUNT(set) == 0)
        *set = online;
    CPU_AND(set, set, &online);
    return 0;
}

static int64_t pairs(struct um_proc *p, uint64_t at, uint64_t count, bool which, bool *match)
{
    *match = true;
    for (uint64_t i = 0; i < count; i++, at += sizeof(struct pair)) {
        struct pair asked, have;
        int64_t r = um_copy_in(p, &asked, at, sizeof asked);
        if (r)
            return r;
        have = answer(p, asked.key);
        *match = *match && have.key != KEY_UNKNOWN && matches(have, asked);
        if (!which || have.key == KEY_UNKNOWN)
            r = um_copy_out(p, at, &have, sizeof have);
        if (r)
            return r;
    }
    return 0;
}

int64_t um_sys_riscv_hwprobe(struct um_proc *p, const uint64_t *a)
{
    const bool which = (uint32_t)a[4] == WHICH_CPUS;
    bool match;
    cpu_set_t set;
    uint64_t size = a[2] < sizeof set ? a[2] : sizeof set;
    if (((uint32_t)a[4] && !which) || (which && (!a[2] || !a[3])))
        return -EINVAL;
    if (which || a[2] || a[3]) {
        int64_t r = set_in(p, &set, a[3], size, which);
        if (r)
            return r;
        if (!which && CPU_COUNT(&set) == 0)
            return -EINVAL;
    }
    int64_t r = pairs(p, a[0], a[1], which, &match);
    if (r || !which)
        return r;
    if (!match)
        CPU_ZERO(&set);
    return um_copy_out(p, a[3], &set, size);
}
