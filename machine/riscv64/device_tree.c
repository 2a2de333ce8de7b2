/*
 * Builds the device tree. Bindings: Devicetree Specification 0.4 and the kernel's bindings of
 * riscv/cpus, sifive,plic-1.0.0, sifive,clint0, ns16550a, virtio,mmio, google,goldfish-rtc, syscon,
 * cfi-flash, qemu,fw-cfg-mmio, qemu,pvpanic-mmio, microsoft,vmgenid, pci-host-ecam-generic; IEEE 1275's
 * PCI binding.
 */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "machine/riscv64/board.h"
#include "devices/riscv/clint.h"
#include "machine/riscv64/device_tree.h"
#include "devices/board/pci_host.h"

enum {
    PHANDLE_CPU_INTC = 1, /* of hart 0 */
    PHANDLE_PLIC,
    PHANDLE_TEST,
    PHANDLE_CPU = 16,      /* and on, a hart each */
    PHANDLE_MORE_INTC = 32 /* of the other harts, by number */
};
enum { IRQ_SOFT_M = 3, IRQ_TIMER_M = 7, IRQ_EXTERNAL_S = 9, IRQ_EXTERNAL_M = 11 };

/* PCI: an entry of the interrupt map has a slot's address, a pin, the controller and its line. */
enum { PCI_PINS = 4, PCI_MAP_ENTRY = 6, PCI_MAP_WORDS = PCI_PINS * PCI_PINS * PCI_MAP_ENTRY };
enum { PCI_SPACE_IO = 0x01000000, PCI_SPACE_MEM32 = 0x02000000, PCI_SPACE_MEM64 = 0x03000000 };

/* A tree under construction; the first failure stays. */
struct tree {
    void *blob;
    int status;
};

static void note(struct tree *t, int status)
{
    if (t->status == 0)
        t->status = status;
}

static void begin(struct tree *t, const char *name)
{
    note(t, fdt_begin_node(t->blob, name));
}

static void begin_at(struct tree *t, const char *name, uint64_t unit)
{
    char full[64];
    snprintf(full, sizeof full, "%s@%llx", name, (unsigned long long)unit);
    begin(t, full);
}

static void end(struct tree *t)
{
    note(t, fdt_end_node(t->blob));
}

static void flag(struct tree *t, const char *name)
{
    note(t, fdt_property(t->blob, name, NULL, 0));
}

static void word(struct tree *t, const char *name, uint32_t v)
{
    note(t, fdt_property_u32(t->blob, name, v));
}

static void words(struct tree *t, const char *name, const uint32_t *v, unsigned count)
{
    uint32_t big[PCI_MAP_WORDS];
    for (unsigned i = 0; i < count; i++)
        big[i] = cpu_to_fdt32(v[i]);
    note(t, fdt_property(t->blob, name, big, (int)(count * 4)));
}

static void text(struct tree *t, const char *name, const char *v)
{
    note(t, fdt_property_string(t->blob, name, v));
}

/* A list of two strings. */
static void texts(struct tree *t, const char *name, const char *a, const char *b)
{
    char both[128];
    size_t n = strlen(a) + 1;
    memcpy(both, a, n);
    memcpy(both + n, b, strlen(b) + 1);
    note(t, fdt_property(t->blob, name, both, (int)(n + strlen(b) + 1)));
}

static void reg(struct tree *t, uint64_t base, uint64_t size)
{
    uint32_t v[4] = {(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                     (uint32_t)size};
    words(t, "reg", v, 4);
}

static void cells(struct tree *t, uint32_t address, uint32_t size)
{
    word(t, "#address-cells", address);
    word(t, "#size-cells", size);
}

static void interrupt(struct tree *t, uint32_t line)
{
    word(t, "interrupts", line);
    word(t, "interrupt-parent", PHANDLE_PLIC);
}

static uint32_t intc_phandle(unsigned hart)
{
    return hart ? PHANDLE_MORE_INTC + hart : PHANDLE_CPU_INTC;
}

static void cpu_node(struct tree *t, const struct dt_config *cfg, unsigned hart)
{
    begin_at(t, "cpu", hart);
    text(t, "device_type", "cpu");
    word(t, "reg", hart);
    text(t, "status", "okay");
    text(t, "compatible", "riscv");
    text(t, "riscv,isa-base", "rv64i");
    note(t, fdt_property(t->blob, "riscv,isa-extensions", cfg->isa_list, (int)cfg->isa_list_bytes));
    text(t, "riscv,isa", cfg->isa);
    if (cfg->mmu)
        text(t, "mmu-type", cfg->mmu);
    if (cfg->cbo_bytes) {
        word(t, "riscv,cbom-block-size", cfg->cbo_bytes);
        word(t, "riscv,cboz-block-size", cfg->cbo_bytes);
        word(t, "riscv,cbop-block-size", cfg->cbo_bytes);
    }
    if (cfg->harts > 1)
        word(t, "phandle", PHANDLE_CPU + hart);
    begin(t, "interrupt-controller");
    word(t, "#interrupt-cells", 1);
    flag(t, "interrupt-controller");
    text(t, "compatible", "riscv,cpu-intc");
    word(t, "phandle", intc_phandle(hart));
    end(t);
    end(t);
}

/* One cluster has them all. */
static void cpu_map(struct tree *t, unsigned harts)
{
    char name[16];
    begin(t, "cpu-map");
    begin(t, "cluster0");
    for (unsigned h = 0; h < harts; h++) {
        snprintf(name, sizeof name, "core%u", h);
        begin(t, name);
        word(t, "cpu", PHANDLE_CPU + h);
        end(t);
    }
    end(t);
    end(t);
}

static void cpu_nodes(struct tree *t, const struct dt_config *cfg)
{
    begin(t, "cpus");
    cells(t, 1, 0);
    word(t, "timebase-frequency", (uint32_t)cfg->timebase_hz);
    for (unsigned h = 0; h < cfg->harts; h++)
        cpu_node(t, cfg, h);
    if (cfg->harts > 1)
        cpu_map(t, cfg->harts);
    end(t);
}

/* Two lines to each hart. */
static void hart_lines(struct tree *t, unsigned harts, uint32_t first, uint32_t second)
{
    uint32_t lines[4 * DEV_MAX_HARTS];
    for (unsigned h = 0; h < harts; h++) {
        lines[4 * h] = lines[4 * h + 2] = intc_phandle(h);
        lines[4 * h + 1] = first;
        lines[4 * h + 3] = second;
    }
    words(t, "interrupts-extended", lines, 4 * harts);
}

static void controllers(struct tree *t, unsigned harts)
{
    begin_at(t, "clint", VIRT_CLINT_BASE);
    texts(t, "compatible", "sifive,clint0", "riscv,clint0");
    reg(t, VIRT_CLINT_BASE, dev_clint_class.window_bytes);
    hart_lines(t, harts, IRQ_SOFT_M, IRQ_TIMER_M);
    end(t);

    begin_at(t, "plic", VIRT_PLIC_BASE);
    texts(t, "compatible", "sifive,plic-1.0.0", "riscv,plic0");
    reg(t, VIRT_PLIC_BASE, dev_plic_class.window_bytes);
    word(t, "#interrupt-cells", 1);
    word(t, "#address-cells", 0);
    flag(t, "interrupt-controller");
    hart_lines(t, harts, IRQ_EXTERNAL_M, IRQ_EXTERNAL_S);
    word(t, "riscv,ndev", DEV_PLIC_SOURCES - 1);
    word(t, "phandle", PHANDLE_PLIC);
    end(t);
}

static void serial_node(struct tree *t, uint64_t base, uint32_t line)
{
    begin_at(t, "serial", base);
    text(t, "compatible", "ns16550a");
    reg(t, base, 0x100);
    word(t, "clock-frequency", 3686400);
    interrupt(t, line);
    end(t);
}

/* Line (slot + pin) mod 4, so that neighbours do not share. */
static void pci_interrupts(struct tree *t)
{
    static const uint32_t mask[] = {3 << 11, 0, 0, 7};
    uint32_t map[PCI_MAP_WORDS], *p = map;
    for (uint32_t slot = 0; slot < PCI_PINS; slot++)
        for (uint32_t pin = 0; pin < PCI_PINS; pin++, p += PCI_MAP_ENTRY) {
            const uint32_t entry[PCI_MAP_ENTRY] = {
                slot << 11, 0, 0, pin + 1, PHANDLE_PLIC, VIRT_PCI_IRQ + (slot + pin) % PCI_PINS};
            memcpy(p, entry, sizeof entry);
        }
    word(t, "#interrupt-cells", 1);
    words(t, "interrupt-map-mask", mask, 4);
    words(t, "interrupt-map", map, PCI_MAP_WORDS);
}

/* A window: its space and address on the bus, its address for the CPU, its size. */
static uint32_t *pci_range(uint32_t *p, uint32_t space, uint64_t bus, uint64_t base, uint64_t size)
{
    const uint32_t range[] = {
        space,          (uint32_t)(bus >> 32),  (uint32_t)bus, (uint32_t)(base >> 32),
        (uint32_t)base, (uint32_t)(size >> 32), (uint32_t)size};
    memcpy(p, range, sizeof range);
    return p + sizeof range / sizeof range[0];
}

static void pci_node(struct tree *t, const struct dt_config *cfg)
{
    static const uint32_t buses[] = {0, 255};
    uint64_t high = virt_pci_mmio64_base(cfg->ram_bytes);
    uint32_t ranges[21], *p = ranges;
    begin_at(t, "pci", VIRT_ECAM_BASE);
    text(t, "compatible", "pci-host-ecam-generic");
    text(t, "device_type", "pci");
    cells(t, 3, 2);
    word(t, "linux,pci-domain", 0);
    words(t, "bus-range", buses, 2);
    flag(t, "dma-coherent");
    reg(t, VIRT_ECAM_BASE, DEV_PCI_ECAM_BYTES);
    p = pci_range(p, PCI_SPACE_IO, 0, VIRT_PCI_IO_BASE, DEV_PCI_IO_BYTES);
    p = pci_range(p, PCI_SPACE_MEM32, VIRT_PCI_MMIO_BASE, VIRT_PCI_MMIO_BASE, DEV_PCI_MMIO_BYTES);
    p = pci_range(p, PCI_SPACE_MEM64, high, high, DEV_PCI_MMIO64_BYTES);
    words(t, "ranges", ranges, (unsigned)(p - ranges));
    pci_interrupts(t);
    end(t);
}

static void flash_node(struct tree *t)
{
    uint32_t banks[4 * VIRT_FLASH_BANKS];
    for (unsigned i = 0; i < VIRT_FLASH_BANKS; i++) {
        banks[4 * i] = banks[4 * i + 2] = 0;
        banks[4 * i + 1] = VIRT_FLASH_BASE + i * DEV_FLASH_BYTES;
        banks[4 * i + 3] = DEV_FLASH_BYTES;
    }
    begin_at(t, "flash", VIRT_FLASH_BASE);
    text(t, "compatible", "cfi-flash");
    words(t, "reg", banks, 4 * VIRT_FLASH_BANKS);
    word(t, "bank-width", 4);
    end(t);
}

static void firmware_nodes(struct tree *t, const struct dt_config *cfg)
{
    begin_at(t, "fw-cfg", VIRT_FW_CFG_BASE);
    text(t, "compatible", "qemu,fw-cfg-mmio");
    reg(t, VIRT_FW_CFG_BASE, 0x18);
    flag(t, "dma-coherent");
    end(t);
    flash_node(t);
    begin_at(t, "pvpanic", VIRT_PVPANIC_BASE);
    text(t, "compatible", "qemu,pvpanic-mmio");
    reg(t, VIRT_PVPANIC_BASE, 2);
    end(t);
    if (!cfg->generation_id)
        return;
    begin_at(t, "vmgenid", VIRT_VMGENID_BASE);
    text(t, "compatible", "microsoft,vmgenid");
    reg(t, VIRT_VMGENID_BASE, DEV_VMGENID_BYTES);
    interrupt(t, VIRT_VMGENID_IRQ);
    end(t);
}

static void peripherals(struct tree *t, const struct dt_config *cfg)
{
    /* three strings: the last makes it a syscon for the power nodes */
    static const char test_compatible[] = "sifive,test1\0sifive,test0\0syscon";
    note(t, fdt_begin_node(t->blob, "test@100000"));
    note(t, fdt_property(t->blob, "compatible", test_compatible, sizeof test_compatible));
    reg(t, VIRT_POWER_BASE, 0x1000);
    word(t, "phandle", PHANDLE_TEST);
    end(t);

    begin_at(t, "rtc", VIRT_RTC_BASE);
    text(t, "compatible", "google,goldfish-rtc");
    reg(t, VIRT_RTC_BASE, 0x1000);
    interrupt(t, VIRT_RTC_IRQ);
    end(t);

    serial_node(t, VIRT_UART_BASE, VIRT_UART_IRQ);
    if (cfg->second_port)
        serial_node(t, VIRT_UART2_BASE, VIRT_UART2_IRQ);

    for (unsigned i = 0; i < VIRT_SLOTS; i++) {
        uint64_t base = VIRT_VIRTIO_BASE + i * VIRT_VIRTIO_STEP;
        begin_at(t, "virtio_mmio", base);
        text(t, "compatible", "virtio,mmio");
        reg(t, base, 0x1000);
        interrupt(t, VIRT_VIRTIO_IRQ + i);
        end(t);
    }
}

static void power_node(struct tree *t, const char *name, uint32_t value)
{
    char compatible[32];
    snprintf(compatible, sizeof compatible, "syscon-%s", name);
    begin(t, name);
    text(t, "compatible", compatible);
    word(t, "value", value);
    word(t, "offset", 0);
    word(t, "regmap", PHANDLE_TEST);
    end(t);
}

static void build_tree(struct tree *t, const struct dt_config *cfg)
{
    note(t, fdt_create(t->blob, DT_MAX_BYTES));
    note(t, fdt_finish_reservemap(t->blob));
    begin(t, "");
    cells(t, 2, 2);
    text(t, "compatible", "riscv-virtio");
    text(t, "model", "riscv-virtio,qemu"); /* what firmware for this board looks for */
    begin(t, "chosen");
    text(t, "stdout-path", "/soc/serial@10000000");
    end(t);
    begin(t, "aliases");
    text(t, "serial0", "/soc/serial@10000000");
    if (cfg->second_port)
        text(t, "serial1", "/soc/serial@10009000");
    end(t);
    begin_at(t, "memory", cfg->ram_base);
    text(t, "device_type", "memory");
    reg(t, cfg->ram_base, cfg->ram_bytes);
    end(t);
    cpu_nodes(t, cfg);
    begin(t, "soc");
    cells(t, 2, 2);
    text(t, "compatible", "simple-bus");
    flag(t, "ranges");
    peripherals(t, cfg);
    controllers(t, cfg->harts);
    pci_node(t, cfg);
    end(t);
    firmware_nodes(t, cfg);
    power_node(t, "poweroff", 0x5555);
    power_node(t, "reboot", 0x7777);
    end(t);
    note(t, fdt_finish(t->blob));
}

enum gw_status dt_build(const struct dt_config *cfg, uint8_t **blob, size_t *size,
                        struct gw_error *err)
{
    struct tree t = {.blob = malloc(DT_MAX_BYTES)};
    *blob = NULL;
    if (!t.blob)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the device tree");
    build_tree(&t, cfg);
    if (t.status) {
        free(t.blob);
        return gw_fail(err, GW_ERR_FORMAT, "", "cannot build the device tree: %s",
                       fdt_strerror(t.status));
    }
    *blob = t.blob;
    *size = fdt_totalsize(t.blob);
    return GW_OK;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Do the tags of the structure lie within it, up to its end? libfdt 1.6 goes round for ever in a
 * property whose length wraps. Trees before version 17 do not say how long the structure is. */
static bool tags_lie_within(const uint8_t *blob, uint64_t size)
{
    uint64_t at = 0, end, start;
    if (fdt_magic(blob) != FDT_MAGIC || fdt_version(blob) < 17)
        return false;
    start = fdt_off_dt_struct(blob);
    end = fdt_size_dt_struct(blob);
    if (start + end > size)
        return false;
    blob += start;
    while (at + 4 <= end) {
        uint32_t tag = big_endian(blob + at);
        at += 4;
        if (tag == FDT_END)
            return true;
        if (tag == FDT_BEGIN_NODE) {
            const uint8_t *nul = memchr(blob + at, 0, end - at);
            if (!nul)
                return false;
            at = ((uint64_t)(nul - blob) + 4) & ~UINT64_C(3);
        } else if (tag == FDT_PROP) {
            if (at + 8 > end)
                return false;
            at += 8 + (((uint64_t)big_endian(blob + at) + 3) & ~UINT64_C(3));
        }
    }
    return false;
}

enum gw_status dt_import(const uint8_t *from, size_t from_size, const char *name, uint8_t **blob,
                         size_t *size, struct gw_error *err)
{
    uint8_t *copy;
    *blob = NULL;
    if (from_size > DT_MAX_BYTES)
        return gw_fail(err, GW_ERR_FORMAT, name, "cannot use the device tree: over 1 MiB");
    copy = malloc(from_size ? from_size : 1);
    if (!copy)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the device tree");
    memcpy(copy, from, from_size);
    if (from_size < sizeof(struct fdt_header) || !tags_lie_within(copy, from_size) ||
        fdt_check_full(copy, from_size) != 0) {
        free(copy);
        return gw_fail(err, GW_ERR_FORMAT, name, "cannot use the device tree: it is not one");
    }
    *blob = copy;
    *size = fdt_totalsize(copy);
    return GW_OK;
}

static int set_chosen(void *blob, const struct dt_chosen *c)
{
    int node = fdt_path_offset(blob, "/chosen"), e = 0;
    if (node < 0)
        node = fdt_add_subnode(blob, 0, "chosen");
    if (node < 0)
        return node;
    if (c->bootargs)
        e = fdt_setprop_string(blob, node, "bootargs", c->bootargs);
    if (!e && c->initrd_bytes)
        e = fdt_setprop_u64(blob, node, "linux,initrd-start", c->initrd_at);
    if (!e && c->initrd_bytes)
        e = fdt_setprop_u64(blob, node, "linux,initrd-end", c->initrd_at + c->initrd_bytes);
    if (!e && c->seed)
        e = fdt_setprop(blob, node, "rng-seed", c->seed, (int)c->seed_bytes);
    return e;
}

enum gw_status dt_set_chosen(uint8_t **blob, size_t *size, const struct dt_chosen *chosen,
                             struct gw_error *err)
{
    size_t room = *size + 1024 + DT_SLACK + (chosen->bootargs ? strlen(chosen->bootargs) : 0);
    uint8_t *bigger = malloc(room);
    int e;
    if (!bigger)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the device tree");
    e = fdt_open_into(*blob, bigger, (int)room);
    if (!e)
        e = set_chosen(bigger, chosen);
    if (!e)
        e = fdt_pack(bigger);
    /* A tree whose parts overlap is longer once they do not. */
    if (!e && fdt_totalsize(bigger) > room - DT_SLACK)
        e = -FDT_ERR_NOSPACE;
    if (!e) { /* as OpenSBI leaves some: firmware may add to the tree where it stands */
        memset(bigger + fdt_totalsize(bigger), 0, DT_SLACK);
        fdt_set_totalsize(bigger, fdt_totalsize(bigger) + DT_SLACK);
    }
    if (e) {
        free(bigger);
        return gw_fail(err, GW_ERR_FORMAT, "", "cannot extend the device tree: %s",
                       fdt_strerror(e));
    }
    free(*blob);
    *blob = bigger;
    *size = fdt_totalsize(bigger);
    return GW_OK;
}
