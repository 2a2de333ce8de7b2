#ifndef X64_DETECT_H
#define X64_DETECT_H

#include <stdbool.h>
#include <stdint.h>

/* host_backend.native, host_backend.detect */
bool x64_native(void);
uint32_t x64_detect(void);

#endif
