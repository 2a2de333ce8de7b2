/*
 * Which hosts code can be made for. backend-common/hosts.inc lists them, a line each; whoever composes a
 * machine or a program finds the backend of the host that it runs on here. Any thread.
 */
#ifndef BACKEND_COMMON_HOSTS_H
#define BACKEND_COMMON_HOSTS_H

#include "godwit/host_backend.h"

struct host_registry {
    const struct host_backend *const *host;
    unsigned count;
};

/* Of hosts.inc the one that this build is for; all of them, if it is none. */
extern const struct host_registry gw_hosts;

/* The one whose code runs on this host; NULL: there is none, the interpreter serves. */
const struct host_backend *host_native(const struct host_registry *r);
/* "x86-64 popcnt avx", what a host with these features offers; at most size bytes, the final 0
 * included. Returns buf. */
const char *host_feature_names(const struct host_backend *b, uint32_t features, char *buf,
                               size_t size);

#endif
