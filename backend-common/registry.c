/* The registry of hosts. */
#include "backend-common/hosts.h"

#include <stdio.h>

#define HOST(name, backend) extern const struct host_backend backend;
#include "backend-common/hosts_here.inc"
#undef HOST

static const struct host_backend *const hosts[] = {
#define HOST(name, backend) &backend,
#include "backend-common/hosts_here.inc"
#undef HOST
};

const struct host_registry gw_hosts = {
    .host = hosts,
    .count = sizeof hosts / sizeof hosts[0],
};

const struct host_backend *host_native(const struct host_registry *r)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->host[i]->native())
            return r->host[i];
    return NULL;
}

const char *host_feature_names(const struct host_backend *b, uint32_t features, char *buf,
                               size_t size)
{
    size_t at = 0;
    buf[0] = 0;
    for (unsigned i = 0; i < b->feature_count && at < size; i++)
        if (features & b->feature[i].bit)
            at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? " " : "", b->feature[i].name);
    return buf;
}
