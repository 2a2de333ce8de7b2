/* The grammars of --console and --port. */
#include <string.h>

#include "cli/options/options.h"

bool cli_parse_target(const char *text, struct cli_port *port)
{
    static const struct {
        const char *prefix;
        enum cli_port_kind kind;
        bool has_path;
    } kinds[] = {{"stdio", CLI_PORT_STDIO, false},
                 {"pty", CLI_PORT_PTY, false},
                 {"file:", CLI_PORT_FILE, true},
                 {"unix:", CLI_PORT_UNIX, true}};
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = strlen(kinds[i].prefix);
        if (strncmp(text, kinds[i].prefix, n) != 0 || !text[n] == kinds[i].has_path)
            continue;
        *port =
            (struct cli_port){.kind = kinds[i].kind, .path = kinds[i].has_path ? text + n : NULL};
        return true;
    }
    return false;
}

static struct cli_channel *new_channel(struct cli_options *o, const char *value,
                                       struct gw_error *err)
{
    if (o->channel_count < CLI_MAX_CHANNELS)
        return &o->channels[o->channel_count++];
    gw_fail(err, GW_ERR_ARG, value, "cannot add the port: there are %d already", CLI_MAX_CHANNELS);
    return NULL;
}

enum gw_status cli_set_console(struct cli_options *o, const char *value, struct gw_error *err)
{
    struct cli_channel *c = new_channel(o, value, err);
    if (!c)
        return GW_ERR_ARG;
    if (cli_parse_target(value, &c->port))
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value,
                   "no such console: it must be stdio, pty, file:FILE or unix:FILE");
}

enum gw_status cli_set_port(struct cli_options *o, const char *value, struct gw_error *err)
{
    const char *equals = strchr(value, '=');
    struct cli_channel *c = new_channel(o, value, err);
    if (!c)
        return GW_ERR_ARG;
    if (!equals || equals == value || equals - value > CLI_CHANNEL_NAME_BYTES ||
        !cli_parse_target(equals + 1, &c->port) || c->port.kind == CLI_PORT_STDIO)
        return gw_fail(err, GW_ERR_ARG, value,
                       "cannot add the port: it must be NAME=pty, NAME=file:FILE or "
                       "NAME=unix:FILE, its name up to %d bytes",
                       CLI_CHANNEL_NAME_BYTES);
    c->name = cli_own(o, value, (size_t)(equals - value), err);
    return c->name ? GW_OK : GW_ERR_ARG;
}
