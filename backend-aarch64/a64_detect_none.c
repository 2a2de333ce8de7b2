/* Another host than AArch64. */
#include "backend-aarch64/a64_detect.h"

bool a64_native(void)
{
    return false;
}

uint32_t a64_detect(void)
{
    return 0;
}

void a64_flush(uint64_t rx, size_t size)
{
}
