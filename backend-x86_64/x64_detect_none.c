/* On a host of another instruction set: code can be generated and tested, not run. */
#include "backend-x86_64/x64.h"

uint32_t x64_detect(void)
{
    return 0;
}
