/* In place of sandbox.c where there is no libseccomp, or a sanitizer, whose runtime opens files,
 * starts threads and maps memory whenever it likes. */
#include "machine/lock/sandbox.h"

const char *sandbox_missing(void)
{
    return GODWIT_NO_SANDBOX;
}

enum gw_status sandbox_new(struct sandbox **out, struct gw_error *err)
{
    *out = NULL;
    return GW_OK;
}

enum gw_status sandbox_enter(const struct sandbox *s, enum sandbox_role role, struct gw_error *err)
{
    return GW_OK;
}

int sandbox_names_fd(const struct sandbox *s)
{
    return -1;
}

enum gw_status sandbox_enter_reader(struct gw_error *err)
{
    return gw_fail(err, GW_ERR_UNSUPPORTED, "sandbox", "cannot enter it: %s", sandbox_missing());
}

void sandbox_free(struct sandbox *s)
{
}
