/* Modules, for a program that stands alone: there are none. */
#include "cli/cli.h"

void *cli_open_module(const char *name, const char *symbol, struct gw_error *err)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, name,
            "cannot open the module: a program that is one file has none");
    return NULL;
}

const void *cli_interface(void *symbol, const char *name, unsigned version, struct gw_error *err)
{
    return NULL; /* of no module */
}

bool cli_path_beside(const char *name, char *path, size_t size)
{
    return false;
}

int cli_open_beside(const char *name)
{
    return -1;
}
