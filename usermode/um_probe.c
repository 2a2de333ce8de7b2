/* What this host offers to translated code, and whether programs can run on it. */
#include "backend-common/hosts.h"
#include "translator/engine.h"
#include "usermode/usermode.h"

static const char *missing(void)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? NULL : "they need a little-endian host";
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
