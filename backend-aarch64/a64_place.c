#include "backend-aarch64/a64_place.h"

static void move(void *code, int to, int from)
{
    struct a64_buf *e = &((struct a64 *)code)->e;
    if (reg_class_of(to) == REG_VEC)
        a64_rr(e, a64_d(A64_FMOV), to, from);
    else
        a64_move(e, to, from);
}

static void load(void *code, int to, uint32_t offset, unsigned size)
{
    static const uint32_t op[] = {A64_LDRB, A64_LDRH, A64_LDRW, A64_LDR},
                          vector[] = {0, 0, A64_LDRS, A64_LDRD};
    struct a64_buf *e = &((struct a64 *)code)->e;
    a64_mem(e, reg_class_of(to) == REG_VEC ? vector[size] : op[size], to, R_STATE, offset);
}

static void store(void *code, int from, uint32_t offset, unsigned size)
{
    static const uint32_t op[] = {A64_STRB, A64_STRH, A64_STRW, A64_STR},
                          vector[] = {0, 0, A64_STRS, A64_STRD};
    struct a64_buf *e = &((struct a64 *)code)->e;
    a64_mem(e, reg_class_of(from) == REG_VEC ? vector[size] : op[size], from, R_STATE, offset);
}

static void constant(void *code, int to, uint64_t value, bool keep_flags)
{
    a64_constant(&((struct a64 *)code)->e, to, value);
}

static bool store_constant(void *code, uint32_t offset, unsigned size, uint64_t value)
{
    if (value)
        return false;
    store(code, A64_ZR, offset, size);
    return true;
}

const struct place_target a64_place_target = {
    .move = move,
    .load = load,
    .store = store,
    .constant = constant,
    .store_constant = store_constant,
    .constant_min = 0,
    .constant_max = 0,
    .memory_operands = false,
};
