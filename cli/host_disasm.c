#include <string.h>

#include "cli/cli.h"
#include "cli/host_disasm.h"

static bool wants_host(const char *list)
{
    while (list && *list) {
        size_t n = strcspn(list, ",");
        if (n == 4 && !memcmp(list, "host", 4))
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

host_disasm_fn *cli_host_disasm(const char *dump_list)
{
    struct gw_error err = {0};
    host_disasm_fn *fn = NULL;
    void *symbol;
    if (!wants_host(dump_list))
        return NULL;
    symbol = cli_open_module(HOST_DISASM_MODULE, HOST_DISASM_SYMBOL, &err);
    if (symbol)
        memcpy(&fn, &symbol, sizeof symbol); /* ISO C has no such cast */
    else
        fprintf(stderr, "godwit: note: host code is listed as bytes: %s\n", err.message);
    return fn;
}
