/* User networking: what of the host's a guest reaches by it, in frames to the module. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/host/net_filter.h"
#include "godwit/net.h"

enum { ETHERNET = 14, IP = 20, UDP = 8, MAX = 600 };

struct frame {
    uint8_t bytes[MAX];
    size_t size;
};

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* IPv4 by this protocol, whose part is of `more` bytes and all 0. */
static uint8_t *make_ip(struct frame *f, const char *to, unsigned protocol, size_t more)
{
    static const uint8_t ethernet[ETHERNET] = {0x52, 0x55, 10,   0,    2,    2, 0x52,
                                               0x54, 0,    0x12, 0x34, 0x56, 8, 0};
    uint8_t *ip = f->bytes + ETHERNET;
    uint32_t sum = 0;
    *f = (struct frame){.size = ETHERNET + IP + more};
    memcpy(f->bytes, ethernet, sizeof ethernet);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(IP + more));
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    inet_pton(AF_INET, protocol == 0 ? "0.0.0.0" : "10.0.2.15", ip + 12);
    inet_pton(AF_INET, to, ip + 16);
    for (unsigned i = 0; i < IP; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~(sum + (sum >> 16)));
    return ip + IP;
}

static void make_datagram(struct frame *f, const char *to, unsigned from_port, unsigned to_port,
                          size_t size)
{
    uint8_t *udp = make_ip(f, to, 17, UDP + size);
    put16(udp, from_port);
    put16(udp + 2, to_port);
    put16(udp + 4, (unsigned)(UDP + size));
}

/* ---- the filter ------------------------------------------------------------------------------- */

static void what_opens_a_flow_is_known(void **state)
{
    struct frame f;
    uint8_t *tcp;
    make_datagram(&f, "1.2.3.4", 1000, 53, 10);
    assert_true(net_opens_flow(f.bytes, f.size));
    make_datagram(&f, "255.255.255.255", 68, 67, 10); /* DHCP */
    assert_false(net_opens_flow(f.bytes, f.size));
    tcp = make_ip(&f, "1.2.3.4", 6, 20);
    tcp[13] = 2; /* SYN */
    assert_true(net_opens_flow(f.bytes, f.size));
    tcp[13] = 16; /* ACK */
    assert_false(net_opens_flow(f.bytes, f.size));
    for (size_t cut = 0; cut < f.size; cut++) { /* of what is not there nothing is assumed */
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, f.bytes, cut);
        bool opens = net_opens_flow(exact, cut);
        assert_int_equal(opens, cut >= ETHERNET && cut <= ETHERNET + IP + 13);
        net_is_for_loopback(exact, cut);
        free(exact);
    }
    f.bytes[ETHERNET + 6] = 0x20; /* a fragment */
    assert_true(net_opens_flow(f.bytes, f.size));
    f.bytes[ETHERNET + 6] = 0;
    f.bytes[ETHERNET] = 0x4f; /* a header longer than the frame */
    assert_true(net_opens_flow(f.bytes, f.size));
    f.bytes[12] = 8; /* ARP */
    f.bytes[13] = 6;
    assert_false(net_opens_flow(f.bytes, f.size));
    memset(f.bytes + ETHERNET, 0, IP); /* IPv6 */
    put16(f.bytes + 12, 0x86dd);
    f.bytes[ETHERNET + 6] = 6;
    f.size = ETHERNET + 40 + 20;
    f.bytes[ETHERNET + 40 + 13] = 2;
    assert_true(net_opens_flow(f.bytes, f.size));
    f.bytes[ETHERNET + 40 + 13] = 18;
    assert_false(net_opens_flow(f.bytes, f.size));
    f.bytes[ETHERNET + 6] = 0; /* an option in between */
    assert_true(net_opens_flow(f.bytes, f.size));
    f.bytes[ETHERNET + 6] = 58; /* ICMP: an echo, and who looks for a neighbour */
    f.bytes[ETHERNET + 40] = 128;
    assert_true(net_opens_flow(f.bytes, f.size));
    f.bytes[ETHERNET + 40] = 135;
    assert_false(net_opens_flow(f.bytes, f.size));
}

static void names_of_the_host_for_itself_are_known(void **state)
{
    static const struct {
        const char *to;
        bool loopback;
    } rows[] = {
        {"127.0.0.1", true},   {"127.255.1.1", true}, {"0.0.0.0", true},
        {"0.1.2.3", true},     {"10.0.2.2", false},   {"128.0.0.1", false},
        {"::1", true},         {"::", true},          {"::ffff:127.0.0.1", true},
        {"::127.0.0.1", true}, {"fec0::2", false},    {"2001:db8::1", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct frame f;
        bool four = !strchr(rows[i].to, ':');
        make_datagram(&f, four ? rows[i].to : "1.2.3.4", 1000, 53, 40);
        if (!four) {
            put16(f.bytes + 12, 0x86dd);
            assert_int_equal(inet_pton(AF_INET6, rows[i].to, f.bytes + ETHERNET + 24), 1);
        }
        assert_int_equal(net_is_for_loopback(f.bytes, f.size), rows[i].loopback);
    }
}

/* ---- the module ------------------------------------------------------------------------------- */

struct card {
    sem_t answered; /* by the network's own DHCP server */
    struct gw_net_backend *b;
};

static bool receive(void *context, const uint8_t *frame, size_t size)
{
    struct card *c = context;
    if (size > ETHERNET + IP + UDP && frame[ETHERNET + 9] == 17 && frame[ETHERNET + IP + 1] == 67)
        sem_post(&c->answered);
    return true;
}

static void ignore(void *context)
{
}

static void link_changed(void *context, bool up, const char *why)
{
}

static const struct gw_net_module *module(void)
{
    const struct gw_net_module *(*get)(void);
    void *handle = dlopen(NET_MODULE, RTLD_NOW), *symbol;
    assert_non_null(handle);
    symbol = dlsym(handle, GW_NET_MODULE_SYMBOL);
    assert_non_null(symbol);
    memcpy(&get, &symbol, sizeof symbol);
    return get();
}

static void start(struct card *c, const struct gw_net_user *cfg, const struct gw_net_thread *thread)
{
    struct gw_net_port port = {
        .context = c, .receive = receive, .writable = ignore, .link = link_changed};
    struct gw_error err = {0};
    sem_init(&c->answered, 0, 0);
    assert_int_equal(module()->version, GW_NET_API);
    assert_int_equal(module()->open_user(&c->b, &port, thread, cfg, &err), GW_OK);
    assert_int_equal(c->b->ops->start(c->b, &err), GW_OK);
}

static void send_frame(struct card *c, const struct frame *f)
{
    struct iovec iov = {(void *)(uintptr_t)f->bytes, f->size};
    assert_true(c->b->ops->send(c->b, &iov, 1));
}

/* Frames are served in turn: when this one is answered, what was sent before has been looked at. */
static void wait_for_dhcp(struct card *c)
{
    struct frame f;
    uint8_t *dhcp;
    make_datagram(&f, "255.255.255.255", 68, 67, 300);
    dhcp = f.bytes + ETHERNET + IP + UDP;
    dhcp[0] = dhcp[1] = 1; /* asks, by Ethernet */
    dhcp[2] = 6;
    memcpy(dhcp + 28, f.bytes + 6, 6);
    memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8); /* DISCOVER */
    send_frame(c, &f);
    sem_wait(&c->answered);
}

static int listen_on_loopback(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static bool heard(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) >= 0;
}

static void what_a_guest_reaches_of_the_host_is_as_said(void **state)
{
    static const struct {
        struct gw_net_user cfg;
        const char *to;
        bool reached;
    } rows[] = {
        {{.restricted = false}, "10.0.2.2", true},  {{.no_host = true}, "10.0.2.2", false},
        {{.no_host = true}, "127.0.0.1", false},    {{.no_host = true}, "0.0.0.0", false},
        {{.no_host = true}, "127.1.2.3", false},    {{.restricted = true}, "10.0.2.2", false},
        {{.restricted = true}, "127.0.0.1", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct card c;
        struct frame f;
        unsigned port;
        int fd = listen_on_loopback(&port);
        start(&c, &rows[i].cfg, NULL);
        make_datagram(&f, rows[i].to, 2000, port, 4);
        send_frame(&c, &f);
        wait_for_dhcp(&c);
        assert_int_equal(heard(fd), rows[i].reached);
        c.b->ops->close(c.b);
        close(fd);
        sem_destroy(&c.answered);
    }
}

/* ---- flows ------------------------------------------------------------------------------------ */

static unsigned open_here(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 20000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void open_flows(struct card *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct frame f;
        make_datagram(&f, "10.0.2.2", 3000 + i, 9, 4);
        send_frame(c, &f);
        if (i % 100 == 99)
            wait_for_dhcp(c);
    }
}

static void flows_are_bounded_where_descriptors_are_shared(void **state)
{
    struct gw_net_user cfg = {.restricted = false};
    struct card c;
    unsigned before = open_here();
    start(&c, &cfg, NULL);
    open_flows(&c, 1500);
    assert_in_range(open_here(), before + 100, before + 600);
    c.b->ops->close(c.b);
    assert_int_equal(open_here(), before);
    sem_destroy(&c.answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_opens_a_flow_is_known),
        cmocka_unit_test(names_of_the_host_for_itself_are_known),
        cmocka_unit_test(what_a_guest_reaches_of_the_host_is_as_said),
        cmocka_unit_test(flows_are_bounded_where_descriptors_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
