#include <endian.h>

#include "tests/frontend/riscv64/priv/fixture.h"

static struct fixture storage;

static struct fixture *of(struct gw_bus *bus)
{
    return bus->opaque;
}

static enum gw_bus_result mmio_read(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                    uint64_t *value)
{
    if (paddr < MMIO_BASE || paddr >= MMIO_BASE + GW_PAGE_SIZE)
        return GW_BUS_ERROR;
    *value = of(bus)->mmio_value;
    return GW_BUS_OK;
}

static enum gw_bus_result mmio_write(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                     uint64_t value)
{
    fail_msg("translation wrote to the bus");
    return GW_BUS_ERROR;
}

static bool flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all)
{
    storage.flushes++;
    storage.flush_vaddr = vaddr;
    storage.flush_vaddr_all = vaddr_all;
    storage.flush_asid = asid;
    storage.flush_asid_all = asid_all;
    return false;
}

static void fence_i(void *cpu)
{
    storage.fences++;
}

static const struct gw_hooks hooks = {.flush = flush, .fence_i = fence_i};

static struct fixture *fresh(const struct gw_cpu_config *cfg)
{
    struct gw_error err;
    assert_int_equal(rv_init(&storage.cpu, cfg, &err), GW_OK);
    storage.cpu.run.hooks = &hooks;
    storage.cpu.run.pc = 0x1234567890;
    storage.cpu.run.view_dirty = 0;
    return &storage;
}

struct fixture *fixture_new(const char *options, bool firmware)
{
    struct fixture *f = &storage;
    memset(f, 0, sizeof *f);
    f->ram = (struct gw_ram){
        .host = f->mem, .base = RAM_BASE, .size = RAM_SIZE, .page_flags = f->page_flags};
    f->bus = (struct gw_bus){
        .ram = &f->ram, .ram_count = 1, .opaque = f, .read = mmio_read, .write = mmio_write};
    fresh(&(struct gw_cpu_config){
        .options = options, .firmware = firmware, .bus = &f->bus, .events = &f->events});
    csr_set(f, RV_CSR_PMPADDR0, UINT64_MAX);
    csr_set(f, RV_CSR_PMPCFG0, RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X);
    f->flushes = 0;
    f->cpu.run.view_dirty = 0;
    return f;
}

struct fixture *fixture_user(void)
{
    memset(&storage, 0, sizeof storage);
    return fresh(&(struct gw_cpu_config){.user = true});
}

uint64_t *pte_at(struct fixture *f, uint64_t table, uint64_t index)
{
    return (uint64_t *)(void *)(f->mem + (table - RAM_BASE) + index * 8);
}

uint64_t pte_make(uint64_t paddr, uint64_t bits)
{
    return paddr >> 12 << 10 | bits;
}

static unsigned levels(unsigned mode)
{
    return mode == RV_SATP_SV57 ? 5 : mode == RV_SATP_SV48 ? 4 : 3;
}

uint64_t table_of_level(unsigned mode, unsigned level)
{
    return ROOT + (levels(mode) - 1 - level) * GW_PAGE_SIZE;
}

uint64_t *map(struct fixture *f, unsigned mode, uint64_t vaddr, unsigned level, uint64_t paddr,
              uint64_t bits)
{
    for (unsigned l = levels(mode) - 1;; l--) {
        uint64_t *pte = pte_at(f, table_of_level(mode, l), vaddr >> (12 + 9 * l) & 511);
        if (l == level) {
            *pte = htole64(pte_make(paddr, bits));
            f->cpu.c.satp = (uint64_t)mode << RV_SATP_MODE_SHIFT | ROOT >> 12;
            return pte;
        }
        *pte = htole64(pte_make(table_of_level(mode, l - 1), V));
    }
}

uint64_t csr_get(struct fixture *f, unsigned csr)
{
    uint64_t value = 0;
    assert_true(rv_csr_read(&f->cpu, csr, &value));
    return value;
}

void csr_set(struct fixture *f, unsigned csr, uint64_t value)
{
    assert_true(rv_csr_write(&f->cpu, csr, value, NULL));
}

int try_access(struct fixture *f, uint64_t vaddr, unsigned size, enum gw_access access,
               struct gw_xlate *out)
{
    struct gw_xlate xlate;
    struct gw_fault fault = {.cause = 99};
    if (rv_translate(&f->cpu, vaddr, size, access, out ? out : &xlate, &fault))
        return OK;
    assert_true(fault.vaddr == vaddr);
    assert_int_equal(fault.access, access);
    return (int)fault.cause;
}

uint64_t random64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
