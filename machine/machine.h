/*
 * A whole machine, as the command line sees it: what to run, and how it ended. The room is a module
 * (godwit-machine.so) that is opened on first use, so programs in user mode do not pay for it; its
 * only exported symbol is godwit_machine_module(), which returns what godwit_machine() does.
 *
 * machine_run() runs on the caller's thread, which becomes the first vCPU's, and starts a control thread,
 * I/O threads and, where they don't take turns, a thread for each further vCPU.
 * It prints nothing but the guest's output, notes and dumps on stderr, and never exits.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/debug.h"
#include "godwit/machine_spec.h"
#include "godwit/net.h"
#include "godwit/status.h"

#define MACHINE_API    12
#define MACHINE_SYMBOL "godwit_machine_module"
#define MACHINE_MODULE "godwit-machine.so"

struct machine_result;
struct snap_api;
struct snap_reader;

/*
 * Steering: what may be asked of a running machine. Any thread asks; done() is called once, before run()
 * returns (err NULL: it was done; text: what there is to say): on the vCPU's thread at a safe point, and
 * STATUS and STATS on the control thread where there is none for a second. After STOP the run comes to
 * its end, or is cut off. Watched descriptors are reported on the machine's control thread, which waits
 * for nobody; the last reports come while run() returns.
 */
enum machine_ask {
    MACHINE_ASK_STATUS, /* text: lines KEY=VALUE */
    MACHINE_ASK_STATS,  /* text: lines, one a counter */
    MACHINE_ASK_PAUSE,
    MACHINE_ASK_RESUME,
    MACHINE_ASK_RESET,
    MACHINE_ASK_STOP,
    MACHINE_ASK_SAVE, /* by save() alone */
};

struct machine_watch {
    int fd;
    void (*ready)(void *context, uint32_t epoll_events);
    void *context;
    void *room[3]; /* the machine's own */
};

struct machine_steer {
    void *machine;
    struct gw_debug *debug; /* the machine as a debugger has it; its units are the vCPUs */
    /* False: it was not taken, and done() is never called. */
    bool (*ask)(struct machine_steer *s, enum machine_ask what, const char *text,
                void (*done)(void *context, const char *text, const struct gw_error *err),
                void *context);
    /* Saves the machine to an empty file, which is closed afterwards; name: what messages call it.
     * False: as ask(), and fd stays the caller's. */
    bool (*save)(struct machine_steer *s, int fd, const char *name,
                 void (*done)(void *context, const char *text, const struct gw_error *err),
                 void *context);
    /* Any thread. As if the power failed: the control thread cuts the run off (see machine_options), now,
     * whatever the other threads wait for. */
    void (*kill)(struct machine_steer *s);
    /* events: of epoll; 0: report nothing for now. The watch stays put until run() returns. */
    bool (*watch)(struct machine_steer *s, struct machine_watch *w, uint32_t events);
    void (*rewatch)(struct machine_steer *s, struct machine_watch *w, uint32_t events);
};

/* What stands on top of a machine. open() is called when the machine is about to run. */
struct machine_control {
    enum gw_status (*open)(void *context, struct machine_steer *steer, struct gw_error *err);
    void *context;
    /* The name of a socket, which is removed when the run ends, in a directory that is to be the machine's
     * own, whoever it becomes. NULL: there is none. */
    const char *socket_name;
    int folder_fd;
};

/* A machine that was saved, which goes on instead of booting. All of it is the caller's. */
struct machine_saved {
    int fd;                          /* the file, which stays where it is */
    struct snap_reader *reader;      /* instead of a file; NULL: the file */
    const char *name;                /* for messages */
    const struct machine_spec *spec; /* as the snapshot has it */
    const uint8_t *root;             /* what its seal says of the file; NULL: it has none */
    /* What of the host it names and nobody said yes to: none of it is opened. It is what a reset wants
     * at most. */
    const struct machine_spec *withheld;
};

/* What the machine is made of, and what the one who starts it gives it beside that. All of it belongs
 * to the caller and outlives the run. */
struct machine_options {
    const struct machine_spec *spec; /* settled: see spec_settle() */
    /* Text of one host instruction, as in engine.h; NULL: bytes in hex. */
    size_t (*host_disasm)(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                          unsigned *len);
    /* Opens the module of user networking; NULL: there is none. */
    const struct gw_net_module *(*open_net)(struct gw_error *err);
    /* Snapshots: opens their module on first use; NULL: there is none. */
    const struct snap_api *(*open_snapshots)(struct gw_error *err);
    const struct machine_saved *restore;   /* NULL: it boots */
    const struct machine_control *control; /* NULL: none */
    bool detached;                         /* standard input and output are a socket that whoever
                                            * attaches to the console is behind */
    /* Control thread: the run was to end and has not, since the host holds a thread of it, or it was
     * killed. To say so, and to end the process. */
    void (*cut)(void *context, const struct machine_result *result);
    void *cut_context;
    uint64_t code_cache_bytes, map_bytes; /* as engine_config has them */
};

enum machine_ended {
    MACHINE_ENDED_ERROR, /* machine_run() failed */
    MACHINE_ENDED_POWEROFF,
    MACHINE_ENDED_EXIT, /* the test device gave a code; or the command its status */
    MACHINE_ENDED_SIGNAL,
    MACHINE_ENDED_PANIC,
    MACHINE_ENDED_TIMEOUT,
    MACHINE_ENDED_STOP_TEXT,
    MACHINE_ENDED_STOP_INSN,
    MACHINE_ENDED_STOPPED, /* was asked to */
    MACHINE_ENDED_QUIT,    /* from the console's menu */
    MACHINE_ENDED_DUMP,    /* --dump-dtb: nothing ran */
    MACHINE_ENDED_KILLED,  /* by steer->kill() */
};

struct machine_result {
    enum machine_ended ended;
    unsigned code; /* EXIT: the guest's code */
    int signal;    /* SIGNAL */
    /* With a command: EXIT and SIGNAL are its own. EXIT: if errno, Linux's number, is not 0, it
     * could not be started. */
    bool command_ended;
    int command_errno;
    int output_error; /* errno: standard output did not take all that the guest said, and it was told
                       * so on standard error unless it is EPIPE; 0: it did, or nobody waited for it */
    int dump_error;   /* errno: some of --dump was lost; 0: none was */
    uint64_t insns;   /* retired, by all CPUs */
    uint64_t wall_ns;
    uint64_t peak_rss_bytes; /* the most memory that was resident at once; 0: not known */
    uint64_t overhead_bytes; /* memory beyond the guest's RAM, as far as we know it */
};

struct machine_api {
    unsigned version; /* MACHINE_API */
    /* NULL: machines are locked in, unless no_sandbox says otherwise. Else why they are not. */
    const char *(*sandbox_missing)(void);
    /* The version of Landlock; 0: this host's kernel has none. */
    int (*landlock)(void);
    /* Whom a machine of this user's becomes; NULL: it stays who it is. name: 64 bytes. */
    const char *(*becomes)(char *name);
    /* Locks the calling process in, which is no machine's and has one thread: see sandbox_enter_reader().
     * Fails where sandbox_missing() says why. */
    enum gw_status (*lock_reader)(struct gw_error *err);
    /* *result is filled in on failure too. */
    enum gw_status (*run)(const struct machine_options *o, struct machine_result *result,
                          struct gw_error *err);
};

const struct machine_api *godwit_machine(void);

#endif
