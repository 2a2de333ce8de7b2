/* virtio-net, between a driver in RAM and the other end of a socket pair. */
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/host/net_fd.h"
#include "tests/devices/ring_driver.h"
#include "devices/virtio/net.h"

#define RINGS (RAM_BASE + 0x40000)
#define RXBUF (RAM_BASE + 0x60000)
#define TXBUF (RAM_BASE + 0x10000)
enum { SIZE = 32, HDR = 12 };
#define F_CSUM 1ull
#define F_MRG  (1ull << 15)
#define F_TSO4 (1ull << 11)

struct fixture {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    struct dev_io *io;
    struct gw_device *d;
    struct virtio_dev *v;
    struct fake_line line;
    struct ring rx, tx;
    int peer;
    char note[128];
};

static void note(void *context, const char *text)
{
    struct fixture *f = context;
    snprintf(f->note, sizeof f->note, "%s", text);
}

static void start(struct fixture *f, uint64_t features)
{
    bool packed = features & VIRTIO_F_RING_PACKED;
    agree_on(f->d, features);
    ring_init(&f->rx, &f->bus, f->d, 0, SIZE, packed, RINGS);
    ring_init(&f->tx, &f->bus, f->d, 1, SIZE, packed, RINGS + 0x4000);
    vset(f->d, R_STATUS, 15);
}

static void setup_bare(struct fixture *f)
{
    struct gw_error err = {0};
    struct virtio_net_config cfg = {.mac = {0x52, 0x54, 0, 1, 2, 3}, .note = note, .context = f};
    memset(f, 0, sizeof *f);
    f->peer = -1;
    f->q = fake_events(&f->clock);
    fake_bus(&f->bus);
    assert_int_equal(dev_io_new(&f->io, &err), GW_OK);
    f->d = dev_new(&virtio_mmio_class, f->q, &f->bus.bus);
    f->v = virtio_mmio_dev(f->d);
    f->d->irq = fake_irq(&f->line);
    assert_int_equal(virtio_net_attach(f->v, &cfg, &err), GW_OK);
}

static void setup(struct fixture *f, uint64_t features)
{
    struct gw_error err = {0};
    struct gw_net_port port;
    struct gw_net_backend *b;
    int fd[2];
    setup_bare(f);
    port = virtio_net_port(f->v);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
    f->peer = fd[1];
    assert_int_equal(dev_net_frames(&b, f->io, &port, fd[0], &err), GW_OK);
    virtio_net_plug(f->v, b);
    start(f, features);
}

static void teardown(struct fixture *f)
{
    dev_free(f->d);
    dev_io_free(f->io);
    if (f->peer >= 0)
        close(f->peer);
    dev_bus_destroy(&f->bus);
    gw_events_free(f->q);
}

/* Lets the I/O thread read what the peer sent, until `done` says enough. */
static void wait_for(struct fixture *f, bool (*done)(struct fixture *f))
{
    for (unsigned i = 0; i < 5000 && !done(f); i++) {
        gw_events_run(f->q, 0);
        if (!done(f))
            poll(NULL, 0, 1);
    }
    assert_true(done(f));
}

static uint16_t used_count(struct fixture *f, const struct ring *r)
{
    return (uint16_t)ram_get(&f->bus, r->used + 2, 2); /* split rings */
}

static bool one_received(struct fixture *f)
{
    return virtio_net_stats(f->v)->rx_frames + virtio_net_stats(f->v)->rx_lost >= 1;
}

static void add_rx(struct fixture *f, unsigned id, uint32_t len)
{
    struct buffer b = {.paddr = RXBUF + id * 0x800, .len = len, .write = true};
    ring_add_direct(&f->rx, id, &b, 1);
}

static void add_tx(struct fixture *f, unsigned id, const void *frame, uint32_t size,
                   const uint8_t header[HDR])
{
    struct buffer b[2] = {{.paddr = TXBUF, .len = HDR}, {.paddr = TXBUF + 0x100, .len = size}};
    memset(ram_at(&f->bus, TXBUF), 0, HDR);
    if (header)
        memcpy(ram_at(&f->bus, TXBUF), header, HDR);
    memcpy(ram_at(&f->bus, TXBUF + 0x100), frame, size);
    ring_add_direct(&f->tx, id, b, 2);
}

static size_t peer_read(struct fixture *f, uint8_t *to, size_t max)
{
    ssize_t n = recv(f->peer, to, max, 0);
    assert_true(n > 0);
    return (size_t)n;
}

static void configuration(void **state)
{
    struct fixture f;
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
    setup(&f, F_MRG);
    assert_int_equal(vreg(f.d, R_ID), 1);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(reg_read(f.d, R_CONFIG + i, 1), mac[i]);
    assert_int_equal(reg_read(f.d, R_CONFIG + 6, 2), 1);   /* the cable is in */
    assert_int_equal(offered_features(f.d) & (1 << 3), 0); /* this back end has Ethernet's MTU */
    teardown(&f);
}

static void frames_go_both_ways(void **state)
{
    for (unsigned mode = 0; mode < 4; mode++) {
        struct fixture f;
        uint8_t frame[200], got[300];
        uint32_t len;
        unsigned offset = 12;
        setup(&f, (mode & 1 ? F_MRG : 0) | (mode & 2 ? VIRTIO_F_RING_PACKED : 0));
        for (unsigned i = 0; i < sizeof frame; i++)
            frame[i] = (uint8_t)(i * 7);
        add_tx(&f, 0, frame, sizeof frame, NULL);
        ring_kick(&f.tx);
        assert_int_equal(ring_take(&f.tx, &len), 0);
        assert_int_equal(len, 0);
        assert_int_equal(peer_read(&f, got, sizeof got), sizeof frame);
        assert_memory_equal(got, frame, sizeof frame);
        add_rx(&f, 0, 0x700);
        ring_kick(&f.rx);
        assert_int_equal(send(f.peer, frame, sizeof frame, 0), sizeof frame);
        wait_for(&f, one_received);
        assert_int_equal(ring_take(&f.rx, &len), 0);
        assert_int_equal(len, sizeof frame + HDR);
        assert_memory_equal(ram_at(&f.bus, RXBUF + offset), frame, sizeof frame);
        assert_int_equal(ram_get(&f.bus, RXBUF + 10, 2), 1); /* num_buffers */
        assert_int_equal(f.line.level, 1);
        teardown(&f);
    }
}

static bool three_used(struct fixture *f)
{
    return used_count(f, &f->rx) == 3;
}

static void a_frame_takes_several_buffers(void **state)
{
    struct fixture f;
    uint8_t frame[250];
    uint32_t len = 0, at = 0;
    setup(&f, F_MRG);
    for (unsigned i = 0; i < sizeof frame; i++)
        frame[i] = (uint8_t)(i + 1);
    add_rx(&f, 0, 100);
    add_rx(&f, 1, 100);
    ring_kick(&f.rx);
    assert_int_equal(send(f.peer, frame, sizeof frame, 0), sizeof frame);
    for (unsigned i = 0; i < 20; i++) { /* not enough room: it waits, and takes nothing */
        poll(NULL, 0, 1);
        gw_events_run(f.q, 0);
        assert_int_equal(used_count(&f, &f.rx), 0);
    }
    add_rx(&f, 2, 100);
    ring_kick(&f.rx);
    wait_for(&f, three_used);
    assert_int_equal(ram_get(&f.bus, RXBUF + 10, 2), 3);
    for (int i = 0; i < 3; i++) {
        unsigned skip = i ? 0 : HDR;
        assert_int_equal(ring_take(&f.rx, &len), i);
        assert_memory_equal(ram_at(&f.bus, RXBUF + (unsigned)i * 0x800 + skip), frame + at,
                            len - skip);
        at += len - skip;
    }
    assert_int_equal(at, sizeof frame);
    teardown(&f);
}

static void frames_without_a_place_are_lost(void **state)
{
    struct fixture f;
    uint8_t frame[250] = {1};
    uint32_t len;
    setup(&f, 0); /* one buffer a frame: too small for this one */
    add_rx(&f, 0, 100);
    ring_kick(&f.rx);
    assert_int_equal(send(f.peer, frame, sizeof frame, 0), sizeof frame);
    wait_for(&f, one_received);
    assert_int_equal(virtio_net_stats(f.v)->rx_lost, 1);
    assert_int_equal(ring_take(&f.rx, &len), -1);
    assert_int_equal(send(f.peer, frame, 60, 0), 60);
    while (virtio_net_stats(f.v)->rx_frames == 0) {
        poll(NULL, 0, 1);
        gw_events_run(f.q, 0);
    }
    assert_int_equal(ring_take(&f.rx, &len), 0);
    teardown(&f);
}

static void bad_buffers_lose_the_frame_and_come_back(void **state)
{
    struct fixture f;
    uint8_t frame[60] = {1};
    struct buffer bad = {.paddr = 0x10001000, .len = 2000, .write = true};
    uint32_t len;
    setup(&f, F_MRG);
    ring_add_direct(&f.rx, 5, &bad, 1);
    ring_kick(&f.rx);
    assert_int_equal(send(f.peer, frame, sizeof frame, 0), sizeof frame);
    wait_for(&f, one_received);
    assert_int_equal(ring_take(&f.rx, &len), 5);
    assert_int_equal(len, 0);
    /* to the host: no header, a header alone, an unknown offload, checksums outside the frame */
    struct buffer tiny = {.paddr = TXBUF, .len = 11};
    ring_add_direct(&f.tx, 0, &tiny, 1);
    tiny.len = 25;
    ring_add_direct(&f.tx, 1, &tiny, 1);
    ring_kick(&f.tx);
    assert_int_equal(virtio_net_stats(f.v)->errors, 3);
    static const uint8_t headers[][HDR] = {{0, 1}, {0, 3}, {0, 4}, {0, 0x81}, {1}};
    for (unsigned i = 0; i < 5; i++) {
        add_tx(&f, 2, frame, sizeof frame, headers[i]);
        ring_kick(&f.tx);
        assert_int_equal(virtio_net_stats(f.v)->errors, 4 + i);
    }
    start(&f, F_CSUM);
    static const uint8_t sums[][HDR] = {{1, 0, 0, 0, 0, 0, 61, 0, 0, 0},
                                        {1, 0, 0, 0, 0, 0, 0, 0, 59, 0},
                                        {1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}};
    for (unsigned i = 0; i < 3; i++) {
        add_tx(&f, 2, frame, sizeof frame, sums[i]);
        ring_kick(&f.tx);
        assert_int_equal(virtio_net_stats(f.v)->errors, 9 + i);
    }
    assert_int_equal(vreg(f.d, R_STATUS), 15);
    add_tx(&f, 3, frame, sizeof frame, NULL);
    ring_kick(&f.tx);
    assert_int_equal(peer_read(&f, frame, sizeof frame), sizeof frame);
    teardown(&f);
}

/* Of what follows csum_start, whatever its length is and wherever it begins. */
static void complete_one(struct fixture *f, unsigned start, unsigned size)
{
    uint8_t frame[100], got[120], header[HDR] = {1, 0, 0, 0, 0, 0, 0, 0, 6, 0};
    unsigned at = start + 6;
    uint32_t sum = 0, len;
    header[6] = (uint8_t)start;
    for (unsigned i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 11 + 200);
    frame[at] = 0x12; /* the pseudo header's sum */
    frame[at + 1] = 0x34;
    for (unsigned i = start; i < size; i++)
        sum += (i - start) % 2 ? frame[i] : (uint32_t)frame[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    add_tx(f, 0, frame, size, header);
    ring_kick(&f->tx);
    assert_int_equal(ring_take(&f->tx, &len), 0);
    assert_int_equal(peer_read(f, got, sizeof got), size);
    assert_int_equal(got[at] << 8 | got[at + 1], ~sum & 0xffff);
    assert_memory_equal(got, frame, at);
    assert_memory_equal(got + at + 2, frame + at + 2, size - at - 2);
}

static void checksums_are_completed(void **state)
{
    struct fixture f;
    setup(&f, F_CSUM);
    for (unsigned start = 30; start < 38; start++)
        for (unsigned size = 60; size < 80; size++)
            complete_one(&f, start, size);
    teardown(&f);
}

static bool link_down(struct fixture *f)
{
    return reg_read(f->d, R_CONFIG + 6, 2) == 0;
}

static void a_peer_that_goes_takes_the_cable_out(void **state)
{
    struct fixture f;
    uint8_t frame[60] = {1};
    uint32_t len, before;
    setup(&f, 0);
    before = vreg(f.d, R_GENERATION);
    close(f.peer);
    f.peer = -1;
    wait_for(&f, link_down);
    assert_true(vreg(f.d, R_GENERATION) != before);
    assert_int_equal(vreg(f.d, R_INT) & 2, 2);
    assert_non_null(strstr(f.note, "network"));
    for (unsigned i = 0; i < 5; i++) { /* into the void, without complaint */
        add_tx(&f, 0, frame, sizeof frame, NULL);
        ring_kick(&f.tx);
        assert_int_equal(ring_take(&f.tx, &len), 0);
    }
    teardown(&f);
}

/* Nobody reads at the other end: the ring fills up, memory does not; then all of it arrives. */
static void a_slow_peer_holds_the_guest_back(void **state)
{
    struct fixture f;
    static uint8_t frame[1400], got[2000];
    uint32_t len;
    unsigned sent = 0, read_back = 0;
    setup(&f, 0);
    for (unsigned i = 0; i < 100000; i++) {
        memcpy(frame, &i, sizeof i);
        add_tx(&f, i % SIZE, frame, sizeof frame, NULL);
        sent++;
        ring_kick(&f.tx);
        if (ring_take(&f.tx, &len) < 0)
            break;
    }
    assert_in_range(sent, 500, 20000);
    assert_true(virtio_net_stats(f.v)->tx_refused >= 1);
    while (read_back < sent) {
        unsigned number;
        assert_int_equal(peer_read(&f, got, sizeof got), sizeof frame);
        memcpy(&number, got, sizeof number);
        assert_int_equal(number, read_back);
        read_back++;
        gw_events_run(f.q, 0);
    }
    assert_true(ring_take(&f.tx, &len) >= 0);
    teardown(&f);
}

/* The guest gives no buffers: frames wait up to a bound, the peer is held back, nothing is lost. */
static void a_slow_guest_holds_the_peer_back(void **state)
{
    struct fixture f;
    static uint8_t frame[1400];
    uint32_t len;
    unsigned sent = 0, got = 0;
    setup(&f, 0);
    while (sent < 100000) {
        memcpy(frame, &sent, sizeof sent);
        if (send(f.peer, frame, sizeof frame, MSG_DONTWAIT) < 0) {
            struct pollfd p = {.fd = f.peer, .events = POLLOUT};
            gw_events_run(f.q, 0);
            if (poll(&p, 1, 50) == 0)
                break; /* the way is full */
        } else {
            sent++;
        }
    }
    assert_in_range(sent, 100, 20000);
    while (got < sent) {
        add_rx(&f, got % SIZE, 0x700);
        ring_kick(&f.rx);
        for (unsigned i = 0; i < 5000; i++) {
            unsigned number;
            gw_events_run(f.q, 0);
            if (ring_take(&f.rx, &len) < 0) {
                poll(NULL, 0, 1);
                continue;
            }
            memcpy(&number, ram_at(&f.bus, RXBUF + got % SIZE * 0x800 + HDR), sizeof number);
            assert_int_equal(number, got);
            got++;
            break;
        }
    }
    assert_int_equal(virtio_net_stats(f.v)->rx_lost, 0);
    teardown(&f);
}

static void sockets_carry_frames_behind_their_length(void **state)
{
    struct fixture f;
    struct gw_error err = {0};
    struct gw_net_port port;
    struct gw_net_backend *b;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct dev_net_address address = {.chosen = true};
    uint8_t frame[100], got[104];
    uint32_t len;
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    setup_bare(&f);
    snprintf(a.sun_path, sizeof a.sun_path, "/tmp/godwit-net-%d", (int)getpid());
    port = virtio_net_port(f.v);
    assert_int_equal(bind(stale, (struct sockaddr *)(void *)&a, sizeof a), 0);
    close(stale); /* its file stays, and is replaced */
    assert_int_equal(dev_net_socket(&b, f.io, &port, a.sun_path, &address, &err),
                     GW_OK); /* listens */
    virtio_net_plug(f.v, b);
    start(&f, 0);
    f.peer = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(f.peer, (struct sockaddr *)(void *)&a, sizeof a), 0);
    for (unsigned i = 0; i < sizeof frame; i++)
        frame[i] = (uint8_t)i;
    add_tx(&f, 0, frame, sizeof frame, NULL);
    ring_kick(&f.tx);
    assert_int_equal(recv(f.peer, got, sizeof got, MSG_WAITALL), sizeof got);
    assert_int_equal(got[3], sizeof frame);
    assert_memory_equal(got + 4, frame, sizeof frame);
    add_rx(&f, 0, 0x700);
    ring_kick(&f.rx);
    for (unsigned i = 0; i < sizeof got; i++) /* by single bytes */
        assert_int_equal(send(f.peer, got + i, 1, 0), 1);
    wait_for(&f, one_received);
    assert_int_equal(ring_take(&f.rx, &len), 0);
    assert_int_equal(len, sizeof frame + HDR);
    memset(got, 0xff, 4); /* a length that no frame has */
    assert_int_equal(send(f.peer, got, 4, 0), 4);
    wait_for(&f, link_down);
    assert_int_equal(access(a.sun_path, F_OK), -1);
    teardown(&f);
    /* nobody listens where a socket was left, and a name that is too long */
    assert_int_equal(dev_net_socket(&b, NULL, &port, "/dev/null", &address, &err), GW_ERR_IO);
    memset(frame, 'x', sizeof frame);
    assert_int_equal(dev_net_tap(&b, NULL, &port, "a-name-that-is-much-too-long", &address, &err),
                     access("/dev/net/tun", R_OK | W_OK) == 0 ? GW_ERR_ARG : err.status);
}

/* Two ends that nobody gave an address have two; one that was chosen stays, at either end. */
static void ends_of_a_wire_have_addresses_of_their_own(void **state)
{
    static const struct {
        bool chosen;
        uint8_t listening, connecting;
    } rows[] = {{false, 0x10, 0x11}, {true, 0x10, 0x10}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct gw_error err = {0};
        struct gw_net_port port;
        struct gw_net_backend *b[2];
        struct dev_net_address end[2];
        char path[64];
        setup_bare(&f);
        port = virtio_net_port(f.v);
        snprintf(path, sizeof path, "/tmp/godwit-net-%d", (int)getpid());
        for (unsigned k = 0; k < 2; k++) {
            end[k] = (struct dev_net_address){.mac = {0x52, 0x54, 0, 1, 2, 0x10},
                                              .chosen = rows[i].chosen};
            assert_int_equal(dev_net_socket(&b[k], f.io, &port, path, &end[k], &err), GW_OK);
        }
        assert_int_equal(end[0].mac[5], rows[i].listening);
        assert_int_equal(end[1].mac[5], rows[i].connecting);
        b[1]->ops->close(b[1]);
        b[0]->ops->close(b[0]);
        teardown(&f);
    }
}

/* A machine that was restored twice, at both ends of one wire. */
static void a_twin_at_the_other_end_takes_the_cable_out(void **state)
{
    struct fixture f;
    struct gw_error err = {0};
    struct gw_net_port port;
    struct gw_net_backend *b;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct dev_net_address address = {.mac = {0x52, 0x54, 0, 1, 2, 3}, .chosen = true};
    uint8_t frame[4 + 60] = {[3] = 60};
    setup_bare(&f);
    snprintf(a.sun_path, sizeof a.sun_path, "/tmp/godwit-net-%d", (int)getpid());
    port = virtio_net_port(f.v);
    assert_int_equal(dev_net_socket(&b, f.io, &port, a.sun_path, &address, &err), GW_OK);
    virtio_net_plug(f.v, b);
    start(&f, 0);
    f.peer = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(f.peer, (struct sockaddr *)(void *)&a, sizeof a), 0);
    add_rx(&f, 0, 0x700);
    add_rx(&f, 1, 0x700);
    ring_kick(&f.rx);
    memcpy(frame + 4 + 6, address.mac, 6);
    frame[4 + 11] ^= 1; /* from somebody else */
    assert_int_equal(send(f.peer, frame, sizeof frame, 0), sizeof frame);
    wait_for(&f, one_received);
    assert_string_equal(f.note, "");
    frame[4 + 11] ^= 1;
    assert_int_equal(send(f.peer, frame, sizeof frame, 0), sizeof frame);
    wait_for(&f, link_down);
    assert_string_equal(f.note, "another machine has this one's address, 52:54:00:01:02:03");
    assert_int_equal(virtio_net_stats(f.v)->rx_frames, 1);
    teardown(&f);
}

/* What a snapshot says of another cable does not stay. */
static void the_cable_is_looked_at_after_a_load(void **state)
{
    struct fixture f;
    setup_bare(&f);
    assert_string_equal(f.v->kind->state->fields[0].name, "link_up");
    state_set(f.v->backend, &f.v->kind->state->fields[0], 0, 1); /* it was plugged in */
    assert_false(link_down(&f));
    virtio_net_look_at_cable(f.v);
    gw_events_run(f.q, 0);
    assert_true(link_down(&f));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration),
        cmocka_unit_test(frames_go_both_ways),
        cmocka_unit_test(a_frame_takes_several_buffers),
        cmocka_unit_test(frames_without_a_place_are_lost),
        cmocka_unit_test(bad_buffers_lose_the_frame_and_come_back),
        cmocka_unit_test(checksums_are_completed),
        cmocka_unit_test(a_peer_that_goes_takes_the_cable_out),
        cmocka_unit_test(a_slow_peer_holds_the_guest_back),
        cmocka_unit_test(a_slow_guest_holds_the_peer_back),
        cmocka_unit_test(sockets_carry_frames_behind_their_length),
        cmocka_unit_test(ends_of_a_wire_have_addresses_of_their_own),
        cmocka_unit_test(a_twin_at_the_other_end_takes_the_cable_out),
        cmocka_unit_test(the_cable_is_looked_at_after_a_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
