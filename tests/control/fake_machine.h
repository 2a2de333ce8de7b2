/*
 * A machine as its control sees it, all of it on one thread: watches are reported when the test says
 * so, and what was asked waits until the test answers it.
 */
#ifndef TESTS_CONTROL_FAKE_MACHINE_H
#define TESTS_CONTROL_FAKE_MACHINE_H

#include "control/control.h"

enum { FAKE_WATCHES = 64, FAKE_ASKS = 8 };

struct fake_ask {
    enum machine_ask what;
    char text[64];
    int fd; /* of a save; -1 */
    void (*done)(void *context, const char *text, const struct gw_error *err);
    void *context;
};

struct fake_machine {
    struct machine_steer steer;
    struct {
        struct machine_watch *watch;
        uint32_t events;
    } watch[FAKE_WATCHES];
    unsigned watches;
    struct fake_ask ask[FAKE_ASKS];
    unsigned asks;
    bool deaf; /* takes no request */
    unsigned kills;
    /* the run directory, and the server on it */
    char path[64];
    struct ctl_dir dir;
    struct ctl_server *server;
};

/* A run directory of its own. */
void fake_dir(struct fake_machine *f);
void fake_dir_gone(struct fake_machine *f);
/* The same, and a machine "one" that is about to run. console_fd: -1: none. */
void fake_start(struct fake_machine *f, int console_fd);
/* It ends so; NULL: it never ran. */
void fake_end(struct fake_machine *f, const struct ctl_ended *e);

/* Reports what is ready, until nothing is. */
void fake_pump(struct fake_machine *f);
/* Answers the first request that waits. */
void fake_answer(struct fake_machine *f, const char *text, const struct gw_error *err);

/* A client; what it has to read by now, as text. NULL: the connection was closed. */
int fake_client(struct fake_machine *f);
void fake_say(struct fake_machine *f, int fd, const char *text);
const char *fake_hear(struct fake_machine *f, int fd);

#endif
