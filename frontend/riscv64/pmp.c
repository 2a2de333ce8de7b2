/*
 * Physical memory protection, Priv. 1.13, 3.7: 16 entries, granularity 4 bytes. Entries are kept as
 * written and, for the lookup, as ranges of bytes.
 */
#include "frontend/riscv64/priv.h"

static unsigned entry_mode(const struct rv_cpu *cpu, unsigned i)
{
    return cpu->c.pmpcfg[i] & RV_PMP_A;
}

/* The entry's first and last byte; false if it matches nothing. */
static bool entry_range(const struct rv_cpu *cpu, unsigned i, uint64_t *first, uint64_t *last)
{
    uint64_t addr = cpu->c.pmpaddr[i];
    switch (entry_mode(cpu, i)) {
    case RV_PMP_TOR:
        *first = i ? cpu->c.pmpaddr[i - 1] << 2 : 0;
        *last = (addr << 2) - 1;
        return *first < addr << 2;
    case RV_PMP_NA4:
        *first = addr << 2;
        *last = *first + 3;
        return true;
    case RV_PMP_NAPOT: {
        /* n trailing ones and the zero above them stand for 2^(n+3) bytes. */
        uint64_t ones = addr ^ (addr + 1);
        *first = (addr & ~ones) << 2;
        *last = *first + (ones << 2 | 3);
        return true;
    }
    default: return false;
    }
}

static uint64_t mixed(uint64_t name, uint64_t value)
{
    name = (name ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return name ^ name >> 29;
}

void rv_pmp_derive(struct rv_cpu *cpu)
{
    cpu->pmp_active = 0;
    cpu->d.pmp_name = 0;
    for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
        cpu->d.pmp_name = mixed(mixed(cpu->d.pmp_name, cpu->c.pmpaddr[i]), cpu->c.pmpcfg[i]);
        if (entry_range(cpu, i, &cpu->d.pmp_first[i], &cpu->d.pmp_last[i]))
            cpu->pmp_active |= UINT64_C(1) << i;
    }
}

static void pmp_changed(struct rv_cpu *cpu)
{
    rv_pmp_derive(cpu);
    cpu->run.view_dirty = 1;
    if (cpu->run.hooks)
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
}

void rv_pmpcfg_write(struct rv_cpu *cpu, unsigned first_entry, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t cfg = (uint8_t)(value >> (8 * i)) & RV_PMP_LEGAL;
        /* 3.7.1: R=0, W=1 is reserved; the fields are WARL. */
        if (!(cfg & RV_PMP_R))
            cfg &= (uint8_t)~RV_PMP_W;
        if (!(cpu->c.pmpcfg[first_entry + i] & RV_PMP_L))
            cpu->c.pmpcfg[first_entry + i] = cfg;
    }
    pmp_changed(cpu);
}

/* 3.7.1.1: the lock covers the entry's address, and a TOR entry's lock its lower bound too. */
static bool address_locked(const struct rv_cpu *cpu, unsigned i)
{
    if (cpu->c.pmpcfg[i] & RV_PMP_L)
        return true;
    return i + 1 < RV_PMP_COUNT && cpu->c.pmpcfg[i + 1] & RV_PMP_L &&
           entry_mode(cpu, i + 1) == RV_PMP_TOR;
}

void rv_pmpaddr_write(struct rv_cpu *cpu, unsigned entry, uint64_t value)
{
    if (address_locked(cpu, entry))
        return;
    cpu->c.pmpaddr[entry] = value & RV_PMPADDR_MASK;
    pmp_changed(cpu);
}

static unsigned entry_perms(uint8_t cfg, unsigned priv)
{
    if (priv == RV_PRIV_M && !(cfg & RV_PMP_L))
        return 1u << GW_ACCESS_LOAD | 1u << GW_ACCESS_STORE | 1u << GW_ACCESS_FETCH;
    return (cfg & RV_PMP_R ? 1u << GW_ACCESS_LOAD : 0) |
           (cfg & RV_PMP_W ? 1u << GW_ACCESS_STORE : 0) |
           (cfg & RV_PMP_X ? 1u << GW_ACCESS_FETCH : 0);
}

unsigned rv_pmp_perms(const struct rv_cpu *cpu, uint64_t paddr, unsigned size, unsigned priv,
                      bool *whole_page)
{
    uint64_t last = paddr + size - 1;
    uint64_t page = paddr & ~(uint64_t)GW_PAGE_MASK;
    uint64_t page_last = page | GW_PAGE_MASK;
    *whole_page = true;
    for (uint64_t left = cpu->pmp_active; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint64_t first = cpu->d.pmp_first[i], end = cpu->d.pmp_last[i];
        if (first > page_last || end < page)
            continue;
        if (first > page || end < page_last)
            *whole_page = false;
        if (first > last || end < paddr)
            continue;
        /* 3.7.1.3: the first entry that matches any byte decides, and must match them all. */
        if (first > paddr || end < last)
            return 0;
        return entry_perms(cpu->c.pmpcfg[i], priv);
    }
    return priv == RV_PRIV_M ? entry_perms(0, RV_PRIV_M) : 0;
}

bool rv_pmp_allows(const struct rv_cpu *cpu, uint64_t paddr, unsigned size, enum gw_access access,
                   unsigned priv, bool *whole_page)
{
    return rv_pmp_perms(cpu, paddr, size, priv, whole_page) >> access & 1;
}
