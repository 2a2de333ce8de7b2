/* The grammars of --net and --publish. */
#include <string.h>

#include "cli/options/options.h"

enum { MAC_BYTES = 6 };

bool cli_parse_mac(const char *text, uint8_t mac[MAC_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    size_t size = strlen(text);
    if (size != 3 * MAC_BYTES - 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] + 32) : text[i];
        const char *at = c ? strchr(digits, c) : NULL;
        if (i % 3 == 2 ? c != ':' : !at)
            return false;
        if (i % 3 != 2)
            mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | (at - digits));
    }
    return !(mac[0] & 1); /* a group's address is no card's */
}

enum gw_status cli_set_net(struct cli_options *o, const char *value, struct gw_error *err)
{
    const char *comma = strrchr(value, ',');
    size_t size = strlen(value);
    struct cli_net *n = &o->net;
    if (comma && !strncmp(comma, ",mac=", 5)) {
        if (!cli_parse_mac(comma + 5, n->mac))
            return gw_fail(err, GW_ERR_ARG, comma + 5,
                           "cannot set the network address: it is not one of a card, such as "
                           "52:54:00:12:34:56");
        n->has_mac = true;
        size = (size_t)(comma - value);
    }
    n->given = true;
    n->kind = CLI_NET_NONE;
    n->target = n->text = NULL;
    if (size == 4 && !strncmp(value, "none", 4))
        return GW_OK;
    if (size == 4 && !strncmp(value, "user", 4)) {
        n->kind = CLI_NET_USER;
        n->text = "user";
        return GW_OK;
    }
    n->text = cli_own(o, value, size, err);
    if (!n->text)
        return GW_ERR_ARG;
    if (size > 4 && !strncmp(value, "tap:", 4)) {
        n->kind = CLI_NET_TAP;
        n->target = n->text + 4;
    } else if (size > 7 && !strncmp(value, "socket:", 7)) {
        n->kind = CLI_NET_SOCKET;
        n->target = n->text + 7;
    } else {
        return gw_fail(err, GW_ERR_ARG, value,
                       "no such network: it must be user, tap:NAME, socket:PATH or none");
    }
    return GW_OK;
}

/* [text, text + size): a port. */
static bool parse_port(const char *text, size_t size, uint16_t *port)
{
    uint32_t v = 0;
    for (size_t i = 0; i < size && v <= UINT16_MAX; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = v * 10 + (uint32_t)(text[i] - '0');
    }
    *port = (uint16_t)v;
    return size != 0 && v != 0 && v <= UINT16_MAX;
}

enum gw_status cli_set_publish(struct cli_options *o, const char *value, struct gw_error *err)
{
    size_t size = strlen(value);
    struct gw_net_publish *p = &o->publish[o->publish_count];
    const char *guest, *host;
    if (o->publish_count == CLI_MAX_PUBLISH)
        return gw_fail(err, GW_ERR_ARG, value, "cannot publish the port: there are %d already",
                       CLI_MAX_PUBLISH);
    *p = (struct gw_net_publish){.address = NULL};
    if (size > 4 && !strcmp(value + size - 4, "/udp")) {
        p->udp = true;
        size -= 4;
    } else if (size > 4 && !strcmp(value + size - 4, "/tcp")) {
        size -= 4;
    }
    guest = memrchr(value, ':', size);
    host = guest ? memrchr(value, ':', (size_t)(guest - value)) : NULL;
    if (host) {
        p->address = cli_own(o, value, (size_t)(host - value), err);
        if (!p->address)
            return GW_ERR_ARG;
    }
    host = host ? host + 1 : value;
    if (!guest || !parse_port(host, (size_t)(guest - host), &p->host) ||
        !parse_port(guest + 1, size - (size_t)(guest + 1 - value), &p->guest))
        return gw_fail(err, GW_ERR_ARG, value,
                       "cannot publish the port: it must be [ADDR:]HOST:GUEST[/udp], such as "
                       "8080:80");
    o->publish_count++;
    return GW_OK;
}
