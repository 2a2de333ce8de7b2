/* A running machine: what run.c, boot.c and watch share. vCPU thread. */
#ifndef MACHINE_VM_H
#define MACHINE_VM_H

#include "board.h"
#include "engine.h"
#include "host.h"
#include "loader.h"
#include "machine.h"
#include "port.h"
#include "rv_cpu.h"
#include "sbi.h"
#include "text_watch.h"

struct vm {
    const struct machine_options *o;
    struct machine_result *result;
    struct board *board;
    struct host *host;
    const struct guest_isa *isa;
    struct port *port[MACHINE_PORTS]; /* the second may be NULL */
    struct port *channel_port[MACHINE_MAX_CHANNELS];
    struct rv_cpu *cpu;
    struct engine *engine;
    struct engine_dump dump;
    const struct interp_caller *caller; /* the interpreter's; NULL: direct calls */
    struct sbi sbi;
    bool firmware_builtin;

    bool input_waits; /* for command.h's init */
    bool over;        /* result->ended says why */
    bool reset_wanted;
    uint64_t flushed_at; /* repeat.c: count of the last flush */

    /* steer.c */
    struct machine_steer steer;
    bool paused, panic_held;
    char *save_path; /* a save that was asked for; NULL: none */
    void (*save_done)(void *context, const char *text, const struct gw_error *err);
    void *save_context;

    struct text_watch stop, panic, panic_end;
    bool panicked;
    uint64_t panic_output; /* bytes seen since, at the last look */
    unsigned panic_looks;
    struct gw_timer panic_timer;
    uint64_t output_bytes;

    uint64_t tohost; /* see struct image */
};

/* Ends the run; the first reason stays. */
void vm_end(struct vm *m, enum machine_ended ended, unsigned code);
void vm_power(void *context, int request, unsigned code);

/* run.c: the consoles begin to read, if they have not yet. */
void vm_start_input(struct vm *m);

/* boot.c: loads everything and sets the CPU's start state. Also after a reset. */
enum gw_status vm_boot(struct vm *m, struct gw_error *err);
/* offer.c: what firmware finds by fw_cfg. Once. */
enum gw_status vm_offer(struct vm *m, struct gw_error *err);
/* The kernel and initrd are firmware's to load, since firmware in flash is what starts. */
bool vm_offers_kernel(const struct machine_options *o);
/* The device tree as the guest will see it. *blob is the caller's to free. */
enum gw_status vm_device_tree(struct vm *m, uint8_t **blob, size_t *size, struct gw_error *err);

/* channels.c: the virtio console. Opened after the board is made, started with the I/O thread. */
enum gw_status vm_open_channels(struct vm *m, struct gw_error *err);
enum gw_status vm_start_channels(struct vm *m, struct gw_error *err);
/* A serial port or a console has standard input. */
bool vm_on_stdio(const struct vm *m);
/* The terminal there may have another size. */
void vm_resized(struct vm *m);

/* console_watch.c */
enum gw_status vm_watch_init(struct vm *m, struct gw_error *err);
void vm_watch_byte(void *context, uint8_t byte);

/* repeat.c: runs that can be repeated (--deterministic). */
enum { VM_REPEAT_STEP = 1 << 17 }; /* most instructions between two looks */
uint64_t vm_repeat_limit(struct vm *m, uint64_t retired);
void vm_repeat_settle(struct vm *m, uint64_t retired);
bool vm_repeat_rests(const struct vm *m, uint64_t retired);
bool vm_repeat_may_stop(const struct vm *m, uint64_t retired);
void vm_seed_bytes(const struct vm *m, uint8_t *to, size_t size);

/* steer.c */
enum gw_status vm_steer_open(struct vm *m, struct gw_error *err);
/* At a safe point: what was asked for and waits for one. True: the machine is paused, and something
 * may have been posted since; false: it may run. */
bool vm_steer(struct vm *m, uint64_t retired);
void vm_steer_end(struct vm *m);
void vm_pause(struct vm *m, bool pause);
void vm_menu(struct vm *m, uint8_t key); /* 'p', 's' */

/* snapshot.c: at a safe point, with no engine running. Requests in flight are finished first. */
enum gw_status vm_save(struct vm *m, const char *path, struct gw_error *err);
/* Instead of vm_boot(), into a machine as it was put together. VM time stands still until
 * vm_restored_runs(). */
enum gw_status vm_restore(struct vm *m, struct gw_error *err);
void vm_restored_runs(struct vm *m);

/* report.c: what is said on stderr at the end of a run. */
void vm_show_state(struct vm *m);
void vm_show_stats(struct vm *m);
void vm_print_stats(struct vm *m, FILE *out, const char *prefix);
void vm_show_discarded(const struct vm *m);
uint64_t vm_overhead_bytes(struct vm *m);

#endif
