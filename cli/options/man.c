/* The man page, in roff. Verbs and options come from the tables; what is beside them is here. */
#include <string.h>

#include "cli/cli.h"

/* Text with what roff would take for its own made harmless. */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        if (*text == '[')
            fputs("\\:", out); /* a long term may go on in the next line here */
        fputc(*text, out);
    }
}

static void heading(FILE *out, const char *macro, const char *a, const char *b)
{
    fprintf(out, ".%s \"", macro);
    roff(out, a);
    fputs(*b ? " " : "", out);
    roff(out, b);
    fputs("\"\n", out);
}

static void item(FILE *out, const char *term, const char *text)
{
    fputs(".TP\n.B ", out);
    roff(out, term);
    fputc('\n', out);
    roff(out, text);
    fputc('\n', out);
}

struct entry {
    const char *term, *text;
};

static void section(FILE *out, const char *name, const struct entry *e)
{
    heading(out, "SH", name, "");
    for (; e->term; e++)
        item(out, e->term, e->text);
}

/* The tables of the manual, as in README.md. */
static const struct entry statuses[] = {
    {"the guest's own",
     "exec: the program's; run -- CMD: the command's, 128+N where signal N killed "
     "it; otherwise the code given to the test device"},
    {"0", "the machine was powered off, or --stop-text was met"},
    {"122", "the run ended before --stop-text was met"},
    {"123", "the guest panicked"},
    {"124", "--timeout"},
    {"125",
     "Godwit's own failure; or the status would be 0, and standard output did not take all that a "
     "guest said, or a file what --dump or --strace lists"},
    {"126, 127", "the program, or the command in the guest, cannot be run; there is none"},
    {"a signal",
     "a program that dies of a signal ends exec by the same one; SIGTERM, SIGHUP and a reader of "
     "standard output that is gone end a machine with 143, 129 and 141, its disks flushed"},
    {NULL, NULL},
};

static const struct entry environment[] = {
    {"GODWIT_RUN_DIR, XDG_RUNTIME_DIR", "where running machines are found: the first, or godwit in "
                                        "the second, or /run/godwit for root, "
                                        "or /tmp/godwit-UID; --run-dir wins"},
    {"GODWIT_SYSROOT, QEMU_LD_PREFIX",
     "exec: where absolute paths are looked up first, if -L does not say; empty: nowhere. Without "
     "any of them "
     "it is where Debian's cross C library lies, if the host has no such library of its own"},
    {"TERM", "of a command that run -- CMD starts, where a terminal is standard input"},
    {NULL, NULL},
};

static const struct entry examples[] = {
    {"godwit run -k vmlinux -i initrd.cpio -a console=ttyS0 -m 1G",
     "a machine; Ctrl-] opens a menu, in which q quits"},
    {"godwit run -k vmlinux -i initrd.cpio -- uname -m", "one command; its output, its status"},
    {"godwit run -k vmlinux -d disk.img,overlay=changes.img -p 2222:22",
     "a disk that is only read, and a network"},
    {"godwit run -D --name web -k vmlinux -d disk.img,rw", "in the background; godwit console web"},
    {"godwit exec ./program arg", "one Linux program"},
    {"sudo godwit binfmt register", "from now on the kernel starts such programs so"},
    {"ln -s godwit qemu-riscv64; ./qemu-riscv64 -L sysroot ./program",
     "by this name it takes the options and variables of QEMU's user mode"},
    {NULL, NULL},
};

static void verb(FILE *out, const struct cli_verb_info *v)
{
    char text[256], title[64];
    struct cli_cursor c = {0};
    struct cli_listed l;
    snprintf(title, sizeof title, "godwit %s", v->name);
    heading(out, "SS", title, v->operands);
    roff(out, v->help);
    fputs(".\n", out);
    while (cli_next_listed(&c, v, &l)) {
        cli_spell_option(text, sizeof text, &l);
        item(out, text + strspn(text, " "), l.help);
    }
}

void cli_man_page(FILE *out)
{
    fputs(
        ".TH GODWIT 1 \"\" \"godwit " GODWIT_VERSION "\" \"User Commands\"\n.nh\n"
        ".SH NAME\ngodwit \\- run programs and machines of another instruction set\n"
        ".SH SYNOPSIS\n.B godwit\n.I VERB\n[\\fIOPTIONS\\fR] [\\fIOBJECT\\fR...] "
        "[\\-\\- \\fIGUEST COMMAND\\fR]\n"
        ".SH DESCRIPTION\nGodwit runs programs and whole machines of one instruction set on a host "
        "of another.\nStandard output is the guest's; Godwit's own words go to standard error.\n"
        "Options may stand before and after operands, up to where a guest's command begins (PROG "
        "of "
        "exec, what follows \\-\\-); \\-\\-x=v and \\-\\-x v are the same.\n"
        "Sizes are binary (K, M, G); durations need a unit (30s, 5m).\n"
        ".SH COMMANDS\n",
        out);
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (v->help)
            verb(out, v);
    section(out, "EXIT STATUS", statuses);
    section(out, "ENVIRONMENT", environment);
    section(out, "EXAMPLES", examples);
}
