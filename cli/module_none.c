/* Modules, for a program that stands alone: there are none. */
#include "cli/cli.h"

void *cli_open_module(const char *name, const char *symbol, struct gw_error *err)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, name,
            "cannot open the module: in another root there are none");
    return NULL;
}

int cli_open_beside(const char *name)
{
    return -1;
}
