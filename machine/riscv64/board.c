/* Puts the boards together. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/riscv64/board.h"
#include "devices/riscv/clint.h"
#include "devices/board/pci_host.h"
#include "machine/mac.h"
#include "machine/machine.h"
#include "devices/host/net_fd.h"
#include "devices/board/power.h"
#include "devices/board/pvpanic.h"
#include "devices/registry.h"
#include "devices/board/rtc.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "spec/spec.h"

const struct board_model *board_model(const char *name)
{
    static const struct board_model models[] = {{"virt-1", false}, {"virt-2", true}};
    for (unsigned i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!strcmp(models[i].name, name))
            return &models[i];
    return NULL;
}

static void poke_uart(void *context)
{
    struct board *b = context;
    dev_uart_poke((struct dev_uart *)(void *)b->uart);
}

static void poke_uart2(void *context)
{
    struct board *b = context;
    dev_uart_poke((struct dev_uart *)(void *)b->uart2);
}

/* The console's callbacks have one context: the machine's, kept beside the board. */
struct board_all {
    struct board b;
    struct board_hooks hooks;
};

static void forward_tap(void *context, uint8_t byte)
{
    struct board_all *a = context;
    if (a->hooks.tap)
        a->hooks.tap(a->hooks.context, byte);
}

static void forward_menu(void *context, uint8_t key)
{
    struct board_all *a = context;
    if (key == 'b')
        dev_uart_break((struct dev_uart *)(void *)a->b.uart);
    else if (a->hooks.menu)
        a->hooks.menu(a->hooks.context, key);
}

static void forward_menu_open(void *context)
{
    struct board_all *a = context;
    if (a->hooks.menu_open)
        a->hooks.menu_open(a->hooks.context);
}

static void forward_menu_pressed(void *context, uint8_t key)
{
    struct board_all *a = context;
    if (a->hooks.menu_pressed)
        a->hooks.menu_pressed(a->hooks.context, key);
}

static void forward_reader_gone(void *context)
{
    struct board_all *a = context;
    if (a->hooks.reader_gone)
        a->hooks.reader_gone(a->hooks.context);
}

static void forward_power(void *context, enum dev_power_request what, unsigned code)
{
    struct board_all *a = context;
    if (a->hooks.power)
        a->hooks.power(a->hooks.context, (int)what, code);
}

static void forward_panic(void *context, unsigned events)
{
    struct board_all *a = context;
    if (events & (DEV_PVPANIC_PANICKED | DEV_PVPANIC_CRASH_LOADED)) {
        if (a->hooks.panic)
            a->hooks.panic(a->hooks.context);
    } else {
        forward_power(a, DEV_POWER_OFF, 0);
    }
}

static enum gw_status place(struct board *b, struct gw_device **slot, const char *cls,
                            uint64_t base, struct gw_error *err)
{
    *slot = dev_new(dev_class(&gw_devices, cls), b->events, &b->bus.bus);
    if (!*slot)
        return gw_fail(err, GW_ERR_NOMEM, cls, "no memory for a device");
    return dev_bus_add_device(&b->bus, base, *slot, err);
}

static enum gw_status place_flash(struct board *b, unsigned bank, struct gw_error *err)
{
    uint64_t base = VIRT_FLASH_BASE + (uint64_t)bank * DEV_FLASH_BYTES;
    struct gw_rom *rom;
    enum gw_status st = place(b, &b->flash[bank], "flash", base, err);
    if (st != GW_OK)
        return st;
    rom = dev_flash_rom(board_flash(b, bank), base);
    if (!rom)
        return gw_fail(err, GW_ERR_NOMEM, "flash", "no memory for a device");
    return dev_bus_add_rom(&b->bus, rom, err);
}

static enum gw_status place_devices(struct board *b, const struct board_config *cfg,
                                    struct gw_error *err)
{
    static const struct {
        const char *cls;
        uint64_t base;
        size_t member;
    } fixed[] = {
        {"power", VIRT_POWER_BASE, offsetof(struct board, power)},
        {"rtc", VIRT_RTC_BASE, offsetof(struct board, rtc)},
        {"clint", VIRT_CLINT_BASE, offsetof(struct board, clint)},
        {"plic", VIRT_PLIC_BASE, offsetof(struct board, plic)},
        {"uart", VIRT_UART_BASE, offsetof(struct board, uart)},
        {"fw-cfg", VIRT_FW_CFG_BASE, offsetof(struct board, fw_cfg)},
        {"pvpanic", VIRT_PVPANIC_BASE, offsetof(struct board, pvpanic)},
        {"pci-host", VIRT_ECAM_BASE, offsetof(struct board, pci_host)},
        {"pci-io", VIRT_PCI_IO_BASE, offsetof(struct board, pci_hole[0])},
        {"pci-mmio", VIRT_PCI_MMIO_BASE, offsetof(struct board, pci_hole[1])},
    };
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < sizeof fixed / sizeof fixed[0]; i++)
        st = place(b, (struct gw_device **)(void *)((char *)b + fixed[i].member), fixed[i].cls,
                   fixed[i].base, err);
    for (unsigned i = 0; st == GW_OK && i < VIRT_SLOTS; i++)
        st = place(b, &b->slot[i], "virtio-mmio", VIRT_VIRTIO_BASE + i * VIRT_VIRTIO_STEP, err);
    for (unsigned i = 0; st == GW_OK && i < VIRT_FLASH_BANKS; i++)
        st = place_flash(b, i, err);
    if (st == GW_OK)
        st = place(b, &b->pci_hole[2], "pci-mmio64", virt_pci_mmio64_base(cfg->ram_bytes), err);
    if (st == GW_OK && cfg->second_port)
        st = place(b, &b->uart2, "uart", VIRT_UART2_BASE, err);
    if (st == GW_OK && cfg->model->generation_id)
        st = place(b, &b->vmgenid, "vmgenid", VIRT_VMGENID_BASE, err);
    return st;
}

static void wire_devices(struct board_all *a, const struct board_config *cfg)
{
    struct board *b = &a->b;
    struct dev_plic *plic = (struct dev_plic *)(void *)b->plic;
    struct dev_power *power = (struct dev_power *)(void *)b->power;
    b->uart->irq = dev_plic_input(plic, VIRT_UART_IRQ);
    b->rtc->irq = dev_plic_input(plic, VIRT_RTC_IRQ);
    for (unsigned i = 0; i < VIRT_SLOTS; i++)
        b->slot[i]->irq = dev_plic_input(plic, VIRT_VIRTIO_IRQ + i);
    for (unsigned i = 0; i < VIRT_SLOTS; i++)
        virtio_mmio_dev(b->slot[i])->refused_features = cfg->refused_features;
    power->request = forward_power;
    power->context = a;
    ((struct dev_pvpanic *)(void *)b->pvpanic)->report = forward_panic;
    ((struct dev_pvpanic *)(void *)b->pvpanic)->context = a;
    ((struct dev_rtc *)(void *)b->rtc)->offset_ns = cfg->wall_clock_ns;
    ((struct dev_uart *)(void *)b->uart)->serial = dev_console_serial(b->console);
    if (b->vmgenid) {
        struct dev_vmgenid *g = (struct dev_vmgenid *)(void *)b->vmgenid;
        b->vmgenid->irq = dev_plic_input(plic, VIRT_VMGENID_IRQ);
        memcpy(g->id, cfg->generation, sizeof g->id);
    }
    if (!b->uart2)
        return;
    b->uart2->irq = dev_plic_input(plic, VIRT_UART2_IRQ);
    ((struct dev_uart *)(void *)b->uart2)->serial = dev_console_serial(b->console2);
}

/* The second port has neither menu nor watcher. */
static struct dev_fault_sink fault_sink(const struct board *b)
{
    const struct board_hooks *h = &((const struct board_all *)(const void *)b)->hooks;
    return (struct dev_fault_sink){.say = h->fault, .context = h->context};
}

static enum gw_status second_console(struct board_all *a, const struct board_config *cfg,
                                     struct gw_error *err)
{
    struct dev_console_config console = {
        .in_fd = cfg->in2_fd,
        .out_fd = cfg->out2_fd,
        .fault = fault_sink(&a->b),
        .name = "serial port 1",
        .source = "uart",
        .patient = cfg->patient_console,
        .events = a->b.events,
        .io = a->b.io,
        .reader_gone = cfg->out2_fd == STDOUT_FILENO ? forward_reader_gone : NULL,
        .poke = poke_uart2,
        .context = a,
    };
    return cfg->second_port ? dev_console_new(&a->b.console2, &console, err) : GW_OK;
}

static enum gw_status build(struct board_all *a, const struct board_config *cfg,
                            struct gw_error *err)
{
    struct board *b = &a->b;
    struct dev_console_config console = {
        .in_fd = cfg->in_fd,
        .out_fd = cfg->out_fd,
        .fault = fault_sink(&a->b),
        .name = "serial port 0",
        .source = "uart",
        .escape = cfg->escape,
        .framed = cfg->framed,
        .patient = cfg->patient_console,
        .reader_gone = cfg->out_fd == STDOUT_FILENO ? forward_reader_gone : NULL,
        .poke = poke_uart,
        .tap = forward_tap,
        .menu = forward_menu,
        .menu_open = forward_menu_open,
        .menu_pressed = forward_menu_pressed,
        .context = a,
    };
    enum gw_status st;
    b->repeatable = cfg->clock == GW_CLOCK_INSNS;
    b->events = gw_events_new(cfg->clock, cfg->mips);
    if (!b->events)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the event queue");
    st = dev_bus_add_ram(&b->bus, VIRT_RAM_BASE, cfg->ram_bytes, err);
    if (st == GW_OK)
        st = place_devices(b, cfg, err);
    if (st == GW_OK)
        st = dev_io_new(&b->io, err);
    if (st != GW_OK)
        return st;
    console.events = b->events;
    console.io = b->io;
    st = dev_console_new(&b->console, &console, err);
    if (st == GW_OK)
        st = second_console(a, cfg, err);
    if (st == GW_OK)
        wire_devices(a, cfg);
    return st;
}

enum gw_status board_new(struct board **out, const struct board_config *cfg, struct gw_error *err)
{
    struct board_all *a = calloc(1, sizeof *a);
    enum gw_status st;
    *out = NULL;
    if (!a)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine");
    a->hooks = cfg->hooks;
    dev_bus_init(&a->b.bus);
    st = build(a, cfg, err);
    if (st != GW_OK) {
        board_free(&a->b);
        return st;
    }
    *out = &a->b;
    return GW_OK;
}

enum gw_status board_add_disk(struct board *b, const struct disk_spec *disk, struct gw_error *err)
{
    struct dev_disk_config cfg = {.path = disk->path,
                                  .rw = disk->mode == SPEC_DISK_RW,
                                  .raw = disk->format == SPEC_DISK_RAW,
                                  .overlay = disk->overlay,
                                  .fault = fault_sink(b)};
    const struct board_hooks *hooks = &((struct board_all *)(void *)b)->hooks;
    struct virtio_blk_config blk = {
        .serial = "godwit-disk",
        .service = b->repeatable ? VIRTIO_BLK_AT_ONCE : VIRTIO_BLK_DEFAULT,
        .limit = {.bytes = gw_rate_usual(disk->bps), .ops = gw_rate_usual(disk->iops)},
        .go_on = hooks->go_on,
        .context = hooks->context};
    unsigned at = b->disk_count;
    enum gw_status st;
    if (at == VIRT_SLOTS)
        return gw_fail(err, GW_ERR_LIMIT, disk->path, "no slot is left for the disk");
    st = dev_io_new(&b->disk_io[at], err);
    if (st == GW_OK)
        st = dev_disk_open(&b->disk[at], &cfg, err);
    if (st != GW_OK)
        return st;
    blk.io = b->disk_io[at];
    blk.disk = b->disk[at];
    b->disk_count++;
    return virtio_blk_attach(virtio_mmio_dev(b->slot[at]), &blk, err);
}

enum gw_status board_begin_disks(struct board *b, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < b->disk_count; i++)
        st = dev_disk_begin(b->disk[i], err);
    return st;
}

enum gw_status board_open_flash(struct board *b, unsigned bank, const char *path, bool rw,
                                struct gw_error *err)
{
    if (bank >= VIRT_FLASH_BANKS)
        return gw_fail(err, GW_ERR_ARG, path, "no such flash bank: it must be 0 or 1");
    board_flash(b, bank)->fault = fault_sink(b);
    return dev_flash_open(board_flash(b, bank), path, rw, err);
}

/* The last slot that is free, or NULL. */
static struct virtio_dev *free_slot(struct board *b)
{
    for (unsigned i = VIRT_SLOTS; i > 0; i--) {
        struct virtio_dev *v = virtio_mmio_dev(b->slot[i - 1]);
        if (!v->kind)
            return v;
    }
    return NULL;
}

enum gw_status board_add_rng(struct board *b, uint64_t seed, struct gw_error *err)
{
    struct virtio_rng_config cfg = {.io = b->io, .seeded = b->repeatable, .seed = seed};
    b->rng = free_slot(b);
    return b->rng ? virtio_rng_attach(b->rng, &cfg, err) : GW_OK;
}

static enum gw_status open_backend(struct board *b, const struct machine_spec *s,
                                   const struct gw_net_module *(*open_net)(struct gw_error *err),
                                   struct dev_net_address *address, struct gw_net_backend **backend,
                                   struct gw_error *err)
{
    struct gw_net_port port = virtio_net_port(b->net);
    const struct board_hooks *hooks = &((struct board_all *)(void *)b)->hooks;
    struct gw_net_user user = {.publish = s->publish,
                               .publish_count = s->publish_count,
                               .restricted = s->net_restrict == SPEC_ON,
                               .no_host = s->net_host == SPEC_OFF};
    const struct gw_net_module *module;
    if (s->net.kind == SPEC_NET_TAP)
        return dev_net_tap(backend, b->io, &port, s->net.to, address, err);
    if (s->net.kind == SPEC_NET_SOCKET)
        return dev_net_socket(backend, b->io, &port, s->net.to, address, err);
    if (!open_net)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "--net", "this program has no user networking");
    module = open_net(err);
    if (!module)
        return err->status;
    return module->open_user(backend, &port, &hooks->net_thread, &user, err);
}

static void forward_note(void *context, const char *text)
{
    struct board_all *a = context;
    if (a->hooks.note)
        a->hooks.note(a->hooks.context, text);
}

enum gw_status board_add_net(struct board *b, const struct machine_spec *s,
                             const struct gw_net_module *(*open_net)(struct gw_error *err),
                             struct gw_error *err)
{
    struct virtio_net_config cfg = {.note = forward_note, .context = b};
    struct gw_net_backend *backend = NULL;
    struct dev_net_address address;
    struct spec_mac mac = s->mac;
    enum gw_status st;
    if (!spec_has_card(s))
        return GW_OK;
    address.chosen = spec_said(spec_find(spec_machine, "mac"), s);
    if (!address.chosen)
        machine_usual_mac(s, &mac);
    memcpy(address.mac, mac.bytes, sizeof address.mac);
    b->net = free_slot(b);
    if (!b->net)
        return gw_fail(err, GW_ERR_LIMIT, "--net", "no slot is left for the network card");
    st = virtio_net_attach(b->net, &cfg, err);
    if (st == GW_OK && s->net.kind != SPEC_NET_NONE)
        st = open_backend(b, s, open_net, &address, &backend, err);
    if (st != GW_OK)
        return st;
    virtio_net_set_mac(b->net, address.mac);
    virtio_net_plug(b->net, backend);
    return GW_OK;
}

enum gw_status board_start(struct board *b, struct gw_error *err)
{
    return b->net ? virtio_net_start(b->net, err) : GW_OK;
}

static void poke_channel(void *context)
{
    const struct board_channel *c = context;
    if (c->b->channels)
        virtio_console_poke(c->b->channels, c->index);
}

/* The console's callbacks have one context: these are the machine's, of a channel's. */
static void channel_tap(void *context, uint8_t byte)
{
    forward_tap(((struct board_channel *)context)->b, byte);
}

static void channel_menu(void *context, uint8_t key)
{
    forward_menu(((struct board_channel *)context)->b, key);
}

static void channel_reader_gone(void *context)
{
    forward_reader_gone(((struct board_channel *)context)->b);
}

static void channel_menu_open(void *context)
{
    forward_menu_open(((struct board_channel *)context)->b);
}

static void channel_menu_pressed(void *context, uint8_t key)
{
    forward_menu_pressed(((struct board_channel *)context)->b, key);
}

enum gw_status board_add_channels(struct board *b, const struct board_channel_config *cfg,
                                  unsigned count, struct gw_error *err)
{
    struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS];
    enum gw_status st = GW_OK;
    b->channels = free_slot(b);
    if (!b->channels)
        return gw_fail(err, GW_ERR_LIMIT, "--console", "no slot is left for the console");
    for (unsigned i = 0; st == GW_OK && i < count; i++) {
        struct board_channel *c = &b->channel[i];
        struct dev_console_config console = {
            .in_fd = cfg[i].in_fd,
            .out_fd = cfg[i].out_fd,
            .fault = fault_sink(b),
            .name = cfg[i].name ? cfg[i].name : "hvc0",
            .source = "channel",
            .escape = cfg[i].escape,
            .events = b->events,
            .io = b->io,
            .reader_gone = cfg[i].out_fd == STDOUT_FILENO ? channel_reader_gone : NULL,
            .poke = poke_channel,
            .tap = cfg[i].name ? NULL : channel_tap,
            .menu = channel_menu,
            .menu_open = channel_menu_open,
            .menu_pressed = channel_menu_pressed,
            .context = c};
        *c = (struct board_channel){.b = b, .index = i};
        st = dev_console_new(&c->console, &console, err);
        if (st != GW_OK)
            break;
        b->channel_count++;
        ports[i] = (struct virtio_console_port){.serial = dev_console_serial(c->console),
                                                .name = cfg[i].name};
    }
    return st == GW_OK ? virtio_console_attach(b->channels, ports, count, err) : st;
}

void board_connect(struct board *b, const struct board_hart_lines *lines, unsigned harts,
                   void (*time_moved)(void *context, uint64_t offset_ticks), void *context)
{
    struct dev_plic *plic = (struct dev_plic *)(void *)b->plic;
    struct dev_clint *clint = (struct dev_clint *)(void *)b->clint;
    plic->contexts = 2 * harts;
    clint->harts = harts;
    clint->time_moved = time_moved;
    clint->context = context;
    for (unsigned h = 0; h < harts; h++) {
        plic->out[2 * h] = lines[h].mei;
        plic->out[2 * h + 1] = lines[h].sei;
        clint->soft[h] = lines[h].msi;
        clint->timer[h] = lines[h].mti;
    }
}

enum { FIXED_DEVICES = 14, DEVICE_COUNT = FIXED_DEVICES + VIRT_SLOTS + 1 };

/* NULL where the board has none, or was not finished. */
static struct gw_device *device_at(struct board *b, unsigned i)
{
    struct gw_device *fixed[] = {
        b->uart,        b->rtc,         b->power,       b->clint,    b->fw_cfg,
        b->pvpanic,     b->pci_host,    b->flash[0],    b->flash[1], b->uart2,
        b->pci_hole[0], b->pci_hole[1], b->pci_hole[2], b->vmgenid,
    };
    const unsigned count = sizeof fixed / sizeof fixed[0];
    static_assert(sizeof fixed / sizeof fixed[0] == FIXED_DEVICES, "as many as are walked");
    if (i < count)
        return fixed[i];
    if (i < count + VIRT_SLOTS)
        return b->slot[i - count];
    return b->plic; /* last, when the lines into it have settled */
}

void board_renew(struct board *b, const uint8_t generation[DEV_VMGENID_BYTES])
{
    if (b->vmgenid)
        dev_vmgenid_renew((struct dev_vmgenid *)(void *)b->vmgenid, generation);
}

void board_reset(struct board *b)
{
    for (unsigned i = 0; i < DEVICE_COUNT; i++) {
        struct gw_device *d = device_at(b, i);
        if (d && d->cls->reset)
            d->cls->reset(d);
    }
    dev_console_reset(b->console);
}

/* The class's name, numbered where the board has several of it. */
struct gw_device *board_device(struct board *b, unsigned i, char *name, size_t name_bytes)
{
    struct gw_device *d = NULL;
    unsigned at = 0, before = 0, same = 0;
    for (; at < DEVICE_COUNT; at++) {
        d = device_at(b, at);
        if (d && i-- == 0)
            break;
    }
    if (at == DEVICE_COUNT)
        return NULL;
    for (unsigned k = 0; k < DEVICE_COUNT; k++) {
        const struct gw_device *other = device_at(b, k);
        bool alike = other && other->cls == d->cls;
        same += alike;
        before += alike && k < at;
    }
    if (same > 1)
        snprintf(name, name_bytes, "%s%u", d->cls->name, before);
    else
        snprintf(name, name_bytes, "%s", d->cls->name);
    return d;
}

struct flush {
    struct dev_io_job job;
    struct dev_disk *disk;
};

static void flush_job(struct dev_io_job *job)
{
    dev_disk_flush(((struct flush *)(void *)job)->disk);
}

static bool may_go_on(struct board *b)
{
    const struct board_hooks *h = &((struct board_all *)(void *)b)->hooks;
    return !h->go_on || h->go_on(h->context);
}

static bool flush_disks(struct board *b)
{
    enum { LOOK_NS = 10000000 };
    struct flush flush[VIRT_SLOTS];
    bool go_on = true;
    for (unsigned i = 0; i < b->disk_count; i++) {
        flush[i] = (struct flush){.job = {.run = flush_job}, .disk = b->disk[i]};
        dev_io_submit(b->disk_io[i], &flush[i].job);
    }
    for (unsigned i = 0; i < b->disk_count; i++) {
        while (go_on && !dev_io_wait(b->disk_io[i], LOOK_NS))
            go_on = may_go_on(b);
        for (unsigned k = i; !go_on && k < b->disk_count; k++)
            dev_disk_give_up(b->disk[k], true);
        dev_io_drain(b->disk_io[i]);
    }
    return go_on;
}

bool board_quiesce(struct board *b)
{
    for (unsigned i = 0; i < b->disk_count; i++)
        dev_disk_give_up(b->disk[i], false);
    for (unsigned i = 0; i < DEVICE_COUNT; i++) {
        struct gw_device *d = device_at(b, i);
        if (d && d->cls->quiesce)
            d->cls->quiesce(d);
    }
    return flush_disks(b);
}

bool board_is_full(struct board *b)
{
    return dev_console_full(b->console) || (b->console2 && dev_console_full(b->console2));
}

void board_free(struct board *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < DEVICE_COUNT; i++)
        dev_free(device_at(b, i));
    b->net = b->rng = b->channels = NULL;
    if (b->console)
        dev_console_flush(b->console);
    if (b->console2)
        dev_console_flush(b->console2);
    for (unsigned i = 0; i < b->channel_count; i++)
        dev_console_flush(b->channel[i].console);
    dev_io_free(b->io);
    for (unsigned i = 0; i < VIRT_SLOTS; i++)
        dev_io_free(b->disk_io[i]);
    dev_console_free(b->console);
    dev_console_free(b->console2);
    for (unsigned i = 0; i < b->channel_count; i++)
        dev_console_free(b->channel[i].console);
    for (unsigned i = 0; i < b->disk_count; i++)
        dev_disk_close(b->disk[i]);
    dev_bus_destroy(&b->bus);
    gw_events_free(b->events);
    free((struct board_all *)(void *)b);
}
