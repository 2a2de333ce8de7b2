/*
 * The x86-64 backend: one block at a time, one forward pass over IR that ir_liveness has counted.
 *
 * Layers, each of which calls those above it alone:
 *   opcodes.inc, x64_encode       formats: bytes
 *   x64_emit                      instructions, the best of several
 *   x64_layout                    who holds which register; thunks, constants, the vCPU's host part
 *   x64_block                     the block being compiled; backend-common says where values live
 *   x64_place, x64_page           what that asks of this host; guest addresses
 *   x64_compare, x64_call         lowering that other lowering uses: comparisons, calls of C
 *   x64_int, x64_mul, x64_branch, x64_mem, x64_atomic, x64_fp, x64_fcmp, x64_convert, x64_flags
 *                                 lowering: IR operations and their cold paths
 *   x64_runtime, x64_detect       thunks; what this host offers
 *   x64_compile                   the driver, and the export
 */
#ifndef X64_H
#define X64_H

#include "godwit/host_backend.h"

enum {
#define X64_FEATURE(NAME, bit, text) X64_F_##NAME = 1 << (bit),
#include "backend-x86_64/x64_features.inc"
#undef X64_FEATURE
#define X64_FEATURE(NAME, bit, text) +(1 << (bit))
    X64_F_ALL =
#include "backend-x86_64/x64_features.inc"
#undef X64_FEATURE
};

extern const struct host_backend x64_backend;

#endif
