/* Operands in memory: see host_operand.h. Intel SDM, volume 2, chapter 2. */
#include "translator/run/host_operand.h"

#include <string.h>

enum { REX_B = 1, REX_X = 2 };

/* What stands ahead of ModRM. NULL: there is none. */
static const uint8_t *skip_opcode(const uint8_t *p, unsigned *rex)
{
    static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e};
    while (memchr(prefixes, *p, sizeof prefixes))
        p++;
    *rex = 0;
    if (*p == 0xc5) /* VEX, two bytes and the opcode */
        return p + 3;
    if (*p == 0xc4) { /* VEX, three bytes: X and B are inverted */
        *rex = ~(unsigned)p[1] >> 5 & (REX_X | REX_B);
        return p + 4;
    }
    if ((*p & 0xf0) == 0x40)
        *rex = *p++;
    if (p[0] == 0x0f)
        return p + (p[1] == 0x38 || p[1] == 0x3a ? 3 : 2);
    const uint8_t op = *p;
    bool modrm = op < 0x40 ? (op & 7) < 4
                           : op == 0x63 || op == 0x69 || op == 0x6b || (op & 0xf0) == 0x80 ||
                                 op == 0xc0 || op == 0xc1 || op == 0xc6 || op == 0xc7 ||
                                 (op & 0xfc) == 0xd0 || (op & 0xf8) == 0xd8 || op == 0xf6 ||
                                 op == 0xf7 || op == 0xfe || op == 0xff;
    return modrm ? p + 1 : NULL;
}

bool host_operand(const uint8_t *code, const uint64_t regs[16], uint64_t *addr)
{
    enum { RM_SIB = 4, NO_INDEX = 4, NO_BASE = 5, IN_REGISTER = 3 };
    unsigned rex;
    const uint8_t *p = skip_opcode(code, &rex);
    if (!p)
        return false;
    unsigned mod = *p >> 6, rm = *p & 7;
    unsigned base = rm;
    p++;
    *addr = 0;
    if (mod == IN_REGISTER || (mod == 0 && rm == NO_BASE))
        return false;
    if (rm == RM_SIB) {
        unsigned index = (*p >> 3 & 7) | (rex & REX_X ? 8 : 0);
        base = *p & 7;
        if (index != NO_INDEX)
            *addr = regs[index] << (*p >> 6);
        p++;
    }
    bool only_displacement = mod == 0 && base == NO_BASE;
    if (!only_displacement)
        *addr += regs[base | (rex & REX_B ? 8 : 0)];
    int8_t small;
    int32_t large;
    if (mod == 1) {
        memcpy(&small, p, sizeof small);
        *addr += (uint64_t)(int64_t)small;
    } else if (mod == 2 || only_displacement) {
        memcpy(&large, p, sizeof large);
        *addr += (uint64_t)(int64_t)large;
    }
    return true;
}
