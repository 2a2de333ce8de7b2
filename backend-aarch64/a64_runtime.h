/* Thunks: host_backend.emit_runtime. */
#ifndef A64_RUNTIME_H
#define A64_RUNTIME_H

#include "godwit/host_backend.h"

enum gw_status a64_emit_runtime(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                                uint8_t *out, size_t cap, uint64_t base,
                                struct gw_entry_points *ep);

#endif
