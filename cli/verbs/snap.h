/* Of the verb snap: what differs between two snapshots. Main thread. */
#ifndef CLI_SNAP_H
#define CLI_SNAP_H

#include "cli/options/options.h"
#include "snapshot/snapshot.h"

/* Prints the fields and runs of pages that differ; *status is 1 if there are any. */
enum gw_status snap_diff(const struct snap_api *api, struct snap_reader *a, struct snap_reader *b,
                         bool json, int *status, struct gw_error *err);

/* Seals a file with the user's own key, or the one given, and prints what that says yes to. */
enum gw_status snap_seal(const struct cli_options *o, const struct snap_api *api,
                         struct gw_error *err);

#endif
