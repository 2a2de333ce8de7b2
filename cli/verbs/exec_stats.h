/* What --stats of the verb exec prints: the engine's counters and user mode's, on stderr. */
#ifndef CLI_EXEC_STATS_H
#define CLI_EXEC_STATS_H

#include "usermode/usermode.h"

um_finish_fn exec_stats_print;

#endif
