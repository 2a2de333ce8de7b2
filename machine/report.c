/* What a machine says about itself on stderr. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/riscv64/backtrace.h"
#include "frontend/riscv64/priv.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/net.h"
#include "godwit/plain.h"
#include "godwit/word.h"
#include "machine/vm.h"

static const char *privilege(const struct rv_cpu *cpu)
{
    static const char *const names[] = {"U", "S", "?", "M"};
    return names[cpu->c.priv & 3];
}

static bool read_guest(void *context, uint64_t vaddr, void *to, unsigned size, bool code)
{
    struct vcpu *v = context;
    struct gw_dma dma = {.bus = &v->m->board->bus.bus};
    struct gw_xlate at;
    struct gw_fault fault;
    return v->m->isa->translate(v->cpu, vaddr, size, code ? GW_ACCESS_FETCH : GW_ACCESS_LOAD, &at,
                                &fault) &&
           gw_dma_read(&dma, at.paddr, to, size);
}

/* Addresses alone: the symbols of a kernel are in files that nobody gave us. */
static void show_calls(struct vcpu *v)
{
    struct rv_backtrace trace;
    rv_backtrace(v->cpu, read_guest, v, &trace);
    for (unsigned i = 0; i < trace.count; i++)
        fprintf(stderr, "godwit: cpu %u: #%u %s0x%" PRIx64 "\n", v->index, i + 1,
                i < trace.guessed ? "" : "perhaps ", trace.from[i]);
}

static void show_cpu(struct vcpu *v)
{
    const struct rv_cpu *cpu = v->cpu;
    if (v->m->sbi.hart[v->index].state == SBI_HART_STOPPED) {
        fprintf(stderr, "godwit: cpu %u: stopped\n", v->index);
        return;
    }
    fprintf(stderr,
            "godwit: cpu %u: pc 0x%" PRIx64 " ra 0x%" PRIx64 " sp 0x%" PRIx64
            ", %s mode, satp 0x%" PRIx64 "%s\n",
            v->index, cpu->run.pc, cpu->x[1], cpu->x[2], privilege(cpu), cpu->c.satp,
            cpu->c.halted ? ", waiting for an interrupt" : "");
    fprintf(stderr,
            "godwit: cpu %u: scause 0x%" PRIx64 " sepc 0x%" PRIx64 " stval 0x%" PRIx64
            ", a0 0x%" PRIx64 " a7 0x%" PRIx64 "\n",
            v->index, cpu->c.scause, cpu->c.sepc, cpu->c.stval, cpu->x[10], cpu->x[17]);
    show_calls(v);
}

void vm_show_state(struct vm *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        show_cpu(&m->vcpu[i]);
}

static void print_counters(FILE *out, const char *prefix, const struct counter_desc *d,
                           const void *object)
{
    for (uint32_t i = 0; i < d->field_count; i++)
        fprintf(out, "%s%s: %s %" PRIu64 "\n", prefix, d->name, d->fields[i].name,
                counter_get(object, &d->fields[i]));
}

/* Of all engines together. */
static void sum_stats(struct vm *m, struct engine_stats *sum)
{
    *sum = (struct engine_stats){0};
    for (unsigned i = 0; i < m->cpus; i++) {
        const struct engine_stats *one = engine_stats(m->vcpu[i].engine);
        for (uint32_t k = 0; k < engine_counters.field_count; k++) {
            const struct counter_field *f = &engine_counters.fields[k];
            *(uint64_t *)(void *)((char *)sum + f->offset) += counter_get(one, f);
        }
    }
}

void vm_print_stats(struct vm *m, FILE *out, const char *prefix)
{
    if (m->vcpu[0].engine) {
        struct engine_stats stats;
        sum_stats(m, &stats);
        fprintf(out, "%sengine: page_maps %s\n", prefix,
                engine_mem_mode(m->vcpu[0].engine) == GW_MEM_FLAT ? "flat" : "tlb");
        print_counters(out, prefix, &engine_counters, &stats);
    }
    for (unsigned i = 0; i < m->board->disk_count; i++)
        print_counters(out, prefix, &virtio_blk_counters,
                       virtio_blk_stats(virtio_mmio_dev(m->board->slot[i])));
    if (m->board->net)
        print_counters(out, prefix, &virtio_net_counters, virtio_net_stats(m->board->net));
}

void vm_show_stats(struct vm *m)
{
    vm_print_stats(m, stderr, "godwit: stats: ");
}

static void show_hint(const char *text, const char *path)
{
    struct gw_error err;
    gw_hint_of(&err, text, path);
    if (err.hint[0])
        fprintf(stderr, "hint: %s\n", err.hint);
}

void vm_show_discarded(const struct vm *m)
{
    for (unsigned i = 0; i < m->board->disk_count; i++) {
        const struct dev_disk *d = m->board->disk[i];
        uint64_t bytes = dev_disk_discarded(d);
        bool small = bytes < UINT64_C(1) << 20;
        if (!bytes)
            continue;
        fprintf(stderr, "godwit: note: %" PRIu64 " %s written to %s discarded\n",
                small ? (bytes + 1023) >> 10 : (bytes + (1 << 19)) >> 20, small ? "KiB" : "MiB",
                GW_PLAIN(dev_disk_path(d)));
        show_hint("-d @,overlay=FILE keeps them", dev_disk_path(d));
    }
    for (unsigned i = 0; i < VIRT_FLASH_BANKS; i++) {
        const struct dev_flash *f = board_flash(m->board, i);
        if (!dev_flash_discarded(f))
            continue;
        fprintf(stderr, "godwit: note: %" PRIu64 " KiB written to %s discarded\n",
                dev_flash_discarded(f) >> 10, GW_PLAIN(f->path));
        show_hint(i ? "--flash 1=@,rw keeps them" : "--flash 0=@,rw keeps them", f->path);
    }
}

/* What a line of a file that was opened before says of this process; 0: the host does not say. */
static uint64_t proc_bytes(int fd, const char *start)
{
    char text[4096] = "";
    unsigned long long kib = 0;
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    const char *line = n > 0 ? strstr(text, start) : NULL;
    if (line)
        sscanf(line + strlen(start), " %llu kB", &kib);
    return (uint64_t)kib * 1024;
}

/* Memory in use less the guest's own, each page once though code memory is mapped twice; with the
 * host's page tables, of which sparse maps may want as much again. 0 when the host does not say. */
uint64_t vm_overhead_bytes(struct vm *m)
{
    const struct gw_ram *ram = board_ram(m->board);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = ram->size / page, in_ram = 0;
    uint64_t used = proc_bytes(m->memory_fd, "\nPss:");
    unsigned char *map = malloc(pages);
    bool ok = map && mincore(ram->host, ram->size, map) == 0;
    for (uint64_t i = 0; ok && i < pages; i++)
        in_ram += map[i] & 1;
    free(map);
    used += proc_bytes(m->status_fd, "\nVmPTE:");
    return ok && used > in_ram * page ? used - in_ram * page : 0;
}

uint64_t vm_peak_rss_bytes(const struct vm *m)
{
    return proc_bytes(m->status_fd, "\nVmHWM:");
}
