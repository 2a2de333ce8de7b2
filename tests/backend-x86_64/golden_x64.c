/* Listings of x86-64 code. */
#include <stdio.h>
#include <string.h>

#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_layout.h"
#include "tests/backend-common/golden.h"

static void name_operands(const struct golden_list *l, const cs_insn *in, char *text, size_t size)
{
    unsigned long long value;
    uint64_t to;
    char sign, *at = strstr(in->op_str, "[rbp "), *end = strchr(in->op_str, ']');
    snprintf(text, size, "%s", in->op_str);
    if (in->mnemonic[0] == 'j' && golden_target(in, &to)) {
        golden_name_target(l, text, size, to);
        if (!strcmp(text, "thunk"))
            snprintf(text, size, "cold");
    } else if (!strcmp(in->mnemonic, "call")) {
        snprintf(text, size, "thunk");
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

const struct golden_host golden_x64 = {.backend = &x64_backend,
                                       .base = X64_F_BASE,
                                       .features = X64_F_ALL,
                                       .arch = CS_ARCH_X86,
                                       .mode = CS_MODE_64,
                                       .call = "call",
                                       .eval = T_EVAL,
                                       .name_operands = name_operands};
