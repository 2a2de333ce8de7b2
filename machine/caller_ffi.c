/* The interpreter's helper calls go through libffi. */
#include "machine/host_code.h"
#include "translator/interp/interp.h"

const struct interp_caller *host_code_caller_open(void)
{
    return interp_ffi_open();
}

void host_code_caller_close(const struct interp_caller *caller)
{
    if (caller)
        interp_ffi_close(caller);
}
