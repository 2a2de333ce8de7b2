/*
 * The boards: QEMU's riscv64 `virt` addresses and interrupts, one to eight harts. virt-1 is frozen: a
 * new layout is a new board. virt-2 is virt-1 and what came since; it is frozen when PCI Express has come to
 * it. A board owns bus, devices, disks, console and I/O thread.
 */
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include "devices/host/console.h"
#include "devices/host/disk.h"
#include "devices/board/flash.h"
#include "devices/board/fw_cfg.h"
#include "devices/host/io_thread.h"
#include "devices/memory_bus.h"
#include "devices/riscv/plic.h"
#include "devices/board/uart.h"
#include "devices/board/vmgenid.h"
#include "devices/virtio/console.h"
#include "devices/virtio/mmio.h"
#include "godwit/machine_spec.h"
#include "godwit/net.h"

enum {
    VIRT_POWER_BASE = 0x100000,
    VIRT_RTC_BASE = 0x101000,
    VIRT_CLINT_BASE = 0x2000000,
    VIRT_PCI_IO_BASE = 0x3000000,
    VIRT_PVPANIC_BASE = 0x4000000, /* QEMU's board has no such device, and nothing here */
    VIRT_VMGENID_BASE = 0x4001000, /* of virt-2; as above */
    VIRT_PLIC_BASE = 0xc000000,
    VIRT_UART_BASE = 0x10000000,
    VIRT_VIRTIO_BASE = 0x10001000,
    VIRT_VIRTIO_STEP = 0x1000,
    VIRT_SLOTS = 8,
    VIRT_UART2_BASE = 0x10009000, /* QEMU's board has one port, and nothing here */
    VIRT_FW_CFG_BASE = 0x10100000,
    VIRT_FLASH_BASE = 0x20000000,
    VIRT_FLASH_BANKS = 2,
    VIRT_ECAM_BASE = 0x30000000,
    VIRT_PCI_MMIO_BASE = 0x40000000,
    VIRT_VIRTIO_IRQ = 1, /* of slot 0 */
    VIRT_UART_IRQ = 10,
    VIRT_RTC_IRQ = 11,
    VIRT_UART2_IRQ = 12,
    VIRT_VMGENID_IRQ = 13,
    VIRT_PCI_IRQ = 32, /* to 35: INTA to INTD of slot 0, then rotating */
};
#define VIRT_RAM_BASE    UINT64_C(0x80000000)
#define VIRT_KERNEL_BASE UINT64_C(0x80200000) /* where firmware hands over */

/* The 64-bit window of PCI lies above memory, at a multiple of its size. */
static inline uint64_t virt_pci_mmio64_base(uint64_t ram_bytes)
{
    const uint64_t size = UINT64_C(16) << 30;
    return (VIRT_RAM_BASE + ram_bytes + size - 1) & ~(size - 1);
}

struct gw_net_module;

/* A port of the virtio console. */
struct board_channel {
    struct board *b;
    unsigned index;
    struct dev_console *console;
};

struct board_channel_config {
    const char *name; /* NULL: a console */
    int in_fd, out_fd;
    bool escape;
};

struct board {
    struct dev_bus bus;
    struct gw_events *events;
    struct dev_io *io;
    struct gw_device *power, *rtc, *clint, *plic, *uart;
    struct gw_device *slot[VIRT_SLOTS];
    struct dev_disk *disk[VIRT_SLOTS];
    struct dev_io *disk_io[VIRT_SLOTS]; /* a thread each: a disk waits for its own file alone */
    unsigned disk_count;
    struct virtio_dev *net, *rng, *channels; /* NULL: none */
    struct board_channel channel[VIRTIO_CONSOLE_PORTS];
    unsigned channel_count;
    struct dev_console *console;
    bool repeatable; /* time is counted in instructions: devices answer at once */
    struct gw_device *flash[VIRT_FLASH_BANKS], *fw_cfg, *pvpanic, *pci_host, *pci_hole[3];
    struct gw_device *vmgenid; /* NULL: virt-1 has none */
    /* the second serial port; NULL: there is none */
    struct gw_device *uart2;
    struct dev_console *console2;
};

/* What the devices tell the machine. vCPU thread, but for those of the console's that are the I/O
 * thread's. */
struct board_hooks {
    void (*power)(void *context, int request, unsigned code); /* enum dev_power_request */
    void (*tap)(void *context, uint8_t byte);
    void (*menu)(void *context, uint8_t key);
    void (*reader_gone)(void *context); /* I/O thread: that of standard output */
    void (*menu_open)(void *context);   /* I/O thread */
    void (*menu_pressed)(void *context,
                         uint8_t key); /* I/O thread; the key is on its way to menu() */
    void (*panic)(void *context);
    void (*note)(void *context, const char *text); /* something that the user should know */
    /* The host has failed a device, see fault.h. Any thread. */
    void (*fault)(void *context, const char *what, const char *object, int error);
    struct gw_net_thread net_thread; /* of user networking; its context is its own */
    /* Now and then while a device waits for the host's disks: false: what is under way is given up. */
    bool (*go_on)(void *context);
    void *context;
};

/* The guest that the board is made for. */
#define VIRT_ARCH "riscv64"

/* Interrupt lines of a hart: MEIP, SEIP, MSIP, MTIP. */
struct board_hart_lines {
    struct gw_irq mei, sei, msi, mti;
};

/* What the boards differ in. */
struct board_model {
    const char *name;
    bool generation_id; /* see devices/board/vmgenid.h */
};

/* NULL: no such board. */
const struct board_model *board_model(const char *name);

/* What a board is made of beside its RAM; see dev_console_config for in_fd, out_fd and escape. */
struct board_config {
    const struct board_model *model;
    enum gw_clock_mode clock;
    uint64_t mips;
    bool patient_console; /* see dev_console_config */
    uint64_t ram_bytes;
    uint64_t wall_clock_ns; /* at the start */
    int in_fd, out_fd;
    bool escape;
    bool framed; /* the first port's input, see dev_console_config */
    bool second_port;
    int in2_fd, out2_fd; /* its descriptors */
    struct board_hooks hooks;
    uint64_t refused_features; /* see devices/virtio/dev.h */
    uint8_t generation[DEV_VMGENID_BYTES];
};

/* Memory, devices, an I/O thread for lines and networks. On failure everything is freed. */
enum gw_status board_new(struct board **out, const struct board_config *cfg, struct gw_error *err);
/* Before the vCPU starts. */
enum gw_status board_add_disk(struct board *b, const struct disk_spec *disk, struct gw_error *err);
/* Once, when all are added: looks into overlays, see dev_disk_begin(). */
enum gw_status board_begin_disks(struct board *b, struct gw_error *err);
/* Before the vCPU starts. bank: 0 or 1; path stays valid while the board lives. */
enum gw_status board_open_flash(struct board *b, unsigned bank, const char *path, bool rw,
                                struct gw_error *err);
/* A source of entropy and, where the description has one, a network card, in the last slots that are
 * free. After the disks. seed: of the entropy where runs can be repeated; open_net: as the machine's
 * options have it. */
enum gw_status board_add_rng(struct board *b, uint64_t seed, struct gw_error *err);
enum gw_status board_add_net(struct board *b, const struct machine_spec *s,
                             const struct gw_net_module *(*open_net)(struct gw_error *err),
                             struct gw_error *err);
/* When all is open, before this process is locked in: threads that look after their own descriptors. */
enum gw_status board_start(struct board *b, struct gw_error *err);
/* The virtio console. The descriptors stay the caller's. */
enum gw_status board_add_channels(struct board *b, const struct board_channel_config *cfg,
                                  unsigned count, struct gw_error *err);
/* harts: 1 to DEV_MAX_HARTS; how their time follows mtime is said in clint.h. */
void board_connect(struct board *b, const struct board_hart_lines *lines, unsigned harts,
                   void (*time_moved)(void *context, uint64_t offset_ticks), void *context);
/* The machine goes on with a past that another one may have too: it learns of it, where the board has
 * what tells it. */
void board_renew(struct board *b, const uint8_t generation[DEV_VMGENID_BYTES]);
/* All devices as after power-on; RAM stays. */
void board_reset(struct board *b);
/* Devices in the order in which their states are put in force: what takes lines comes last. NULL
 * past the last. name: of the section that holds its state in a snapshot. */
struct gw_device *board_device(struct board *b, unsigned i, char *name, size_t name_bytes);
/* Waits until no request is in flight and all disks are flushed. False: the hook said that this is not
 * to be waited for; then disks are not flushed when they are closed, either. */
bool board_quiesce(struct board *b);
/* A console says more than the host takes, and the guest may not run on; for runs that can be repeated.
 * An event comes when it may. */
bool board_is_full(struct board *b);
/* Ends the I/O threads, frees. NULL is fine. */
void board_free(struct board *b);

static inline struct dev_flash *board_flash(const struct board *b, unsigned bank)
{
    return (struct dev_flash *)(void *)b->flash[bank];
}

static inline struct gw_ram *board_ram(struct board *b)
{
    return &b->bus.ram[0];
}

#endif
