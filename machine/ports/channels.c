/* Consoles and named channels on virtio: where they lead on the host, and the device's making. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/ports/port.h"
#include "devices/virtio/console.h"
#include "godwit/plain.h"
#include "machine/vm.h"

static bool serial_has_stdio(const struct machine_spec *s)
{
    bool has = s->serial_count == 0;
    for (unsigned i = 0; i < s->serial_count; i++)
        has = has || s->serial[i].to.kind == SPEC_PORT_STDIO;
    return has;
}

static enum gw_status check(const struct machine_spec *s, struct gw_error *err)
{
    bool taken = serial_has_stdio(s);
    for (unsigned i = 0; i < s->channels_count; i++) {
        if (s->channels[i].to.kind != SPEC_PORT_STDIO)
            continue;
        if (taken) {
            gw_fail(err, GW_ERR_ARG, "--console",
                    "cannot add the console: another has standard input and output");
            if (err)
                snprintf(err->hint, sizeof err->hint, "--serial file:/dev/null --console stdio");
            return GW_ERR_ARG;
        }
        taken = true;
    }
    return GW_OK;
}

enum gw_status vm_open_channels(struct vm *m, struct gw_error *err)
{
    const struct machine_spec *s = m->spec;
    struct board_channel_config c[SPEC_MAX_CHANNELS];
    uint16_t columns, rows;
    enum gw_status st = check(s, err);
    for (unsigned i = 0; st == GW_OK && i < s->channels_count; i++) {
        st = port_open(&m->channel_port[i], &s->channels[i].to, err);
        if (st != GW_OK)
            break;
        c[i] = (struct board_channel_config){.name = s->channels[i].name,
                                             .in_fd = port_in(m->channel_port[i]),
                                             .out_fd = port_out(m->channel_port[i])};
        c[i].escape = c[i].in_fd == STDIN_FILENO && isatty(STDIN_FILENO);
    }
    if (st != GW_OK || s->channels_count == 0)
        return st;
    st = board_add_channels(m->board, c, s->channels_count, err);
    if (st == GW_OK && host_terminal_size(&columns, &rows))
        vm_resized(m, columns, rows);
    return st;
}

enum gw_status vm_start_channels(struct vm *m, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < m->spec->channels_count; i++) {
        const struct port *p = m->channel_port[i];
        const char *name = m->spec->channels[i].name;
        st = port_start(m->channel_port[i], m->board->io, err);
        if (st == GW_OK && port_name(p) && !m->spec->quiet)
            fprintf(stderr, "godwit: %s %s is %s\n", name ? "port" : "console",
                    name ? GW_PLAIN(name) : "hvc0", port_name(p));
    }
    return st;
}

bool vm_on_stdio(const struct vm *m)
{
    bool on = port_in(m->port[0]) == STDIN_FILENO;
    for (unsigned i = 0; i < m->spec->channels_count; i++)
        on = on || port_in(m->channel_port[i]) == STDIN_FILENO;
    return on;
}

struct dev_console *vm_console_on_stdout(const struct vm *m)
{
    if (port_out(m->port[0]) == STDOUT_FILENO)
        return m->board->console;
    if (m->port[1] && port_out(m->port[1]) == STDOUT_FILENO)
        return m->board->console2;
    for (unsigned i = 0; i < m->spec->channels_count; i++)
        if (port_out(m->channel_port[i]) == STDOUT_FILENO)
            return m->board->channel[i].console;
    return NULL;
}

void vm_resized(void *context, uint16_t columns, uint16_t rows)
{
    struct vm *m = context;
    if (m->board->channels && vm_on_stdio(m))
        virtio_console_resize(m->board->channels, columns, rows);
}
