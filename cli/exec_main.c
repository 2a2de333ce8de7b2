/*
 * godwit-exec: the verb exec by itself, linked into one file. In another root (exec --root) nothing of the
 * host's can be named, and this needs nothing that has a name: it is started by a descriptor, and has the
 * words of `godwit exec`. The kernel starts it, for the same reason, under the name godwit-binfmt.
 */
#include <string.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
    const struct cli_verb_info *exec = cli_find_verb("exec");
    struct gw_error err = {0};
    struct cli_options o;
    int status = CLI_FAILURE;
    if (cli_as_peer(argv, &status))
        return status;
    if (argc < 2 || strcmp(argv[1], exec->name) != 0) {
        gw_fail(&err, GW_ERR_ARG, "", "godwit-exec is started by godwit exec --root alone");
        cli_print_error(&err);
        return status;
    }
    if (cli_parse(&o, exec, argv + 2, &err) == GW_OK)
        status = cli_exec(&o);
    else
        cli_print_error(&err);
    cli_options_free(&o);
    return status;
}
