/* Listings of host code come from a module that is opened when --dump asks for them. */
#ifndef CLI_HOST_DISASM_H
#define CLI_HOST_DISASM_H

#include <stddef.h>
#include <stdint.h>

#define HOST_DISASM_MODULE "godwit-disasm.so"
#define HOST_DISASM_SYMBOL "godwit_host_disasm"

/* One instruction at bytes[0..count) as text, its length in *len (0: not an instruction). Returns
 * the text's length, as snprintf does. */
typedef size_t host_disasm_fn(char *buf, size_t size, uint64_t pc, const uint8_t *bytes,
                              size_t count, unsigned *len);

/* NULL when the list does not hold "host", or when the module is not there: bytes are listed then,
 * and a note says so. */
host_disasm_fn *cli_host_disasm(const char *dump_list);

#endif
