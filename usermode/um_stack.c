/*
 * The initial stack (RISC-V ELF psABI 1.0; System V gABI; Linux fs/binfmt_elf.c). From the top:
 * a zero word, the program's name, environment strings, argument strings, 16 random bytes; then,
 * at the 16-byte aligned sp: argc, argv, NULL, envp, NULL, auxiliary vector.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "usermode/um.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* misa's letters I, M, A, F, D, C */
enum { HWCAP = 1 << 8 | 1 << 12 | 1 << 0 | 1 << 5 | 1 << 3 | 1 << 2 };
enum { MINSIGSTKSZ_RV64 = 2048 };

struct builder {
    struct um_space *space;
    uint64_t at, bottom;
    bool full;
};

/* Puts size bytes below what is there; the guest address. */
static uint64_t put(struct builder *b, const void *bytes, uint64_t size, uint64_t align)
{
    if (b->full || b->at - b->bottom < size + align) {
        b->full = true;
        return 0;
    }
    b->at = (b->at - size) & ~(align - 1);
    memcpy((void *)(uintptr_t)(b->space->base + b->at), bytes, size);
    return b->at;
}

static uint64_t put_strings(struct builder *b, char *const *v, uint64_t *addr, uint64_t count)
{
    for (uint64_t i = count; i-- > 0;)
        addr[i] = put(b, v[i], strlen(v[i]) + 1, 1);
    addr[count] = 0;
    return count;
}

static uint64_t count_strings(char *const *v)
{
    uint64_t n = 0;
    while (v[n])
        n++;
    return n;
}

static unsigned aux_fill(uint64_t aux[UM_AUX_WORDS], const struct um_stack_request *rq,
                         uint64_t random, uint64_t execfn)
{
    const uint64_t pairs[] = {
        AT_PHDR,        rq->phdr,
        AT_PHENT,       sizeof(Elf64_Phdr),
        AT_PHNUM,       rq->phnum,
        AT_PAGESZ,      UM_PAGE,
        AT_BASE,        rq->interp_base,
        AT_FLAGS,       0,
        AT_ENTRY,       rq->entry,
        AT_UID,         getuid(),
        AT_EUID,        geteuid(),
        AT_GID,         getgid(),
        AT_EGID,        getegid(),
        AT_HWCAP,       HWCAP,
        AT_CLKTCK,      100,
        AT_SECURE,      getauxval(AT_SECURE),
        AT_RANDOM,      random,
        AT_EXECFN,      execfn,
        AT_HWCAP2,      0,
        AT_MINSIGSTKSZ, MINSIGSTKSZ_RV64,
        AT_NULL,        0,
    };
    _Static_assert(sizeof pairs <= UM_AUX_WORDS * sizeof(uint64_t), "room for all");
    memcpy(aux, pairs, sizeof pairs);
    return sizeof pairs / sizeof *pairs;
}

enum gw_status um_stack_build(struct um_space *space, const struct um_stack_request *rq,
                              struct um_stack *out, struct gw_error *err)
{
    struct builder b = {space, rq->top, rq->bottom, false};
    uint64_t argc = count_strings(rq->argv), envc = count_strings(rq->envp);
    uint64_t words = 1 + argc + 1 + envc + 1, n = 0;
    uint64_t *block = malloc((words + UM_AUX_WORDS) * sizeof *block);
    if (!block)
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    /* Linux leaves three quarters of the stack to the program. */
    b.bottom = rq->top - (rq->top - rq->bottom) / 4;
    put(&b, &n, sizeof n, 8);
    uint64_t execfn = put(&b, rq->execfn, strlen(rq->execfn) + 1, 1);
    block[n++] = argc;
    put_strings(&b, rq->envp, block + n + argc + 1, envc);
    out->args_end = b.at;
    put_strings(&b, rq->argv, block + n, argc);
    out->args_start = b.at;
    uint64_t random = put(&b, rq->random, sizeof rq->random, 16);
    out->aux_words = aux_fill(out->aux, rq, random, execfn);
    memcpy(block + words, out->aux, out->aux_words * sizeof *out->aux);
    out->sp = put(&b, block, (words + out->aux_words) * sizeof *block, 16);
    free(block);
    if (b.full)
        return gw_fail(err, GW_ERR_LIMIT, "", "arguments and environment are too long");
    return GW_OK;
}
