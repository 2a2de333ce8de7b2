/* In place of sandbox.c where there is no libseccomp, or a sanitizer, whose runtime opens files,
 * starts threads and maps memory whenever it likes. */
#include "machine/lock/sandbox.h"

const char *sandbox_missing(void)
{
    return GODWIT_NO_SANDBOX;
}

enum gw_status sandbox_new(struct sandbox **out, const char *user, struct gw_error *err)
{
    *out = NULL;
    if (!user)
        return GW_OK;
    return gw_fail(err, GW_ERR_UNSUPPORTED, "--user", "cannot become another user: no sandbox: %s",
                   sandbox_missing());
}

const struct lock_user *sandbox_user(const struct sandbox *s)
{
    return NULL;
}

void sandbox_bound(const struct sandbox *s, uint64_t more_bytes)
{
}

enum gw_status sandbox_enter(const struct sandbox *s, enum sandbox_role role, struct gw_error *err)
{
    return GW_OK;
}

enum gw_status sandbox_enter_again(const struct sandbox *s, enum sandbox_role role,
                                   struct gw_error *err)
{
    return GW_OK;
}

enum gw_status sandbox_enter_broker(const struct sandbox *s, const struct landlock_place *places,
                                    unsigned count, struct gw_error *err)
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
