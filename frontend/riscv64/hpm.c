/*
 * Counters of events (Zihpm, Priv. 1.13, 3.1.10) with overflow interrupts and filters by mode
 * (Sscofpmf 1.0). Four of them can be set to count; the others are zero, as all are without
 * Sscofpmf. Two events exist, cycles and instructions, and an instruction is a cycle.
 *
 * A counter that counts keeps what must be added to the retired count to give its value; one that
 * does not, its value. Which of them count follows from mhpmevent, mcountinhibit and the privilege,
 * and is looked at anew where the retired count is exact: in a CSR instruction that changes it, and
 * between blocks, where the engine goes after each change of privilege. Overflows are found there
 * too, so an interrupt may come up to a quantum late.
 */
#include "frontend/riscv64/priv.h"

enum { EVENT_MASK = 0xffff, EVENT_CYCLES = 1, EVENT_INSTRUCTIONS = 2 };

#define EVENT_LEGAL (RV_HPM_OF | RV_HPM_MINH | RV_HPM_SINH | RV_HPM_UINH | (uint64_t)EVENT_MASK)

static bool should_count(const struct rv_cpu *cpu, unsigned i)
{
    static const uint64_t inhibits[] = {
        [RV_PRIV_U] = RV_HPM_UINH, [RV_PRIV_S] = RV_HPM_SINH, [RV_PRIV_M] = RV_HPM_MINH};
    uint64_t event = cpu->c.mhpmevent[i], kind = event & EVENT_MASK;
    return (kind == EVENT_CYCLES || kind == EVENT_INSTRUCTIONS) &&
           !(event & inhibits[cpu->c.priv]) && !(cpu->c.mcountinhibit >> (RV_HPM_FIRST + i) & 1);
}

uint64_t rv_hpm_read(const struct rv_cpu *cpu, unsigned i)
{
    uint64_t offset = cpu->c.mhpm_offset[i];
    return cpu->c.hpm_counting >> i & 1 ? gw_retired(&cpu->run) + offset : offset;
}

static void derive_active(struct rv_cpu *cpu)
{
    cpu->d.hpm_active = false;
    for (unsigned i = 0; i < RV_HPM_COUNT; i++)
        cpu->d.hpm_active |= (cpu->c.mhpmevent[i] & EVENT_MASK) != 0;
}

/* value: what the counter holds now, the instruction that is being done included if there is one. */
static void settle(struct rv_cpu *cpu, unsigned i, uint64_t value, unsigned in_insn)
{
    uint8_t bit = (uint8_t)(1u << i);
    bool counts = should_count(cpu, i);
    cpu->c.mhpm_offset[i] = counts ? value - gw_retired(&cpu->run) - in_insn : value;
    cpu->c.hpm_counting = counts ? cpu->c.hpm_counting | bit : cpu->c.hpm_counting & (uint8_t)~bit;
    cpu->d.hpm_seen[i] = value;
}

/* Values as settle wants them. */
static void values(const struct rv_cpu *cpu, unsigned in_insn, uint64_t value[RV_HPM_COUNT])
{
    for (unsigned i = 0; i < RV_HPM_COUNT; i++)
        value[i] = rv_hpm_read(cpu, i) + (cpu->c.hpm_counting >> i & 1 ? in_insn : 0);
}

void rv_hpm_write(struct rv_cpu *cpu, unsigned i, uint64_t value, unsigned in_insn)
{
    settle(cpu, i, value, in_insn);
}

void rv_hpm_event_write(struct rv_cpu *cpu, unsigned i, uint64_t event, unsigned in_insn)
{
    uint64_t value[RV_HPM_COUNT];
    values(cpu, in_insn, value);
    cpu->c.mhpmevent[i] = event & EVENT_LEGAL;
    settle(cpu, i, value[i], in_insn);
    derive_active(cpu);
}

void rv_hpm_inhibit(struct rv_cpu *cpu, uint64_t inhibit, unsigned in_insn)
{
    uint64_t value[RV_HPM_COUNT];
    values(cpu, in_insn, value);
    cpu->c.mcountinhibit = (cpu->c.mcountinhibit & ~RV_HPM_BITS) | (inhibit & RV_HPM_BITS);
    for (unsigned i = 0; i < RV_HPM_COUNT; i++)
        settle(cpu, i, value[i], in_insn);
}

void rv_hpm_look(struct rv_cpu *cpu)
{
    for (unsigned i = 0; i < RV_HPM_COUNT; i++) {
        uint64_t value = rv_hpm_read(cpu, i);
        if (value < cpu->d.hpm_seen[i] && !(cpu->c.mhpmevent[i] & RV_HPM_OF)) {
            cpu->c.mhpmevent[i] |= RV_HPM_OF;
            cpu->c.mip |= RV_IRQ_BIT(RV_IRQ_LCOFI);
        }
        settle(cpu, i, value, 0);
    }
}

/* Sscofpmf, "scountovf": what mcounteren hides reads as zero below M-mode. */
uint64_t rv_hpm_overflows(const struct rv_cpu *cpu)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < RV_HPM_COUNT; i++)
        bits |= (cpu->c.mhpmevent[i] & RV_HPM_OF) != 0 ? UINT64_C(1) << (RV_HPM_FIRST + i) : 0;
    return cpu->c.priv == RV_PRIV_M ? bits : bits & cpu->c.mcounteren;
}

void rv_hpm_derive(struct rv_cpu *cpu)
{
    derive_active(cpu);
    for (unsigned i = 0; i < RV_HPM_COUNT; i++)
        cpu->d.hpm_seen[i] = rv_hpm_read(cpu, i);
}

bool rv_hpm_legal(const struct rv_cpu *cpu)
{
    if (cpu->c.hpm_counting >> RV_HPM_COUNT)
        return false;
    for (unsigned i = 0; i < RV_HPM_COUNT; i++)
        if (cpu->c.mhpmevent[i] & ~(cpu->cfg.sscofpmf ? EVENT_LEGAL : 0) ||
            (!cpu->cfg.sscofpmf && cpu->c.mhpm_offset[i]))
            return false;
    return true;
}
