/* The module godwit-disasm.so: one host instruction as text, by Capstone. */
#include <capstone/capstone.h>
#include <stdio.h>

#include "cli/host_disasm.h"

__attribute__((visibility("default"))) host_disasm_fn godwit_host_disasm;

/* Opened anew for each instruction: listings are not fast, and nothing has to be kept. */
size_t godwit_host_disasm(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                          unsigned *len)
{
    csh handle;
    cs_insn *insn;
    int n;
    *len = 0;
    if (size)
        buf[0] = 0;
    if (cs_open(HOST_CS_ARCH, HOST_CS_MODE, &handle) != CS_ERR_OK)
        return 0;
    if (cs_disasm(handle, bytes, count, pc, 1, &insn) != 1) {
        cs_close(&handle);
        return 0;
    }
    *len = insn->size;
    n = snprintf(buf, size, "%s %s", insn->mnemonic, insn->op_str);
    cs_free(insn, 1);
    cs_close(&handle);
    return n > 0 ? (size_t)n : 0;
}
