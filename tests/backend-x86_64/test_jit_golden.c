/*
 * Guest code and the host code that it becomes, with its count of instructions: a change in quality
 * shows up as a diff of golden/. Only the path that is usually taken is listed.
 * GODWIT_UPDATE_GOLDEN=1 writes the files anew.
 */
#include <capstone/capstone.h>
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
#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_layout.h"

enum { TEXT_BYTES = 65536, CODE_BYTES = 65536 };
enum { USER = RV_TBF_USER | 2 << RV_TBF_FS_SHIFT, SUPER = RV_PRIV_S | 2 << RV_TBF_FS_SHIFT, PROGRAM = RV_PRIV_U | 2 << RV_TBF_FS_SHIFT };
#define RUNTIME UINT64_C(0x100000)
#define BLOCK   UINT64_C(0x200000)

struct golden {
    const char *name, *title;
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
    {"user_sum_loop", "a loop over 32-bit words", GW_MEM_USER, USER, 0, 0, SUM_LOOP},
    {"flat_sum_loop", "a loop over 32-bit words", GW_MEM_FLAT, SUPER, 0, 0, SUM_LOOP},
    {"tlb_sum_loop", "a loop over 32-bit words", GW_MEM_TLB, SUPER, 0, 0, SUM_LOOP},
    {"flat_sum_loop_plain", "the same for any x86-64", GW_MEM_FLAT, SUPER, ~0u, 0, SUM_LOOP},
    {"flat_axpy", "a double-precision loop", GW_MEM_FLAT, SUPER, 0, 0, AXPY},
    {"user_axpy_plain", "the same for any x86-64", GW_MEM_USER, USER, ~0u, 0, AXPY},
    {"user_prologue", "a function's entry and its first call", GW_MEM_USER, USER, 0, 0, PROLOGUE},
    {"user_bits", "shifts, bits, a product and a quotient", GW_MEM_USER, USER, 0, 0, BIT_WORK},
    {"user_single", "single precision", GW_MEM_USER, USER, 0, 0, SINGLE},
    {"flat_cmpxchg", "compare-and-swap by LR and SC", GW_MEM_FLAT, SUPER, 0, 4, CMPXCHG},
    {"flat_byte_max", "a maximum of bytes by LR and SC", GW_MEM_FLAT, SUPER, 0, 4, BYTE_MAX},
    {"flat_clear_page", "cbo.zero", GW_MEM_FLAT, SUPER | RV_TBF_CBZE, 0, 0, CLEAR_PAGE},
    {"user_clear_page", "cbo.zero", GW_MEM_USER, USER, 0, 0, CLEAR_PAGE},
    {"anywhere_plt", "a program's jump by a table, at any address", GW_MEM_FLAT, PROGRAM, 0, 0, PLT},
    {"anywhere_far_call", "a program's call to another page", GW_MEM_FLAT, PROGRAM, 0, 0, FAR_CALL},
    {"user_orders", "LR.aq and .aqrl, an AMO, fences", GW_MEM_USER, USER, 0, 0, ORDERS},
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

/* --- listing ---------------------------------------------------------------------------------- */

/* Bytes that follow an instruction as data: the operation that the evaluation thunk is to do. */
static unsigned data_behind(const struct gw_compile_job *job, const cs_insn *in)
{
    unsigned long long to;
    return !strcmp(in->mnemonic, "call") && sscanf(in->op_str, "0x%llx", &to) == 1 &&
                   to == RUNTIME + job->ep->table[1][T_EVAL]
               ? (unsigned)sizeof(struct ir_insn)
               : 0;
}

static unsigned index_of(const struct gw_compile_job *job, csh cs, uint64_t target)
{
    unsigned n = 0;
    for (uint64_t at = 0; at < target - BLOCK;) {
        cs_insn *in;
        assert_int_equal(cs_disasm(cs, job->out + at, job->size - at, BLOCK + at, 1, &in), 1);
        at += in->size + data_behind(job, in);
        n++;
        cs_free(in, 1);
    }
    return n;
}

/* Places that move with every change elsewhere get names: branches, constants, guest state. */
static void name_operands(char *text, size_t size, const struct gw_compile_job *job, csh cs,
                          const cs_insn *in)
{
    unsigned long long value;
    char sign, *at = strstr(in->op_str, "[rbp "), *end = strchr(in->op_str, ']');
    snprintf(text, size, "%s", in->op_str);
    if (in->mnemonic[0] == 'j' && sscanf(in->op_str, "0x%llx", &value) == 1) {
        if (value - BLOCK < job->hot_size)
            snprintf(text, size, "#%u", index_of(job, cs, value));
        else
            snprintf(text, size, "cold");
    } else if (!strcmp(in->mnemonic, "call")) {
        snprintf(text, size, data_behind(job, in) ? "evaluate" : "thunk");
    } else if (at && sscanf(at, "[rbp %c 0x%llx]", &sign, &value) == 2) {
        long off = X64_BIAS + (sign == '-' ? -(long)value : (long)value);
        if (off >= 0 && off < 256)
            snprintf(text, size, "%.*s[x%ld]%s", (int)(at - in->op_str), in->op_str, off / 8,
                     end + 1);
        else
            snprintf(text, size, "%.*s[state]%s", (int)(at - in->op_str), in->op_str, end + 1);
    } else if ((at = strstr(in->op_str, "[rip ")) != NULL) {
        snprintf(text, size, "%.*s[constant]%s", (int)(at - in->op_str), in->op_str, end + 1);
    }
}

static size_t list_host(char *out, size_t size, const struct gw_compile_job *job)
{
    csh cs;
    size_t n = 0;
    assert_int_equal(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
    unsigned count = 0;
    for (uint32_t at = 0; at < job->hot_size;) {
        cs_insn *in;
        char text[192];
        /* each instruction must be one that a disassembler knows */
        assert_int_equal(cs_disasm(cs, job->out + at, job->size - at, BLOCK + at, 1, &in), 1);
        name_operands(text, sizeof text, job, cs, in);
        n += (size_t)snprintf(out + n, size - n, "%3u  %s %s\n", count++, in->mnemonic, text);
        at += in->size + data_behind(job, in);
        cs_free(in, 1);
    }
    cs_close(&cs);
    return n;
}

static void translate(const struct golden *g, char *out, size_t size)
{
    static struct ir_block block;
    static struct gw_compile_job job;
    static uint8_t runtime[CODE_BYTES], bytes[CODE_BYTES];
    static struct gw_entry_points ep;
    uint8_t code[sizeof g->words + 4] = {0};
    const struct gw_runtime rt = {no_access, no_access, no_access, no_access,
                                  no_eval,   NULL,      NULL};
    struct gw_backend_config cfg = {.mem = g->mem,
                                    .features = X64_F_BASE | (X64_F_ALL & ~g->features_off),
                                    .isa = &rv_guest_isa};
    x64_backend.prepare(&cfg);
    memset(&ep, 0, sizeof ep);
    assert_int_equal(x64_backend.emit_runtime(&cfg, &rt, runtime, sizeof runtime, RUNTIME, &ep),
                     GW_OK);
    lift(g, &block, code);
    job = (struct gw_compile_job){.cfg = &cfg,
                                  .ep = &ep,
                                  .runtime_base = RUNTIME,
                                  .block = &block,
                                  .out = bytes,
                                  .cap = sizeof bytes,
                                  .base = BLOCK};
    assert_int_equal(x64_backend.compile(&job), GW_OK);
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
    list_host(out + n, size - n, &job);
}

static void blocks_become_the_recorded_host_code(void **state)
{
    static char got[TEXT_BYTES], want[TEXT_BYTES];
    const char *update = getenv("GODWIT_UPDATE_GOLDEN");
    unsigned differing = 0;
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.txt", GOLDEN_DIR, goldens[i].name);
        translate(&goldens[i], got, sizeof got);
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
    assert_int_equal(differing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_become_the_recorded_host_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
