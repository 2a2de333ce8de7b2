/*
 * Guest code and the host code that it becomes on each host, with its count of instructions: a change in quality
 * shows up as a diff of tests/backend-HOST/golden/. Only the path that is usually taken is listed. Any host lists
 * the code of all.
 * GODWIT_UPDATE_GOLDEN=1 writes the files anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "translator/ir/pass.h"
#include "frontend/riscv64/lift.h"
#include "tests/backend-common/golden.h"

enum { TEXT_BYTES = 65536, CODE_BYTES = 65536, RUNTIME_BYTES = 1 << 18 };
enum { X64 = 1, A64 = 2, BOTH = X64 | A64 };
enum { USER = RV_TBF_USER | 2 << RV_TBF_FS_SHIFT, SUPER = RV_PRIV_S | 2 << RV_TBF_FS_SHIFT, PROGRAM = RV_PRIV_U | 2 << RV_TBF_FS_SHIFT };
struct golden {
    const char *name, *title;
    unsigned hosts; /* on which it says something of its own */
    enum gw_mem_mode mem;
    uint32_t flags, features_off, trace;
    uint32_t words[12]; /* up to 0; compressed ones have a zero upper half */
};

#define SUM_LOOP                                                                                   \
    {                                                                                              \
        0x4398, 0x0791, 0x9d39, 0xfed79de3                                                         \
    }
#define AXPY                                                                                       \
    {                                                                                              \
        0x2398, 0x231c, 0x7ae577c3, 0xa31c, 0x07a1, 0x0721, 0x00d7e263                             \
    }
#define PROLOGUE                                                                                   \
    {                                                                                              \
        0x7179, 0xf406, 0xf022, 0x842a, 0x4501, 0x67c5, 0xc007b783, 0x010780e7                     \
    }
#define BIT_WORK                                                                                   \
    {                                                                                              \
        0x20a5e533, 0x6b855513, 0x60c55533, 0x00c5c5b3, 0x02c58533, 0x02b545b3, 0x8082             \
    }
#define SINGLE                                                                                     \
    {                                                                                              \
        0x00052787, 0x42078753, 0x10a7f7d3, 0xc0079553, 0x00f52227, 0xa2a715d3, 0x8082             \
    }
#define FLOATS                                                                                     \
    {                                                                                              \
        0x2ac58553, 0x22c585d3, 0x12b51553, 0x40157653, 0xe2059553, 0xc225c5d3, 0x00102673,        \
            0x18c6f6d3, 0x8082                                                                     \
    }
#define CMPXCHG                                                                                    \
    {                                                                                              \
        0x1406252f, 0x00d51563, 0x1ae627af, 0xfbf5, 0x8082                                         \
    }

#define BYTE_MAX                                                                                   \
    {                                                                                              \
        0x100526af, 0x00c6f733, 0x87b6, 0x00b75663, 0x00b6c7b3, 0x8ff1, 0x8fb5, 0x1af527af,        \
            0xf3fd, 0x8082                                                                         \
    }

#define ORDERS                                                                                     \
    {                                                                                              \
        0x1405a52f, 0x1605a52f, 0x00c5a52f, 0x0330000f, 0x0230000f, 0x0110000f, 0x0120000f,        \
            0x8330000f, 0x8082                                                                     \
    }

#define CLEAR_PAGE                                                                                 \
    {                                                                                              \
        0x0045200f, 0x04050513, 0x0045200f, 0x04050513, 0xfeb568e3                                 \
    }
/* auipc a5; ld a5, 16(a5); jalr a5; and in front of it a call to the next page */
#define PLT                                                                                        \
    {                                                                                              \
        0x00001797, 0x0107b783, 0x000782e7                                                         \
    }
#define FAR_CALL                                                                                   \
    {                                                                                              \
        0x1141, 0xe406, 0x00001097, 0x000080e7                                                     \
    }

static const struct golden goldens[] = {
    {"user_sum_loop", "a loop over 32-bit words", BOTH, GW_MEM_USER, USER, 0, 0, SUM_LOOP},
    {"flat_sum_loop", "a loop over 32-bit words", BOTH, GW_MEM_FLAT, SUPER, 0, 0, SUM_LOOP},
    {"tlb_sum_loop", "a loop over 32-bit words", BOTH, GW_MEM_TLB, SUPER, 0, 0, SUM_LOOP},
    {"flat_sum_loop_plain", "the same for any x86-64", X64, GW_MEM_FLAT, SUPER, ~0u, 0, SUM_LOOP},
    {"flat_axpy", "a double-precision loop", BOTH, GW_MEM_FLAT, SUPER, 0, 0, AXPY},
    {"user_axpy_plain", "the same for any x86-64", X64, GW_MEM_USER, USER, ~0u, 0, AXPY},
    {"user_prologue", "a function's entry and its first call", BOTH, GW_MEM_USER, USER, 0, 0, PROLOGUE},
    {"user_bits", "shifts, bits, a product and a quotient", BOTH, GW_MEM_USER, USER, 0, 0, BIT_WORK},
    {"user_single", "single precision", BOTH, GW_MEM_USER, USER, 0, 0, SINGLE},
    {"user_floats", "minimum, sign, class, roundings, flags", BOTH, GW_MEM_USER, USER, 0, 0, FLOATS},
    {"flat_cmpxchg", "compare-and-swap by LR and SC", BOTH, GW_MEM_FLAT, SUPER, 0, 4, CMPXCHG},
    {"flat_byte_max", "a maximum of bytes by LR and SC", BOTH, GW_MEM_FLAT, SUPER, 0, 4, BYTE_MAX},
    {"flat_clear_page", "cbo.zero", BOTH, GW_MEM_FLAT, SUPER | RV_TBF_CBZE, 0, 0, CLEAR_PAGE},
    {"user_clear_page", "cbo.zero", BOTH, GW_MEM_USER, USER, 0, 0, CLEAR_PAGE},
    {"anywhere_plt", "a program's jump by a table, at any address", BOTH, GW_MEM_FLAT, PROGRAM, 0, 0, PLT},
    {"anywhere_far_call", "a program's call to another page", BOTH, GW_MEM_FLAT, PROGRAM, 0, 0, FAR_CALL},
    {"user_orders", "LR.aq and .aqrl, an AMO, fences", BOTH, GW_MEM_USER, USER, 0, 0, ORDERS},
    {"user_orders_plain", "the same without FEAT_LSE", A64, GW_MEM_USER, USER, ~0u, 0, ORDERS},
};

/* --- lifting and compiling -------------------------------------------------------------------- */

static uint32_t no_access(void *cpu, uint32_t desc)
{
    return desc;
}

static void no_eval(void *cpu, const struct ir_insn *in)
{
}

static uint32_t lift(const struct golden *g, struct ir_block *block, uint8_t *code)
{
    static struct rv_cpu cpu;
    uint32_t bytes = 0;
    for (const uint32_t *w = g->words; *w; w++) {
        memcpy(code + bytes, w, 4);
        bytes += (*w & 3) == 3 ? 4 : 2;
    }
    cpu.cfg.ext = UINT64_MAX;
    struct gw_lift_request rq = {.cpu = &cpu,
                                 .block = block,
                                 .code = code,
                                 .code_size = bytes,
                                 .page_left = 4096,
                                 .max_guest = 64,
                                 .trace = g->trace};
    block->helpers = rv_guest_isa.helpers;
    block->anywhere = g->flags == PROGRAM;
    ir_begin(block, 0x10000, g->flags);
    assert_int_equal(rv_lift(&rq), GW_LIFT_OK);
    ir_liveness(block);
    return bytes;
}

static void translate(const struct golden_host *h, const struct golden *g, char *out, size_t size)
{
    static struct ir_block block;
    static struct gw_compile_job job;
    static uint8_t runtime[RUNTIME_BYTES], bytes[CODE_BYTES];
    static struct gw_entry_points ep;
    uint8_t code[sizeof g->words + 4] = {0};
    const struct gw_runtime rt = {no_access, no_access, no_access, no_access,
                                  no_eval,   NULL,      NULL};
    struct gw_backend_config cfg = {.mem = g->mem,
                                    .features = h->base | (h->features & ~g->features_off),
                                    .isa = &rv_guest_isa};
    h->backend->prepare(&cfg);
    memset(&ep, 0, sizeof ep);
    assert_int_equal(h->backend->emit_runtime(&cfg, &rt, runtime, sizeof runtime, GOLDEN_RUNTIME, &ep),
                     GW_OK);
    lift(g, &block, code);
    job = (struct gw_compile_job){.cfg = &cfg,
                                  .ep = &ep,
                                  .runtime_base = GOLDEN_RUNTIME,
                                  .block = &block,
                                  .out = bytes,
                                  .cap = sizeof bytes,
                                  .base = GOLDEN_BLOCK};
    assert_int_equal(h->backend->compile(&job), GW_OK);
    size_t n = (size_t)snprintf(out, size, "%s\n\n", g->title);
    for (uint32_t i = 0; i < block.guest_count; i++) {
        uint32_t word = 0, at = block.guest[i].pc_offset;
        char text[80];
        memcpy(&word, code + at, block.guest[i].len);
        rv_disasm(text, sizeof text, block.pc + at, word);
        n += (size_t)snprintf(out + n, size - n, "    %s\n", text);
    }
    n += (size_t)snprintf(out + n, size - n, "\n%u guest instructions, %u host instructions\n\n",
                          block.guest_count, job.host_insns);
    golden_list(h, &job, out + n, size - n);
}

static unsigned compare(const struct golden_host *h, unsigned mask)
{
    static char got[TEXT_BYTES], want[TEXT_BYTES];
    const char *update = getenv("GODWIT_UPDATE_GOLDEN");
    unsigned differing = 0;
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        char path[512];
        if (!(goldens[i].hosts & mask))
            continue;
        snprintf(path, sizeof path, TESTS_DIR "/backend-%s/golden/%s.txt", h->backend->name,
                 goldens[i].name);
        translate(h, &goldens[i], got, sizeof got);
        FILE *f = fopen(path, update ? "w" : "r");
        if (!f)
            fail_msg("cannot open %s", path);
        if (update) {
            fputs(got, f);
        } else {
            want[fread(want, 1, sizeof want - 1, f)] = 0;
            if (strcmp(got, want) != 0) {
                print_error("%s differs; it is now\n%s\n", path, got);
                differing++;
            }
        }
        fclose(f);
    }
    return differing;
}

static void blocks_become_the_recorded_x86_64_code(void **state)
{
    assert_int_equal(compare(&golden_x64, X64), 0);
}

static void blocks_become_the_recorded_aarch64_code(void **state)
{
    assert_int_equal(compare(&golden_a64, A64), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_become_the_recorded_x86_64_code),
        cmocka_unit_test(blocks_become_the_recorded_aarch64_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
