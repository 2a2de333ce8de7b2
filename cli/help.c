/* What is generated from the table: help, man page, completion. */
#include <string.h>

#include "cli.h"

static bool listed(const struct cli_option *r, const struct cli_verb_info *verb)
{
    return r->help && (r->verbs & (uint32_t)verb->verb);
}

/* "  -k, --kernel FILE", returned length. */
static int spell(char *buf, size_t size, const struct cli_option *r)
{
    char letter[8] = "    ";
    const char *gap = r->value ? " " : "";
    if (r->letter)
        snprintf(letter, sizeof letter, "-%c, ", r->letter);
    if (r->value && r->value[0] == '[')
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
        if (!listed(r, verb))
            continue;
        if (spell(text, sizeof text, r) > 28)
            fprintf(out, "  %s\n  %-28s %s\n", text, "", r->help);
        else
            fprintf(out, "  %-28s %s\n", text, r->help);
    }
}

/* Text with what roff would take for its own made harmless. */
static void roff(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void cli_man_page(FILE *out)
{
    char text[128];
    fputs(
        ".TH GODWIT 1\n.SH NAME\ngodwit \\- run programs and machines of another instruction set\n"
        ".SH SYNOPSIS\n.B godwit\n.I VERB\n[\\fIOPTIONS\\fR] [\\fIOBJECT\\fR...]\n",
        out);
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++) {
        if (!v->help)
            continue;
        fprintf(out, ".SH \"godwit %s %s\"\n", v->name, v->operands);
        roff(out, v->help);
        fputs(".\n", out);
        for (const struct cli_option *r = cli_option_rows; r->name; r++) {
            if (!listed(r, v))
                continue;
            spell(text, sizeof text, r);
            fputs(".TP\n.B ", out);
            roff(out, text + strspn(text, " "));
            fputc('\n', out);
            roff(out, r->help);
            fputc('\n', out);
        }
    }
    fputs(
        ".SH \"EXIT STATUS\"\nThe guest's own; 0: power\\-off, or \\-\\-stop\\-text was met; 122: "
        "the run "
        "ended before it was met; 123: guest panic; 124: timeout; 125: godwit's own failure; 126: "
        "cannot run; 127: not found.\n",
        out);
}

static void bash_words(const struct cli_verb_info *v)
{
    printf("    %s) words=\"", v->name);
    for (const struct cli_option *r = cli_option_rows; r->name; r++)
        if (listed(r, v))
            printf("--%s ", r->name);
    printf("\" ;;\n");
}

int cli_completion(const struct cli_options *o)
{
    struct gw_error err = {0};
    if (strcmp(o->args[0], "bash") != 0) {
        gw_fail(&err, GW_ERR_ARG, o->args[0], "no completion for this shell: it must be bash");
        cli_print_error(&err);
        return CLI_FAILURE;
    }
    printf("_godwit() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
           "words=\n  if [ \"$COMP_CWORD\" = 1 ]; then\n    words=\"");
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (v->help)
            printf("%s ", v->name);
    printf("\"\n  else\n    case $prev in\n");
    for (const struct cli_option *r = cli_option_rows; r->name; r++)
        if (r->help && r->choices && strcmp(r->choices, "file") != 0)
            printf("    --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", r->name,
                   r->choices);
    printf("    esac\n    case ${COMP_WORDS[1]} in\n");
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (v->help)
            bash_words(v);
    printf(
        "    esac\n  fi\n  case $cur in\n  -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) "
        ";;\n"
        "  *) if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "     else COMPREPLY=($(compgen -f -- \"$cur\")); fi ;;\n  esac\n}\n"
        "complete -o filenames -F _godwit godwit\n");
    return 0;
}
