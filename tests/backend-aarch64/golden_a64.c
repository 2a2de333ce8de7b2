/* Listings of AArch64 code. */
#include <stdio.h>
#include <string.h>

#include "godwit/little.h"
#include "backend-aarch64/a64.h"
#include "backend-aarch64/a64_layout.h"
#include "tests/backend-common/golden.h"

static bool is_branch(const cs_insn *in)
{
    const char *m = in->mnemonic;
    return m[0] == 'b' && (m[1] == 0 || m[1] == '.' || !strcmp(m, "bl"));
}

/* cbz, tbnz and the like: they have a register ahead of the place. */
static bool is_test_and_branch(const cs_insn *in)
{
    const char *m = in->mnemonic;
    return (m[0] == 'c' || m[0] == 't') && m[1] == 'b';
}

static void name_operands(const struct golden_list *l, const cs_insn *in, char *text, size_t size)
{
    unsigned long long value;
    uint64_t to;
    const char *at = strstr(in->op_str, "[x28, #"), *last = strrchr(in->op_str, '#');
    snprintf(text, size, "%s", in->op_str);
    if ((is_branch(in) || is_test_and_branch(in)) && last && golden_target(in, &to)) {
        const size_t ahead = (size_t)(last - in->op_str);
        if (ahead < size)
            golden_name_target(l, text + ahead, size - ahead, to);
    } else if (at && sscanf(at, "[x28, #%lli]", (long long *)&value) == 1) {
        const char *end = strchr(at, ']');
        if (value < 256)
            snprintf(text, size, "%.*s[x%llu]%s", (int)(at - in->op_str), in->op_str, value / 8,
                     end + 1);
        else
            snprintf(text, size, "%.*s[state]%s", (int)(at - in->op_str), in->op_str, end + 1);
    } else if (!strcmp(in->mnemonic, "ldr") && golden_target(in, &to)) {
        snprintf(text, size, "%.*s[constant]", (int)(last - in->op_str), in->op_str);
    }
}

/* FEAT_LSE, which some versions of Capstone have not. */
static bool unknown(const uint8_t *code, cs_insn *in)
{
    static const struct {
        const char *name;
        uint32_t op;
    } known[] = {{"ldadd", A64_LDADD},   {"ldclr", A64_LDCLR},   {"ldeor", A64_LDEOR},
                 {"ldset", A64_LDSET},   {"ldsmax", A64_LDSMAX}, {"ldsmin", A64_LDSMIN},
                 {"ldumax", A64_LDUMAX}, {"ldumin", A64_LDUMIN}, {"swp", A64_SWP},
                 {"cas", A64_CAS}};
    static const char *const sizes[] = {"b", "h", "", ""};
    enum { REGISTERS = 31 << 16 | 31 << 5 | 31 };
    const uint32_t word = (uint32_t)gw_little(code, 4), size = word >> 30;
    for (unsigned k = 0; k < sizeof known / sizeof known[0]; k++) {
        const bool cas = known[k].op == A64_CAS;
        const uint32_t acquire = cas ? A64_CAS_ACQUIRE : A64_ACQUIRE,
                       release = cas ? A64_CAS_RELEASE : A64_RELEASE;
        if ((word & ~(acquire | release | REGISTERS | UINT32_C(3) << 30)) != known[k].op)
            continue;
        const char reg = size == 3 ? 'x' : 'w';
        in->size = 4;
        snprintf(in->mnemonic, sizeof in->mnemonic, "%s%s%s%s", known[k].name,
                 word & acquire ? "a" : "", word & release ? "l" : "", sizes[size]);
        snprintf(in->op_str, sizeof in->op_str, "%c%u, %c%u, [x%u]", reg, word >> 16 & 31, reg,
                 word & 31, word >> 5 & 31);
        return true;
    }
    return false;
}

/* What a guard compares with: its generation and the number of it, and its page. */
static unsigned data_at(const struct gw_compile_job *job, uint32_t at)
{
    for (uint32_t k = 0; k < job->link_count; k++) {
        const struct gw_link_desc *link = &job->links[k];
        if (link->gen_offset && link->gen_offset - 4 == at)
            return link->page_offset ? 16 : 8;
    }
    return 0;
}

const struct golden_host golden_a64 = {.backend = &a64_backend,
                                       .base = A64_F_BASE,
                                       .features = A64_F_LSE,
                                       .arch = CS_ARCH_ARM64,
                                       .mode = CS_MODE_ARM,
                                       .call = "bl",
                                       .eval = T_EVAL,
                                       .unknown = unknown,
                                       .data_at = data_at,
                                       .name_operands = name_operands};
