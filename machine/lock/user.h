/*
 * Who a machine is to the host once it is locked in. A machine that root starts opens what it needs as root
 * and then goes on as somebody who may do nothing: --user, else the user godwit, else nobody. Threads change
 * one by one, each when it enters the sandbox.
 */
#ifndef MACHINE_USER_H
#define MACHINE_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/status.h"

struct lock_user {
    bool changes;      /* from root to the following; false: it stays who it is */
    bool regroups;     /* root stays, in that group and in no other */
    bool kept;         /* root stays, since this host lets it become nobody else */
    uint32_t uid, gid; /* whoever it will be */
    char name[64];     /* for messages */
};

/* One thread. wanted: NAME or UID, perhaps with :GROUP or :GID; NULL: see above. What was not asked for and
 * the host does not allow (root of a container that has no other user) is not done. */
enum gw_status lock_user_choose(struct lock_user *u, const char *wanted, struct gw_error *err);
/* The calling thread, for good: it has no groups beside its own and no capabilities, and gets none by a
 * program that it starts. writes: root that stays root may still write where others own the place. False:
 * errno says why. */
bool lock_user_become(const struct lock_user *u, bool writes);

#endif
