/* A build without libffi: the interpreter calls helpers directly. */
#include "machine/host_code.h"

const struct interp_caller *host_code_caller_open(void)
{
    return NULL;
}

void host_code_caller_close(const struct interp_caller *caller)
{
}
