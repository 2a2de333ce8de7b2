/* Listings of host code, by Capstone. */
#include "tests/backend-common/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "godwit/little.h"

/* Bytes that follow an instruction as data: the operation that the evaluation thunk is to do. */
static unsigned data_behind(const struct golden_list *l, const cs_insn *in)
{
    uint64_t to;
    return !strcmp(in->mnemonic, l->host->call) && golden_target(in, &to) &&
                   to == GOLDEN_RUNTIME + l->job->ep->table[1][l->host->eval]
               ? (unsigned)sizeof(struct ir_insn)
               : 0;
}

/* Each instruction must be one that a disassembler knows. Returns what lies at and behind it. */
static uint32_t disassemble(const struct golden_list *l, uint32_t at, cs_insn **in)
{
    const struct gw_compile_job *job = l->job;
    if (cs_disasm(l->cs, job->out + at, job->size - at, GOLDEN_BLOCK + at, 1, in) != 1) {
        *in = cs_malloc(l->cs);
        if (!l->host->unknown || !l->host->unknown(job->out + at, *in))
            fail_msg("no instruction at %u: %08x", at, (unsigned)gw_little(job->out + at, 4));
    }
    const uint32_t behind = (*in)->size + data_behind(l, *in);
    return behind + (l->host->data_at ? l->host->data_at(job, at + behind) : 0);
}

bool golden_target(const cs_insn *in, uint64_t *to)
{
    const char *at = strstr(in->op_str, "0x");
    unsigned long long value;
    for (const char *next = at; next; next = strstr(next + 1, "0x"))
        at = next;
    if (!at || strchr(in->op_str, '[') || sscanf(at, "%llx", &value) != 1)
        return false;
    *to = value;
    return true;
}

static unsigned index_of(const struct golden_list *l, uint64_t target)
{
    unsigned n = 0;
    for (uint32_t at = 0; at < target - GOLDEN_BLOCK; n++) {
        cs_insn *in;
        at += disassemble(l, at, &in);
        cs_free(in, 1);
    }
    return n;
}

void golden_name_target(const struct golden_list *l, char *text, size_t size, uint64_t to)
{
    if (to - GOLDEN_BLOCK < l->job->hot_size)
        snprintf(text, size, "#%u", index_of(l, to));
    else
        snprintf(text, size, to - GOLDEN_BLOCK < l->job->size ? "cold" : "thunk");
}

void golden_list(const struct golden_host *h, const struct gw_compile_job *job, char *out,
                 size_t size)
{
    struct golden_list l = {.host = h, .job = job};
    size_t n = 0;
    unsigned count = 0;
    assert_int_equal(cs_open(h->arch, h->mode, &l.cs), CS_ERR_OK);
    for (uint32_t at = 0; at < job->hot_size;) {
        cs_insn *in;
        char text[192];
        uint32_t length = disassemble(&l, at, &in);
        if (data_behind(&l, in))
            snprintf(text, sizeof text, "evaluate");
        else
            h->name_operands(&l, in, text, sizeof text);
        n += (size_t)snprintf(out + n, size - n, "%3u  %s %s\n", count++, in->mnemonic, text);
        at += length;
        cs_free(in, 1);
    }
    cs_close(&l.cs);
}
