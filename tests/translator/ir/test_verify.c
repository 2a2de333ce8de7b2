/*
 * What the verifier and the parser refuse, and what the text looks like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/translator/ir/toy.h"

#define HEAD "block 0x1000 bytes 8 flags 0x0 round rne fp 0\n@0 0x0 4\n"
#define JMP  "jmp 0x2000\n"

static struct ir_block *parse(const char *text, enum gw_status want, struct gw_error *err)
{
    static struct ir_block b;
    enum gw_status st = ir_parse(&b, text, err);
    if (st != want)
        fail_msg("%s: parse gives %d: %s", text, st, st ? err->message : "");
    return &b;
}

static void text_says_everything(void **state)
{
    static const char text[] = "block 0xffffffff80000000 bytes 10 flags 0x2a round rup fp 1\n"
                               "@0 0x0 4\n"
                               "  %0 = const 0xffffffffffffffff\n"
                               "  %1 = get i64 [8:8]\n"
                               "  %2 = ld i64 s4a [%1 - 2048] acquire\n"
                               "  %3 = select w32 geu %1, %2, %0, %1\n"
                               "  %4 = amo maxu 8 [%1] seq, %3\n"
                               "  %5 = cas 4 [%1] release, %4, %3\n"
                               "  fence or iw\n"
                               "  fence 0 r\n"
                               "  %8 = getf\n";
    static const char good[] = "block 0xffffffff80000000 bytes 10 flags 0x2a round rup fp 1\n"
                               "@0 0x0 4\n"
                               "  %0 = const 0xffffffffffffffff\n"
                               "  %1 = get i64 [8:8]\n"
                               "  %2 = ld i64 s4a [%1 - 2048] acquire\n"
                               "  %3 = select w32 geu %1, %2, %0, %1\n"
                               "  %4 = amo maxu 8 [%1] seq, %3\n"
                               "  %5 = cas 4 [%1] release, %4, %3\n"
                               "  fence or iw\n"
                               "  fence 0 r\n"
                               "  %8 = get f32 [2000:4]\n"
                               "  %9 = fma f32 rmm 3 %8, %8, %8\n"
                               "  %10 = i2f f64 lu rdn %4\n"
                               "  %11 = f2f f32 rne %10\n"
                               "  %12 = fsgnj f32 2 %9, %11\n"
                               "  %13 = call 3 %0, -, -\n"
                               "  st f32 u4 [%1 + 9], %12\n"
                               "  put f64 [2008:8] %10\n"
                               "@1 0x4 2\n"
                               "@2 0x6 4\n"
                               "  nop\n"
                               "  brcc w32 le %1, %0, 0x1234\n"
                               "  leave %1\n";
    static char buf[4096];
    struct gw_error err;
    (void)state;
    parse(text, GW_ERR_FORMAT, &err);
    assert_string_equal(err.object, "line 11");
    struct ir_block *b = parse(good, GW_OK, &err);
    if (ir_verify(b, &err) != GW_OK)
        fail_msg("%s", err.message);
    assert_int_equal(ir_print(b, buf, sizeof buf), sizeof good - 1);
    assert_string_equal(buf, good);
    assert_int_equal(b->insn[2].imm, -2048);
    assert_int_equal(b->insn[6].imm, (IR_FENCE_O | IR_FENCE_R) << 4 | IR_FENCE_I | IR_FENCE_W);
    assert_int_equal(b->insn[16].guest, 2);
    /* a short buffer gets the beginning, and the full length is returned */
    memset(buf, '#', sizeof buf);
    assert_int_equal(ir_print(b, buf, 10), sizeof good - 1);
    assert_memory_equal(buf, "block 0xf", 10);
    for (unsigned i = 10; i < sizeof buf; i++)
        assert_int_equal(buf[i], '#');
}

static void parser_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "blok 0x1000",
        "block 0x1000 bytes 8 flags 0x0 round rnd fp 0\n",
        "block 0x1000 bytes 8 flags 0x0 round rne fp 0\njmp 0x0\n", /* no guest instruction */
        "block 0x1000 bytes 8 flags 0x0 round rne fp 0\n@1 0x0 4\n",
        HEAD "%1 = const 0x0\n",
        HEAD "const 0x0\n",
        HEAD "%0 = jmp 0x0\n",
        HEAD "%0 = frob i64 %1\n",
        HEAD "%0 = get i64 [8:3]\n",
        HEAD "%0 = get i128 [8:8]\n",
        HEAD "%0 = get i64 [8:8] 9\n",
        HEAD "%0 = const x\n",
        HEAD "%0 = const 0x0 junk\n",
        HEAD "%0 = const 0x0\n%1 = add i64 %0\n",
        HEAD "%0 = const 0x0\n%1 = add i64 %0, %4000\n",
        HEAD "%0 = const 0x0\n%1 = setcc i64 lo %0, %0\n",
        HEAD "%0 = const 0x0\n%1 = ld i64 x4 [%0]\n",
        HEAD "%0 = const 0x0\n%1 = ld i64 u4 [%0] sequential\n",
        HEAD "fence q w\n",
    };
    struct gw_error err;
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err.message[0] = 0;
        parse(bad[i], GW_ERR_FORMAT, &err);
        assert_true(err.message[0] != 0);
    }
}

static void verifier_refuses(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {HEAD, "no instructions"},
        {HEAD "%0 = const 0x0\n", "end"},
        {HEAD JMP JMP, "end"},
        {HEAD JMP "%1 = const 0x0\n", "end"},
        {HEAD "%0 = add i64 %0, %0\n" JMP, "before its use"},
        {HEAD "%0 = add i64 %1, %1\n%1 = const 0x0\n" JMP, "before its use"},
        {HEAD "%0 = const 0x0\n%1 = add i64 %0, -\n" JMP, "missing"},
        {HEAD "%0 = const 0x0\n%1 = add f64 %0, %0\n" JMP, "type"},
        {HEAD "%0 = get f64 [8:8]\n%1 = add i64 %0, %0\n" JMP, "kind"},
        {HEAD "%0 = get f64 [8:8]\n%1 = fadd f32 rne %0, %0\n" JMP, "kind"},
        {HEAD "%0 = get f64 [8:8]\n%1 = fadd i64 rne %0, %0\n" JMP, "type"},
        {HEAD "%0 = const 0x0\nput f64 [8:8] %0\n" JMP, "kind"},
        {HEAD "%0 = get f64 [8:4]\n" JMP, "size"},
        {HEAD "%0 = get w32 [8:4]\n" JMP, "size"},
        {HEAD "%0 = const 0x0\n%1 = ld f32 u8 [%0]\n" JMP, "size"},
        {HEAD "%0 = const 0x0\n%1 = ld i64 u8 [%0 + 2147483648]\n" JMP, "displacement"},
        {HEAD "%0 = get f64 [8:8]\n%1 = f2f f64 rne %0\n" JMP, "kind"},
        {HEAD "%0 = get f64 [8:8]\n%1 = box f64 %0\n" JMP, "kind"},
        {HEAD "%0 = get f64 [8:8]\n%1 = box f32 %0\n" JMP, "type"},
        {HEAD "%0 = get f64 [8:8]\n%1 = fsgnj f64 3 %0, %0\n" JMP, "aux"},
        {HEAD "fence r w\n%1 = add i64 %0, %0\n" JMP, "kind"},
        {HEAD "%0 = const 0x0\nbrcc f64 eq %0, %0, 0x0\n" JMP, "type"},
        {HEAD "%0 = const 0x0\n%1 = call 5000 -, -, -\n" JMP, "imm"},
        /* state written, then something that may fault or leave */
        {HEAD "%0 = const 0x0\nput i64 [8:8] %0\n%2 = ld i64 u8 [%0]\n" JMP, "state written"},
        {HEAD "%0 = const 0x0\nput i64 [8:8] %0\nst i64 u8 [%0], %0\n" JMP, "state written"},
        {HEAD "%0 = const 0x0\nput i64 [8:8] %0\n%2 = call 0 -, -, -\n" JMP, "state written"},
    };
    struct gw_error err;
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ir_block *b = parse(bad[i].text, GW_OK, &err);
        b->helpers = NULL;
        if (ir_verify(b, &err) == GW_OK || !strstr(err.message, bad[i].message))
            fail_msg("%s: not refused for \"%s\": %s", bad[i].text, bad[i].message, err.message);
    }
}

static void verifier_accepts(void **state)
{
    static const char *const good[] = {
        HEAD JMP,
        HEAD "%0 = const 0x0\n%1 = ld i64 u8 [%0 - 2147483648]\nput i64 [8:8] %1\n" JMP,
        HEAD "%0 = const 0x0\nput i64 [8:8] %0\n@1 0x4 4\n%2 = ld i64 u8 [%0]\n" JMP,
        HEAD "%0 = const 0x0\nput i64 [8:8] %0\nleave %0\n",
        HEAD "%0 = const 0x0\nput i64 [8:8] %0\nbrcc i64 eq %0, %0, 0x0\n" JMP,
    };
    struct gw_error err;
    (void)state;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ir_block *b = parse(good[i], GW_OK, &err);
        if (ir_verify(b, &err) != GW_OK)
            fail_msg("%s: %s", good[i], err.message);
    }
    /* helpers that cannot leave may follow a write, once they are known */
    struct ir_block *b =
        parse(HEAD "%0 = const 0x0\nput i64 [8:8] %0\n%2 = call 0 -, -, -\n" JMP, GW_OK, &err);
    b->helpers = toy_helpers;
    assert_int_equal(ir_verify(b, &err), GW_OK);
    b->insn[2].imm = TOY_MAYBE_LEAVE;
    assert_int_equal(ir_verify(b, &err), GW_ERR_FORMAT);
}

/* A helper that ends its block is followed by LEAVE to its result. */
static void verifier_knows_what_ends_a_block(void **state)
{
    static const struct gw_helper ends[] = {{.name = "ends", .flags = GW_HELPER_ENDS}};
    static const struct {
        const char *text;
        enum gw_status status;
    } cases[] = {
        {HEAD "%0 = call 0 -, -, -\nleave %0\n", GW_OK},
        {HEAD "%0 = call 0 -, -, -\nnop\nleave %0\n", GW_OK},
        {HEAD "%0 = call 0 -, -, -\n%1 = const 0x0\nleave %0\n", GW_ERR_FORMAT},
        {HEAD "%0 = const 0x0\n%1 = call 0 -, -, -\nleave %0\n", GW_ERR_FORMAT},
        {HEAD "%0 = call 0 -, -, -\n" JMP, GW_ERR_FORMAT},
    };
    struct gw_error err;
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ir_block *b = parse(cases[i].text, GW_OK, &err);
        b->helpers = ends;
        if (ir_verify(b, &err) != cases[i].status)
            fail_msg("%s", cases[i].text);
        b->helpers = NULL;
    }
}

static void verifier_refuses_what_text_cannot_say(void **state)
{
    static const char text[] = HEAD "%0 = const 0x0\n@1 0x4 4\n%1 = const 0x1\n" JMP;
    struct gw_error err;
    struct ir_block *b = parse(text, GW_OK, &err);
    (void)state;
    b->insn[1].op = IR_OP_COUNT;
    assert_int_equal(ir_verify(b, &err), GW_ERR_FORMAT);
    b = parse(text, GW_OK, &err);
    b->insn[1].guest = 0; /* then the jump's */
    b->insn[0].guest = 1;
    assert_int_equal(ir_verify(b, &err), GW_ERR_FORMAT);
    b = parse(text, GW_OK, &err);
    b->insn[2].guest = 2;
    assert_int_equal(ir_verify(b, &err), GW_ERR_FORMAT);
    b = parse(text, GW_OK, &err);
    b->insn[0].d = 0;
    assert_int_equal(ir_verify(b, &err), GW_ERR_FORMAT);
    b = parse(text, GW_OK, &err);
    b->overflow = 1;
    assert_int_equal(ir_verify(b, &err), GW_ERR_FORMAT);
}

static void hot_registers_are_accessed_whole(void **state)
{
    static const uint16_t gprs[] = {16, 40}, fprs[] = {512};
    const struct guest_isa isa = {
        .hot_gprs = gprs, .hot_gpr_count = 2, .hot_fprs = fprs, .hot_fpr_count = 1};
    static const struct {
        const char *text;
        bool right;
    } rows[] = {
        {"%0 = get i64 [16:8]\nput i64 [40:8] %0\n", true},
        {"%0 = get f64 [512:8]\nput f64 [512:8] %0\n", true},
        {"%0 = get i64 [24:4]\nput i64 [32:8] %0\n", true}, /* beside them */
        {"%0 = get f32 [520:4]\nput f32 [508:4] %0\n", true},
        {"%0 = get i64 [16:4]\n", false},
        {"%0 = get i64 [20:4]\n", false},
        {"%0 = get i64 [23:1]\n", false},
        {"%0 = get i64 [12:8]\n", false},
        {"%0 = get f64 [40:8]\n", false},
        {"%0 = get i64 [512:8]\n", false},
        {"%0 = get f32 [512:4]\n", false},
        {"%0 = get f64 [508:8]\n", false},
        {"%0 = const 0x0\nput i64 [40:4] %0\n", false},
        {"%0 = const 0x0\nput i64 [519:1] %0\n", false},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        struct gw_error err;
        snprintf(text, sizeof text, HEAD "%s" JMP, rows[i].text);
        struct ir_block *b = parse(text, GW_OK, &err);
        assert_int_equal(ir_verify(b, &err), GW_OK);
        if ((ir_verify_for(b, &isa, &err) == GW_OK) != rows[i].right)
            fail_msg("%s", rows[i].text);
    }
}

/* --- memory order ----------------------------------------------------------------------------- */

/* May the second access or fence of the text, its last but one instruction, pass the one before? */
static bool reorders(const char *pair, enum gw_memory_model model)
{
    char text[512];
    struct gw_error err;
    snprintf(text, sizeof text, HEAD "%%0 = const 0x0\n%%1 = const 0x8\n%s" JMP, pair);
    struct ir_block *b = parse(text, GW_OK, &err);
    if (ir_verify(b, &err) != GW_OK)
        fail_msg("%s: %s", pair, err.message);
    return ir_may_reorder(&b->insn[b->count - 3], &b->insn[b->count - 2], model);
}

static void memory_order_of_pairs(void **state)
{
    static const struct {
        const char *pair;
        bool weak, tso;
    } cases[] = {
        /* different bytes of one base */
        {"%2 = ld i64 u8 [%0]\n%3 = ld i64 u8 [%0 + 8]\n", true, false},
        {"%2 = ld i64 u8 [%0]\nst i64 u8 [%0 + 8], %1\n", true, false},
        {"st i64 u8 [%0], %1\n%3 = ld i64 u8 [%0 + 8]\n", true, true},
        {"st i64 u8 [%0], %1\nst i64 u8 [%0 - 8], %1\n", true, false},
        /* common bytes */
        {"st i64 u8 [%0], %1\n%3 = ld i64 u1 [%0 + 7]\n", false, false},
        {"%2 = ld i64 u4 [%0 + 4]\nst i64 u8 [%0 - 3], %1\n", false, false},
        {"%2 = ld i64 u4 [%0 + 4]\nst i64 u8 [%0 - 4], %1\n", true, false},
        {"st i64 u8 [%0], %1\nst i64 u8 [%0], %1\n", false, false},
        /* unknown distance */
        {"st i64 u8 [%0], %1\n%3 = ld i64 u8 [%1]\n", false, false},
        /* acquire holds back what follows, release what goes before */
        {"%2 = ld i64 u8 [%0] acquire\n%3 = ld i64 u8 [%0 + 8]\n", false, false},
        {"%2 = ld i64 u8 [%0]\n%3 = ld i64 u8 [%0 + 8] acquire\n", true, false},
        {"%2 = ld i64 u8 [%0]\nst i64 u8 [%0 + 8] release, %1\n", false, false},
        {"st i64 u8 [%0] release, %1\n%3 = ld i64 u8 [%0 + 8]\n", true, true},
        {"st i64 u8 [%0] release, %1\n%3 = ld i64 u8 [%0 + 8] acquire\n", false, false},
        {"%2 = amo add 8 [%0] seq, %1\n%3 = ld i64 u8 [%0 + 8]\n", false, false},
        {"%2 = amo add 8 [%0], %1\n%3 = ld i64 u8 [%0 + 8]\n", true, false},
        {"%2 = amo swap 8 [%0], %1\n%3 = ld i64 u8 [%0 + 4]\n", false, false},
        /* fences */
        {"fence r r\n%3 = ld i64 u8 [%0]\n", false, false},
        {"fence rw w\n%3 = ld i64 u8 [%0]\n", true, true},
        {"fence rw w\nst i64 u8 [%0], %1\n", false, false},
        {"%2 = ld i64 u8 [%0]\nfence w rw\n", true, true},
        {"%2 = ld i64 u8 [%0]\nfence r rw\n", false, false},
        {"%2 = ld i64 u8 [%0]\nfence i rw\n", false, false},
        {"%2 = amo add 8 [%0], %1\nfence w w\n", false, false},
        {"fence r r\nfence w w\n", false, false},
        /* not memory, and what may leave */
        {"%2 = ld i64 u8 [%0]\n%3 = add i64 %0, %1\n", true, true},
        {"%2 = ld i64 u8 [%0]\n%3 = call 0 -, -, -\n", false, false},
        {"brcc i64 eq %0, %1, 0x0\nst i64 u8 [%0], %1\n", false, false},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (reorders(cases[i].pair, GW_MODEL_RVWMO) != cases[i].weak ||
            reorders(cases[i].pair, GW_MODEL_ARM) != cases[i].weak ||
            reorders(cases[i].pair, GW_MODEL_TSO) != cases[i].tso)
            fail_msg("%s", cases[i].pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_says_everything),
        cmocka_unit_test(parser_refuses),
        cmocka_unit_test(verifier_refuses),
        cmocka_unit_test(verifier_accepts),
        cmocka_unit_test(verifier_knows_what_ends_a_block),
        cmocka_unit_test(verifier_refuses_what_text_cannot_say),
        cmocka_unit_test(hot_registers_are_accessed_whole),
        cmocka_unit_test(memory_order_of_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
