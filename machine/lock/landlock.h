/*
 * Landlock: names of files that a thread may still use, by the kernel's own calls; it has every other name
 * refused, whatever user it is. Of kernels without it nothing is asked.
 */
#ifndef MACHINE_LANDLOCK_H
#define MACHINE_LANDLOCK_H

#include <stdbool.h>

enum landlock_may {
    LANDLOCK_REMOVE,    /* files in it */
    LANDLOCK_MAKE_FILES /* and make, read and write them; replace them */
};

struct landlock_place {
    int fd; /* of a directory */
    enum landlock_may may;
};

/* The version of its interface; 0: there is none. */
int landlock_version(void);
/* The calling thread, which gets no new privileges any more, for good: beneath these directories alone, and
 * of TCP and of abstract sockets nothing new, unless connects. False: errno says why. */
bool landlock_enter(const struct landlock_place *places, unsigned count, bool connects);

#endif
