/* What this host offers, and how its instruction cache learns of code. */
#ifndef A64_DETECT_H
#define A64_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool a64_native(void);
uint32_t a64_detect(void);                /* A64_F_*; 0 on a host that is none */
void a64_flush(uint64_t rx, size_t size); /* host_backend.flush */

#endif
