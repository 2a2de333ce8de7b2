/*
 * A running machine: what the files of this room share. All of it is used on vCPU threads, under the
 * device lock where there are several; what else holds for several is said in threads.c.
 */
#ifndef MACHINE_VM_H
#define MACHINE_VM_H

#include <pthread.h>

#include "machine/riscv64/board.h"
#include "machine/lock/broker.h"
#include "translator/debug.h"
#include "machine/host.h"
#include "machine/boot/loader.h"
#include "machine/loop/asks.h"
#include "machine/machine.h"
#include "machine/ports/port.h"
#include "frontend/riscv64/rv_cpu.h"
#include "machine/lock/sandbox.h"
#include "machine/riscv64/sbi.h"
#include "machine/loop/text_watch.h"

struct vcpu {
    struct vm *m;
    unsigned index; /* mhartid */
    struct rv_cpu *cpu;
    struct engine *engine;
    const struct interp_caller *caller; /* the interpreter's; NULL: direct calls */
    /* threads.c */
    pthread_t thread;
    uint32_t running; /* atomic: in engine_run() */
    uint64_t retired; /* atomic: at its last look */
};

enum vm_input { VM_INPUT_NONE, VM_INPUT_BYTES, VM_INPUT_PERSON };

struct vm {
    const struct machine_options *o;
    const struct machine_spec *spec; /* the options' */
    struct sandbox *sandbox;         /* NULL: none */
    struct broker *broker;
    const struct snap_api *snapshots; /* NULL: not opened yet */
    struct snap_reader *reader;       /* while it is restored */
    struct vm_work {                  /* of a save or a restore, one at a time */
        struct dev_io_job job;
        void (*work)(void *arg);
        void *arg;
    } work;
    struct vm_boot_file {
        const char *path; /* of the options */
        int fd;
    } boot_file[4 + SPEC_MAX_FILES]; /* kernel, initrd, device tree, firmware, and --load */
    unsigned boot_file_count;
    struct machine_spec seen; /* the names of its files are whole, and what they were is known */
    bool has_seen;
    bool boot_files_open; /* all that are to be had */
    int memory_fd;        /* what the host says about our memory; -1: nothing */
    int status_fd;        /* /proc/self/status; -1: none */
    struct machine_result *result;
    struct board *board;
    struct host *host;
    const struct guest_isa *isa;
    struct port *port[SPEC_SERIAL_PORTS]; /* the second may be NULL */
    struct port *channel_port[SPEC_MAX_CHANNELS];
    struct vcpu vcpu[SPEC_MAX_CPUS];
    unsigned cpus;
    unsigned turn; /* turns.c: the vCPU that runs */
    struct engine_world *world;
    struct engine_dump dump;
    struct sbi sbi;
    bool firmware_builtin;

    enum vm_input input; /* what standard input is to a command */
    bool input_waits;    /* for command.h's init */
    bool over;           /* atomic; result->ended says why */
    bool ending;         /* end.c: the guest runs no more */
    uint64_t
        end_by_ns; /* by the host's clock: what the end waits for is given up; 0: not yet known */
    bool reset_wanted;
    uint64_t resets; /* so far */
    /* threads.c */
    pthread_mutex_t lock; /* the device lock */
    bool threads;         /* several run now */
    pthread_cond_t gate;  /* the next two have changed; under lock */
    unsigned entered;     /* threads that are locked in; the first one's is not counted */
    bool gate_open;       /* all are, and guest code may run */
    bool held;            /* but nothing of the guest does */
    uint64_t flushed_at;  /* repeat.c: count of the last flush */

    /* steer.c */
    struct machine_steer steer;
    bool paused, panic_held;
    bool full;                /* a console is, see board_is_full() */
    struct debug *debug;      /* NULL: nobody can watch */
    bool watched_still;       /* a debugger holds it */
    uint64_t seen_insns;      /* atomic: at the last look */
    pthread_mutex_t steering; /* of the next: whoever asks may post */
    bool steered;
    int late_fd; /* a timer for those who were not answered in time */
    struct dev_io_watch late_watch;
    uint16_t control; /* the source of what is asked */
    struct asks asks;
    char *save_name;   /* a save that was asked for; NULL: none */
    struct asker save; /* by whom; without a descriptor to a file of the menu's */

    struct text_watch stop, panic, panic_end;
    bool panicked;
    uint64_t panic_output; /* bytes seen since, at the last look */
    unsigned panic_looks;
    struct gw_timer panic_timer;
    uint64_t output_bytes;

    uint64_t tohost; /* see struct image */
};

/* A thread for each vCPU: several, by the host's clock. */
static inline bool vm_has_threads(const struct vm *m)
{
    return m->cpus > 1 && !m->spec->clock_insns;
}

/* Ends the run; the first reason stays. */
void vm_end(struct vm *m, enum machine_ended ended, unsigned code);
void vm_power(void *context, int request, unsigned code);

/* vcpus.c */
enum gw_status vm_make_cpus(struct vm *m, struct gw_error *err);
enum gw_status vm_make_engines(struct vm *m, struct gw_error *err);
void vm_free_cpus(struct vm *m);
/* Instructions retired by all vCPUs, which is what counts as the machine's time; while threads run
 * them as far as they said. */
uint64_t vm_retired(const struct vm *m);
/* Has all vCPUs come back from guest code soon, and wakes those that sleep. */
void vm_kick(struct vm *m);
/* Before the vCPU runs: may it? It is not stopped, and does not wait. */
bool vm_may_run(struct vcpu *v);
/* No vCPU may run, as far as that can be told without doing anything. */
bool vm_idle(struct vm *m);
/* VM time at which the vCPU itself wants to run again. */
uint64_t vm_deadline(const struct vcpu *v);
/* Everything derived is dropped: the state of all vCPUs was replaced. */
void vm_reset_derived(struct vm *m);
/* Host faults of the thread's translated code, of the process while between these two. */
void vm_faults_on(void);
void vm_faults_off(void);
void vm_faults_of(struct engine *e); /* of this thread */

/* The life of a machine whose vCPUs run on this thread (turns.c), or each on its own (threads.c). */
void vm_loop(struct vm *m);
enum gw_status vm_run_threads(struct vm *m, struct gw_error *err);
void vm_look_at_tohost(struct vm *m);
void vm_reset(struct vm *m);

/* run.c: the consoles begin to read, if they have not yet. */
void vm_start_input(struct vm *m);

/* boot.c: loads everything and sets the CPUs' start state. Also after a reset. */
enum gw_status vm_boot(struct vm *m, struct gw_error *err);
/* files.c: a file to boot from, opened once. vm_open_files(): all of them, before the thread is locked in; those
 * that a restored machine's reset will want are missed then, if they are not there. */
enum gw_status vm_file(struct vm *m, struct blob *b, const char *path, const char *what,
                       struct gw_error *err);
enum gw_status vm_open_files(struct vm *m, struct gw_error *err);
/* A file that the machine was restored without: it names it, and nobody said yes to it. */
bool vm_is_withheld(const struct vm *m, const char *path);
/* May the machine be reset? It has all that it starts from. */
enum gw_status vm_check_reset(const struct vm *m, struct gw_error *err);
/* The file of firmware that is started; NULL: it is built in, or there is none. */
const char *vm_firmware_file(const struct machine_spec *s);
void vm_close_files(struct vm *m);
/* offer.c: what firmware finds by fw_cfg. Once. */
enum gw_status vm_offer(struct vm *m, struct gw_error *err);
/* The kernel and initrd are firmware's to load, since firmware in flash is what starts. */
bool vm_offers_kernel(const struct machine_spec *s);
/* The device tree as the guest will see it. *blob is the caller's to free. */
enum gw_status vm_device_tree(struct vm *m, uint8_t **blob, size_t *size, struct gw_error *err);

/* channels.c: the virtio console. Opened after the board is made, started with the I/O thread. */
enum gw_status vm_open_channels(struct vm *m, struct gw_error *err);
enum gw_status vm_start_channels(struct vm *m, struct gw_error *err);
/* A serial port or a console has standard input. */
bool vm_on_stdio(const struct vm *m);
/* The console that has standard output; NULL: none. */
struct dev_console *vm_console_on_stdout(const struct vm *m);
/* The terminal there has this size, in characters. context: struct vm. */
void vm_resized(void *context, uint16_t columns, uint16_t rows);

/* console_watch.c */
enum gw_status vm_watch_init(struct vm *m, struct gw_error *err);
void vm_watch_byte(void *context, uint8_t byte);

/* repeat.c: runs that can be repeated (--deterministic). */
enum { VM_REPEAT_STEP = 1 << 19 }; /* most instructions between two looks */
/* own_deadline: of the vCPU that is to run. */
uint64_t vm_repeat_limit(struct vm *m, uint64_t retired, uint64_t own_deadline);
void vm_repeat_settle(struct vm *m, uint64_t retired);
bool vm_repeat_rests(const struct vm *m, uint64_t retired);
bool vm_repeat_may_stop(const struct vm *m, uint64_t retired);
/* The host's randomness; by the instruction clock, the seed's. */
void vm_fresh_bytes(const struct vm *m, uint8_t *to, size_t size);

/* lock_in.c: each of our threads into its sandbox, this one for now as who loads; all of them are there, but
 * those of further vCPUs. The last two are user networking's, see gw_net_thread. */
enum gw_status vm_lock_in(struct vm *m, struct gw_error *err);
/* Before that: this process gets so many descriptors and no more. GW_ERR_LIMIT: they are too few. */
enum gw_status vm_limit_files(struct vm *m, struct gw_error *err);
bool vm_own_net_files(void *context, const int *keep, unsigned count);
bool vm_enter_net(void *context);

/* end.c: what the machine waits for, beside the guest, is not to hold whoever steers it. vCPU thread, now
 * and then while it waits: answers those who only want to know something. False: an end was asked for;
 * at the end itself: it has taken long enough. */
bool vm_go_on(void *context);
/* The same while the machine is saved, which takes its time at the end too. */
bool vm_saves_on(struct vm *m);
/* The guest has run for the last time. */
void vm_begin_end(struct vm *m);
/* Control thread: see host_hooks. */
void vm_cut(void *context, enum host_end why, int signal);

/* steer.c */
/* Any thread: answers one who only wants to know something; busy: by a thread that may not look. */
void vm_answer_look(struct vm *m, const struct asker *a, bool busy);
enum gw_status vm_steer_open(struct vm *m, struct gw_error *err);
/* At a safe point: what was asked for and waits for one. True: the machine is paused, and something
 * may have been posted since; false: it may run. */
bool vm_steer(struct vm *m, uint64_t retired);
void vm_steer_end(struct vm *m);
void vm_pause(struct vm *m, bool pause);
void vm_menu(struct vm *m, uint8_t key); /* 'p', 's' */

/* debug.c: a machine that may be watched; what runs a vCPU's guest code, whether it is or not. */
enum gw_status vm_debug_open(struct vm *m, struct gw_error *err);
void vm_debug_close(struct vm *m);
enum engine_stop vm_run_engine(struct vcpu *v, uint64_t max_insns, bool exact);
bool vm_debug_allows(const struct vcpu *v);
/* Before the machine runs, and once it has ended. */
void vm_debug_begin(struct vm *m);
void vm_debug_end(struct vm *m);
/* Where vCPUs take turns: returns when no debugger holds the machine. */
void vm_debug_look(struct vm *m);
/* Threads: all vCPUs are to be held; they are, and it stays so until there is news. */
bool vm_debug_wanted(const struct vm *m);
bool vm_debug_held(struct vm *m);
/* While it is held: waits, and hears what ends the machine, or asks of it. */
void vm_debug_wait(struct vm *m);

/* seen.c: before names mean nothing to us any more. */
enum gw_status vm_see_names(struct vm *m, struct gw_error *err);
/* At a safe point, with no engine running. Requests in flight are finished first. */
enum gw_status vm_open_snapshots(struct vm *m, struct gw_error *err);
enum gw_status vm_save(struct vm *m, int fd, const char *name, struct gw_error *err);
/* To a file of its own, by the broker. name: BROKER_PATH_BYTES, where it was saved to. */
enum gw_status vm_save_as(struct vm *m, enum broker_save which, char *name, struct gw_error *err);
/* Instead of vm_boot(), into a machine as it was put together. VM time stands still until
 * vm_restored_runs(). A machine by the host's clock learns that it may not be the only one. */
enum gw_status vm_restore(struct vm *m, struct gw_error *err);
void vm_restored_runs(struct vm *m);

/* report.c: what is said on stderr at the end of a run. */
void vm_show_state(struct vm *m);
void vm_show_stats(struct vm *m);
void vm_print_stats(struct vm *m, FILE *out, const char *prefix);
void vm_show_discarded(const struct vm *m);
uint64_t vm_overhead_bytes(struct vm *m);
uint64_t vm_peak_rss_bytes(const struct vm *m); /* 0: the host does not say */

#endif
