/* The verb completion: what a shell wants to know, made of the table of options. */
#include <string.h>

#include "cli/cli.h"

static bool completes_files(const struct cli_option *r)
{
    return r->choices && !strcmp(r->choices, "file");
}

static bool value_optional(const struct cli_option *r)
{
    return r->value && r->value[0] == '[';
}

/* Text with a backslash before each of the characters in special. */
static void escaped(const char *text, const char *special)
{
    for (; *text; text++) {
        if (strchr(special, *text))
            putchar('\\');
        putchar(*text);
    }
}

/* ---- bash ----------------------------------------------------------------------------------- */

static void bash_words(const struct cli_verb_info *v)
{
    printf("    %s) words=\"", v->name);
    for (const struct cli_option *r = cli_option_rows; r->name; r++)
        if (cli_option_listed(r, v))
            printf("--%s ", r->name);
    printf("\" ;;\n");
}

static void bash(void)
{
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
}

/* ---- zsh: _arguments takes 'option[text]:what:choices' --------------------------------------- */

/* In single quotes, which a quote must leave; brackets and colons are _arguments' own. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            escaped((const char[]){*text, 0}, "[]:\\");
    }
}

static void zsh_option(const struct cli_option *r)
{
    const char *joint = !r->value ? "" : value_optional(r) ? "=-" : "=";
    if (r->letter)
        printf(" \\\n      '*'{-%c%s,--%s%s}'[", r->letter, r->value ? "+" : "", r->name, joint);
    else
        printf(" \\\n      '*--%s%s[", r->name, joint);
    zsh_text(r->help);
    putchar(']');
    if (r->value) {
        fputs(value_optional(r) ? "::" : ":", stdout);
        zsh_text(r->name);
        putchar(':');
        if (completes_files(r)) {
            fputs("_files", stdout);
        } else if (r->choices) {
            putchar('(');
            zsh_text(r->choices);
            putchar(')');
        }
    }
    putchar('\'');
}

static void zsh(void)
{
    fputs("#compdef godwit\n_godwit() {\n  if (( CURRENT == 2 )); then\n    local -a verbs=(\n",
          stdout);
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (v->help) {
            printf("      '%s:", v->name);
            zsh_text(v->help);
            fputs("'\n", stdout);
        }
    fputs("    )\n    _describe -t verbs verb verbs\n    return\n  fi\n"
          "  local verb=${words[2]}\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n",
          stdout);
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++) {
        if (!v->help)
            continue;
        printf("  %s)\n    _arguments -s", v->name);
        for (const struct cli_option *r = cli_option_rows; r->name; r++)
            if (cli_option_listed(r, v))
                zsh_option(r);
        fputs(v->operands[0] ? " \\\n      '*:operand:_files' ;;\n" : " ;;\n", stdout);
    }
    fputs("  esac\n}\nif [[ $funcstack[1] = _godwit ]]; then\n  _godwit \"$@\"\nelse\n"
          "  compdef _godwit godwit\nfi\n",
          stdout);
}

/* ---- fish ----------------------------------------------------------------------------------- */

static void fish_text(const char *text)
{
    putchar('\'');
    escaped(text, "'\\");
    putchar('\'');
}

static void fish_option(const struct cli_verb_info *v, const struct cli_option *r)
{
    printf("complete -c godwit -n '__fish_seen_subcommand_from %s'", v->name);
    if (r->letter)
        printf(" -s %c", r->letter);
    printf(" -l %s", r->name);
    if (completes_files(r)) {
        fputs(value_optional(r) ? " -F" : " -r -F", stdout);
    } else if (r->value && !value_optional(r)) {
        fputs(" -x", stdout);
        if (r->choices) {
            fputs(" -a ", stdout);
            fish_text(r->choices);
        }
    }
    fputs(" -d ", stdout);
    fish_text(r->help);
    putchar('\n');
}

static void fish(void)
{
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++) {
        if (!v->help)
            continue;
        printf("complete -c godwit -n __fish_use_subcommand -f -a %s -d ", v->name);
        fish_text(v->help);
        putchar('\n');
        if (!v->operands[0])
            printf("complete -c godwit -n '__fish_seen_subcommand_from %s' -f\n", v->name);
        for (const struct cli_option *r = cli_option_rows; r->name; r++)
            if (cli_option_listed(r, v))
                fish_option(v, r);
    }
}

int cli_completion(const struct cli_options *o)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    struct gw_error err = {0};
    for (unsigned i = 0; i < sizeof shells / sizeof shells[0]; i++)
        if (!strcmp(o->args[0], shells[i].name)) {
            shells[i].print();
            return 0;
        }
    gw_fail(&err, GW_ERR_ARG, o->args[0],
            "no completion for this shell: it must be bash, zsh or fish");
    cli_print_error(&err);
    return CLI_FAILURE;
}
