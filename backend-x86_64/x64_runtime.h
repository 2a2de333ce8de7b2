#ifndef X64_RUNTIME_H
#define X64_RUNTIME_H

#include "godwit/host_backend.h"

/* host_backend.emit_runtime */
enum gw_status x64_emit_runtime(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                                uint8_t *out, size_t cap, uint64_t base,
                                struct gw_entry_points *ep);

#endif
