/* The verb exec, from the options table to user mode. */
#include "cli/cli.h"
#include "cli/verbs/exec.h"
#include "cli/host_disasm.h"

int cli_exec(const struct cli_options *o)
{
    struct exec_options e = {
        .args = o->args,
        .argv0 = o->argv0,
        .sysroot = o->sysroot,
        .root = o->root,
        .setenv = o->setenv,
        .setenv_count = o->setenv_count,
        .unsetenv = o->unsetenv,
        .unsetenv_count = o->unsetenv_count,
        .strace = o->strace,
        .strace_file = o->strace_file,
        .interp = o->interp,
        .cpu_model = o->cpu_model,
        .cpu_options = o->cpu_options,
        .dump = o->dump,
        .dump_file = o->dump_file,
        .host_disasm = cli_host_disasm(o->dump),
        .timeout_ns = o->timeout_ns,
        .stop_insn = o->stop_insn,
        .stats = o->stats,
        .report = o->report,
        .quiet = o->quiet,
        .verbose = (unsigned)o->verbose,
        .code_cache_bytes = o->code_cache_bytes,
        .max_guest_insns = (unsigned)o->max_block,
        .no_fold = o->no_fold,
        .fp_traps = o->fp_traps,
    };
    struct cli_overhead share;
    struct gw_error err = {0};
    if (cli_share_overhead(&share, o->overhead_max, 0, &err) != GW_OK)
        return cli_start_failed(o, &err);
    if (!e.code_cache_bytes)
        e.code_cache_bytes = share.code_cache_bytes;
    return exec_main(&e);
}
