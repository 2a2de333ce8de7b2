/* See net_filter.h. Sources: RFC 791, 2131, 4861, 6890, 8200, 9293. */
#include <string.h>

#include "devices/host/net_filter.h"

enum { ETHERNET = 14, IPV4 = 0x0800, IPV6 = 0x86dd, IPV4_BYTES = 20, IPV6_BYTES = 40 };
enum { TCP = 6, TCP_FLAGS = 13, FIN_RST_ACK = 1 | 4 | 16 };
enum { UDP = 17, UDP_BYTES = 8, DHCP_SERVER = 67, DHCP6_SERVER = 547 };
enum { ICMP6 = 58, ROUTER_SOLICITATION = 133, REDIRECT = 137 };

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static unsigned kind(const uint8_t *frame, size_t size)
{
    return size < ETHERNET ? 0 : get16(frame + 12);
}

/* The part behind the IP header, of this protocol. Of a connection's segments an acknowledgement comes with
 * each but the first. */
static bool opens_flow(unsigned protocol, const uint8_t *part, size_t size)
{
    switch (protocol) {
    case TCP: return size <= TCP_FLAGS || !(part[TCP_FLAGS] & FIN_RST_ACK);
    case UDP:
        return size < UDP_BYTES ||
               (get16(part + 2) != DHCP_SERVER && get16(part + 2) != DHCP6_SERVER);
    case ICMP6: return size == 0 || part[0] < ROUTER_SOLICITATION || part[0] > REDIRECT;
    default: return true;
    }
}

bool net_opens_flow(const uint8_t *frame, size_t size)
{
    const uint8_t *ip = frame + ETHERNET;
    size_t n = size - ETHERNET, head;
    switch (kind(frame, size)) {
    case IPV4:
        head = n ? 4u * (ip[0] & 15) : 0;
        if (n < IPV4_BYTES || head < IPV4_BYTES || head > n)
            return true;
        /* A fragment's place: what is put together later is not looked at. */
        return (get16(ip + 6) & 0x3fff) || opens_flow(ip[9], ip + head, n - head);
    case IPV6: return n < IPV6_BYTES || opens_flow(ip[6], ip + IPV6_BYTES, n - IPV6_BYTES);
    default: return false; /* of the link alone */
    }
}

bool net_is_for_loopback(const uint8_t *frame, size_t size)
{
    static const uint8_t zeroes[10];
    const uint8_t *ip = frame + ETHERNET;
    switch (kind(frame, size)) {
    case IPV4: return size < ETHERNET + IPV4_BYTES || ip[16] == 127 || ip[16] == 0;
    /* ::1, ::, and IPv4 addresses in the clothes of IPv6. */
    case IPV6: return size < ETHERNET + IPV6_BYTES || !memcmp(ip + 24, zeroes, sizeof zeroes);
    default: return false;
    }
}
