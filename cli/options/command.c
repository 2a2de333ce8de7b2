/* The guest's command of the verb run. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/options/options.h"

/* Returns the length of the word with what joins it to the next; `to` NULL: only that. */
static size_t join(char *to, const char *word)
{
    size_t n = 0;
    for (; *word; word++) {
        if (*word == ' ' || *word == '\\') {
            if (to)
                to[n] = '\\';
            n++;
        }
        if (to)
            to[n] = *word;
        n++;
    }
    if (to)
        to[n] = ' ';
    return n + 1;
}

enum gw_status cli_take_command(struct cli_options *o, struct gw_error *err)
{
    size_t n = 0;
    char *text, *p;
    enum gw_status st = GW_ERR_NOMEM;
    if (!o->arg_count || !o->args[0][0]) {
        gw_fail(err, GW_ERR_ARG, "--", "no command follows");
        if (err)
            snprintf(err->hint, sizeof err->hint,
                     "godwit run -k vmlinux -i initrd.cpio -- uname -m");
        return GW_ERR_ARG;
    }
    for (char *const *a = o->args; *a; a++)
        n += join(NULL, *a);
    text = p = malloc(n);
    for (char *const *a = o->args; text && *a; a++)
        p += join(p, *a);
    if (text) {
        p[-1] = 0; /* where the last one was to be joined */
        st = spec_put_text(spec_find(spec_machine, "command"), &o->spec, text);
    }
    free(text);
    return st == GW_OK ? st : gw_fail(err, st, "--", "no memory for the command");
}
