/* What is generated from the tables: help. */
#include <string.h>

#include "cli/cli.h"

int cli_spell_option(char *buf, size_t size, const struct cli_listed *l)
{
    char letter[8] = "    ";
    if (l->field->letter)
        snprintf(letter, sizeof letter, "-%c, ", l->field->letter);
    if (cli_value_is_optional(l->value))
        return snprintf(buf, size, "%s--%s[=%.*s]", letter, l->field->option,
                        (int)(strlen(l->value) - 2), l->value + 1);
    return snprintf(buf, size, "%s--%s%s%s", letter, l->field->option, l->value[0] ? " " : "",
                    l->value);
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
    char text[256];
    struct cli_cursor c = {0};
    struct cli_listed l;
    fprintf(out, "usage: godwit %s [OPTIONS]%s%s\n\n", verb->name, verb->operands[0] ? " " : "",
            verb->operands);
    while (cli_next_listed(&c, verb, &l)) {
        if (cli_spell_option(text, sizeof text, &l) > 28)
            fprintf(out, "  %s\n  %-28s %s\n", text, "", l.help);
        else
            fprintf(out, "  %-28s %s\n", text, l.help);
    }
}
