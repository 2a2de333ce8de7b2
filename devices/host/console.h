/*
 * The host side of a serial port: descriptors read and written on the I/O thread, with bounded
 * buffers both ways, so neither a stuck terminal nor a flood of input holds the vCPU.
 *
 * Output: a ring that the vCPU fills and the I/O thread empties. Input: read only while the vCPU
 * side has room, posted as an event, kept until the serial port takes it.
 */
#ifndef DEV_CONSOLE_H
#define DEV_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/host/fault.h"
#include "godwit/event.h"
#include "godwit/state.h"
#include "godwit/status.h"
#include "devices/host/io_thread.h"
#include "devices/serial.h"

struct dev_console;

/* Events of a console. */
enum dev_console_event {
    DEV_CONSOLE_INPUT, /* what was read: up to DEV_CONSOLE_IN_BYTES */
    DEV_CONSOLE_MENU,  /* 1 byte: the key */
    DEV_CONSOLE_ROOM,  /* for output again */
    DEV_CONSOLE_END,   /* of the input; of a framed console alone */
};

struct dev_console_config {
    int in_fd;  /* -1: no input */
    int out_fd; /* -1: output is thrown away */
    /* Ctrl-] in the input opens the menu: the key after it goes to menu() instead of the guest,
     * save for ']' itself. menu_open(), on the I/O thread, shows the help line. */
    bool escape;
    /* The guest gets its input in frames, as it allows, see dev_console_allow(). */
    bool framed;
    /* The guest never sees a full ring: whoever runs it asks dev_console_full() between two runs, and
     * waits instead. For runs that can be repeated. */
    bool patient;
    struct gw_events *events;
    struct dev_io *io;
    struct dev_fault_sink fault; /* the first output that could not be written */
    const char *name;            /* what it calls this console; or NULL */
    const char *source;          /* the class of its events' source: "uart", for uart0 */
    /* vCPU thread. */
    void (*poke)(void *context);              /* input came, or there is room for output again */
    void (*tap)(void *context, uint8_t byte); /* sees each byte of output; may be NULL */
    void (*menu)(void *context, uint8_t key);
    /* I/O thread; NULL: nothing. Whoever read the output is gone, which is not said as a fault then. */
    void (*reader_gone)(void *context);
    void (*menu_open)(void *context);                 /* I/O thread */
    void (*menu_pressed)(void *context, uint8_t key); /* I/O thread, before menu(); may be NULL */
    void *context;
};

enum {
    DEV_CONSOLE_OUT_BYTES = 256 * 1024,
    DEV_CONSOLE_IN_BYTES = 4096,
    /* A patient one takes so much after it was not full; what is more is dropped. */
    DEV_CONSOLE_RUN_BYTES = 512 * 1024
};

/* Takes no ownership of the descriptors, and does not change their modes. */
enum gw_status dev_console_new(struct dev_console **out, const struct dev_console_config *cfg,
                               struct gw_error *err);
/* Starts to read: once, when the machine is ready to run. */
void dev_console_start(struct dev_console *c);
/* Call when the I/O thread has ended (dev_io_free), and before the event queue goes. NULL is fine. */
void dev_console_free(struct dev_console *c);

/* The serial port's view. vCPU thread. */
const struct dev_serial *dev_console_serial(struct dev_console *c);

/* Input that the guest has not taken yet; of struct dev_console. dev_console_settle() first, which
 * gives equal contents equal bytes. What was put out is no state: it has left the machine. */
extern const struct state_desc dev_console_state;
void dev_console_settle(struct dev_console *c);

/*
 * Frames: a serial line loses what comes too fast, and has neither an end nor a byte that is not a key to
 * somebody. So a program of ours in the guest takes the input apart again: each frame is two bytes, the
 * lower first, that say how many follow, up to DEV_CONSOLE_FRAME_BYTES; none: the input has ended. It gets
 * DEV_CONSOLE_WINDOW_BYTES, headers counted, when it says that it is ready, and as many more as it says
 * that it has taken.
 */
enum { DEV_CONSOLE_FRAME_BYTES = 1024, DEV_CONSOLE_WINDOW_BYTES = 4096 };
/* vCPU thread. It is ready, perhaps not for the first time: what was begun is not gone on with. */
void dev_console_ready(struct dev_console *c);
/* vCPU thread. The machine was reset, so it is not. */
void dev_console_reset(struct dev_console *c);
/* vCPU thread. It has taken so many bytes. */
void dev_console_allow(struct dev_console *c, uint32_t bytes);

/* vCPU thread, of a patient console: the guest may not run on until there is room. An event is posted
 * when there may be. */
bool dev_console_full(struct dev_console *c);

/* errno of the first output that could not be written and was thrown away; 0: none. Any thread. */
int dev_console_lost(const struct dev_console *c);

/* Waits until all output is written or thrown away, for as long as go_on() says, which is asked all the
 * time: false if it said no. vCPU thread. */
bool dev_console_drain(struct dev_console *c, bool (*go_on)(void *context), void *context);
/* Waits until all output is written, or until none was for a second; where that has been so before, and
 * none was since, it does not wait again. vCPU thread. */
void dev_console_flush(struct dev_console *c);

#endif
