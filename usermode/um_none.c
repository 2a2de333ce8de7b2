/*
 * User mode where the host's byte order is not the guest's: there is none. What a program hands to the kernel, and
 * all of its memory that the kernel reads or writes, would have to be turned around.
 */
#include <sys/utsname.h>
#include <unistd.h>

#include "usermode/usermode.h"

enum gw_status um_run(const struct um_config *cfg, um_finish_fn *finish, void *opaque,
                      struct um_result *result, struct gw_error *err)
{
    struct utsname host;
    uname(&host);
    return gw_fail(err, GW_ERR_UNSUPPORTED, cfg->path,
                   "cannot run the program: exec needs a little-endian host, and this one (%s) is "
                   "big-endian; machines run (godwit run)",
                   host.machine);
}

_Noreturn void um_raise(int signal)
{
    _exit(128 + signal); /* no program has run that could have died of it */
}
