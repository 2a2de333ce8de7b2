/*
 * The AArch64 backend: one block at a time, one forward pass over IR that ir_liveness has counted.
 *
 * Layers, each of which calls those above it alone:
 *   opcodes.inc, a64_encode       formats: bytes
 *   a64_layout                    who holds which register; thunks, the vCPU's host part
 *   a64_block                     the block being compiled; backend-common says where values live
 *   a64_place                     what that asks of this host
 *   a64_call                      calls of C
 *   a64_page                      where guest memory is
 *   a64_fuse                      operations that become part of others
 *   a64_int, a64_compare, a64_branch, a64_mem, a64_atomic, a64_fp, a64_fcmp, a64_convert, a64_round
 *                                 lowering: IR operations and their cold paths
 *   a64_runtime, a64_detect       thunks; what this host offers
 *   a64_compile                   the driver, and the export
 */
#ifndef A64_H
#define A64_H

#include "godwit/host_backend.h"

enum {
#define A64_FEATURE(NAME, bit, text) A64_F_##NAME = 1 << (bit),
#include "backend-aarch64/a64_features.inc"
#undef A64_FEATURE
};

extern const struct host_backend a64_backend;

#endif
