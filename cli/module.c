/* Finds and opens our own shared modules. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { PATH_BYTES = 4096 };

/* The directory of this program, without a slash at its end. */
static bool own_dir(char *buf, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", buf, size - 1);
    char *slash;
    if (n <= 0)
        return false;
    buf[n] = 0;
    slash = strrchr(buf, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

/* GODWIT_LIBDIR leads from the program's directory to the modules' once installed. */
static const char *const places[] = {"", GODWIT_LIBDIR};

bool cli_path_beside(const char *name, char *path, size_t size)
{
    char dir[PATH_BYTES];
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!own_dir(dir, sizeof dir))
            return false;
        int n = snprintf(path, size, "%s%s/%s", dir, places[i], name);
        if (n > 0 && (size_t)n < size && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

int cli_open_beside(const char *name)
{
    char path[PATH_BYTES + 256];
    return cli_path_beside(name, path, sizeof path) ? open(path, O_PATH | O_CLOEXEC) : -1;
}

void *cli_open_module(const char *name, const char *symbol, struct gw_error *err)
{
    char dir[PATH_BYTES], path[PATH_BYTES + 256];
    const char *why = "not beside the program, nor where it was installed";
    void *module, *found;
    if (!own_dir(dir, sizeof dir)) {
        gw_fail(err, GW_ERR_NOTFOUND, name, "cannot open the module: no /proc/self/exe");
        return NULL;
    }
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s%s/%s", dir, places[i], name);
        if (access(path, F_OK) != 0)
            continue;
        module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        found = module ? dlsym(module, symbol) : NULL;
        if (found)
            return found;
        why = dlerror();
    }
    gw_fail(err, GW_ERR_STATE, name, "cannot open the module: %s", why);
    return NULL;
}

const void *cli_interface(void *symbol, const char *name, unsigned version, struct gw_error *err)
{
    typedef const void *get_fn(void);
    get_fn *get;
    unsigned has;
    if (!symbol)
        return NULL;
    memcpy(&get, &symbol, sizeof symbol); /* ISO C has no such cast */
    const void *interface = get();
    memcpy(&has, interface, sizeof has);
    if (has == version)
        return interface;
    gw_fail(err, GW_ERR_STATE, name, "cannot open the module: of another version");
    return NULL;
}
