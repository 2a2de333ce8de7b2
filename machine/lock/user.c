/* Users and capabilities by the kernel's own calls, which are a thread's; those of the C library are the
 * process's. See user.h. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/lock/user.h"

/* Who owns nothing, where no user has that name. */
#define NOBODY 65534

/* ---- names ---------------------------------------------------------------------------------- */

static bool number(const char *text, uint32_t *value)
{
    char *end;
    unsigned long n;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    n = strtoul(text, &end, 10);
    *value = (uint32_t)n;
    return !*end && !errno && n < UINT32_MAX; /* the last one means "as it is" */
}

static bool find_user(struct lock_user *u, const char *name, bool *has_group)
{
    bool numbered = number(name, &u->uid);
    const struct passwd *p = numbered ? getpwuid(u->uid) : getpwnam(name);
    *has_group = p != NULL;
    if (p) {
        u->uid = p->pw_uid;
        u->gid = p->pw_gid;
    }
    return p || numbered;
}

static bool find_group(struct lock_user *u, const char *name)
{
    const struct group *g;
    if (number(name, &u->gid))
        return true;
    g = getgrnam(name);
    if (g)
        u->gid = g->gr_gid;
    return g != NULL;
}

static enum gw_status parse(struct lock_user *u, const char *wanted, struct gw_error *err)
{
    const char *colon = strchr(wanted, ':');
    bool has_group;
    int n = snprintf(u->name, sizeof u->name, "%.*s",
                     colon ? (int)(colon - wanted) : (int)strlen(wanted), wanted);
    if (n <= 0 || (size_t)n >= sizeof u->name || !find_user(u, u->name, &has_group))
        return gw_fail(err, GW_ERR_ARG, wanted, "cannot run as that user: there is none");
    if (colon && !find_group(u, colon + 1))
        return gw_fail(err, GW_ERR_ARG, wanted, "cannot run as that user: there is no such group");
    if (colon || has_group)
        return GW_OK;
    gw_fail(err, GW_ERR_ARG, wanted, "cannot run as that user: its group is not known");
    if (err)
        snprintf(err->hint, sizeof err->hint, "--user %" PRIu32 ":GID", u->uid);
    return GW_ERR_ARG;
}

/* ---- becoming ------------------------------------------------------------------------------- */

/* Programs that are started get none of these either. Who may not drop them has none to give. */
static void drop_bounds(void)
{
    for (int cap = 0, held; (held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
        if (held)
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static bool drop_capabilities(uint32_t keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, caps) < 0)
        return false;
    keep &= caps[0].permitted;
    memset(caps, 0, sizeof caps);
    caps[0].effective = caps[0].permitted = keep;
    return syscall(SYS_capset, &head, caps) == 0;
}

bool lock_user_become(const struct lock_user *u, bool writes)
{
    drop_bounds();
    if ((u->changes || u->regroups) &&
        (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0))
        return false;
    if (u->changes && syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
        return false;
    return drop_capabilities(writes ? 1u << CAP_DAC_OVERRIDE : 0) &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* In a child, for nobody comes back from there. 0, or errno. */
static int try(const struct lock_user *u)
{
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0)
        _exit(lock_user_become(u, false) ? 0 : errno);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

/* ---- choosing ------------------------------------------------------------------------------- */

static void choose_usual(struct lock_user *u)
{
    static const char *const usual[] = {"godwit", "nobody"};
    bool has_group;
    for (unsigned i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        snprintf(u->name, sizeof u->name, "%s", usual[i]);
        if (find_user(u, usual[i], &has_group) && u->uid != 0)
            return;
    }
    u->uid = u->gid = NOBODY;
}

static void stay(struct lock_user *u)
{
    u->changes = false;
    u->uid = geteuid();
    u->gid = getegid();
}

enum gw_status lock_user_choose(struct lock_user *u, const char *wanted, struct gw_error *err)
{
    const char *group = wanted ? strchr(wanted, ':') : NULL;
    enum gw_status st;
    int e;
    *u = (struct lock_user){0};
    if (wanted) {
        st = parse(u, wanted, err);
        if (st != GW_OK)
            return st;
        if (geteuid() != 0 && u->uid != geteuid())
            return gw_fail(err, GW_ERR_ARG, wanted,
                           "cannot run as that user: only root becomes another one");
        if (geteuid() != 0 && group && u->gid != getegid())
            return gw_fail(err, GW_ERR_ARG, wanted,
                           "cannot run in that group: only root enters another one");
    } else {
        choose_usual(u);
    }
    if (geteuid() != 0 || u->uid == 0) {
        uint32_t gid = u->gid;
        stay(u);
        u->regroups = group && geteuid() == 0;
        if (!u->regroups)
            return GW_OK;
        u->gid = gid;
    } else {
        u->changes = true;
    }
    e = try(u);
    if (e && wanted)
        return gw_fail(err, GW_ERR_STATE, wanted, "cannot run as that user: %s", strerror(e));
    if (e) {
        stay(u);
        u->kept = true;
    }
    return GW_OK;
}
