/* What this host offers to translated code, and whether programs can run on it. */
#include <unistd.h>

#include "backend-common/hosts.h"
#include "translator/engine.h"
#include "usermode/um_space.h"
#include "usermode/usermode.h"

static const char *missing(void)
{
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
        return "they need a little-endian host";
    return sysconf(_SC_PAGESIZE) == UM_PAGE ? NULL : "they need a host with pages of 4096 bytes";
}

void um_probe_host(struct um_host *out)
{
    const struct host_backend *b = host_native(&gw_hosts);
    struct engine_host host;

    engine_probe_host(&host);
    *out = (struct um_host){.code_cache_bytes = host.code_cache_bytes,
                            .missing = missing(),
                            .flat_maps = host.flat_maps,
                            .flat_maps_most = ENGINE_HOST_MAPS};
    if (b)
        host_feature_names(b, b->detect(), out->features, sizeof out->features);
}
