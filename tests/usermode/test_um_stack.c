/* The initial stack, read back as a program's start code reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "usermode/um.h"

enum { STACK_BYTES = 1 << 20 };
#define TOP (UM_LIMIT - UM_PAGE)

static struct um_space space;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(um_space_init(&space, 0, NULL), GW_OK);
    assert_int_equal(um_space_mmap(&space, TOP - STACK_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     TOP - STACK_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    um_space_free(&space);
    return 0;
}

static struct um_stack_request request(char *const *argv, char *const *envp)
{
    struct um_stack_request rq = {.top = TOP,
                                  .bottom = TOP - STACK_BYTES,
                                  .argv = argv,
                                  .envp = envp,
                                  .execfn = "/bin/prog",
                                  .entry = 0x10444,
                                  .phdr = 0x10040,
                                  .phnum = 5};
    memset(rq.random, 0x77, sizeof rq.random);
    return rq;
}

static const char *text_at(uint64_t addr)
{
    uint64_t len;
    bool too_long;
    const char *s = um_space_string(&space, addr, 4096, &len, &too_long);
    assert_non_null(s);
    return s;
}

static void start_code_finds_everything(void **state)
{
    (void)state;
    char *argv[] = {"prog", "", "second", NULL}, *envp[] = {"A=1", "LONG=xyz", NULL};
    struct um_stack_request rq = request(argv, envp);
    struct um_stack stack;
    assert_int_equal(um_stack_build(&space, &rq, &stack, NULL), GW_OK);
    uint64_t sp = stack.sp;
    assert_int_equal(sp % 16, 0);
    const uint64_t *w = um_space_ptr(&space, sp, TOP - sp, PROT_READ);
    assert_non_null(w);
    assert_int_equal(*w++, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(text_at(*w++), argv[i]);
    assert_int_equal(*w++, 0);
    for (unsigned i = 0; i < 2; i++)
        assert_string_equal(text_at(*w++), envp[i]);
    assert_int_equal(*w++, 0);
    uint64_t aux[64] = {0};
    for (; w[0] != AT_NULL; w += 2) {
        assert_true(w[0] < 64);
        aux[w[0]] = w[1];
    }
    assert_int_equal(aux[AT_PHDR], 0x10040);
    assert_int_equal(aux[AT_PHENT], sizeof(Elf64_Phdr));
    assert_int_equal(aux[AT_PHNUM], 5);
    assert_int_equal(aux[AT_PAGESZ], 4096);
    assert_int_equal(aux[AT_ENTRY], 0x10444);
    assert_int_equal(aux[AT_HWCAP], 0x112d); /* I M A F D C */
    assert_string_equal(text_at(aux[AT_EXECFN]), "/bin/prog");
    const uint8_t *random = um_space_ptr(&space, aux[AT_RANDOM], 16, PROT_READ);
    assert_non_null(random);
    assert_int_equal(random[0], 0x77);
    assert_int_equal(random[15], 0x77);
    /* What /proc tells of it. */
    assert_int_equal(stack.aux_words % 2, 0);
    assert_memory_equal(w + 2 - stack.aux_words, stack.aux, stack.aux_words * sizeof *stack.aux);
    static const char args[] = "prog\0\0second";
    assert_int_equal(stack.args_end - stack.args_start, sizeof args);
    assert_memory_equal(um_space_ptr(&space, stack.args_start, sizeof args, PROT_READ), args,
                        sizeof args);
}

static void alignment_holds_for_any_count(void **state)
{
    (void)state;
    char *argv[12] = {NULL}, *envp[] = {"E=", NULL};
    for (unsigned n = 0; n < 10; n++) {
        argv[n] = "x";
        struct um_stack_request rq = request(argv, envp);
        struct um_stack stack;
        assert_int_equal(um_stack_build(&space, &rq, &stack, NULL), GW_OK);
        assert_int_equal(stack.sp % 16, 0);
        assert_int_equal(*(uint64_t *)um_space_ptr(&space, stack.sp, 8, PROT_READ), n + 1);
    }
}

static void too_long_arguments_are_refused(void **state)
{
    (void)state;
    char *big = malloc(STACK_BYTES / 4 + 1);
    assert_non_null(big);
    memset(big, 'a', STACK_BYTES / 4);
    big[STACK_BYTES / 4] = 0;
    char *argv[] = {"prog", big, NULL}, *envp[] = {NULL};
    struct um_stack_request rq = request(argv, envp);
    struct gw_error err;
    struct um_stack stack;
    assert_int_equal(um_stack_build(&space, &rq, &stack, &err), GW_ERR_LIMIT);
    big[STACK_BYTES / 8] = 0;
    assert_int_equal(um_stack_build(&space, &rq, &stack, &err), GW_OK);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(start_code_finds_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(alignment_holds_for_any_count, setup, teardown),
        cmocka_unit_test_setup_teardown(too_long_arguments_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
