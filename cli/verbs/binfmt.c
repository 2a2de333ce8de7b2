/*
 * The verb binfmt: the host's kernel is told to start a guest's programs by us (Linux,
 * Documentation/admin-guide/binfmt-misc.rst). What it starts is godwit-exec under the name godwit-binfmt,
 * which needs no other file; it is opened at once (flag F), so it serves in every root and container.
 * The kernel opens the program for us (O), with the rights of its file's owner where it has them (C), and
 * its argv[0] stands among the words (P).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "godwit/plain.h"

#define FOLDER  "/proc/sys/fs/binfmt_misc"
#define ENTRY   "godwit-riscv64"
#define STARTER "godwit-binfmt"
#define RISCV64 "7f454c460201010000000000000000000200f300" /* executables of 64 bits for EM_RISCV */
#define MASK    "ffffffffffffff00fffffffffffffffffeffffff" /* any ABI; position-independent too */
#define FLAGS   "POCF"

enum { INTERPRETER_MAX = 127, TEXT_BYTES = 2048 };

/* An entry as the kernel prints it. */
struct entry {
    char name[256];
    char interpreter[256], flags[16], magic[128];
    bool enabled;
};

/* Cut where it is too long: then it is none that we look for. */
static void keep(char *to, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memcpy(to, text, n);
    to[n] = 0;
}

static void take_line(struct entry *e, const char *line)
{
    if (!strcmp(line, "enabled"))
        e->enabled = true;
    else if (!strncmp(line, "interpreter ", 12))
        keep(e->interpreter, sizeof e->interpreter, line + 12);
    else if (!strncmp(line, "flags: ", 7))
        keep(e->flags, sizeof e->flags, line + 7);
    else if (!strncmp(line, "magic ", 6))
        keep(e->magic, sizeof e->magic, line + 6);
}

static bool read_entry(const char *name, struct entry *e)
{
    char path[512], line[512];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    FILE *f = fopen(path, "re");
    memset(e, 0, sizeof *e);
    keep(e->name, sizeof e->name, name);
    if (!f)
        return false;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        take_line(e, line);
    }
    fclose(f);
    return true;
}

/* Would the kernel ask this entry for a program of the guest's? By its machine, at offset 18. */
static bool is_for_guest(const struct entry *e)
{
    return !strncmp(e->magic, "7f454c46", 8) && strlen(e->magic) >= 40 &&
           !strncmp(e->magic + 36, "f300", 4);
}

/* ---- what is asked of the kernel ------------------------------------------------------------- */

static int tell(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t n = write(fd, text, strlen(text));
    int error = n < 0 ? errno : 0;
    return close(fd) ? errno : error;
}

static int fail(int error, const char *what, const char *object)
{
    struct gw_error err = {0};
    gw_fail(&err, GW_ERR_STATE, object, "cannot %s: %s", what, strerror(error));
    if (error == ENOENT)
        snprintf(err.hint, sizeof err.hint, "mount -t binfmt_misc binfmt_misc " FOLDER);
    else if (error == EACCES || error == EPERM)
        snprintf(err.hint, sizeof err.hint, "sudo godwit binfmt %s", what);
    cli_print_error(&err);
    return CLI_FAILURE;
}

static size_t put_hex(char *to, const char *digits)
{
    size_t n = 0;
    for (; *digits; digits += 2)
        n += (size_t)sprintf(to + n, "\\x%.2s", digits);
    return n;
}

static int unregister(bool must_be, const char *what)
{
    int error = tell(FOLDER "/" ENTRY, "-1");
    if (error == ENOENT && access(FOLDER "/register", F_OK) == 0) {
        if (must_be)
            fputs("godwit: note: " ENTRY " was not registered\n", stderr);
        return 0;
    }
    return error ? fail(error, what, FOLDER "/" ENTRY) : 0;
}

static int do_register(void)
{
    struct gw_error err = {0};
    char path[4096], text[TEXT_BYTES], magic[128], mask[128];
    if (!cli_path_beside(STARTER, path, sizeof path)) {
        gw_fail(&err, GW_ERR_NOTFOUND, STARTER,
                "not beside the program, nor where it was installed");
        cli_print_error(&err);
        return CLI_FAILURE;
    }
    if (strlen(path) > INTERPRETER_MAX || strchr(path, ':')) {
        gw_fail(&err, GW_ERR_ARG, path,
                "cannot register: the kernel takes paths of %d bytes, without a colon",
                INTERPRETER_MAX);
        cli_print_error(&err);
        return CLI_FAILURE;
    }
    put_hex(magic, RISCV64);
    put_hex(mask, MASK);
    snprintf(text, sizeof text, ":%s:M::%s:%s:%s:%s", ENTRY, magic, mask, path, FLAGS);
    int status = unregister(false, "register"); /* ours of another place */
    if (status)
        return status;
    int error = tell(FOLDER "/register", text);
    return error ? fail(error, "register", FOLDER "/register") : 0;
}

/* ---- status ---------------------------------------------------------------------------------- */

static void print_entry(const struct entry *e, bool json, bool *first)
{
    struct gw_plain name, interpreter, flags;
    if (json)
        printf("%s{\"name\": \"%s\", \"enabled\": %s, \"interpreter\": \"%s\", \"flags\": \"%s\"}",
               *first ? "" : ", ", gw_plain(&name, e->name), e->enabled ? "true" : "false",
               gw_plain(&interpreter, e->interpreter), gw_plain(&flags, e->flags));
    else
        printf("%-20s %-9s %s (flags %s)\n", gw_plain(&name, e->name),
               e->enabled ? "enabled" : "disabled", gw_plain(&interpreter, e->interpreter),
               gw_plain(&flags, e->flags));
    *first = false;
}

/* 0: the kernel starts guest programs by us or by another; 1: it does not. */
static int status(bool json)
{
    DIR *d = opendir(FOLDER);
    struct entry e;
    bool first = true;
    const bool there = access(FOLDER "/register", F_OK) == 0;
    if (json)
        printf("{\"binfmt_misc\": %s, \"entries\": [", there ? "true" : "false");
    else if (!there)
        puts("the kernel's binfmt_misc is not mounted at " FOLDER);
    for (struct dirent *at; d && (at = readdir(d));)
        if (at->d_name[0] != '.' && read_entry(at->d_name, &e) && is_for_guest(&e))
            print_entry(&e, json, &first);
    if (d)
        closedir(d);
    if (json)
        puts("]}");
    else if (there && first)
        puts("the kernel starts riscv64 programs by nothing: godwit binfmt register");
    return first ? 1 : 0;
}

int cli_binfmt(const struct cli_options *o)
{
    struct gw_error err = {0};
    if (!strcmp(o->args[0], "register"))
        return do_register();
    if (!strcmp(o->args[0], "unregister"))
        return unregister(true, "unregister");
    if (!strcmp(o->args[0], "status"))
        return status(o->json);
    gw_fail(&err, GW_ERR_ARG, o->args[0], "binfmt can register, unregister, and tell its status");
    snprintf(err.hint, sizeof err.hint, "godwit binfmt status");
    cli_print_error(&err);
    return CLI_FAILURE;
}
