/* Errors on stderr, and the JSON report. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"
#include "godwit/plain.h"

void cli_print_error(const struct gw_error *err)
{
    gw_print_error(stderr, err);
}

int cli_status_of(enum gw_status status)
{
    switch (status) {
    case GW_OK: return 0;
    case GW_ERR_NOTFOUND: return CLI_NOT_FOUND;
    case GW_ERR_IO:
    case GW_ERR_FORMAT:
    case GW_ERR_UNSUPPORTED: return CLI_CANNOT_RUN;
    default: return CLI_FAILURE;
    }
}

int cli_print_lost(const char *what, const char *file, int error)
{
    struct gw_error err;
    if (!error)
        return 0;
    if (error == EPIPE)
        return 128 + SIGPIPE;
    gw_fail(&err, GW_ERR_STATE, file ? file : "standard error", "cannot write %s: %s", what,
            strerror(error));
    cli_print_error(&err);
    return CLI_FAILURE;
}

static void json_string(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < 0x20 || *p >= 0x7f) /* bytes, not characters: names may be in any encoding */
            fprintf(f, "\\u%04x", *p);
        else
            fputc(*p, f);
    }
    fputc('"', f);
}

/* The most memory that was resident at once. What getrusage() says is also the caller's before it
 * started us, which may be a large program; it is for hosts without /proc. */
static uint64_t peak_rss_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    unsigned long long kib = 0;
    struct rusage use;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    if (kib)
        return (uint64_t)kib * 1024;
    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)use.ru_maxrss * 1024;
}

int cli_open_to_write(const char *path, int flags)
{
    int fd, n = 0;
    if (sscanf(path, "/dev/fd/%d%n", &fd, &n) == 1 && !path[n])
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
}

bool cli_write_report(const char *path, const struct cli_report *r, const struct gw_error *err)
{
    return cli_write_report_to(cli_open_to_write(path, 0), path, r, err);
}

bool cli_write_report_to(int fd, const char *path, const struct cli_report *r,
                         const struct gw_error *err)
{
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool ok = f != NULL;
    if (f && ftruncate(fd, 0) < 0)
        errno = 0; /* a pipe or a terminal, which is as well */
    if (f) {
        fprintf(f,
                "{\"ended\": \"%s\", \"status\": %d, \"signal\": %d, \"insns\": %" PRIu64
                ", \"wall_ns\": %" PRIu64 ", \"peak_rss_bytes\": %" PRIu64
                ", \"overhead_bytes\": %" PRIu64,
                r->ended, r->status, r->signal, r->insns, r->wall_ns,
                r->peak_rss_bytes ? r->peak_rss_bytes : peak_rss_bytes(), r->overhead_bytes);
        if (err && err->status != GW_OK) {
            fputs(", \"error\": ", f);
            json_string(f, err->message);
            fputs(", \"object\": ", f);
            json_string(f, err->object);
        }
        fputs("}\n", f);
        ok = !ferror(f);
        ok = fclose(f) == 0 && ok;
    }
    if (!ok) {
        struct gw_error e = {0};
        gw_fail(&e, GW_ERR_IO, path, "cannot write the report: %s", strerror(errno));
        cli_print_error(&e);
    }
    return ok;
}

int cli_start_failed(const struct cli_options *o, const struct gw_error *err)
{
    cli_print_error(err);
    return cli_report_failed(o, err);
}

int cli_report_failed(const struct cli_options *o, const struct gw_error *err)
{
    struct cli_report report = {.ended = "error", .status = cli_status_of(err->status)};
    if (o->report)
        cli_write_report(o->report, &report, err);
    return report.status;
}
