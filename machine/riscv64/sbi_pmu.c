#include "machine/riscv64/sbi_pmu.h"

#include "frontend/riscv64/priv.h"

/* Counters have the numbers of their bits in mcounteren; number 1 is the time, which is none. */
enum { CYCLE = 0, INSTRET = 2, COUNTERS = RV_HPM_FIRST + RV_HPM_COUNT, WIDTH = 64 };

enum {
    NUM_COUNTERS,
    GET_INFO,
    CONFIG_MATCHING,
    START,
    STOP,
};

/* Table 1. */
enum {
    SUCCESS = 0,
    NOT_SUPPORTED = -2,
    INVALID_PARAM = -3,
    ALREADY_STARTED = -7,
    ALREADY_STOPPED = -8,
};

enum {
    CONFIG_SKIP_MATCH = 1,
    CONFIG_CLEAR_VALUE = 2,
    CONFIG_AUTO_START = 4,
    CONFIG_UINH = 32,
    CONFIG_SINH = 64,
    CONFIG_MINH = 128,
    START_SET_VALUE = 1,
    STOP_RESET = 1,
};

static bool is_counter(uint64_t number)
{
    return number < COUNTERS && number != 1;
}

static bool is_event_counter(uint64_t number)
{
    return number >= RV_HPM_FIRST;
}

static unsigned event_index(uint64_t number)
{
    return (unsigned)(number - RV_HPM_FIRST);
}

static bool is_started(const struct rv_cpu *cpu, uint64_t number)
{
    return !(cpu->c.mcountinhibit >> number & 1);
}

static void set_started(struct rv_cpu *cpu, uint64_t number, bool started)
{
    uint64_t bit = UINT64_C(1) << number, inhibit = cpu->c.mcountinhibit;
    rv_hpm_inhibit(cpu, started ? inhibit & ~bit : inhibit | bit, 0);
}

static void set_value(struct rv_cpu *cpu, uint64_t number, uint64_t value)
{
    if (is_event_counter(number))
        rv_hpm_write(cpu, event_index(number), value, 0);
    else if (number == CYCLE)
        cpu->c.mcycle_offset = value - gw_retired(&cpu->run);
    else
        cpu->c.minstret_offset = value - gw_retired(&cpu->run);
}

/* 11.6: the register's number, its width less one, and type 0, a counter of hardware. */
static int64_t get_info(uint64_t number, uint64_t *value)
{
    if (!is_counter(number))
        return INVALID_PARAM;
    *value = (RV_CSR_CYCLE + number) | (uint64_t)(WIDTH - 1) << 12;
    return SUCCESS;
}

/* 11.2: the code of a general hardware event, cycles or instructions, is that of mhpmevent. */
static bool is_event(uint64_t event)
{
    return event == 1 || event == 2;
}

static uint64_t filters(uint64_t flags)
{
    return (flags & CONFIG_UINH ? RV_HPM_UINH : 0) | (flags & CONFIG_SINH ? RV_HPM_SINH : 0) |
           (flags & CONFIG_MINH ? RV_HPM_MINH : 0);
}

/* The first counter of the set that is set to no event; with SKIP_MATCH the first one. */
static int64_t find(const struct rv_cpu *cpu, uint64_t base, uint64_t mask, bool any,
                    uint64_t *number)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        *number = base + bit;
        if (!(mask >> bit & 1))
            continue;
        if (!is_counter(*number))
            return INVALID_PARAM;
        if (any || (is_event_counter(*number) && !cpu->c.mhpmevent[event_index(*number)]))
            return SUCCESS;
    }
    return NOT_SUPPORTED;
}

/* 11.7. */
static int64_t config_matching(struct rv_cpu *cpu, const uint64_t *args, uint64_t *value)
{
    uint64_t flags = args[2], event = args[3], number;
    if (!is_event(event))
        return NOT_SUPPORTED;
    int64_t error = find(cpu, args[0], args[1], flags & CONFIG_SKIP_MATCH, &number);
    if (error)
        return error;
    if (is_event_counter(number)) {
        set_started(cpu, number, false);
        rv_hpm_event_write(cpu, event_index(number), event | filters(flags), 0);
    }
    if (flags & CONFIG_CLEAR_VALUE)
        set_value(cpu, number, 0);
    if (flags & CONFIG_AUTO_START && is_event_counter(number))
        set_started(cpu, number, true);
    *value = number;
    return SUCCESS;
}

/* 11.8. A counter that starts has not overflown. */
static int64_t start(struct rv_cpu *cpu, uint64_t number, uint64_t flags, uint64_t initial)
{
    if (is_event_counter(number) && is_started(cpu, number))
        return ALREADY_STARTED;
    if (flags & START_SET_VALUE)
        set_value(cpu, number, initial);
    if (!is_event_counter(number))
        return SUCCESS;
    unsigned i = event_index(number);
    rv_hpm_event_write(cpu, i, cpu->c.mhpmevent[i] & ~RV_HPM_OF, 0);
    set_started(cpu, number, true);
    return SUCCESS;
}

/* 11.9. */
static int64_t stop(struct rv_cpu *cpu, uint64_t number, uint64_t flags)
{
    if (!is_event_counter(number))
        return SUCCESS;
    bool was_started = is_started(cpu, number);
    set_started(cpu, number, false);
    if (flags & STOP_RESET)
        rv_hpm_event_write(cpu, event_index(number), 0, 0);
    return was_started ? SUCCESS : ALREADY_STOPPED;
}

/* All counters of a set, none if one of them does not exist; the last error is the call's. */
static int64_t start_or_stop(struct rv_cpu *cpu, uint64_t function, const uint64_t *args)
{
    int64_t error = SUCCESS;
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t number = args[0] + bit;
            if (!(args[1] >> bit & 1))
                continue;
            if (!is_counter(number))
                return INVALID_PARAM;
            if (pass == 0)
                continue;
            int64_t one = function == START ? start(cpu, number, args[2], args[3])
                                            : stop(cpu, number, args[2]);
            error = one ? one : error;
        }
    return error;
}

int64_t sbi_pmu_call(struct rv_cpu *cpu, uint64_t function, const uint64_t args[5], uint64_t *value)
{
    *value = 0;
    rv_hpm_look(cpu);
    switch (function) {
    case NUM_COUNTERS: *value = COUNTERS; return SUCCESS;
    case GET_INFO: return get_info(args[0], value);
    case CONFIG_MATCHING: return config_matching(cpu, args, value);
    case START:
    case STOP: return start_or_stop(cpu, function, args);
    default: return NOT_SUPPORTED; /* no firmware counters, no shared memory */
    }
}
