/* See landlock.h; the kernel's header landlock.h has the numbers, of which older systems know only the
 * first. */
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/lock/landlock.h"

enum { VERSION = 1 << 0, PATH_BENEATH = 1 }; /* of the two calls' flags */

enum {
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_REG = 1 << 8,
    FS_FIRST = (1 << 13) - 1, /* all of version 1 */
    FS_REFER = 1 << 13,       /* 2 */
    FS_TRUNCATE = 1 << 14,    /* 3 */
    FS_IOCTL_DEV = 1 << 15,   /* 5 */
};

enum { NET_TCP = 3 /* 4: bind and connect */, SCOPE_ABSTRACT = 1 /* 6 */ };

struct ruleset {
    uint64_t files, net, scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static const uint64_t rights_of[] = {
    [LANDLOCK_REMOVE] = FS_REMOVE_FILE,
    [LANDLOCK_MAKE_FILES] =
        FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE,
};

int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);
    return version < 0 ? 0 : (int)version;
}

static uint64_t files_of(int version)
{
    return FS_FIRST | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
           (version >= 5 ? FS_IOCTL_DEV : 0);
}

static bool add_places(int rules, const struct landlock_place *places, unsigned count,
                       uint64_t files)
{
    for (unsigned i = 0; i < count; i++) {
        struct path_beneath p = {.allowed = rights_of[places[i].may] & files,
                                 .parent = places[i].fd};
        if (syscall(SYS_landlock_add_rule, rules, PATH_BENEATH, &p, 0) < 0)
            return false;
    }
    return true;
}

bool landlock_enter(const struct landlock_place *places, unsigned count, bool connects)
{
    const int version = landlock_version();
    struct ruleset r = {.files = files_of(version)};
    size_t size = version < 4 ? sizeof r.files : version < 6 ? 2 * sizeof r.files : sizeof r;
    bool entered;
    int rules, e;
    if (!version)
        return true;
    if (!connects) {
        r.net = version >= 4 ? NET_TCP : 0;
        r.scoped = version >= 6 ? SCOPE_ABSTRACT : 0;
    }
    rules = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
    if (rules < 0)
        return false;
    entered = add_places(rules, places, count, r.files) &&
              syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    e = errno;
    close(rules);
    errno = e;
    return entered;
}
