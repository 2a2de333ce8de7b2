/*
 * The verb exec: one guest program in user mode. The options table fills this struct; exec_main
 * starts the program and stays with it. Main thread; call once per process.
 */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exec_options {
    char *const *args;         /* PROG ARGS, as given; NULL at the end, at least PROG */
    const char *argv0;         /* -0/--argv0: the guest's argv[0] instead of PROG; or NULL */
    const char *sysroot;       /* -L/--sysroot: where absolute paths are looked up first; or NULL */
    const char *root;          /* --root: the guest's / (chroot; needs the right to); or NULL */
    const char *const *setenv; /* -E/--env: "VAR=VALUE"; or NULL when setenv_count is 0 */
    unsigned setenv_count;
    const char *const *unsetenv; /* -U/--unset: "VAR" */
    unsigned unsetenv_count;
    bool strace;             /* --strace[=FILE] */
    const char *strace_file; /* NULL: stderr */
    bool interp;             /* --engine interp */
    const char *cpu_model;   /* --cpu MODEL: NULL: the default, "rv64" */
    const char *cpu_options; /* --cpu ,EXT=on|off...: text after the first comma; or NULL */
    const char *dump;        /* --dump LIST: "decode,ir,opt,host"; or NULL */
    const char *dump_file;   /* --dump LIST=FILE; NULL: stderr */
    /* Text of one host instruction, as in engine.h; NULL: bytes in hex. */
    size_t (*host_disasm)(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                          unsigned *len);
    uint64_t timeout_ns; /* --timeout; 0: none */
    uint64_t stop_insn;  /* --stop-insn; 0: none */
    bool stats;          /* --stats: counters on stderr at the end */
    const char *report;  /* --report FILE; or NULL */
    bool quiet;          /* -q */
    unsigned verbose;    /* -v, counted */
    /* Tests: 0 is the default, but for fp_traps. */
    uint64_t code_cache_bytes;
    unsigned max_guest_insns;
    bool no_fold;
    unsigned fp_traps; /* 0 never, 1 as usual, 2 all the time */
};

/* Returns the exit status (README.md): the program's own, 122-127 for ours. When the program was
 * killed by a signal, ends this process by the same signal. Prints errors on stderr. */
int exec_main(const struct exec_options *o);

#endif
