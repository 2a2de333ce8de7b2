/* Names of the host CPU's features that translated code uses; empty when there is no backend. */
#ifndef CLI_HOST_FEATURES_H
#define CLI_HOST_FEATURES_H

#include <stddef.h>

void host_features_text(char *buf, size_t size);

#endif
