/*
 * User mode: one riscv64 Linux program on the host's kernel. It composes the translator and the
 * riscv64 frontend; system calls are passed to the host with their pointers moved, and converted
 * where the two kernels' layouts differ. User mode is no security boundary.
 *
 * Main thread, beside which the program's other threads have theirs; one program per process, since signals and
 * fork belong to the process.
 */
#ifndef USERMODE_H
#define USERMODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/counter.h"
#include "godwit/debug.h"
#include "godwit/status.h"

/* The dynamic linker that programs of the guest's C library ask for. */
#define UM_LINKER "/lib/ld-linux-riscv64-lp64d.so.1"

struct um_config {
    const char *path;          /* the program; searched for nowhere else */
    char *const *argv;         /* the guest's, NULL at the end, at least one */
    char *const *envp;         /* the guest's, NULL at the end */
    const char *sysroot;       /* looked up first for absolute paths; or NULL */
    int program_fd;            /* > 2: path is open there, and closed by us; else: path is opened */
    const char *uname_release; /* NULL: the host's */
    uint64_t stack_bytes;      /* 0: by RLIMIT_STACK */
    uint64_t space_bytes;      /* most of the address space; 0: as large as the host lets it be */
    const uint64_t *seed;      /* of AT_RANDOM; NULL: the host's randomness */
    char *const *self_argv;    /* how execve starts us again: words before "-0 NAME -- PROG ARGS";
                             * children have "--in-child" too */
    char *const *once_argv; /* more of them, for the process that was started; not its children */
    int strace_fd;          /* -1: no trace */
    int self_fd;   /* > 2: what starts us again is open there; else: it is this program's file */
    int report_fd; /* > 2: the caller's, which is not the guest's to close */
    bool interp;   /* the IR interpreter instead of a backend */
    const char *cpu_model;   /* NULL: the default */
    const char *cpu_options; /* or NULL */
    uint64_t host_page;      /* what the host's pages are to be taken for; 0: what they are */
    uint64_t timeout_ns;     /* 0: none */
    uint64_t stop_insn;      /* 0: none */
    bool own_deaths;  /* see fatal signals instead of dying by them at once: a report follows */
    const char *dump; /* "decode,ir,opt,host" or NULL */
    int dump_fd;
    /* Text of one host instruction for the dump, as in engine.h; NULL: bytes in hex. */
    size_t (*host_disasm)(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                          unsigned *len);
    unsigned verbose;          /* notes on stderr */
    bool quiet;                /* errors only */
    bool in_child;             /* what a child of the process that was started executes */
    bool allow_clock;          /* root's programs may set the host's clock */
    bool time_translation;     /* count translate_ns */
    uint64_t code_cache_bytes; /* 0: the default */
    unsigned max_guest_insns;  /* 0: the default */
    bool no_fold;
    bool count_host;
    /* Is given the program before it runs: a target that is good until its client hears of its end. In the
     * process that was started only: children that it forks are not watched, nor what it executes.
     * NULL: nobody watches. */
    void (*watch)(void *context, struct gw_debug *d);
    void *watch_context;
    unsigned fp_traps; /* as enum engine_fp_traps: 0 never, 1 as usual, 2 all the time */
};

enum um_ending { UM_EXIT, UM_SIGNAL, UM_TIMEOUT, UM_STOP_INSN };

struct um_result {
    enum um_ending ending;
    int status; /* UM_EXIT: exit status, 0..255 */
    int signal; /* UM_SIGNAL: to be raised again by um_raise */
    bool child; /* this process is a fork of the one that was started: no report */
    int strace_error,
        dump_error; /* errno: some of what was to be written there was lost; 0: none was */
    uint64_t insns;
    uint64_t syscalls;
    uint64_t overhead_bytes; /* code cache and tables */
};

/* Called at the program's end with the engine's counters; may be NULL. */
typedef void um_finish_fn(void *opaque, const struct counter_desc *desc, const void *counters,
                          const struct um_result *r);

/* Runs the program to its end. GW_ERR_NOTFOUND: no such program; GW_ERR_FORMAT, _UNSUPPORTED, _IO:
 * it cannot be run; else our own failure. Messages name the object. */
enum gw_status um_run(const struct um_config *cfg, um_finish_fn *finish, void *opaque,
                      struct um_result *result, struct gw_error *err);

/* What translated code could have on this host, in a program or a machine. Takes some milliseconds. */
struct um_host {
    char features[160];      /* of the CPU, by name; empty: no backend makes code for it */
    size_t code_cache_bytes; /* most, by two mappings; 0: they are refused */
    const char *missing;     /* why no program can run here; NULL: they can */
    unsigned flat_maps;      /* of flat_maps_most: address spaces with flat page maps at once */
    unsigned flat_maps_most;
};
void um_probe_host(struct um_host *out);

/* Ends this process by the signal, as if it had never been caught. */
_Noreturn void um_raise(int signal);

#endif
