/* For guest programs that check themselves: the first failure ends them with its line. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #cond, errno);           \
            exit(99);                                                                              \
        }                                                                                          \
    } while (0)
#define CHECK_FAILS(call, error) CHECK((errno = 0, (long)(call) == -1 && errno == (error)))

#endif
