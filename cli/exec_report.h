/* What the verb exec says at the end: --report and --stats. */
#ifndef CLI_EXEC_REPORT_H
#define CLI_EXEC_REPORT_H

#include <stdint.h>

#include "godwit/status.h"
#include "usermode.h"

struct exec_report {
    const char *ended; /* exit, signal, timeout, stop-insn, error */
    int status, signal;
    uint64_t insns, wall_ns, overhead_bytes;
};

/* Writes the JSON object of CLI.md to path. */
enum gw_status exec_report_write(const char *path, const struct exec_report *r,
                                 struct gw_error *err);
/* The engine's counters and user mode's, on stderr. */
um_finish_fn exec_stats_print;

#endif
