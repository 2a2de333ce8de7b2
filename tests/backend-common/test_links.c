/* How links are patched, on all hosts: what no thread may pass while the jump behind it gets a target. */
#include "tests/backend-aarch64/emitted.h"

#define HOST(name, backend) extern const struct host_backend backend;
#include "backend-common/hosts.inc"
#undef HOST

static const struct host_backend *const hosts[] = {
#define HOST(name, backend) &backend,
#include "backend-common/hosts.inc"
#undef HOST
};

enum { FAR = 0x5000, GENERATION = 7 };

static uint32_t guard(const struct rig *r)
{
    return word(r, r->job.links[0].gen_offset);
}

/* A block that goes on to another page, on whose link the guard is. */
static void block_with_a_guard(struct rig *r, const struct host_backend *b, bool anywhere)
{
    static const struct gw_runtime rt = {toy_slow_load, toy_slow_store, toy_slow_amo, toy_slow_zero,
                                         NULL,          NULL,           NULL};
    r->cfg = (struct gw_backend_config){
        .mem = GW_MEM_FLAT, .features = b->feature[0].bit, .shared = true, .isa = toy_isa()};
    b->prepare(&r->cfg);
    assert_int_equal(b->emit_runtime(&r->cfg, &rt, r->runtime, RUNTIME_BYTES, 0x1000000, &r->ep),
                     GW_OK);
    memset(&r->block, 0, sizeof r->block);
    ir_begin(&r->block, PC, 0);
    r->block.anywhere = anywhere;
    assert_true(ir_begin_guest(&r->block, PC, 4));
    ir_jmp(&r->block, PC + FAR);
    ir_liveness(&r->block);
    r->job = (struct gw_compile_job){.cfg = &r->cfg,
                                     .ep = &r->ep,
                                     .runtime_base = 0x1000000,
                                     .block = &r->block,
                                     .out = r->code,
                                     .cap = BLOCK_BYTES,
                                     .base = 0x1100000};
    assert_int_equal(b->compile(&r->job), GW_OK);
    assert_int_equal(r->job.link_count, 1);
    assert_int_not_equal(r->job.links[0].gen_offset, 0);
    assert_int_equal(r->job.links[0].page_offset != 0, anywhere);
}

/* Else a vCPU that passes it while the link is cut off could stand ahead of the jump that gets a target of
 * another space. */
static void nobody_passes_the_guard_of_a_link_that_leads_nowhere(void **state)
{
    struct rig *r = *state;
    for (unsigned k = 0; k < 2 * (sizeof hosts / sizeof hosts[0]); k++) {
        const struct host_backend *b = hosts[k / 2];
        const bool anywhere = k & 1;
        block_with_a_guard(r, b, anywhere);
        const struct gw_link_desc *l = &r->job.links[0];
        uint8_t *at = r->code;
        assert_int_equal(guard(r), UINT32_MAX);
        b->patch(at, r->job.base, l, r->job.base + 0x8000, false, GENERATION, PC);
        assert_int_equal(guard(r), GENERATION);
        const uint32_t jump = word(r, l->jump_offset);
        b->patch(at, r->job.base, l, 0, false, 0, 0);
        assert_int_equal(guard(r), UINT32_MAX);
        assert_int_not_equal(word(r, l->jump_offset), jump);
        b->patch(at, r->job.base, l, r->job.base + 0x8000, true, GENERATION + 1, PC);
        assert_int_equal(guard(r), GENERATION + 1);
        assert_int_equal(word(r, l->jump_offset), jump);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_passes_the_guard_of_a_link_that_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
