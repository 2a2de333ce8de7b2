/*
 * RV64 as the engine, the machine and user mode see it: one const struct guest_isa.
 */
#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/isa_parts.h"
#include "frontend/riscv64/lift.h"
#include "frontend/riscv64/pair.h"

enum { EM_RISCV = 243 };

#define X(n) offsetof(struct rv_cpu, x[n])
#define F(n) offsetof(struct rv_cpu, f[n])

/* Measured on compiled code: a0-a5, sp and s0-s2 are four operands in five. */
static const uint16_t hot_gprs[] = {
    X(15), X(14), X(10), X(13), X(2),  X(8),  X(12), X(11), /* a5 a4 a0 a3 sp s0 a2 a1 */
    X(9),  X(18), X(16), X(17), X(6),  X(28), X(19), X(20), /* s1 s2 a6 a7 t1 t3 s3 s4 */
    X(21), X(1),  X(5),  X(7),  X(22), X(23), X(29), X(30), /* s5 ra t0 t2 s6 s7 t4 t5 */
    X(24), X(25), X(31), X(26), X(27), X(4),  X(3),         /* s8 s9 t6 s10 s11 tp gp */
};

static const uint16_t hot_fprs[] = {
    F(15), F(14), F(13), F(10), F(12), F(11), F(0),  F(1),  /* fa5 fa4 fa3 fa0 fa2 fa1 ft0 ft1 */
    F(2),  F(3),  F(8),  F(9),  F(16), F(17), F(4),  F(5),  /* ft2 ft3 fs0 fs1 fa6 fa7 ft4 ft5 */
    F(6),  F(7),  F(18), F(19), F(20), F(21), F(28), F(29), /* ft6 ft7 fs2-fs5 ft8 ft9 */
    F(30), F(31), F(22), F(23), F(24), F(25), F(26), F(27), /* ft10 ft11 fs6-fs11 */
};

static unsigned insn_bytes(const uint8_t *first)
{
    return (first[0] & 3) == 3 ? 4 : 2;
}

/* An LR, and what it may pair with. */
static unsigned group_bytes(const uint8_t *first)
{
    const unsigned opcode = 0x2f, lr = 2;
    return (first[0] & 0x7f) == opcode && first[3] >> 3 == lr ? RV_PAIR_WINDOW : 0;
}

static size_t disasm(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                     unsigned *len)
{
    uint32_t word = 0;
    *len = 0;
    if (size)
        buf[0] = 0;
    if (count < 2)
        return 0;
    unsigned need = insn_bytes(bytes);
    if (count < need)
        return 0;
    for (unsigned i = 0; i < need; i++)
        word |= (uint32_t)bytes[i] << 8 * i;
    *len = need;
    return rv_disasm(buf, size, pc, word);
}

const struct guest_isa rv_guest_isa = {
    .name = "riscv64",
    .elf_machine = EM_RISCV,
    .insn_align = 2,
    .max_insn_bytes = 4,
    .insn_bytes = insn_bytes,
    .group_bytes = group_bytes,
    .max_group_bytes = RV_PAIR_WINDOW,
    .cpu_size = sizeof(struct rv_cpu),
    .state = &rv_state_desc,
    .model = GW_MODEL_RVWMO,
    .helpers = rv_helper_table,
    .helper_count = RV_HELPER_COUNT,
    .hot_gprs = hot_gprs,
    .hot_gpr_count = sizeof hot_gprs / sizeof hot_gprs[0],
    .hot_fprs = hot_fprs,
    .hot_fpr_count = sizeof hot_fprs / sizeof hot_fprs[0],
    .regs = rv_regs,
    .reg_count = RV_REG_COUNT,
    .reg_get = rv_csr_peek,
    .reg_set = rv_csr_poke,
    .probe = rv_probe,
    .init = rv_init,
    .reset = rv_reset,
    .tb_flags = rv_tb_flags,
    .anywhere = rv_anywhere,
    .fp_round = rv_fp_round,
    .lift = rv_lift,
    .disasm = disasm,
    .view = rv_view,
    .context = rv_context,
    .view_word = offsetof(struct rv_cpu, c.mstatus),
    .view_mask = RV_SSTATUS_STORED,
    .translate = rv_translate,
    .refetch = rv_refetch,
    .bus_fault = rv_bus_fault,
    .misaligned = rv_misaligned,
    .raise = rv_raise,
    .interrupt = rv_interrupt,
    .waiting = rv_waiting,
    .quiet = rv_quiet,
    .deadline = rv_deadline,
};
