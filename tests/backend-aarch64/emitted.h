/* A block compiled for AArch64 on any host, and a look at the words of its hot path. */
#ifndef TESTS_A64_EMITTED_H
#define TESTS_A64_EMITTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend-aarch64/a64.h"
#include "backend-aarch64/a64_encode.h"
#include "tests/translator/ir/toy.h"
#include "translator/ir/pass.h"

enum { RUNTIME_BYTES = 1 << 18, BLOCK_BYTES = 1 << 16, PC = 0x10000 };

struct rig {
    struct gw_backend_config cfg;
    struct gw_entry_points ep;
    struct gw_compile_job job;
    struct ir_block block;
    uint8_t runtime[RUNTIME_BYTES], code[BLOCK_BYTES];
};

static inline const struct guest_isa *toy_isa(void)
{
    static const uint16_t hot_gprs[] = {8 * 8, 5 * 8, 1 * 8, 2 * 8};
    static const struct guest_isa isa = {.name = "toy",
                                         .cpu_size = sizeof(struct toy_cpu),
                                         .helpers = toy_helpers,
                                         .helper_count = TOY_HELPER_COUNT,
                                         .hot_gprs = hot_gprs,
                                         .hot_gpr_count = 4};
    return &isa;
}

static inline void begin(struct rig *r, enum gw_mem_mode mem, uint32_t features, bool shared)
{
    static const struct gw_runtime rt = {toy_slow_load, toy_slow_store, toy_slow_amo, toy_slow_zero,
                                         NULL,          NULL,           NULL};
    r->cfg = (struct gw_backend_config){
        .mem = mem, .features = A64_F_BASE | features, .shared = shared, .isa = toy_isa()};
    a64_backend.prepare(&r->cfg);
    assert_int_equal(
        a64_backend.emit_runtime(&r->cfg, &rt, r->runtime, RUNTIME_BYTES, 0x1000000, &r->ep),
        GW_OK);
    memset(&r->block, 0, sizeof r->block);
    ir_begin(&r->block, PC, 0);
    assert_true(ir_begin_guest(&r->block, PC, 4));
}

static inline ir_val x(struct rig *r, unsigned k)
{
    return ir_get(&r->block, toy_x(k), 3);
}

static inline void end(struct rig *r)
{
    ir_leave(&r->block, ir_const(&r->block, PC + 4));
    ir_liveness(&r->block);
    r->job.cfg = &r->cfg;
    r->job.ep = &r->ep;
    r->job.runtime_base = 0x1000000;
    r->job.block = &r->block;
    r->job.out = r->code;
    r->job.cap = BLOCK_BYTES;
    r->job.base = 0x1100000;
    assert_int_equal(a64_backend.compile(&r->job), GW_OK);
}

static inline uint32_t word(const struct rig *r, uint32_t at)
{
    const uint8_t *p = r->code + at;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Position of the first word from `from` on in the hot path that is `bits` under the mask; UINT32_MAX: none. */
static inline uint32_t find(const struct rig *r, uint32_t from, uint32_t mask, uint32_t bits)
{
    for (uint32_t at = from; at < r->job.hot_size; at += 4)
        if ((word(r, at) & mask) == bits)
            return at;
    return UINT32_MAX;
}

static inline unsigned count(const struct rig *r, uint32_t mask, uint32_t bits)
{
    unsigned n = 0;
    for (uint32_t at = 0; (at = find(r, at, mask, bits)) != UINT32_MAX; at += 4)
        n++;
    return n;
}

static inline int set_up(void **state)
{
    *state = calloc(1, sizeof(struct rig));
    return *state ? 0 : -1;
}

static inline int tear_down(void **state)
{
    free(*state);
    return 0;
}

#endif
