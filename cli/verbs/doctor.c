/* The verb doctor: what this host offers, and what we make of it. */
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "machine/machine.h"
#include "usermode/usermode.h"

static void say(const char *what, bool ok, const char *detail)
{
    printf("%-28s %-4s %s\n", what, ok ? "yes" : "no", detail);
}

/* Tried as the engine takes them: shared windows, two of 512 GiB for each map. */
static void flat_maps(unsigned count, unsigned most)
{
    char text[96];
    if (count == most)
        snprintf(text, sizeof text, "%u or more of 1 TiB", count);
    else if (count)
        snprintf(text, sizeof text, "%u of 1 TiB: a limit on address space (ulimit -v)", count);
    else
        snprintf(text, sizeof text, "none of 1 TiB can be had: the tagged TLB serves, slower");
    say("flat page maps", count > 0, text);
}

static void code_memory(size_t bytes)
{
    char text[96] = "memfd or executable mappings refused";
    if (bytes)
        snprintf(text, sizeof text, "up to %zu MiB", bytes >> 20);
    say("code memory by two mappings", bytes > 0, text);
}

static void first_line(const char *path, char *buf, size_t size)
{
    FILE *f = fopen(path, "r");
    buf[0] = 0;
    if (f && fgets(buf, (int)size, f))
        buf[strcspn(buf, "\n")] = 0;
    if (f)
        fclose(f);
}

static void confinement(const struct machine_api *machine)
{
    const char *missing = machine->sandbox_missing();
    char text[96], name[64];
    const char *user = missing ? NULL : machine->becomes(name);
    say("sandbox of machines", !missing, missing ? missing : "system calls by thread");
    snprintf(text, sizeof text, "version %d", machine->landlock());
    say("names of files refused", !missing && machine->landlock(),
        missing               ? "there is no sandbox"
        : machine->landlock() ? text
                              : "this host's kernel has no Landlock: by system calls alone");
    if (geteuid() != 0)
        return;
    snprintf(text, sizeof text, "machines go on as %s (--user)", user ? user : "");
    say("root is given up", user != NULL,
        missing ? "there is no sandbox"
        : user  ? text
                : "this host lets root become nobody else");
}

int cli_doctor(const struct cli_options *o)
{
    struct utsname u;
    struct gw_error err = {0};
    char text[160];
    struct um_host host;
    const struct machine_api *machine;
    um_probe_host(&host);
    uname(&u);
    printf("host: %s %s, %ld CPUs, pages of %ld bytes\n", u.machine, u.release,
           sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_PAGESIZE));
    say("translation to host code", host.features[0] != 0,
        host.features[0] ? host.features : "no backend for this host: --engine interp is used");
    code_memory(host.code_cache_bytes);
    flat_maps(host.flat_maps, host.flat_maps_most);
    first_line("/proc/sys/vm/overcommit_memory", text, sizeof text);
    say("memory overcommit", text[0] != '2', text[0] == '2' ? "vm.overcommit_memory=2" : "");
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text);
    say("huge pages", text[0] && !strstr(text, "[never]"), text);
    machine = cli_interface(cli_open_module(MACHINE_MODULE, MACHINE_SYMBOL, &err), MACHINE_MODULE,
                            MACHINE_API, &err);
    say("machines (godwit run)", machine != NULL, machine ? "" : err.message);
    if (machine)
        confinement(machine);
    say("programs (godwit exec)", !host.missing, host.missing ? host.missing : "");
    return machine && host.code_cache_bytes ? 0 : 1;
}
