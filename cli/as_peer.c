/* Called by another program's name: its words become ours, and exec does the rest. */
#include "cli/cli.h"
#include "cli/options/peer.h"

static int run(struct cli_peer_words *w, struct gw_error *err)
{
    struct cli_options o;
    int status = CLI_FAILURE;
    if (cli_parse(&o, cli_find_verb("exec"), w->words, err) == GW_OK)
        status = cli_exec(&o);
    else
        cli_print_error(err);
    cli_options_free(&o);
    return status;
}

bool cli_as_peer(char *const *argv, int *status)
{
    struct gw_error err = {0};
    struct cli_peer_words w;
    enum gw_status st;
    switch (cli_peer_of(argv[0])) {
    case CLI_PEER_QEMU_USER: st = cli_peer_qemu_user(&w, argv, stderr, &err); break;
    case CLI_PEER_BINFMT: st = cli_peer_binfmt(&w, argv, &err); break;
    default: return false;
    }
    if (st != GW_OK) {
        cli_print_error(&err);
        *status = CLI_FAILURE;
    } else if (w.wish != CLI_PEER_RUN) {
        cli_peer_print(stdout, w.wish);
        *status = 0;
    } else {
        *status = run(&w, &err);
    }
    cli_peer_free(&w);
    return true;
}
