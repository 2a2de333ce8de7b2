/* What is generated from the table: help. */
#include <string.h>

#include "cli/cli.h"

bool cli_option_listed(const struct cli_option *r, const struct cli_verb_info *verb)
{
    return r->help && (r->verbs & (uint32_t)verb->verb);
}

int cli_spell_option(char *buf, size_t size, const struct cli_option *r)
{
    char letter[8] = "    ";
    const char *gap = r->value ? " " : "";
    if (r->letter)
        snprintf(letter, sizeof letter, "-%c, ", r->letter);
    if (cli_value_is_optional(r))
        return snprintf(buf, size, "%s--%s[=%.*s]", letter, r->name, (int)(strlen(r->value) - 2),
                        r->value + 1);
    return snprintf(buf, size, "%s--%s%s%s", letter, r->name, gap, r->value ? r->value : "");
}

void cli_help(FILE *out)
{
    fputs("usage: godwit VERB [OPTIONS] [OBJECT...]\n\n", out);
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (v->help)
            fprintf(out, "  %-11s %s\n", v->name, v->help);
    fputs("\n`godwit VERB --help` lists a verb's options.\n", out);
}

void cli_help_verb(FILE *out, const struct cli_verb_info *verb)
{
    char text[128];
    fprintf(out, "usage: godwit %s [OPTIONS]%s%s\n\n", verb->name, verb->operands[0] ? " " : "",
            verb->operands);
    for (const struct cli_option *r = cli_option_rows; r->name; r++) {
        if (!cli_option_listed(r, verb))
            continue;
        if (cli_spell_option(text, sizeof text, r) > 28)
            fprintf(out, "  %s\n  %-28s %s\n", text, "", r->help);
        else
            fprintf(out, "  %-28s %s\n", text, r->help);
    }
}
