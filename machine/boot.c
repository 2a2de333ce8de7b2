/* Loading, and the state in which the CPU starts. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "priv.h"
#include "vm.h"

enum { SEED_BYTES = 32, ISA_BYTES = 512 };

/* What OpenSBI's dynamic firmware finds at a2 (fw_dynamic.h of its documentation). */
enum { DYNAMIC_WORDS = 6 };
#define DYNAMIC_MAGIC UINT64_C(0x4942534f)

static const char *mmu_type(const struct rv_config *cfg)
{
    if (cfg->sv48)
        return "riscv,sv48";
    return cfg->sv39 ? "riscv,sv39" : NULL;
}

static enum gw_status base_tree(struct vm *m, uint8_t **blob, size_t *size, struct gw_error *err)
{
    char isa[ISA_BYTES], list[ISA_BYTES];
    struct dt_config cfg = {
        .isa = isa,
        .isa_list = list,
        .mmu = mmu_type(&m->cpu->cfg),
        .ram_base = VIRT_RAM_BASE,
        .ram_bytes = board_ram(m->board)->size,
        .timebase_hz = m->cpu->cfg.timebase_hz,
        .cbo_bytes = RV_CBO_BYTES,
    };
    struct blob file;
    enum gw_status st;
    if (!m->o->dtb) {
        rv_isa_string(m->cpu, isa, sizeof isa);
        cfg.isa_list_bytes = rv_isa_list(m->cpu, list, sizeof list);
        return dt_build(&cfg, blob, size, err);
    }
    st = blob_open(&file, m->o->dtb, "device tree", err);
    if (st != GW_OK)
        return st;
    st = dt_import(file.data, file.size, file.name, blob, size, err);
    blob_close(&file);
    return st;
}

/* Repeatable runs get a repeatable seed. */
static void fill_seed(const struct vm *m, uint8_t *seed)
{
    vm_seed_bytes(m, seed, SEED_BYTES);
    if (!m->o->clock_insns && getrandom(seed, SEED_BYTES, GRND_NONBLOCK) < 0)
        seed[0] = 0;
}

/* What depends on the seed's bytes is only their value: the size of the tree is known before. */
static enum gw_status finished_tree(struct vm *m, const struct placement *at, uint64_t initrd_bytes,
                                    uint8_t **blob, size_t *size, struct gw_error *err)
{
    uint8_t seed[SEED_BYTES];
    struct dt_chosen chosen = {.bootargs = m->o->append,
                               .initrd_at = at->initrd_at,
                               .initrd_bytes = initrd_bytes,
                               .seed = seed,
                               .seed_bytes = SEED_BYTES};
    enum gw_status st = base_tree(m, blob, size, err);
    fill_seed(m, seed);
    if (st == GW_OK)
        st = dt_set_chosen(blob, size, &chosen, err);
    if (st != GW_OK)
        free(*blob);
    return st;
}

enum gw_status vm_device_tree(struct vm *m, uint8_t **blob, size_t *size, struct gw_error *err)
{
    struct placement none = {0};
    return finished_tree(m, &none, 0, blob, size, err);
}

struct loaded {
    struct image kernel, firmware;
    bool has_kernel, has_firmware;
    uint64_t floor; /* first byte above everything loaded */
};

static bool has_bios_file(const struct machine_options *o)
{
    return o->bios && strcmp(o->bios, "builtin") != 0 && strcmp(o->bios, "none") != 0;
}

static enum gw_status load_images(struct vm *m, const struct gw_dma *dma, struct loaded *l,
                                  struct gw_error *err)
{
    struct blob file;
    enum gw_status st = GW_OK;
    memset(l, 0, sizeof *l);
    l->floor = VIRT_RAM_BASE;
    if (has_bios_file(m->o)) {
        st = blob_open(&file, m->o->bios, "firmware", err);
        if (st == GW_OK)
            st = load_firmware(dma, &file, VIRT_RAM_BASE, &l->firmware, err);
        blob_close(&file);
        l->has_firmware = true;
        l->floor = l->firmware.last;
    }
    if (st == GW_OK && m->o->kernel) {
        st = blob_open(&file, m->o->kernel, "kernel", err);
        if (st == GW_OK)
            st = load_kernel(dma, &file, VIRT_RAM_BASE, &l->kernel, err);
        blob_close(&file);
        if (st == GW_OK && l->has_firmware && l->kernel.first < l->firmware.last &&
            l->firmware.first < l->kernel.last)
            st = gw_fail(err, GW_ERR_FORMAT, m->o->kernel,
                         "cannot load the kernel: it overlaps "
                         "the firmware");
        l->has_kernel = true;
        if (l->kernel.last > l->floor)
            l->floor = l->kernel.last;
    }
    return st;
}

/* initrd and device tree, above everything else. */
static enum gw_status load_high(struct vm *m, const struct gw_dma *dma, uint64_t floor,
                                struct placement *at, struct gw_error *err)
{
    const struct gw_ram *ram = board_ram(m->board);
    struct placement guess = {0};
    struct blob initrd = {0};
    uint8_t *tree = NULL;
    size_t size = 0;
    enum gw_status st = GW_OK;
    if (m->o->initrd)
        st = blob_open(&initrd, m->o->initrd, "initrd", err);
    if (st == GW_OK)
        st = finished_tree(m, &guess, initrd.size, &tree, &size, err);
    if (st == GW_OK) {
        free(tree);
        tree = NULL;
        st = place_high(floor, ram->base + ram->size, initrd.size, size, at, err);
    }
    if (st == GW_OK)
        st = finished_tree(m, at, initrd.size, &tree, &size, err);
    if (st == GW_OK) {
        if ((initrd.size && !gw_dma_write(dma, at->initrd_at, initrd.data, initrd.size)) ||
            !gw_dma_write(dma, at->dtb_at, tree, size))
            st = gw_fail(err, GW_ERR_LIMIT, "initrd", "does not fit in the guest's memory");
        free(tree);
    }
    blob_close(&initrd);
    return st;
}

/* Firmware in M mode: a0 hart, a1 device tree, a2 what comes next. */
static void start_machine_mode(struct vm *m, const struct gw_dma *dma, const struct loaded *l,
                               uint64_t dtb_at)
{
    uint64_t info[DYNAMIC_WORDS] = {DYNAMIC_MAGIC, 2, l->has_kernel ? l->kernel.entry : 0,
                                    RV_PRIV_S,     0, 0};
    uint64_t at = dtb_at + DT_MAX_BYTES; /* between the tree and the end of its 2 MiB */
    struct rv_cpu *cpu = m->cpu;
    if (l->has_firmware && gw_dma_write(dma, at, info, sizeof info))
        cpu->x[12] = at;
    cpu->x[10] = cpu->c.mhartid;
    cpu->x[11] = dtb_at;
    cpu->run.pc = l->has_firmware ? l->firmware.entry : l->kernel.entry;
}

enum gw_status vm_boot(struct vm *m, struct gw_error *err)
{
    struct gw_dma dma = {.bus = &m->board->bus.bus};
    struct placement at;
    struct loaded l;
    enum gw_status st = load_images(m, &dma, &l, err);
    if (st == GW_OK)
        st = load_high(m, &dma, l.floor, &at, err);
    if (st != GW_OK)
        return st;
    m->isa->reset(m->cpu);
    if (m->firmware_builtin)
        rv_boot_supervisor(m->cpu, l.kernel.entry, at.dtb_at);
    else
        start_machine_mode(m, &dma, &l, at.dtb_at);
    m->tohost = l.kernel.tohost;
    return GW_OK;
}
