/* The one symbol that the module exports. */
#include "snapshot/snapshot.h"

__attribute__((visibility("default"))) const struct snap_api *godwit_snapshot_module(void);

__attribute__((visibility("default"))) const struct snap_api *godwit_snapshot_module(void)
{
    return godwit_snapshot();
}
