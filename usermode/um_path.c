/* Paths: what the host is given for a guest's path. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "usermode/um.h"

const char *um_proc_self(const char *path)
{
    char own[32];
    const char *const folders[] = {"/proc/self/", "/proc/thread-self/", own};
    if (strncmp(path, "/proc/", 6) != 0)
        return NULL;
    snprintf(own, sizeof own, "/proc/%ld/", (long)getpid());
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(path, folders[i], strlen(folders[i])) == 0)
            return path + strlen(folders[i]);
    return NULL;
}

const char *um_proc_self_at(int dir, const char *path, char *buf)
{
    char link[40];
    if (path[0] == '/')
        return um_proc_self(path);
    if (dir < 0 || (strcmp(path, "exe") != 0 && !um_proc_self_made(path)))
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t n = readlink(link, buf, PATH_MAX - 16);
    if (n < 0)
        return NULL;
    snprintf(buf + n, 16, "/%s", path);
    return um_proc_self(buf);
}

/* The guest program, not us. */
static bool is_self_exe(const char *path)
{
    const char *name = um_proc_self(path);
    return name && strcmp(name, "exe") == 0;
}

int64_t um_path(struct um_proc *p, uint64_t addr, char *buf, const char **path)
{
    uint64_t len;
    bool too_long;
    const char *s = um_space_string(p->space, addr, PATH_MAX, &len, &too_long);
    if (!s)
        return too_long ? -ENAMETOOLONG : -EFAULT;
    *path = s;
    if (s[0] != '/')
        return 0;
    if (is_self_exe(s) && p->exe) {
        *path = p->exe;
        return 0;
    }
    if (!p->cfg->sysroot)
        return 0;
    struct stat st;
    int n = snprintf(buf, PATH_MAX, "%s%s", p->cfg->sysroot, s);
    if (n > 0 && n < PATH_MAX && lstat(buf, &st) == 0)
        *path = buf;
    return 0;
}
