/* The verb completion: what a shell wants to know, made of the tables of options. */
#include <string.h>

#include "cli/cli.h"

static bool completes_files(const struct cli_listed *l)
{
    return !strcmp(l->complete, "file");
}

/* The shells' word for an option whose value has to follow. */
static bool value_optional(const struct cli_listed *l)
{
    return l->value[0] == '[';
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
    struct cli_cursor c = {0};
    struct cli_listed l;
    printf("    %s) words=\"", v->name);
    while (cli_next_listed(&c, v, &l))
        printf("--%s ", l.field->option);
    printf("\" ;;\n");
}

static void bash(void)
{
    struct cli_cursor c = {0};
    struct cli_listed l;
    printf("_godwit() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
           "words=\n  if [ \"$COMP_CWORD\" = 1 ]; then\n    words=\"");
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (v->help)
            printf("%s ", v->name);
    printf("\"\n  else\n    case $prev in\n");
    while (cli_next_listed(&c, NULL, &l))
        if (l.complete[0] && !completes_files(&l))
            printf("    --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
                   l.field->option, l.complete);
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

static void zsh_option(const struct cli_listed *l)
{
    const struct spec_field *f = l->field;
    bool takes = l->value[0] != 0;
    const char *joint = !takes ? "" : value_optional(l) ? "=-" : "=";
    if (f->letter)
        printf(" \\\n      '*'{-%c%s,--%s%s}'[", f->letter, takes ? "+" : "", f->option, joint);
    else
        printf(" \\\n      '*--%s%s[", f->option, joint);
    zsh_text(l->help);
    putchar(']');
    if (takes) {
        fputs(value_optional(l) ? "::" : ":", stdout);
        zsh_text(f->option);
        putchar(':');
        if (completes_files(l)) {
            fputs("_files", stdout);
        } else if (l->complete[0]) {
            putchar('(');
            zsh_text(l->complete);
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
        struct cli_cursor c = {0};
        struct cli_listed l;
        if (!v->help)
            continue;
        printf("  %s)\n    _arguments -s", v->name);
        while (cli_next_listed(&c, v, &l))
            zsh_option(&l);
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

static void fish_option(const struct cli_verb_info *v, const struct cli_listed *l)
{
    printf("complete -c godwit -n '__fish_seen_subcommand_from %s'", v->name);
    if (l->field->letter)
        printf(" -s %c", l->field->letter);
    printf(" -l %s", l->field->option);
    if (completes_files(l)) {
        fputs(value_optional(l) ? " -F" : " -r -F", stdout);
    } else if (l->value[0] && !value_optional(l)) {
        fputs(" -x", stdout);
        if (l->complete[0]) {
            fputs(" -a ", stdout);
            fish_text(l->complete);
        }
    }
    fputs(" -d ", stdout);
    fish_text(l->help);
    putchar('\n');
}

static void fish(void)
{
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++) {
        struct cli_cursor c = {0};
        struct cli_listed l;
        if (!v->help)
            continue;
        printf("complete -c godwit -n __fish_use_subcommand -f -a %s -d ", v->name);
        fish_text(v->help);
        putchar('\n');
        if (!v->operands[0])
            printf("complete -c godwit -n '__fish_seen_subcommand_from %s' -f\n", v->name);
        while (cli_next_listed(&c, v, &l))
            fish_option(v, &l);
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
