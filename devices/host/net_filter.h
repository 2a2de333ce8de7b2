/* What a frame of the guest's would do to user networking. Hostile bytes; nothing is assumed of them. */
#ifndef DEV_NET_FILTER_H
#define DEV_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* It may cost the host a socket that there was none for: a datagram, an echo, the start of a connection,
 * or anything else that is neither a segment of a connection nor what keeps a network together (DHCP,
 * neighbours). */
bool net_opens_flow(const uint8_t *frame, size_t size);
/* It is for an address by which a host calls itself: 127.0.0.1 and all of its kind. */
bool net_is_for_loopback(const uint8_t *frame, size_t size);

#endif
