/*
 * Guest code and the IR that it becomes, after liveness: a change in quality shows up as a diff of
 * golden/. GODWIT_UPDATE_GOLDEN=1 writes the files anew.
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
#include "godwit/little.h"

enum { TEXT_BYTES = 32768, USER = RV_TBF_USER | 2 << RV_TBF_FS_SHIFT };

struct golden {
    const char *name, *title;
    uint32_t flags, trace;
    uint32_t words[12]; /* up to 0; compressed ones have a zero upper half */
};

static const struct golden goldens[] = {
    {.name = "sum_loop",
     .title = "a loop over 32-bit words",
     .flags = USER,
     .words = {0x4398, 0x0791, 0x9d39, 0xfed79de3}},
    {.name = "prologue",
     .title = "a function's entry and its first call",
     .flags = USER,
     .words = {0x7179, 0xf406, 0xf022, 0x842a, 0x4501, 0x67c5, 0xc007b783, 0x010780e7}},
    {.name = "epilogue",
     .title = "a function's return",
     .flags = USER,
     .words = {0x70a2, 0x7402, 0x6145, 0x8082}},
    {.name = "cmpxchg",
     .title = "compare-and-swap by LR and SC",
     .flags = USER,
     .trace = 4,
     .words = {0x1406252f, 0x00d51563, 0x1ae627af, 0xfbf5, 0x8082}},
    {.name = "byte_max",
     .title = "a compiler's maximum of bytes by LR and SC, in a machine",
     .flags = RV_PRIV_S,
     .trace = 4,
     .words = {0x100526af, 0x00c6f733, 0x87b6, 0x00b75663, 0x00b6c7b3, 0x8ff1, 0x8fb5, 0x1af527af,
               0xf3fd, 0x8082}},
    {.name = "axpy",
     .title = "a double-precision loop, rounding up",
     .flags = USER | IR_RUP << RV_TBF_FRM_SHIFT,
     .words = {0x2398, 0x231c, 0x7ae577c3, 0xa31c, 0x07a1, 0x0721, 0x00d7e263}},
    {.name = "single",
     .title = "single precision: boxes, conversions, a comparison",
     .flags = USER,
     .words = {0x00052787, 0x42078753, 0x10a7f7d3, 0xc0079553, 0x00f52227, 0xa2a715d3, 0x8082}},
    {.name = "fs_clean",
     .title = "the first float written since mstatus.FS was clean",
     .flags = RV_PRIV_U | 1 << RV_TBF_FS_SHIFT,
     .words = {0x4398, 0x00052787, 0x8082}},
    {.name = "trap_entry",
     .title = "a kernel's trap handler: registers in line, then by helper",
     .flags = RV_PRIV_S,
     .trace = 4,
     .words = {0x14021273, 0x00021463, 0x14002273, 0x00223823, 0x00823103, 0x100024f3, 0x14102973,
               0x14202a73, 0x14001073, 0x10049073}},
    {.name = "followed",
     .title = "a branch run through, a jump followed, bit operations, a far call",
     .flags = USER,
     .trace = 4,
     .words = {0xc111, 0xa011, 0x9002, 0x20a5e533, 0x6b855513, 0x60c55533, 0x00000097, 0x000080e7}},
};

/* What the builder wants to know of helpers; the functions would pull in a machine. */
static const struct gw_helper helpers[] = {
#define RV_HELPER(NAME, function, argc, bits)                                                      \
    [RV_HELPER_##NAME] = {.name = #function, .flags = (bits), .args = (argc)},
#include "frontend/riscv64/rv_helpers.inc"
#undef RV_HELPER
};

static size_t list_code(char *out, size_t size, const struct ir_block *b, const uint8_t *code)
{
    size_t n = 0;
    for (uint32_t i = 0; i < b->guest_count; i++) {
        uint32_t word = 0, at = b->guest[i].pc_offset;
        char text[80];
        word = (uint32_t)gw_little(code + at, b->guest[i].len);
        rv_disasm(text, sizeof text, b->pc + at, word);
        n += (size_t)snprintf(out + n, size - n, "    %s\n", text);
    }
    return n;
}

/* Guest state by name rather than by offset, so that the texts outlive changes of layout. */
static void name_state(char *out, size_t size, unsigned offset)
{
    static const struct {
        const char *name;
        size_t offset;
    } others[] = {
        {"mstatus", offsetof(struct rv_cpu, c.mstatus)},
        {"sscratch", offsetof(struct rv_cpu, c.sscratch)},
        {"sepc", offsetof(struct rv_cpu, c.sepc)},
        {"scause", offsetof(struct rv_cpu, c.scause)},
        {"reservation", offsetof(struct rv_cpu, c.reservation)},
        {"reservation_broken", offsetof(struct rv_cpu, run.reservation_broken)},
        {"budget", offsetof(struct rv_cpu, run.budget)},
        {"reserved_value", offsetof(struct rv_cpu, c.reserved_value)},
    };
    size_t f = offsetof(struct rv_cpu, f);
    snprintf(out, size, "+%u", offset);
    if (offset < sizeof((struct rv_cpu *)0)->x)
        snprintf(out, size, "x%u", offset / 8);
    else if (offset >= f && offset < f + sizeof((struct rv_cpu *)0)->f)
        snprintf(out, size, "f%u", (unsigned)(offset - f) / 8);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].offset == offset)
            snprintf(out, size, "%s", others[i].name);
}

/* A line of IR with names for its state offset or its helper. */
static size_t list_line(char *out, size_t size, const char *line)
{
    unsigned number, bytes;
    int end = 0;
    char name[32];
    const char *at = strstr(line, " call ");
    if (at && sscanf(at, " call %u%n", &number, &end) == 1 && number < RV_HELPER_COUNT)
        return (size_t)snprintf(out, size, "%.*s call %s%s\n", (int)(at - line), line,
                                helpers[number].name, at + end);
    at = strchr(line, '[');
    if (!at || sscanf(at, "[%u:%u]%n", &number, &bytes, &end) != 2)
        return (size_t)snprintf(out, size, "%s\n", line);
    name_state(name, sizeof name, number);
    return (size_t)snprintf(out, size, "%.*s[%s:%u]%s\n", (int)(at - line), line, name, bytes,
                            at + end);
}

/* Prints without the operations that liveness has removed. */
static void list_ir(char *out, size_t size, const struct ir_block *b)
{
    static char text[TEXT_BYTES];
    size_t n = 0;
    assert_true(ir_print(b, text, sizeof text) < sizeof text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (!strstr(line, " nop"))
            n += list_line(out + n, size - n, line);
}

static void translate(const struct golden *g, char *out, size_t size)
{
    static struct ir_block block;
    static struct rv_cpu cpu;
    uint8_t code[sizeof g->words + 4] = {0};
    uint32_t bytes = 0;
    struct gw_error err;
    for (const uint32_t *w = g->words; *w; w++) {
        gw_put_little(code + bytes, *w, 4);
        bytes += (*w & 3) == 3 ? 4 : 2;
    }
    cpu.cfg.ext = UINT64_MAX;
    struct gw_lift_request rq = {.cpu = &cpu,
                                 .block = &block,
                                 .code = code,
                                 .code_size = bytes,
                                 .page_left = 4096,
                                 .max_guest = 64,
                                 .trace = g->trace};
    block.helpers = helpers;
    ir_begin(&block, 0x10000, g->flags);
    assert_int_equal(rv_lift(&rq), GW_LIFT_OK);
    ir_liveness(&block);
    if (ir_verify(&block, &err) != GW_OK)
        fail_msg("%s: the verifier refuses it: %s", g->name, err.message);
    size_t n = (size_t)snprintf(out, size, "%s\n\n", g->title);
    n += list_code(out + n, size - n, &block, code);
    n += (size_t)snprintf(out + n, size - n, "\n");
    list_ir(out + n, size - n, &block);
}

static void blocks_become_the_recorded_ir(void **state)
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
        cmocka_unit_test(blocks_become_the_recorded_ir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
