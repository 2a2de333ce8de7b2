/* Listings of translated code. */
#include <errno.h>
#include <string.h>

#include "machine/host_code.h"

enum gw_status host_code_dump(struct engine_dump *d, const char *list, const char *file,
                              struct gw_error *err)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } kinds[] = {{"decode", ENGINE_DUMP_DECODE},
                 {"ir", ENGINE_DUMP_IR},
                 {"opt", ENGINE_DUMP_OPT},
                 {"host", ENGINE_DUMP_HOST}};
    d->what = 0;
    while (*list) {
        size_t n = strcspn(list, ",");
        uint32_t bit = 0;
        for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (strlen(kinds[i].name) == n && !memcmp(kinds[i].name, list, n))
                bit = kinds[i].bit;
        if (!bit)
            return gw_fail(err, GW_ERR_ARG, list, "--dump: a list of decode, ir, opt, host");
        d->what |= bit;
        list += n + (list[n] == ',');
    }
    d->out = file ? fopen(file, "we") : stderr;
    if (!d->out)
        return gw_fail(err, GW_ERR_IO, file, "cannot write the dump: %s", strerror(errno));
    return GW_OK;
}

int host_code_dump_end(struct engine_dump *d)
{
    return engine_dump_end(d, d->out != stderr);
}
