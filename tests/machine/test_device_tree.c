/* The board's device tree, read back with libfdt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "machine/mac.h"
#include "machine/riscv64/device_tree.h"

static const char isa_list[] = "i\0m\0zba";

static struct dt_config config(unsigned harts)
{
    return (struct dt_config){
        .isa = "rv64im_zba",
        .isa_list = isa_list,
        .isa_list_bytes = sizeof isa_list,
        .mmu = "riscv,sv48",
        .harts = harts,
        .ram_base = 0x80000000,
        .ram_bytes = UINT64_C(0x180000000),
        .timebase_hz = 10000000,
        .cbo_bytes = 64,
    };
}

static uint8_t *build_of(const struct dt_config *cfg, size_t *size)
{
    struct gw_error err = {0};
    uint8_t *blob = NULL;
    assert_int_equal(dt_build(cfg, &blob, size, &err), GW_OK);
    assert_int_equal(fdt_check_full(blob, *size), 0);
    return blob;
}

static uint8_t *build_for(unsigned harts, size_t *size)
{
    struct dt_config cfg = config(harts);
    return build_of(&cfg, size);
}

static uint8_t *build(size_t *size)
{
    return build_for(1, size);
}

static const uint32_t *cells(const void *blob, const char *path, const char *name, int count)
{
    int node = fdt_path_offset(blob, path), len = 0;
    const void *p;
    assert_true(node >= 0);
    p = fdt_getprop(blob, node, name, &len);
    assert_non_null(p);
    assert_int_equal(len, count * 4);
    return p;
}

static uint32_t cell(const void *blob, const char *path, const char *name)
{
    return fdt32_to_cpu(*cells(blob, path, name, 1));
}

static uint64_t pair(const uint32_t *p)
{
    return (uint64_t)fdt32_to_cpu(p[0]) << 32 | fdt32_to_cpu(p[1]);
}

static void compatible(const void *blob, const char *path, const char *wanted)
{
    int node = fdt_path_offset(blob, path);
    assert_true(node >= 0);
    assert_int_equal(fdt_node_check_compatible(blob, node, wanted), 0);
}

static void nodes_are_where_qemu_has_them(void **state)
{
    static const struct {
        const char *path, *compatible;
        uint64_t base, size;
        uint32_t irq;
    } wanted[] = {
        {"/soc/test@100000", "sifive,test0", 0x100000, 0x1000, 0},
        {"/soc/test@100000", "syscon", 0x100000, 0x1000, 0},
        {"/soc/rtc@101000", "google,goldfish-rtc", 0x101000, 0x1000, 11},
        {"/soc/clint@2000000", "sifive,clint0", 0x2000000, 0x10000, 0},
        {"/soc/plic@c000000", "sifive,plic-1.0.0", 0xc000000, 0x600000, 0},
        {"/soc/serial@10000000", "ns16550a", 0x10000000, 0x100, 10},
        {"/soc/virtio_mmio@10001000", "virtio,mmio", 0x10001000, 0x1000, 1},
        {"/soc/virtio_mmio@10008000", "virtio,mmio", 0x10008000, 0x1000, 8},
        {"/fw-cfg@10100000", "qemu,fw-cfg-mmio", 0x10100000, 0x18, 0},
        {"/pvpanic@4000000", "qemu,pvpanic-mmio", 0x4000000, 2, 0},
        {"/soc/pci@30000000", "pci-host-ecam-generic", 0x30000000, 0x10000000, 0},
    };
    size_t size;
    uint8_t *blob = build(&size);
    uint32_t plic = cell(blob, "/soc/plic@c000000", "phandle");
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const uint32_t *reg = cells(blob, wanted[i].path, "reg", 4);
        compatible(blob, wanted[i].path, wanted[i].compatible);
        assert_int_equal(pair(reg), wanted[i].base);
        assert_int_equal(pair(reg + 2), wanted[i].size);
        if (!wanted[i].irq)
            continue;
        assert_int_equal(cell(blob, wanted[i].path, "interrupts"), wanted[i].irq);
        assert_int_equal(cell(blob, wanted[i].path, "interrupt-parent"), plic);
    }
    assert_true(fdt_path_offset(blob, "/soc/virtio_mmio@10009000") < 0);
    free(blob);
}

/* virt-1 is frozen: what came later is not in its tree. */
static void generation_is_in_later_boards_alone(void **state)
{
    struct dt_config cfg = config(1);
    size_t size;
    uint8_t *blob = build(&size);
    assert_true(fdt_path_offset(blob, "/vmgenid@4001000") < 0);
    free(blob);
    cfg.generation_id = true;
    blob = build_of(&cfg, &size);
    compatible(blob, "/vmgenid@4001000", "microsoft,vmgenid");
    assert_int_equal(pair(cells(blob, "/vmgenid@4001000", "reg", 4)), 0x4001000);
    assert_int_equal(pair(cells(blob, "/vmgenid@4001000", "reg", 4) + 2), 16);
    assert_int_equal(cell(blob, "/vmgenid@4001000", "interrupts"), 13);
    assert_int_equal(cell(blob, "/vmgenid@4001000", "interrupt-parent"),
                     cell(blob, "/soc/plic@c000000", "phandle"));
    free(blob);
}

static void flash_has_two_banks(void **state)
{
    size_t size;
    uint8_t *blob = build(&size);
    const uint32_t *reg = cells(blob, "/flash@20000000", "reg", 8);
    compatible(blob, "/flash@20000000", "cfi-flash");
    assert_int_equal(pair(reg), 0x20000000);
    assert_int_equal(pair(reg + 2), 32 << 20);
    assert_int_equal(pair(reg + 4), 0x22000000);
    assert_int_equal(pair(reg + 6), 32 << 20);
    assert_int_equal(cell(blob, "/flash@20000000", "bank-width"), 4);
    free(blob);
}

static void pci_windows_and_interrupts(void **state)
{
    static const struct {
        uint32_t space;
        uint64_t bus, base, size;
    } wanted[] = {
        {0x1000000, 0, 0x3000000, 0x10000},
        {0x2000000, 0x40000000, 0x40000000, 0x40000000},
        {0x3000000, 0x400000000, 0x400000000, 0x400000000}, /* above 6 GiB of memory at 2 GiB */
    };
    size_t size;
    uint8_t *blob = build(&size);
    uint32_t plic = cell(blob, "/soc/plic@c000000", "phandle");
    const uint32_t *p = cells(blob, "/soc/pci@30000000", "ranges", 21);
    for (unsigned i = 0; i < 3; i++, p += 7) {
        assert_int_equal(fdt32_to_cpu(p[0]), wanted[i].space);
        assert_int_equal(pair(p + 1), wanted[i].bus);
        assert_int_equal(pair(p + 3), wanted[i].base);
        assert_int_equal(pair(p + 5), wanted[i].size);
    }
    p = cells(blob, "/soc/pci@30000000", "interrupt-map", 96);
    for (uint32_t i = 0; i < 16; i++, p += 6) {
        assert_int_equal(fdt32_to_cpu(p[0]), i / 4 << 11);
        assert_int_equal(fdt32_to_cpu(p[3]), i % 4 + 1);
        assert_int_equal(fdt32_to_cpu(p[4]), plic);
        assert_int_equal(fdt32_to_cpu(p[5]), 32 + (i / 4 + i) % 4);
    }
    free(blob);
}

static void cpu_and_interrupt_routes(void **state)
{
    size_t size;
    int node, len = 0;
    uint8_t *blob = build(&size);
    uint32_t intc = cell(blob, "/cpus/cpu@0/interrupt-controller", "phandle");
    const uint32_t *routes = cells(blob, "/soc/plic@c000000", "interrupts-extended", 4);
    assert_int_equal(fdt32_to_cpu(routes[0]), intc);
    assert_int_equal(fdt32_to_cpu(routes[1]), 11); /* context 0: M-mode external */
    assert_int_equal(fdt32_to_cpu(routes[3]), 9);  /* context 1: S-mode external */
    routes = cells(blob, "/soc/clint@2000000", "interrupts-extended", 4);
    assert_int_equal(fdt32_to_cpu(routes[1]), 3);
    assert_int_equal(fdt32_to_cpu(routes[3]), 7);
    assert_int_equal(cell(blob, "/soc/plic@c000000", "riscv,ndev"), 95);
    assert_int_equal(cell(blob, "/cpus", "timebase-frequency"), 10000000);
    assert_int_equal(cell(blob, "/cpus/cpu@0", "riscv,cboz-block-size"), 64);
    node = fdt_path_offset(blob, "/cpus/cpu@0");
    assert_string_equal(fdt_getprop(blob, node, "riscv,isa", &len), "rv64im_zba");
    assert_string_equal(fdt_getprop(blob, node, "riscv,isa-base", &len), "rv64i");
    assert_string_equal(fdt_getprop(blob, node, "mmu-type", &len), "riscv,sv48");
    assert_int_equal(fdt_stringlist_search(blob, node, "riscv,isa-extensions", "zba"), 2);
    free(blob);
}

static void harts_have_nodes_and_lines(void **state)
{
    enum { HARTS = 4 };
    size_t size;
    uint8_t *blob = build_for(HARTS, &size);
    const uint32_t *clint = cells(blob, "/soc/clint@2000000", "interrupts-extended", 4 * HARTS);
    const uint32_t *plic = cells(blob, "/soc/plic@c000000", "interrupts-extended", 4 * HARTS);
    for (unsigned h = 0; h < HARTS; h++) {
        char cpu[32], intc[64], core[48];
        uint32_t handle;
        snprintf(cpu, sizeof cpu, "/cpus/cpu@%u", h);
        snprintf(intc, sizeof intc, "%s/interrupt-controller", cpu);
        snprintf(core, sizeof core, "/cpus/cpu-map/cluster0/core%u", h);
        assert_int_equal(cell(blob, cpu, "reg"), h);
        assert_int_equal(cell(blob, core, "cpu"), cell(blob, cpu, "phandle"));
        assert_int_equal(fdt_node_offset_by_phandle(blob, cell(blob, cpu, "phandle")),
                         fdt_path_offset(blob, cpu));
        handle = cell(blob, intc, "phandle");
        assert_int_equal(fdt_node_offset_by_phandle(blob, handle), fdt_path_offset(blob, intc));
        for (unsigned i = 0; i < 4; i += 2) {
            assert_int_equal(fdt32_to_cpu(clint[4 * h + i]), handle);
            assert_int_equal(fdt32_to_cpu(plic[4 * h + i]), handle);
        }
        assert_int_equal(fdt32_to_cpu(clint[4 * h + 1]), 3);
        assert_int_equal(fdt32_to_cpu(clint[4 * h + 3]), 7);
        assert_int_equal(fdt32_to_cpu(plic[4 * h + 1]), 11);
        assert_int_equal(fdt32_to_cpu(plic[4 * h + 3]), 9);
    }
    assert_true(fdt_path_offset(blob, "/cpus/cpu@4") < 0);
    free(blob);
}

static void memory_power_and_console(void **state)
{
    size_t size;
    int node, len = 0;
    uint8_t *blob = build(&size);
    const uint32_t *reg = cells(blob, "/memory@80000000", "reg", 4);
    assert_int_equal(pair(reg), 0x80000000);
    assert_int_equal(pair(reg + 2), UINT64_C(0x180000000));
    compatible(blob, "/poweroff", "syscon-poweroff");
    assert_int_equal(cell(blob, "/poweroff", "value"), 0x5555);
    assert_int_equal(cell(blob, "/reboot", "value"), 0x7777);
    assert_int_equal(cell(blob, "/reboot", "regmap"), cell(blob, "/soc/test@100000", "phandle"));
    node = fdt_path_offset(blob, "/chosen");
    assert_true(fdt_path_offset(blob, fdt_getprop(blob, node, "stdout-path", &len)) > 0);
    free(blob);
}

static void chosen_is_set_and_replaced(void **state)
{
    static const uint8_t seed[32] = {1, 2, 3};
    char longer[2000];
    struct dt_chosen chosen = {.bootargs = "console=ttyS0",
                               .initrd_at = UINT64_C(0x1fe000000),
                               .initrd_bytes = 0x1234,
                               .seed = seed,
                               .seed_bytes = sizeof seed};
    struct gw_error err = {0};
    size_t size;
    uint8_t *blob = build(&size);
    int node, len = 0;
    const fdt64_t *p;
    assert_int_equal(dt_set_chosen(&blob, &size, &chosen, &err), GW_OK);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    chosen.bootargs = longer;
    assert_int_equal(dt_set_chosen(&blob, &size, &chosen, &err), GW_OK);
    assert_int_equal(fdt_check_full(blob, size), 0);
    assert_int_equal(fdt_totalsize(blob), size);
    node = fdt_path_offset(blob, "/chosen");
    assert_string_equal(fdt_getprop(blob, node, "bootargs", &len), longer);
    p = fdt_getprop(blob, node, "linux,initrd-end", &len);
    assert_int_equal(len, 8);
    assert_int_equal(fdt64_to_cpu(*p), UINT64_C(0x1fe001234));
    assert_memory_equal(fdt_getprop(blob, node, "rng-seed", &len), seed, sizeof seed);
    /* there is room to add to it in place, zeroed */
    for (size_t i = size - DT_SLACK; i < size; i++)
        assert_int_equal(blob[i], 0);
    memset(longer, 'y', sizeof longer - 1);
    assert_int_equal(fdt_setprop(blob, node, "added", longer, sizeof longer), 0);
    free(blob);
}

static void broken_trees_are_refused(void **state)
{
    struct gw_error err = {0};
    size_t size, got;
    uint8_t *blob = build(&size), *copy = NULL;
    for (size_t n = 0; n < size; n += 13) {
        assert_int_equal(dt_import(blob, n, "t.dtb", &copy, &got, &err), GW_ERR_FORMAT);
        assert_null(copy);
    }
    assert_int_equal(dt_import(blob, size, "t.dtb", &copy, &got, &err), GW_OK);
    assert_int_equal(got, size);
    assert_memory_equal(copy, blob, size);
    free(copy);
    /* a property whose length wraps back to itself */
    uint8_t *property = blob + fdt_off_dt_struct(blob) + fdt_first_property_offset(blob, 0);
    uint8_t length[4];
    memcpy(length, property + 4, 4);
    memcpy(property + 4, "\xff\xff\xff\xf4", 4);
    assert_int_equal(dt_import(blob, size, "t.dtb", &copy, &got, &err), GW_ERR_FORMAT);
    memcpy(property + 4, length, 4);
    blob[8] ^= 0x40; /* the offset of the structure block */
    assert_int_equal(dt_import(blob, size, "t.dtb", &copy, &got, &err), GW_ERR_FORMAT);
    free(blob);
}

/* Strings that begin within the structure: taken apart they need more room than the file had. */
static void a_tree_whose_parts_overlap_gets_no_more_room_than_there_is(void **state)
{
    struct gw_error err = {0};
    struct dt_chosen chosen = {0};
    size_t size, got;
    uint8_t *blob = build(&size), *copy = NULL;
    uint32_t strings = fdt_off_dt_strings(blob), shift = 2000;
    assert_true(strings > shift + fdt_off_dt_struct(blob));
    fdt_set_off_dt_strings(blob, strings - shift);
    fdt_set_size_dt_strings(blob, fdt_size_dt_strings(blob) + shift);
    for (int node = 0; node >= 0; node = fdt_next_node(blob, node, NULL)) {
        int at = fdt_first_property_offset(blob, node);
        for (; at >= 0; at = fdt_next_property_offset(blob, at)) {
            struct fdt_property *p = (void *)(blob + fdt_off_dt_struct(blob) + at);
            p->nameoff = cpu_to_fdt32(fdt32_to_cpu(p->nameoff) + shift);
        }
    }
    assert_int_equal(dt_import(blob, size, "t.dtb", &copy, &got, &err), GW_OK);
    assert_int_equal(dt_set_chosen(&copy, &got, &chosen, &err), GW_ERR_FORMAT);
    free(copy);
    free(blob);
}

/* What can be repeated has the same address on any host: its bytes were calculated elsewhere. */
static void usual_addresses_do_not_depend_on_the_host(void **state)
{
    static const uint8_t want[] = {0x52, 0x54, 0x00, 0x6c, 0xeb, 0x36};
    const struct machine_spec s = {.clock_insns = 1000,
                                   .net = {.kind = SPEC_NET_TAP, .to = "tap0"}};
    struct spec_mac mac;
    machine_usual_mac(&s, &mac);
    assert_memory_equal(mac.bytes, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_where_qemu_has_them),
        cmocka_unit_test(generation_is_in_later_boards_alone),
        cmocka_unit_test(flash_has_two_banks),
        cmocka_unit_test(pci_windows_and_interrupts),
        cmocka_unit_test(cpu_and_interrupt_routes),
        cmocka_unit_test(harts_have_nodes_and_lines),
        cmocka_unit_test(memory_power_and_console),
        cmocka_unit_test(chosen_is_set_and_replaced),
        cmocka_unit_test(broken_trees_are_refused),
        cmocka_unit_test(usual_addresses_do_not_depend_on_the_host),
        cmocka_unit_test(a_tree_whose_parts_overlap_gets_no_more_room_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
