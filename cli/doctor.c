/* The verb doctor: what this host offers, and what we make of it. */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "host_features.h"
#include "machine.h"

static void say(const char *what, bool ok, const char *detail)
{
    printf("%-28s %-4s %s\n", what, ok ? "yes" : "no", detail);
}

/* The flat page map reserves as much address space as the guest has in 8-byte entries. */
static bool can_reserve(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    munmap(p, bytes);
    return true;
}

static bool can_dual_map(void)
{
    long page = sysconf(_SC_PAGESIZE);
    int fd = memfd_create("godwit-doctor", MFD_CLOEXEC);
    void *p = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, page) == 0)
        p = mmap(NULL, (size_t)page, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED)
        munmap(p, (size_t)page);
    if (fd >= 0)
        close(fd);
    return p != MAP_FAILED;
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

int cli_doctor(const struct cli_options *o)
{
    struct utsname u;
    struct gw_error err = {0};
    char text[160];
    bool machine, code = can_dual_map();
    uname(&u);
    printf("host: %s %s, %ld CPUs, pages of %ld bytes\n", u.machine, u.release,
           sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_PAGESIZE));
    host_features_text(text, sizeof text);
    say("translation to host code", text[0] != 0,
        text[0] ? text : "no backend for this host: --engine interp is used");
    say("code memory by two mappings", code, code ? "" : "memfd or executable mappings refused");
    say("flat page map, 512 GiB", can_reserve(UINT64_C(512) << 30),
        "otherwise the tagged TLB serves, slower");
    first_line("/proc/sys/vm/overcommit_memory", text, sizeof text);
    say("memory overcommit", text[0] != '2', text[0] == '2' ? "vm.overcommit_memory=2" : "");
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text);
    say("huge pages", text[0] && !strstr(text, "[never]"), text);
    machine = cli_open_module(MACHINE_MODULE, MACHINE_SYMBOL, &err) != NULL;
    say("machines (godwit run)", machine, machine ? "" : err.message);
    return machine && code ? 0 : 1;
}
