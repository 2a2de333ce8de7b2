/* The verb restore. */
#include <stdlib.h>
#include <string.h>

#include "cli/verbs/saved.h"
#include "machine/machine.h"

static int start(const struct cli_options *o, const struct cli_saved *s)
{
    struct machine_spec spec, withheld;
    struct machine_saved from = {.fd = s->fd,
                                 .name = s->path,
                                 .spec = &s->spec,
                                 .root = s->seal.state == SNAP_SEAL_GOOD ? s->seal.root : NULL,
                                 .withheld = &withheld};
    struct gw_error err = {0};
    bool said;
    int status;
    if (cli_merge_saved(s, o, &spec, &withheld, &said, &err) != GW_OK)
        return said ? cli_report_failed(o, &err) : cli_start_failed(o, &err);
    status = cli_start_machine(o, &spec, &from);
    spec_clear(spec_machine, &spec);
    spec_clear(spec_machine, &withheld);
    return status;
}

static int out_of_time(const struct cli_options *o)
{
    struct cli_report report = {.ended = "timeout", .status = CLI_TIMEOUT};
    fprintf(stderr, "godwit: ended by --timeout\n");
    if (o->report)
        cli_write_report(o->report, &report, NULL);
    return CLI_TIMEOUT;
}

int cli_restore(const struct cli_options *o)
{
    struct gw_error err = {0};
    struct cli_saved s;
    enum gw_status st;
    int status;
    st = cli_open_saved(&s, o->args[0], o->keys, o->key_count, o->spec.timeout_ns,
                        !o->spec.no_sandbox, &err);
    if (st == GW_ERR_LIMIT)
        return out_of_time(o);
    if (st != GW_OK)
        return cli_start_failed(o, &err);
    status = start(o, &s);
    cli_close_saved(&s);
    return status;
}
