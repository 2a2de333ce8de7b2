/* Loading, and the state in which the CPUs start. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "machine/boot/command.h"
#include "frontend/riscv64/priv.h"
#include "machine/vm.h"

enum { SEED_BYTES = 32, ISA_BYTES = 1024 };

/* What OpenSBI's dynamic firmware finds at a2 (fw_dynamic.h of its documentation). */
enum { DYNAMIC_WORDS = 6 };
#define DYNAMIC_MAGIC UINT64_C(0x4942534f)

/* What is kept for the tree and, above it, for DYNAMIC_WORDS. */
#define TREE_ROOM      (DT_MAX_BYTES + GW_PAGE_SIZE)
#define FIRMWARE_LIMIT UINT64_C(0xc0000000)

static const char *mmu_type(const struct rv_config *cfg)
{
    if (cfg->sv57)
        return "riscv,sv57";
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
        .harts = m->cpus,
        .mmu = mmu_type(&m->vcpu[0].cpu->cfg),
        .ram_base = VIRT_RAM_BASE,
        .ram_bytes = board_ram(m->board)->size,
        .timebase_hz = m->vcpu[0].cpu->cfg.timebase_hz,
        .second_port = m->board->uart2 != NULL,
        .generation_id = m->board->vmgenid != NULL,
        .cbo_bytes = RV_CBO_BYTES,
    };
    struct blob file;
    enum gw_status st;
    if (!m->spec->dtb) {
        rv_isa_string(m->vcpu[0].cpu, isa, sizeof isa);
        cfg.isa_list_bytes = rv_isa_list(m->vcpu[0].cpu, list, sizeof list);
        return dt_build(&cfg, blob, size, err);
    }
    st = vm_file(m, &file, m->spec->dtb, "device tree", err);
    if (st != GW_OK)
        return st;
    st = dt_import(file.data, file.size, file.name, blob, size, err);
    blob_close(&file);
    return st;
}

/* What depends on the seed's bytes is only their value: the size of the tree is known before. */
static enum gw_status finished_tree(struct vm *m, const struct placement *at, uint64_t initrd_bytes,
                                    uint8_t **blob, size_t *size, struct gw_error *err)
{
    uint8_t seed[SEED_BYTES];
    char *bootargs = command_bootargs(m->spec);
    struct dt_chosen chosen = {.bootargs = bootargs,
                               .initrd_at = at->initrd_at,
                               .initrd_bytes = initrd_bytes,
                               .seed = seed,
                               .seed_bytes = SEED_BYTES};
    enum gw_status st =
        bootargs ? GW_OK : gw_fail(err, GW_ERR_NOMEM, "", "no memory for the device tree");
    *blob = NULL;
    if (st == GW_OK)
        st = base_tree(m, blob, size, err);
    vm_fresh_bytes(m, seed, SEED_BYTES);
    if (st == GW_OK)
        st = dt_set_chosen(blob, size, &chosen, err);
    if (st != GW_OK)
        free(*blob);
    free(bootargs);
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
    uint64_t next;  /* what firmware hands over to, or the machine starts; 0: nothing */
    uint64_t floor; /* first byte above everything loaded */
};

static enum gw_status load_kernel_file(struct vm *m, const struct gw_dma *dma, struct loaded *l,
                                       struct gw_error *err)
{
    struct blob file;
    enum gw_status st = vm_file(m, &file, m->spec->kernel, "kernel", err);
    if (st == GW_OK)
        st = load_kernel(dma, &file, VIRT_RAM_BASE, &l->kernel, err);
    blob_close(&file);
    if (st == GW_OK && l->has_firmware && l->kernel.first < l->firmware.last &&
        l->firmware.first < l->kernel.last)
        st = gw_fail(err, GW_ERR_FORMAT, m->spec->kernel,
                     "cannot load the kernel: it overlaps the firmware");
    l->has_kernel = true;
    l->next = l->kernel.entry;
    if (l->kernel.last > l->floor)
        l->floor = l->kernel.last;
    return st;
}

static enum gw_status load_images(struct vm *m, const struct gw_dma *dma, struct loaded *l,
                                  struct gw_error *err)
{
    struct blob file;
    enum gw_status st = GW_OK;
    memset(l, 0, sizeof *l);
    l->floor = VIRT_RAM_BASE;
    if (vm_firmware_file(m->spec)) {
        st = vm_file(m, &file, m->spec->bios, "firmware", err);
        if (st == GW_OK)
            st = load_firmware(dma, &file, VIRT_RAM_BASE, &l->firmware, err);
        blob_close(&file);
        l->has_firmware = true;
        l->floor = l->firmware.last;
    }
    if (m->spec->flash[0].path)
        l->next = VIRT_FLASH_BASE;
    else if (m->spec->loads_count)
        l->next = m->spec->loads[0].at;
    if (st == GW_OK && m->spec->kernel && !vm_offers_kernel(m->spec))
        st = load_kernel_file(m, dma, l, err);
    return st;
}

/* Firmware looks for what it is given below 3 GiB, as QEMU's board has it. */
static uint64_t high_limit(const struct vm *m)
{
    const struct gw_ram *ram = board_ram(m->board);
    uint64_t end = ram->base + ram->size;
    bool firmware = vm_firmware_file(m->spec) || m->spec->flash[0].path;
    return firmware && end > FIRMWARE_LIMIT ? FIRMWARE_LIMIT : end;
}

/* initrd and device tree, above everything else. */
static enum gw_status load_high(struct vm *m, const struct gw_dma *dma, uint64_t floor,
                                struct placement *at, struct gw_error *err)
{
    struct placement guess = {0};
    struct initrd initrd = {0};
    uint8_t *tree = NULL;
    size_t size = 0, room;
    enum gw_status st = GW_OK;
    if (!vm_offers_kernel(m->spec))
        st = initrd_open(m, &initrd, err);
    if (st == GW_OK)
        st = finished_tree(m, &guess, initrd.size, &tree, &size, err);
    if (st == GW_OK) {
        free(tree);
        tree = NULL;
        room = size > TREE_ROOM ? size : TREE_ROOM;
        st = place_high(floor, high_limit(m), initrd.size, room, at, err);
    }
    if (st == GW_OK)
        st = finished_tree(m, at, initrd.size, &tree, &size, err);
    if (st == GW_OK) {
        if ((initrd.size && !gw_dma_write(dma, at->initrd_at, initrd.data, initrd.size)) ||
            !gw_dma_write(dma, at->dtb_at, tree, size))
            st = gw_fail(err, GW_ERR_LIMIT, "initrd", "does not fit in the guest's memory");
        free(tree);
        at->initrd_bytes = initrd.size;
        at->dtb_bytes = room;
    }
    initrd_close(&initrd);
    return st;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a_size && b_size && (a < b ? b - a < a_size : a - b < b_size);
}

/* --load: raw bytes, beside everything else. */
static enum gw_status load_file(struct vm *m, const struct gw_dma *dma, const struct file_spec *f,
                                const struct loaded *l, const struct placement *at,
                                struct gw_error *err)
{
    const struct {
        const char *what;
        uint64_t at, size;
    } taken[] = {
        {"firmware", l->firmware.first, l->firmware.last - l->firmware.first},
        {"kernel", l->kernel.first, l->kernel.last - l->kernel.first},
        {"initrd", at->initrd_at, at->initrd_bytes},
        {"device tree", at->dtb_at, at->dtb_bytes},
    };
    struct blob file;
    enum gw_status st = vm_file(m, &file, f->path, "file", err);
    for (unsigned i = 0; st == GW_OK && i < sizeof taken / sizeof taken[0]; i++)
        if (overlap(f->at, file.size, taken[i].at, taken[i].size))
            st = gw_fail(err, GW_ERR_ARG, f->path,
                         "cannot load the file at 0x%" PRIx64 ": it overlaps the %s", f->at,
                         taken[i].what);
    if (st == GW_OK && file.size && !gw_dma_write(dma, f->at, file.data, file.size))
        st = gw_fail(err, GW_ERR_LIMIT, f->path,
                     "cannot load the file at 0x%" PRIx64 ": not memory of the guest", f->at);
    blob_close(&file);
    return st;
}

/* Firmware in M mode, on all harts: a0 hart, a1 device tree, a2 what comes next. */
static void start_machine_mode(struct vm *m, const struct gw_dma *dma, const struct loaded *l,
                               uint64_t dtb_at)
{
    uint64_t info[DYNAMIC_WORDS] = {DYNAMIC_MAGIC, 2, l->next, RV_PRIV_S, 0, 0};
    uint64_t at = dtb_at + DT_MAX_BYTES; /* above the tree, see TREE_ROOM */
    bool informed = l->has_firmware && gw_dma_write(dma, at, info, sizeof info);
    for (unsigned i = 0; i < m->cpus; i++) {
        struct rv_cpu *cpu = m->vcpu[i].cpu;
        if (informed)
            cpu->x[12] = at;
        cpu->x[10] = cpu->c.mhartid;
        cpu->x[11] = dtb_at;
        cpu->run.pc = l->has_firmware ? l->firmware.entry : l->next;
        m->sbi.hart[i].state = SBI_HART_STARTED;
    }
}

enum gw_status vm_boot(struct vm *m, struct gw_error *err)
{
    struct gw_dma dma = {.bus = &m->board->bus.bus};
    struct placement at;
    struct loaded l;
    enum gw_status st = load_images(m, &dma, &l, err);
    if (st == GW_OK)
        st = load_high(m, &dma, l.floor, &at, err);
    for (unsigned i = 0; st == GW_OK && i < m->spec->loads_count; i++)
        st = load_file(m, &dma, &m->spec->loads[i], &l, &at, err);
    if (st != GW_OK)
        return st;
    for (unsigned i = 0; i < m->cpus; i++)
        m->isa->reset(m->vcpu[i].cpu);
    if (m->firmware_builtin)
        rv_boot_supervisor(m->vcpu[0].cpu, l.next, at.dtb_at);
    else
        start_machine_mode(m, &dma, &l, at.dtb_at);
    m->tohost = l.kernel.tohost;
    return GW_OK;
}
