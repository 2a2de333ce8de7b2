/* The toy's instructions as text, for --dump decode and for reading a failing test. */
#include "tests/frontend/toy/toy_guest.h"

enum form {
    FORM_NONE,
    FORM_IMM,
    FORM_REG,
    FORM_LI,
    FORM_MEM,
    FORM_BRANCH,
    FORM_JAL,
    FORM_JR,
    FORM_TRAP,
    FORM_MOVE,
    FORM_RD,
    FORM_PLAIN
};

static const struct {
    const char *name;
    enum form form;
} ops[] = {
    [TOY_LI] = {"li", FORM_LI},         [TOY_ADDI] = {"addi", FORM_IMM},
    [TOY_ADD] = {"add", FORM_REG},      [TOY_SUB] = {"sub", FORM_REG},
    [TOY_MUL] = {"mul", FORM_REG},      [TOY_LOAD] = {"load", FORM_MEM},
    [TOY_STORE] = {"store", FORM_MEM},  [TOY_BNE] = {"bne", FORM_BRANCH},
    [TOY_BLTU] = {"bltu", FORM_BRANCH}, [TOY_JAL] = {"jal", FORM_JAL},
    [TOY_JR] = {"jr", FORM_JR},         [TOY_MIX] = {"mix", FORM_REG},
    [TOY_TRAP] = {"trap", FORM_TRAP},   [TOY_HALT] = {"halt", FORM_PLAIN},
    [TOY_FPM] = {"fpm", FORM_TRAP},     [TOY_FADD] = {"fadd", FORM_REG},
    [TOY_FMUL] = {"fmul", FORM_REG},    [TOY_FMIN] = {"fmin", FORM_REG},
    [TOY_FTOI] = {"ftoi", FORM_MOVE},   [TOY_FLAGS] = {"flags", FORM_RD},
};

size_t toy_disasm(char *buf, size_t size, uint64_t pc, const uint8_t *p, size_t count,
                  unsigned *len)
{
    *len = 0;
    if (count < 4)
        return 0;
    *len = 4;
    unsigned op = p[0], rd = p[1] & 15, ra = p[1] >> 4, rb = p[2] & 15;
    int imm = (int16_t)(p[2] | p[3] << 8);
    unsigned long long to = pc + 4 * (uint64_t)(int64_t)imm;
    enum form form = op < sizeof ops / sizeof ops[0] ? ops[op].form : FORM_NONE;
    const char *name = form != FORM_NONE ? ops[op].name : "?";
    int n = 0;
    switch (form) {
    case FORM_LI: n = snprintf(buf, size, "%s r%u, %d", name, rd, imm); break;
    case FORM_IMM: n = snprintf(buf, size, "%s r%u, r%u, %d", name, rd, ra, imm); break;
    case FORM_REG: n = snprintf(buf, size, "%s r%u, r%u, r%u", name, rd, ra, rb); break;
    case FORM_MEM: n = snprintf(buf, size, "%s r%u, %d(r%u)", name, rd, imm, ra); break;
    case FORM_BRANCH: n = snprintf(buf, size, "%s r%u, r%u, %#llx", name, rd, ra, to); break;
    case FORM_JAL: n = snprintf(buf, size, "%s r%u, %#llx", name, rd, to); break;
    case FORM_JR: n = snprintf(buf, size, "%s r%u", name, ra); break;
    case FORM_MOVE: n = snprintf(buf, size, "%s r%u, r%u", name, rd, ra); break;
    case FORM_RD: n = snprintf(buf, size, "%s r%u", name, rd); break;
    case FORM_TRAP: n = snprintf(buf, size, "%s %d", name, imm); break;
    default: n = snprintf(buf, size, "%s", name); break;
    }
    return (size_t)n;
}
