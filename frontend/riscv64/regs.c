/*
 * The registers as a debugger knows them: those of the state table by their ABI names (RISC-V ABIs
 * Specification, "Register Convention"), and the CSRs, which mean more than their bits.
 */
#include "frontend/riscv64/priv.h"

#define X(i, name_)                                                                                \
    {                                                                                              \
        .name = (name_), .size_bytes = 8, .group = GW_REG_GENERAL, .number = (i), .field = "x"     \
    }
#define F(i, name_)                                                                                \
    {                                                                                              \
        .name = (name_), .size_bytes = 8, .group = GW_REG_FLOAT, .number = (i), .field = "f"       \
    }
#define SYSTEM(number_, name_)                                                                     \
    {                                                                                              \
        .name = (name_), .size_bytes = 8, .group = GW_REG_SYSTEM, .number = (number_)              \
    }

/* gdb's numbers: pc behind the integer registers, then the float ones. */
const struct gw_reg rv_regs[RV_REG_COUNT] = {
    X(0, "zero"),
    X(1, "ra"),
    X(2, "sp"),
    X(3, "gp"),
    X(4, "tp"),
    X(5, "t0"),
    X(6, "t1"),
    X(7, "t2"),
    X(8, "s0"),
    X(9, "s1"),
    X(10, "a0"),
    X(11, "a1"),
    X(12, "a2"),
    X(13, "a3"),
    X(14, "a4"),
    X(15, "a5"),
    X(16, "a6"),
    X(17, "a7"),
    X(18, "s2"),
    X(19, "s3"),
    X(20, "s4"),
    X(21, "s5"),
    X(22, "s6"),
    X(23, "s7"),
    X(24, "s8"),
    X(25, "s9"),
    X(26, "s10"),
    X(27, "s11"),
    X(28, "t3"),
    X(29, "t4"),
    X(30, "t5"),
    X(31, "t6"),
    {.name = "pc", .size_bytes = 8, .group = GW_REG_GENERAL, .field = "pc"},
    F(0, "ft0"),
    F(1, "ft1"),
    F(2, "ft2"),
    F(3, "ft3"),
    F(4, "ft4"),
    F(5, "ft5"),
    F(6, "ft6"),
    F(7, "ft7"),
    F(8, "fs0"),
    F(9, "fs1"),
    F(10, "fa0"),
    F(11, "fa1"),
    F(12, "fa2"),
    F(13, "fa3"),
    F(14, "fa4"),
    F(15, "fa5"),
    F(16, "fa6"),
    F(17, "fa7"),
    F(18, "fs2"),
    F(19, "fs3"),
    F(20, "fs4"),
    F(21, "fs5"),
    F(22, "fs6"),
    F(23, "fs7"),
    F(24, "fs8"),
    F(25, "fs9"),
    F(26, "fs10"),
    F(27, "fs11"),
    F(28, "ft8"),
    F(29, "ft9"),
    F(30, "ft10"),
    F(31, "ft11"),
    {.name = "priv", .size_bytes = 1, .group = GW_REG_SYSTEM, .field = "priv"},
#define CSR(number, NAME, name, kind, read, write, field, mask) SYSTEM(number, #name),
#include "frontend/riscv64/csr_rows.inc"
#undef CSR
    /* Those of a kind, of which the rows have the first only. */
    SYSTEM(0x3b1, "pmpaddr1"),
    SYSTEM(0x3b2, "pmpaddr2"),
    SYSTEM(0x3b3, "pmpaddr3"),
    SYSTEM(0x3b4, "pmpaddr4"),
    SYSTEM(0x3b5, "pmpaddr5"),
    SYSTEM(0x3b6, "pmpaddr6"),
    SYSTEM(0x3b7, "pmpaddr7"),
    SYSTEM(0x3b8, "pmpaddr8"),
    SYSTEM(0x3b9, "pmpaddr9"),
    SYSTEM(0x3ba, "pmpaddr10"),
    SYSTEM(0x3bb, "pmpaddr11"),
    SYSTEM(0x3bc, "pmpaddr12"),
    SYSTEM(0x3bd, "pmpaddr13"),
    SYSTEM(0x3be, "pmpaddr14"),
    SYSTEM(0x3bf, "pmpaddr15"),
    SYSTEM(0xb04, "mhpmcounter4"),
    SYSTEM(0xb05, "mhpmcounter5"),
    SYSTEM(0xb06, "mhpmcounter6"),
    SYSTEM(0x324, "mhpmevent4"),
    SYSTEM(0x325, "mhpmevent5"),
    SYSTEM(0x326, "mhpmevent6"),
};
