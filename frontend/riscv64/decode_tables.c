/* The tables of rv64.decode, and the functions that need nothing else. */
#include "frontend/riscv64/decode_tables.h"

#include <assert.h>

static const struct rv_field fields[] = {
#define RV_FIELD(name_, kind_, count_, shift_, add_, ...)                                          \
    {#name_, kind_, count_, shift_, add_, {__VA_ARGS__}},
#include "frontend/riscv64/rv_tables.inc"
#undef RV_FIELD
};

static const struct rv_format formats[] = {
#define RV_FORMAT(name_, count_, ...) {#name_, count_, {__VA_ARGS__}},
#include "frontend/riscv64/rv_tables.inc"
#undef RV_FORMAT
};

static const struct rv_pattern patterns[] = {
#define RV_PATTERN(name_, mask_, match_, op_, len_, any_, all_, format_, hidden_, text_, count_,   \
                   ...)                                                                            \
    {.name = name_,                                                                                \
     .mask = mask_,                                                                                \
     .match = match_,                                                                              \
     .any = any_,                                                                                  \
     .all = all_,                                                                                  \
     .op = RV_OP_##op_,                                                                            \
     .len = len_,                                                                                  \
     .format = format_,                                                                            \
     .hidden = hidden_,                                                                            \
     .text = text_,                                                                                \
     .condition_count = count_,                                                                    \
     .conditions = {__VA_ARGS__}},
#include "frontend/riscv64/rv_tables.inc"
#undef RV_PATTERN
};

static const struct {
    uint16_t number;
    char name[18];
} csrs[] = {
#define RV_CSR(number_, name_) {number_, name_},
#include "frontend/riscv64/rv_tables.inc"
#undef RV_CSR
};

static const struct {
    const char *name;
    uint64_t ext;
} ops[RV_OP_COUNT] = {
    [RV_OP_ILLEGAL] = {"illegal", 0},
#define RV_OP(upper, lower, text, ext, format) [RV_OP_##upper] = {text, ext},
#include "frontend/riscv64/rv_ops.inc"
#undef RV_OP
};

static const char *const ext_names[] = {
#define RV_EXT(upper, text) text,
#include "frontend/riscv64/rv_exts.inc"
#undef RV_EXT
};

void rv_decode(struct rv_insn *out, uint32_t word)
{
    rv_decode_pattern(out, word);
}

void rv_decode_for(struct rv_insn *out, uint32_t word, uint64_t ext)
{
    unsigned i = rv_decode_pattern(out, word);

    if (i != RV_NO_PATTERN && !rv_pattern_is_of(i, ext))
        *out = (struct rv_insn){.raw = out->raw, .len = out->len};
}

const char *rv_op_name(enum rv_op op)
{
    return ops[op].name;
}

uint64_t rv_op_ext(enum rv_op op)
{
    return ops[op].ext;
}

const char *rv_ext_name(enum rv_ext_bit bit)
{
    return bit < RV_EXT_BIT_COUNT ? ext_names[bit] : NULL;
}

const char *rv_csr_name(unsigned number)
{
    size_t low = 0, high = sizeof(csrs) / sizeof(csrs[0]);

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (csrs[middle].number == number)
            return csrs[middle].name;
        if (csrs[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t rv_pattern_count(void)
{
    return sizeof(patterns) / sizeof(patterns[0]);
}

const struct rv_pattern *rv_pattern(size_t i)
{
    assert(i < rv_pattern_count());
    return &patterns[i];
}

const struct rv_field *rv_field(size_t i)
{
    assert(i < sizeof(fields) / sizeof(fields[0]));
    return &fields[i];
}

const struct rv_format *rv_format(size_t i)
{
    assert(i < sizeof(formats) / sizeof(formats[0]));
    return &formats[i];
}

static bool is_signed(uint8_t kind)
{
    return kind == RV_KIND_S || kind == RV_KIND_HI || kind == RV_KIND_A;
}

int64_t rv_field_value(size_t i, uint32_t word)
{
    const struct rv_field *field = rv_field(i);
    unsigned width = field->shift;
    uint64_t value = 0;

    for (unsigned run = 0; run < field->run_count; run++) {
        unsigned bits = field->runs[run].high - field->runs[run].low + 1u;

        value = value << bits | (word >> field->runs[run].low & ((1ull << bits) - 1));
        width += bits;
    }
    value <<= field->shift;
    if (is_signed(field->kind) && value >> (width - 1) & 1)
        value -= 1ull << width;
    return (int64_t)(value + field->add);
}

/* splitmix64: any state is a good one. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint32_t rv_pattern_random(size_t i, uint64_t *rng_state)
{
    const struct rv_pattern *pattern = rv_pattern(i);
    uint32_t all = pattern->len == 4 ? UINT32_MAX : 0xffff;

    /* Conditions and more specific patterns take few words away: this ends soon. */
    for (;;) {
        uint32_t word = (uint32_t)next_random(rng_state);
        struct rv_insn insn;

        word = (word & ~pattern->mask & all) | pattern->match;
        if (rv_decode_pattern(&insn, word) == i)
            return word;
    }
}
