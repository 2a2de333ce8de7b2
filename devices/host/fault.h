/*
 * How the host's side of a device says that the host has failed it: a full disk, a reader that is
 * gone. Once for each thing, however many requests it costs; the guest is told of each by the device.
 */
#ifndef DEV_FAULT_H
#define DEV_FAULT_H

struct dev_fault_sink {
    /* Any thread. what: "cannot write to the disk"; object: which; error: of errno. */
    void (*say)(void *context, const char *what, const char *object, int error);
    void *context;
};

static inline void dev_fault_say(const struct dev_fault_sink *sink, const char *what,
                                 const char *object, int error)
{
    if (sink->say)
        sink->say(sink->context, what, object, error);
}

#endif
