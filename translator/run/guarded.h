/*
 * User mode by a page map: accesses that generated code leaves to C, where the host may still refuse what the
 * map allows (a file that has ended, pages that a fork left behind). The refusal is the guest's fault, as it
 * is at an access of generated code itself, which comes here to be made again (host_fault_*.c).
 */
#ifndef TRANSLATOR_RUN_GUARDED_H
#define TRANSLATOR_RUN_GUARDED_H

#include "translator/parts.h"

/* Puts guarded accesses in place of those of slow_path.h. */
void guard_slow_paths(struct gw_runtime *rt);

#endif
