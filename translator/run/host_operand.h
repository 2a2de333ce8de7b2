/*
 * The address that an x86-64 instruction names, for a fault that does not tell it: an address that is
 * not canonical raises #GP, or #SS, and those leave it to the reader.
 */
#ifndef TRANSLATOR_RUN_HOST_OPERAND_H
#define TRANSLATOR_RUN_HOST_OPERAND_H

#include <stdbool.h>
#include <stdint.h>

/* regs: by their numbers (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 ...), as they were before the
 * instruction at code. False: it has no operand in memory by ModRM, or one relative to rip or a
 * segment, as no guest access has. */
bool host_operand(const uint8_t *code, const uint64_t regs[16], uint64_t *addr);

#endif
