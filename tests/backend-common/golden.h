/* Listings of a block's host code. What every host needs is in golden.c, what is its own beside its tests. */
#ifndef TESTS_BACKEND_COMMON_GOLDEN_H
#define TESTS_BACKEND_COMMON_GOLDEN_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/host_backend.h"

/* Where thunks and the block would run. */
#define GOLDEN_RUNTIME UINT64_C(0x100000)
#define GOLDEN_BLOCK   UINT64_C(0x200000)

struct golden_host;

/* One that is being made. */
struct golden_list {
    const struct golden_host *host;
    const struct gw_compile_job *job;
    csh cs;
};

struct golden_host {
    const struct host_backend *backend;
    uint32_t base, features; /* of every host of the kind; of those that have all */
    cs_arch arch;
    cs_mode mode;
    const char *call; /* mnemonic */
    unsigned eval;    /* thunk that has its operation behind the call */
    /* Fills size, mnemonic and op_str of an instruction that Capstone does not know; or false. NULL: none. */
    bool (*unknown)(const uint8_t *code, cs_insn *in);
    /* Bytes of data that stand at a position of the code. NULL: none. */
    unsigned (*data_at)(const struct gw_compile_job *job, uint32_t at);
    /* Operands as text. Places that move with every change elsewhere get names: branches, guest state. */
    void (*name_operands)(const struct golden_list *l, const cs_insn *in, char *text, size_t size);
};

extern const struct golden_host golden_x64, golden_a64;

void golden_list(const struct golden_host *h, const struct gw_compile_job *job, char *out,
                 size_t size);
/* For name_operands: the address that ends the operands, if they name no memory; and its name: "#3", "cold" or
 * "thunk". */
bool golden_target(const cs_insn *in, uint64_t *to);
void golden_name_target(const struct golden_list *l, char *text, size_t size, uint64_t to);

#endif
