/*
 * A whole machine, as the command line sees it: what to run, and how it ended. The room is a module
 * (godwit-machine.so) that is opened on first use, so programs in user mode do not pay for it; its
 * only exported symbol is godwit_machine_module(), which returns what godwit_machine() does.
 *
 * machine_run() runs on the caller's thread, which becomes the vCPU's, and starts one I/O thread.
 * It prints nothing but the guest's output, notes and dumps on stderr, and never exits.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/net.h"
#include "godwit/status.h"

#define MACHINE_API    7
#define MACHINE_SYMBOL "godwit_machine_module"
#define MACHINE_MODULE "godwit-machine.so"

enum {
    MACHINE_MAX_CPUS = 8,
    MACHINE_MAX_DISKS = 8,
    MACHINE_MAX_FILES = 16,
    MACHINE_MAX_PUBLISH = 16,
    MACHINE_MAX_CHANNELS = 7,
    MACHINE_FLASH_BANKS = 2,
    MACHINE_PORTS = 2
};

struct snap_api;
struct snap_reader;

/*
 * Steering: what may be asked of a running machine. Any thread asks; done() is called once, on the
 * vCPU's thread at a safe point (err NULL: it was done; text: what there is to say), before run()
 * returns. Watched descriptors are reported on the machine's I/O thread, until run() returns.
 */
enum machine_ask {
    MACHINE_ASK_STATUS, /* text: lines KEY=VALUE */
    MACHINE_ASK_STATS,  /* text: lines, one a counter */
    MACHINE_ASK_PAUSE,
    MACHINE_ASK_RESUME,
    MACHINE_ASK_RESET,
    MACHINE_ASK_STOP,
    MACHINE_ASK_SAVE, /* text asked with: the file */
};

struct machine_watch {
    int fd;
    void (*ready)(void *context, uint32_t epoll_events);
    void *context;
    void *room[3]; /* the machine's own */
};

struct machine_steer {
    void *machine;
    /* False: it was not taken, and done() is never called. */
    bool (*ask)(struct machine_steer *s, enum machine_ask what, const char *text,
                void (*done)(void *context, const char *text, const struct gw_error *err),
                void *context);
    /* events: of epoll; 0: report nothing for now. The watch stays put until run() returns. */
    bool (*watch)(struct machine_steer *s, struct machine_watch *w, uint32_t events);
    void (*rewatch)(struct machine_steer *s, struct machine_watch *w, uint32_t events);
};

/* What stands on top of a machine. open() is called when the machine is about to run. */
struct machine_control {
    enum gw_status (*open)(void *context, struct machine_steer *steer, struct gw_error *err);
    void *context;
};

struct machine_disk {
    const char *path;
    bool rw;
    const char *overlay;             /* NULL: temporary, unless rw */
    uint64_t bytes_per_s, ops_per_s; /* 0: no limit */
};

enum machine_net_kind { MACHINE_NET_NONE, MACHINE_NET_USER, MACHINE_NET_TAP, MACHINE_NET_SOCKET };

/* A network card, and what it is plugged into. */
struct machine_net {
    enum machine_net_kind kind;
    const char *text;   /* kind and target as --net takes them; NULL: none */
    const char *target; /* tap: its name; socket: its path */
    uint8_t mac[6];     /* all zero: the default */
    struct gw_net_publish publish[MACHINE_MAX_PUBLISH]; /* user */
    unsigned publish_count;
};

struct machine_flash {
    const char *path; /* NULL: an erased bank */
    bool rw;          /* else what is written is lost at the end */
};

/* A file for firmware, by its fw_cfg name, or for memory at an address. */
struct machine_file {
    const char *path;
    const char *name;
    uint64_t at;
};

enum machine_port_kind {
    MACHINE_PORT_STDIO,
    MACHINE_PORT_FILE, /* output only, to path */
    MACHINE_PORT_PTY,  /* a terminal of its own; its name is said on stderr */
    MACHINE_PORT_UNIX, /* whoever connects to the socket at path, one at a time */
};

struct machine_port {
    enum machine_port_kind kind;
    const char *path;
};

/* A port of the virtio console: a console, or a channel with a name. */
struct machine_channel {
    const char *name; /* NULL: a console */
    struct machine_port port;
};

/* Strings belong to the caller and outlive the run. */
struct machine_options {
    const char *kernel; /* Linux Image or ELF; NULL: none */
    const char *initrd;
    const char *append;
    const char *bios;     /* NULL or "builtin", "none" (ELF kernels start in M mode), or a file */
    const char *dtb;      /* a device tree to use instead of ours */
    const char *dump_dtb; /* write ours there, and do not run */
    uint64_t memory_bytes;
    unsigned cpus; /* 1 to MACHINE_MAX_CPUS */
    struct machine_disk disks[MACHINE_MAX_DISKS];
    unsigned disk_count;
    struct machine_net net;
    struct machine_channel channels[MACHINE_MAX_CHANNELS];
    unsigned channel_count;
    struct machine_port ports[MACHINE_PORTS];        /* one at least; at most one STDIO */
    unsigned port_count;                             /* 0: the first is STDIO */
    struct machine_flash flash[MACHINE_FLASH_BANKS]; /* bank 0 is started where it has a file */
    struct machine_file fw_cfg[MACHINE_MAX_FILES], loads[MACHINE_MAX_FILES];
    unsigned fw_cfg_count, load_count;
    const char *name;

    const char *cpu_model;   /* NULL: "rv64" */
    const char *cpu_options; /* "EXT=on,..." or NULL */
    bool interp;
    bool clock_insns;
    uint64_t mips; /* with clock_insns; 0: 1000 */
    /* With clock_insns: what the guest sees depends on nothing but the machine, its files and the
     * seed; see repeat.c. */
    bool deterministic;
    uint64_t seed;
    uint64_t timeout_ns, stop_insn; /* 0: none */
    const char *stop_text;
    const char *dump, *dump_file; /* as the engine takes them */
    /* Text of one host instruction, as in engine.h; NULL: bytes in hex. */
    size_t (*host_disasm)(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                          unsigned *len);
    bool stats, quiet;
    /* Opens the module of user networking; NULL: there is none. */
    const struct gw_net_module *(*open_net)(struct gw_error *err);
    /* Snapshots: opens their module on first use; NULL: there is none. */
    const struct snap_api *(*open_snapshots)(struct gw_error *err);
    struct snap_reader *restore;           /* goes on from there instead of booting; the caller's */
    const struct machine_control *control; /* NULL: none */
    bool panic_pause;        /* a guest's panic pauses the machine instead of ending the run */
    const char *panic_save;  /* saves the machine there when it ended by a panic; NULL: does not */
    const char *save_at_end; /* saves the machine there when its run ends; NULL: does not */
    unsigned verbose;
    /* Tests: 0 is the default, but for fp_traps. */
    uint64_t code_cache_bytes;
    unsigned max_guest_insns;
    bool no_fold;
    bool use_tlb;         /* the tagged TLB rather than the flat map */
    unsigned fp_traps;    /* as enum engine_fp_traps: 0 never, 1 as usual, 2 all the time */
    bool no_packed_rings; /* devices do not offer them */
};

enum machine_ended {
    MACHINE_ENDED_ERROR, /* machine_run() failed */
    MACHINE_ENDED_POWEROFF,
    MACHINE_ENDED_EXIT, /* the test device gave a code */
    MACHINE_ENDED_SIGNAL,
    MACHINE_ENDED_PANIC,
    MACHINE_ENDED_TIMEOUT,
    MACHINE_ENDED_STOP_TEXT,
    MACHINE_ENDED_STOP_INSN,
    MACHINE_ENDED_STOPPED, /* was asked to */
    MACHINE_ENDED_QUIT,    /* from the console's menu */
    MACHINE_ENDED_DUMP,    /* --dump-dtb: nothing ran */
};

struct machine_result {
    enum machine_ended ended;
    unsigned code;  /* EXIT: the guest's code */
    int signal;     /* SIGNAL */
    uint64_t insns; /* retired, by all CPUs */
    uint64_t wall_ns;
    uint64_t overhead_bytes; /* memory beyond the guest's RAM, as far as we know it */
};

struct machine_api {
    unsigned version; /* MACHINE_API */
    /* *result is filled in on failure too. */
    enum gw_status (*run)(const struct machine_options *o, struct machine_result *result,
                          struct gw_error *err);
};

const struct machine_api *godwit_machine(void);

#endif
