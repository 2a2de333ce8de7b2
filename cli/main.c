/* godwit: finds the verb, reads its options, calls it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int usage_error(struct gw_error *err, const struct cli_options *o)
{
    struct cli_report report = {.ended = "error", .status = CLI_FAILURE};
    cli_print_error(err);
    if (o && o->report)
        cli_write_report(o->report, &report, err);
    return CLI_FAILURE;
}

static int help_verb(const struct cli_options *o)
{
    struct gw_error err = {0};
    const struct cli_verb_info *v = o->arg_count ? cli_find_verb(o->args[0]) : NULL;
    if (v) {
        cli_help_verb(stdout, v);
        return 0;
    }
    if (!o->arg_count) {
        cli_help(stdout);
        return 0;
    }
    gw_fail(&err, GW_ERR_ARG, o->args[0], "no such verb");
    snprintf(err.hint, sizeof err.hint, "godwit help");
    return usage_error(&err, NULL);
}

static int dispatch(const struct cli_verb_info *v, const struct cli_options *o)
{
    if (o->help) {
        cli_help_verb(stdout, v);
        return 0;
    }
    switch (v->verb) {
    case VERB_RUN: return cli_run(o);
    case VERB_RESTORE: return cli_restore(o);
    case VERB_PS: return cli_ps(o);
    case VERB_CONSOLE: return cli_console(o);
    case VERB_PAUSE:
    case VERB_RESUME:
    case VERB_RESET:
    case VERB_STOP:
    case VERB_WAIT:
    case VERB_STATS:
    case VERB_RM:
    case VERB_SAVE: return cli_machine_verb(o, v->verb);
    case VERB_SNAP: return cli_snap(o);
    case VERB_EXEC: return cli_exec(o);
    case VERB_BINFMT: return cli_binfmt(o);
    case VERB_DISASM: return cli_disasm(o);
    case VERB_DOCTOR: return cli_doctor(o);
    case VERB_COMPLETION: return cli_completion(o);
    case VERB_HELP: return help_verb(o);
    case VERB_MAN: cli_man_page(stdout); return 0;
    default: puts("godwit " GODWIT_VERSION); return 0;
    }
}

/* Where one of the standard streams is closed, the next file that is opened would be it, and a disk's
 * would take what is written to it. What holds its place can be used as little as one that is closed. */
static void hold_standard_streams(void)
{
    static const int in_vain[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", in_vain[fd]) != fd)
            _exit(CLI_FAILURE); /* nobody can be told */
}

/* What a verb printed is to arrive. */
static int finish(int status)
{
    struct gw_error err = {0};
    bool lost = ferror(stdout);
    if (fflush(stdout) == 0 && !lost)
        return status;
    gw_fail(&err, GW_ERR_STATE, "standard output", "cannot write: %s", strerror(errno));
    cli_print_error(&err);
    return status ? status : CLI_FAILURE;
}

int main(int argc, char **argv)
{
    struct gw_error err = {0};
    struct cli_options o;
    const struct cli_verb_info *v;
    const char *word;
    int status;
    hold_standard_streams();
    if (cli_as_peer(argv, &status))
        return finish(status);
    if (argc < 2) {
        cli_help(stderr);
        return CLI_FAILURE;
    }
    word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        word = "help";
    else if (!strcmp(word, "--version"))
        word = "version";
    v = cli_find_verb(word);
    if (!v) {
        gw_fail(&err, GW_ERR_ARG, argv[1], "no such verb");
        snprintf(err.hint, sizeof err.hint, "godwit help");
        return usage_error(&err, NULL);
    }
    if (cli_parse(&o, v, argv + 2, &err) != GW_OK)
        status = usage_error(&err, &o);
    else
        status = dispatch(v, &o);
    cli_options_free(&o);
    return finish(status);
}
