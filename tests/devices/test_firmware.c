/* What firmware is made for: flash and its files, fw_cfg and its files, pvpanic, the PCI host. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/devices/fakes.h"
#include "devices/board/flash.h"
#include "devices/board/fw_cfg.h"
#include "devices/board/pci_host.h"
#include "devices/board/pvpanic.h"

#define FLASH_BASE UINT64_C(0x20000000)
#define BOTH(v)    ((v) | (uint64_t)(v) << 16)

/* ---- flash ---------------------------------------------------------------------------------- */

static unsigned hidden_calls;

static void on_hidden(void *engine, const struct gw_rom *rom)
{
    assert_true(rom->hidden);
    hidden_calls++;
}

/* A bus with a bank of flash; path may be NULL. */
static struct dev_flash *bank(struct dev_bus *bus, const char *path, bool rw)
{
    struct gw_error err = {0};
    struct gw_device *d;
    fake_bus(bus);
    bus->bus.rom_hidden = on_hidden;
    hidden_calls = 0;
    d = dev_new(&dev_flash_class, NULL, &bus->bus);
    assert_non_null(d);
    assert_int_equal(dev_bus_add_device(bus, FLASH_BASE, d, &err), GW_OK);
    assert_int_equal(
        dev_bus_add_rom(bus, dev_flash_rom((struct dev_flash *)(void *)d, FLASH_BASE), &err),
        GW_OK);
    if (path)
        assert_int_equal(dev_flash_open((struct dev_flash *)(void *)d, path, rw, &err), GW_OK);
    return (struct dev_flash *)(void *)d;
}

static void close_bank(struct dev_bus *bus, struct dev_flash *f)
{
    dev_free(&f->d);
    dev_bus_destroy(bus);
}

static void put(struct dev_bus *bus, uint64_t offset, unsigned size, uint64_t v)
{
    assert_int_equal(bus->bus.write(&bus->bus, FLASH_BASE + offset, size, v), GW_BUS_OK);
}

static uint64_t get(struct dev_bus *bus, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    assert_int_equal(bus->bus.read(&bus->bus, FLASH_BASE + offset, size, &v), GW_BUS_OK);
    return v;
}

static void make_file(char *path, size_t size)
{
    static const char name[] = "/tmp/godwit-flash-XXXXXX";
    memcpy(path, name, sizeof name);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, "firmware", 8, 0x40000), 8);
    close(fd);
}

static uint32_t in_file(const char *path, off_t at)
{
    uint32_t v = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, &v, sizeof v, at), sizeof v);
    close(fd);
    return le32toh(v);
}

static void a_file_is_read_past_the_device_until_a_command_comes(void **state)
{
    char path[40];
    struct dev_bus bus;
    struct dev_flash *f;
    make_file(path, DEV_FLASH_BYTES);
    f = bank(&bus, path, false);
    assert_null(gw_bus_ram(&bus.bus, FLASH_BASE, 8)); /* no DMA, no stores */
    assert_ptr_equal(gw_bus_rom(&bus.bus, FLASH_BASE + DEV_FLASH_BYTES - 8, 8), &f->rom);
    assert_null(gw_bus_rom(&bus.bus, FLASH_BASE + DEV_FLASH_BYTES - 4, 8));
    assert_false(f->rom.hidden);
    assert_memory_equal(f->rom.mem.host + 0x40000, "firmware", 8);
    put(&bus, 0, 4, BOTH(0x70));
    assert_true(f->rom.hidden);
    assert_int_equal(hidden_calls, 1);
    assert_int_equal(get(&bus, 0x1234, 4), BOTH(0x80));
    put(&bus, 0, 4, BOTH(0x90));
    assert_int_equal(hidden_calls, 1); /* hidden it was */
    put(&bus, 0, 4, BOTH(0xff));
    assert_false(f->rom.hidden);
    assert_int_equal(get(&bus, 0x40000, 8), UINT64_C(0x657261776d726966));
    close_bank(&bus, f);
    unlink(path);
}

static void writes_reach_the_file_only_with_rw(void **state)
{
    char path[40];
    make_file(path, DEV_FLASH_BYTES);
    for (int rw = 0; rw < 2; rw++) {
        struct dev_bus bus;
        struct dev_flash *f = bank(&bus, path, rw);
        assert_int_equal(dev_flash_discarded(f), 0);
        put(&bus, 0x40000, 4, BOTH(0x20));
        put(&bus, 0x40000, 4, BOTH(0xd0));
        put(&bus, 0x40010, 4, BOTH(0x40));
        put(&bus, 0x40010, 4, 0x11223344);
        assert_int_equal(get(&bus, 0, 4), BOTH(0x80));
        put(&bus, 0, 4, BOTH(0xff));
        assert_int_equal(get(&bus, 0x40010, 4), 0x11223344);
        assert_int_equal(get(&bus, 0x40000, 4), 0xffffffff);
        assert_int_equal(in_file(path, 0x40010), rw ? 0x11223344 : 0);
        assert_int_equal(in_file(path, 0x40000), rw ? 0xffffffff : 0x6d726966);
        assert_int_equal(dev_flash_discarded(f), rw ? 0 : DEV_FLASH_BLOCK);
        close_bank(&bus, f);
    }
    unlink(path);
}

/* The file shrinks away, or its descriptor fails: the guest learns that programming failed. */
static void a_failed_write_is_told_to_the_guest(void **state)
{
    char path[40];
    struct dev_bus bus;
    struct dev_flash *f;
    make_file(path, DEV_FLASH_BYTES);
    f = bank(&bus, path, true);
    close(f->fd);
    f->fd = open(path, O_RDONLY | O_CLOEXEC); /* writes to it fail */
    put(&bus, 0, 4, BOTH(0x40));
    put(&bus, 0, 4, 0);
    assert_int_equal(get(&bus, 0, 4), BOTH(0x90));
    put(&bus, 0, 4, BOTH(0x20));
    put(&bus, 0, 4, BOTH(0xd0));
    assert_int_equal(get(&bus, 0, 4), BOTH(0xb0));
    put(&bus, 0, 4, BOTH(0x50));
    put(&bus, 0, 4, BOTH(0x70));
    assert_int_equal(get(&bus, 0, 4), BOTH(0x80));
    close_bank(&bus, f);
    unlink(path);
}

static void files_that_are_no_bank_are_refused(void **state)
{
    char path[40];
    struct gw_error err = {0};
    struct gw_device *d = dev_new(&dev_flash_class, NULL, NULL);
    struct dev_flash *f = (struct dev_flash *)(void *)d;
    make_file(path, DEV_FLASH_BYTES - 1);
    assert_int_equal(dev_flash_open(f, path, false, &err), GW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "32 MiB"));
    assert_int_equal(dev_flash_open(f, "/nonexistent", false, &err), GW_ERR_NOTFOUND);
    assert_int_equal(dev_flash_open(f, "/tmp", false, &err), GW_ERR_FORMAT);
    dev_free(d);
    unlink(path);
}

static enum gw_status open_again(const char *path, bool rw)
{
    struct gw_error err = {0};
    struct gw_device *d = dev_new(&dev_flash_class, NULL, NULL);
    enum gw_status st = dev_flash_open((struct dev_flash *)(void *)d, path, rw, &err);
    if (st != GW_OK)
        assert_non_null(strstr(err.message, "in use by another machine"));
    dev_free(d);
    return st;
}

static void a_bank_that_is_written_elsewhere_is_refused(void **state)
{
    char path[40];
    struct dev_bus bus;
    struct dev_flash *f;
    make_file(path, DEV_FLASH_BYTES);
    f = bank(&bus, path, true);
    assert_int_equal(open_again(path, true), GW_ERR_STATE);
    assert_int_equal(open_again(path, false), GW_ERR_STATE);
    close_bank(&bus, f);
    f = bank(&bus, path, false); /* it was read, and is let go of */
    assert_int_equal(open_again(path, true), GW_OK);
    assert_int_equal(open_again(path, false), GW_OK);
    close_bank(&bus, f);
    unlink(path);
}

/* An empty bank costs no memory until it is programmed; then it holds what was written. */
static void an_empty_bank_is_erased(void **state)
{
    struct dev_bus bus;
    struct dev_flash *f = bank(&bus, NULL, false);
    assert_null(f->rom.mem.host);
    assert_int_equal(get(&bus, DEV_FLASH_BYTES - 8, 8), UINT64_MAX);
    put(&bus, 0, 4, BOTH(0x20));
    put(&bus, 0, 4, BOTH(0xd0));
    assert_null(f->rom.mem.host);
    put(&bus, 1, 1, 0x40);
    put(&bus, 1, 1, 0x5a);
    put(&bus, 0, 1, 0xff);
    assert_int_equal(get(&bus, 0, 8), UINT64_C(0xffffffffffff5aff));
    assert_false(f->rom.hidden);
    assert_int_equal(dev_flash_discarded(f), 0); /* there is no file to keep it in */
    close_bank(&bus, f);
}

/* Whatever is written where: no access leaves the bank, and the array comes back. */
static void any_sequence_is_survived(void **state)
{
    static const uint8_t commands[] = {0x40, 0xe8, 0x20, 0xd0, 0x60, 0x50, 0x70, 0x90, 0x98, 0xff};
    struct dev_bus bus;
    struct dev_flash *f = bank(&bus, NULL, false);
    uint64_t rng = 1;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t r = (rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 16;
        unsigned size = 1u << (r & 3);
        uint64_t offset = (r >> 8) & (r & 0x40 ? 0x1fff : DEV_FLASH_BYTES - 1);
        uint64_t v = r & 0x80 ? commands[(r >> 4) % sizeof commands] : r >> 20;
        offset &= ~(uint64_t)(size - 1);
        if (r & 0x10)
            get(&bus, offset, size);
        else
            put(&bus, offset, size, v);
        assert_int_equal(f->d.cls->state->check(f, NULL), GW_OK);
    }
    for (unsigned i = 0; i < 2000; i++) /* out of whatever is under way */
        put(&bus, 0, 4, BOTH(0xff));
    assert_false(f->rom.hidden);
    close_bank(&bus, f);
}

/* ---- fw_cfg --------------------------------------------------------------------------------- */

static void choose(struct gw_device *d, unsigned key)
{
    reg_write(d, 8, 2, (key >> 8 & 0xff) | (key & 0xff) << 8);
}

static uint64_t read_big(struct gw_device *d, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v = v << 8 | reg_read(d, 0, 1);
    return v;
}

static void files_are_listed_and_read(void **state)
{
    struct gw_device *d = dev_new(&dev_fw_cfg_class, NULL, NULL);
    struct dev_fw_cfg *f = (struct dev_fw_cfg *)(void *)d;
    struct gw_error err = {0};
    char name[56], longest[60];
    choose(d, 0x19);
    assert_int_equal(read_big(d, 4), 0); /* no files */
    memset(longest, 'n', sizeof longest);
    longest[55] = 0;
    assert_int_equal(dev_fw_cfg_add_file(f, "opt/a", "hello", 5, &err), GW_OK);
    assert_int_equal(dev_fw_cfg_add_file(f, longest, "", 0, &err), GW_OK);
    choose(d, 0x19);
    assert_int_equal(read_big(d, 4), 2);
    assert_int_equal(read_big(d, 4), 5);
    assert_int_equal(read_big(d, 2), 0x20);
    assert_int_equal(read_big(d, 2), 0);
    for (unsigned i = 0; i < 56; i++)
        name[i] = (char)read_big(d, 1);
    assert_string_equal(name, "opt/a");
    assert_int_equal(read_big(d, 4), 0);
    assert_int_equal(read_big(d, 2), 0x21);
    choose(d, 0x20 | 0x4000);
    assert_int_equal(read_big(d, 5), UINT64_C(0x68656c6c6f));
    assert_int_equal(read_big(d, 4), 0);
    choose(d, 0x22);
    assert_int_equal(read_big(d, 4), 0);
    dev_free(d);
}

static void names_that_cannot_be_are_refused(void **state)
{
    struct gw_device *d = dev_new(&dev_fw_cfg_class, NULL, NULL);
    struct dev_fw_cfg *f = (struct dev_fw_cfg *)(void *)d;
    struct gw_error err = {0};
    char name[60];
    memset(name, 'n', sizeof name);
    name[56] = 0;
    assert_int_equal(dev_fw_cfg_add_file(f, name, "", 0, &err), GW_ERR_ARG);
    assert_int_equal(dev_fw_cfg_add_file(f, "", "", 0, &err), GW_ERR_ARG);
    assert_int_equal(dev_fw_cfg_add_file(f, "a", "", 0, &err), GW_OK);
    assert_int_equal(dev_fw_cfg_add_file(f, "a", "", 0, &err), GW_ERR_ARG);
    for (unsigned i = 1; i < DEV_FW_CFG_FILES; i++) {
        snprintf(name, sizeof name, "f%u", i);
        assert_int_equal(dev_fw_cfg_add_file(f, name, "", 0, &err), GW_OK);
    }
    assert_int_equal(dev_fw_cfg_add_file(f, "last", "", 0, &err), GW_ERR_LIMIT);
    assert_int_equal(dev_fw_cfg_add(f, 0, "", 0, &err), GW_ERR_ARG);
    assert_int_equal(dev_fw_cfg_add(f, DEV_FW_CFG_ITEMS, "", 0, &err), GW_ERR_ARG);
    choose(d, 0x20 + DEV_FW_CFG_FILES);
    assert_int_equal(read_big(d, 8), 0);
    dev_free(d);
}

static uint32_t dma(struct dev_bus *bus, struct gw_device *d, uint32_t control, uint32_t length,
                    uint64_t address)
{
    uint8_t *p = ram_at(bus, RAM_BASE + 0x100);
    uint32_t v[4] = {htobe32(control), htobe32(length), htobe32((uint32_t)(address >> 32)),
                     htobe32((uint32_t)address)};
    memcpy(p, v, sizeof v);
    reg_write(d, 0x10, 4, 0);
    reg_write(d, 0x14, 4, __builtin_bswap32((uint32_t)RAM_BASE + 0x100));
    memcpy(v, p, 4);
    return be32toh(v[0]);
}

static void dma_stays_in_memory(void **state)
{
    struct dev_bus bus;
    struct gw_device *d;
    struct gw_error err = {0};
    fake_bus(&bus);
    d = dev_new(&dev_fw_cfg_class, NULL, &bus.bus);
    dev_fw_cfg_add_file((struct dev_fw_cfg *)(void *)d, "a", "0123456789", 10, &err);
    assert_int_equal(dma(&bus, d, 0x20u << 16 | 8 | 2, 4, RAM_BASE + 0x200), 0);
    assert_memory_equal(ram_at(&bus, RAM_BASE + 0x200), "0123", 4);
    assert_int_equal(dma(&bus, d, 4, 4, 0), 0);
    assert_int_equal(dma(&bus, d, 2, 8, RAM_BASE + 0x200), 0);
    assert_memory_equal(ram_at(&bus, RAM_BASE + 0x200), "89\0\0\0\0\0\0", 8);
    /* up to the last byte of memory, and not one beyond */
    assert_int_equal(dma(&bus, d, 0x20u << 16 | 8 | 2, 10, RAM_BASE + RAM_SIZE - 10), 0);
    assert_int_equal(dma(&bus, d, 0x20u << 16 | 8 | 2, 11, RAM_BASE + RAM_SIZE - 10), 1);
    assert_int_equal(dma(&bus, d, 2, UINT32_MAX, RAM_BASE), 1);
    assert_int_equal(dma(&bus, d, 2, 100, UINT64_MAX - 50), 1);
    assert_int_equal(dma(&bus, d, 2, 1, 0), 1);
    assert_int_equal(dma(&bus, d, 2, 0, 0), 0); /* nothing, to nowhere */
    assert_int_equal(dma(&bus, d, 16, 1, RAM_BASE), 1);
    for (unsigned i = 0; i < 3; i++) /* the offset does not wrap into the item again */
        assert_int_equal(dma(&bus, d, i ? 4 : 0x20u << 16 | 12, UINT32_MAX, 0), 0);
    assert_int_equal(read_big(d, 1), 0);
    reg_write(d, 0x10, 8, UINT64_MAX); /* a descriptor that is nowhere */
    dev_free(d);
    dev_bus_destroy(&bus);
}

/* ---- pvpanic and PCI ------------------------------------------------------------------------ */

static void count_events(void *context, unsigned events)
{
    *(unsigned *)context = *(unsigned *)context * 10 + events;
}

static void pvpanic_reports_known_events(void **state)
{
    struct gw_device *d = dev_new(&dev_pvpanic_class, NULL, NULL);
    struct dev_pvpanic *p = (struct dev_pvpanic *)(void *)d;
    unsigned seen = 0;
    reg_write(d, 0, 1, 1); /* nobody listens yet */
    p->report = count_events;
    p->context = &seen;
    assert_int_equal(reg_read(d, 0, 1), 7);
    reg_write(d, 0, 1, 1);
    reg_write(d, 0, 1, 0xf8);
    reg_write(d, 0, 1, 0xff);
    reg_write(d, 8, 1, 1);
    assert_int_equal(seen, 17);
    dev_free(d);
}

static void a_scan_finds_the_bridge_alone(void **state)
{
    struct gw_device *d = dev_new(&dev_pci_host_class, NULL, NULL);
    unsigned found = 0;
    for (uint64_t function = 0; function < DEV_PCI_ECAM_BYTES; function += 4096) {
        uint64_t id = reg_read(d, function, 4);
        found += id != 0xffffffff;
    }
    assert_int_equal(found, 1);
    assert_int_equal(reg_read(d, 0, 2), 0x1b36);
    assert_int_equal(reg_read(d, 0xa, 2), 0x0600);
    assert_int_equal(reg_read(d, 0xb, 1), 0x06);
    assert_int_equal(reg_read(d, 0, 8), 0x81b36);
    assert_int_equal(reg_read(d, DEV_PCI_ECAM_BYTES - 8, 8), UINT64_MAX);
    reg_write(d, 0, 8, UINT64_MAX);
    assert_int_equal(reg_read(d, 4, 4), 0x547);
    reg_write(d, 0x10, 8, UINT64_MAX);
    assert_int_equal(reg_read(d, 0x10, 8), 0);
    reg_write(d, 0x3c, 1, 0x21);
    assert_int_equal(reg_read(d, 0x3c, 1), 0x21);
    dev_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_past_the_device_until_a_command_comes),
        cmocka_unit_test(writes_reach_the_file_only_with_rw),
        cmocka_unit_test(a_failed_write_is_told_to_the_guest),
        cmocka_unit_test(files_that_are_no_bank_are_refused),
        cmocka_unit_test(a_bank_that_is_written_elsewhere_is_refused),
        cmocka_unit_test(an_empty_bank_is_erased),
        cmocka_unit_test(any_sequence_is_survived),
        cmocka_unit_test(files_are_listed_and_read),
        cmocka_unit_test(names_that_cannot_be_are_refused),
        cmocka_unit_test(dma_stays_in_memory),
        cmocka_unit_test(pvpanic_reports_known_events),
        cmocka_unit_test(a_scan_finds_the_bridge_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
