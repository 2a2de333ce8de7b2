/* RAM, windows, and the devices' way to memory. */
#include <errno.h>
#include <pthread.h>

#include "tests/devices/fakes.h"
#include "devices/riscv/plic.h"
#include "devices/board/power.h"

static void ranges_are_checked(void **state)
{
    struct dev_bus b;
    struct gw_error err = {0};
    struct gw_device *d = dev_new(&dev_power_class, NULL, NULL);
    dev_bus_init(&b);
    assert_int_equal(dev_bus_add_ram(&b, RAM_BASE, 0, &err), GW_ERR_ARG);
    assert_int_equal(dev_bus_add_ram(&b, RAM_BASE + 1, 4096, &err), GW_ERR_ARG);
    assert_int_equal(dev_bus_add_ram(&b, RAM_BASE, 4097, &err), GW_ERR_ARG);
    assert_int_equal(dev_bus_add_ram(&b, UINT64_C(0xfffffffffffff000), 8192, &err), GW_ERR_ARG);
    assert_int_equal(dev_bus_add_ram(&b, 0, UINT64_C(1) << 63, &err), GW_ERR_NOMEM);
    assert_int_equal(dev_bus_add_ram(&b, RAM_BASE, RAM_SIZE, &err), GW_OK);
    assert_int_equal(dev_bus_add_ram(&b, RAM_BASE + RAM_SIZE - 4096, 8192, &err), GW_ERR_ARG);
    assert_int_equal(dev_bus_add_device(&b, RAM_BASE, d, &err), GW_ERR_ARG);
    assert_int_equal(dev_bus_add_device(&b, 0x100000, d, &err), GW_OK);
    assert_int_equal(dev_bus_add_device(&b, 0x100000, d, &err), GW_ERR_ARG);
    dev_bus_destroy(&b);
    dev_free(d);
}

static void ram_is_sorted_and_found(void **state)
{
    struct dev_bus b;
    struct gw_error err = {0};
    dev_bus_init(&b);
    assert_int_equal(dev_bus_add_ram(&b, 0x90000000, 0x10000, &err), GW_OK);
    assert_int_equal(dev_bus_add_ram(&b, 0x80000000, 0x10000, &err), GW_OK);
    assert_int_equal(b.bus.ram[0].base, 0x80000000);
    assert_ptr_equal(gw_bus_ram(&b.bus, 0x90000000, 8), &b.ram[1]);
    assert_ptr_equal(gw_bus_ram(&b.bus, 0x8000fff8, 8), &b.ram[0]);
    assert_null(gw_bus_ram(&b.bus, 0x8000fff9, 8));
    assert_null(gw_bus_ram(&b.bus, 0x7fffffff, 1));
    dev_bus_destroy(&b);
}

static void windows_route_by_offset(void **state)
{
    struct dev_bus b;
    struct gw_error err = {0};
    struct gw_device *power = dev_new(&dev_power_class, NULL, NULL);
    struct gw_device *plic = dev_new(&dev_plic_class, NULL, NULL);
    uint64_t v;
    dev_bus_init(&b);
    assert_int_equal(dev_bus_add_device(&b, 0xc000000, plic, &err), GW_OK);
    assert_int_equal(dev_bus_add_device(&b, 0x100000, power, &err), GW_OK);
    assert_int_equal(b.bus.write(&b.bus, 0xc000004, 4, 7), GW_BUS_OK);
    assert_int_equal(b.bus.read(&b.bus, 0xc000004, 4, &v), GW_BUS_OK);
    assert_int_equal(v, 7);
    assert_int_equal(b.bus.read(&b.bus, 0x100000, 4, &v), GW_BUS_OK);
    assert_int_equal(v, 0);
    assert_int_equal(b.bus.read(&b.bus, 0xc000004, 1, &v), GW_BUS_ERROR); /* the PLIC's choice */
    assert_int_equal(b.bus.read(&b.bus, 0xc600000, 4, &v), GW_BUS_ERROR);
    assert_int_equal(b.bus.read(&b.bus, 0xffffc, 8, &v), GW_BUS_ERROR);
    assert_int_equal(b.bus.read(&b.bus, 0x100ffc, 8, &v), GW_BUS_ERROR); /* over the end */
    assert_int_equal(b.bus.write(&b.bus, UINT64_MAX, 1, 0), GW_BUS_ERROR);
    dev_free(power);
    dev_free(plic);
}

struct step {
    pthread_mutex_t lock;
    uint64_t seen;
    bool writes;
};

static bool one_more(void *opaque, uint64_t old, uint64_t *value)
{
    struct step *s = opaque;
    s->seen = old;
    *value = old + 1;
    assert_int_equal(pthread_mutex_trylock(&s->lock), EBUSY);
    return s->writes;
}

static void update_is_one_step(void **state)
{
    struct dev_bus b;
    struct gw_error err = {0};
    struct gw_device *plic = dev_new(&dev_plic_class, NULL, NULL);
    struct step s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    uint64_t v;
    dev_bus_init(&b);
    b.lock = &s.lock;
    assert_int_equal(dev_bus_add_device(&b, 0xc000000, plic, &err), GW_OK);
    assert_int_equal(b.bus.write(&b.bus, 0xc000004, 4, 4), GW_BUS_OK);
    for (unsigned i = 0; i < 2; i++) {
        s.writes = i;
        assert_int_equal(b.bus.update(&b.bus, 0xc000004, 4, one_more, &s, &v), GW_BUS_OK);
        assert_int_equal(v, 4);
        assert_int_equal(s.seen, 4);
        assert_int_equal(b.bus.read(&b.bus, 0xc000004, 4, &v), GW_BUS_OK);
        assert_int_equal(v, 4 + i);
    }
    /* What can't be read is not changed. */
    s.seen = 0;
    assert_int_equal(b.bus.update(&b.bus, 0xc000004, 1, one_more, &s, &v), GW_BUS_ERROR);
    assert_int_equal(b.bus.update(&b.bus, 0xb000004, 4, one_more, &s, &v), GW_BUS_ERROR);
    assert_int_equal(s.seen, 0);
    dev_free(plic);
}

struct told {
    unsigned count;
    uint64_t paddr;
};

static void ram_written(void *engine, uint64_t paddr, uint64_t size)
{
    struct told *t = engine;
    t->count++;
    t->paddr = paddr;
    assert_int_equal(size, GW_PAGE_SIZE);
}

static void dma_checks_and_tells_of_watched_pages(void **state)
{
    struct dev_bus b;
    struct gw_dma dma = {.bus = &b.bus};
    struct told t = {0};
    uint8_t buf[64] = {1, 2, 3};
    fake_bus(&b);
    b.bus.ram_written = ram_written;
    b.bus.engine = &t;
    assert_true(gw_dma_write(&dma, RAM_BASE + 4090, buf, 16));
    assert_int_equal(t.count, 0);
    for (uint8_t flag = GW_RAM_CODE; flag <= GW_RAM_CLEAN; flag *= 2) {
        t = (struct told){0};
        b.ram[0].page_flags[1] = flag;
        assert_true(gw_dma_write(&dma, RAM_BASE + 4090, buf, 6)); /* up to the border */
        assert_int_equal(t.count, 0);
        assert_true(gw_dma_write(&dma, RAM_BASE + 4090, buf, 7));
        assert_int_equal(t.count, 1);
        assert_int_equal(t.paddr, RAM_BASE + 4096);
    }
    assert_true(gw_dma_read(&dma, RAM_BASE + 4090, buf + 8, 3));
    assert_memory_equal(buf + 8, buf, 3);
    assert_false(gw_dma_write(&dma, RAM_BASE + RAM_SIZE - 1, buf, 2));
    assert_false(gw_dma_read(&dma, UINT64_C(0xffffffffffffff00), buf, 512));
    assert_false(gw_dma_read(&dma, 0x100000, buf, 4));
    assert_true(gw_dma_write(&dma, RAM_BASE + 4096, buf, 0));
    assert_int_equal(t.count, 1);
    dev_bus_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(ram_is_sorted_and_found),
        cmocka_unit_test(windows_route_by_offset),
        cmocka_unit_test(update_is_one_step),
        cmocka_unit_test(dma_checks_and_tells_of_watched_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
