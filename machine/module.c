/* The one symbol that the module exports. */
#include "machine/machine.h"

__attribute__((visibility("default"))) const struct machine_api *godwit_machine_module(void);

__attribute__((visibility("default"))) const struct machine_api *godwit_machine_module(void)
{
    return godwit_machine();
}
