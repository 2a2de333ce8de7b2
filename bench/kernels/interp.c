/* A bytecode interpreter around one switch: an indirect jump an operation, at a single site. */
#include "bench.h"

BENCH_INT("interp", 17355641870969924984u)

enum op { LOAD, ADD, SUB, XOR, MUL, SHR, AND, MOV, BRANCH_NZ, HALT };

struct insn {
    uint8_t op, d, a, b;
    int32_t imm;
};

/* r0 counts down; r1..r3 are mixed in each round. */
static const struct insn program[] = {
    {LOAD, 0, 0, 0, 3000000}, {LOAD, 1, 0, 0, 12345},   {LOAD, 2, 0, 0, 99991}, {LOAD, 4, 0, 0, 1},
    {ADD, 1, 1, 2, 0},        {XOR, 3, 1, 0, 0},        {MUL, 2, 2, 3, 0},      {SHR, 5, 2, 0, 7},
    {XOR, 2, 2, 5, 0},        {AND, 6, 3, 2, 0},        {ADD, 1, 1, 6, 0},      {MOV, 7, 1, 0, 0},
    {SUB, 0, 0, 4, 0},        {BRANCH_NZ, 0, 0, 0, -9}, {HALT, 0, 0, 0, 0},
};

static uint64_t run(const struct insn *pc)
{
    uint64_t r[8] = {0};
    for (;;) {
        const struct insn i = *pc++;
        switch ((enum op)i.op) {
        case LOAD: r[i.d & 7] = (uint64_t)i.imm; break;
        case ADD: r[i.d & 7] = r[i.a & 7] + r[i.b & 7]; break;
        case SUB: r[i.d & 7] = r[i.a & 7] - r[i.b & 7]; break;
        case XOR: r[i.d & 7] = r[i.a & 7] ^ r[i.b & 7]; break;
        case MUL: r[i.d & 7] = r[i.a & 7] * r[i.b & 7]; break;
        case SHR: r[i.d & 7] = r[i.a & 7] >> i.imm; break;
        case AND: r[i.d & 7] = r[i.a & 7] & r[i.b & 7]; break;
        case MOV: r[i.d & 7] = r[i.a & 7]; break;
        case BRANCH_NZ:
            if (r[i.a & 7] != 0) {
                pc += i.imm - 1;
            }
            break;
        case HALT: return r[1] ^ r[2] ^ r[7];
        }
    }
}

static uint64_t kernel(void)
{
    const struct insn *p = program;
    uint64_t sum = 0;
    for (int round = 0; round < 5; round++) {
        BENCH_HIDE(p);
        sum = sum * 3 + run(p);
    }
    return sum;
}
