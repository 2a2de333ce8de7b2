/* On a host of another instruction set: code can be generated and tested, not run. */
#include "backend-x86_64/x64_detect.h"

bool x64_native(void)
{
    return false;
}

uint32_t x64_detect(void)
{
    return 0;
}
