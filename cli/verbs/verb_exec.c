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
        .interp = o->spec.engine == SPEC_ENGINE_INTERP,
        .cpu_model = o->spec.cpu_model,
        .cpu_options = o->spec.cpu_options,
        .dump = o->spec.dump,
        .dump_file = o->spec.dump_file,
        .host_disasm = cli_host_disasm(o->spec.dump),
        .timeout_ns = o->spec.timeout_ns,
        .stop_insn = o->spec.stop_insn,
        .stats = o->spec.stats,
        .report = o->report,
        .quiet = o->spec.quiet,
        .verbose = (unsigned)o->spec.verbose,
        .code_cache_bytes = o->spec.code_cache_bytes,
        .max_guest_insns = (unsigned)o->spec.max_block,
        .no_fold = o->spec.no_fold,
        .fp_traps = o->spec.fp_traps - SPEC_FP_TRAPS_OFF,
    };
    struct cli_overhead share;
    struct gw_error err = {0};
    if (cli_share_overhead(&share, o->spec.overhead_max, 0, &err) != GW_OK)
        return cli_start_failed(o, &err);
    if (!e.code_cache_bytes)
        e.code_cache_bytes = share.code_cache_bytes;
    return exec_main(&e);
}
