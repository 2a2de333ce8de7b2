/* Counters: what is counted, described once, for --stats, --report and metrics alike. */
#ifndef GODWIT_COUNTER_H
#define GODWIT_COUNTER_H

#include <stddef.h>
#include <stdint.h>

struct counter_field {
    const char *name; /* snake_case, with its unit as suffix where it has one: translate_ns */
    const char *help;
    uint32_t offset; /* of a uint64_t in the counted object */
};

struct counter_desc {
    const char *name; /* the room: "translator", "virtio-blk" */
    const struct counter_field *fields;
    uint32_t field_count;
};

#define COUNTER(S, member, help_)                                                                  \
    {                                                                                              \
        .name = #member, .help = (help_), .offset = offsetof(S, member)                            \
    }

static inline uint64_t counter_get(const void *object, const struct counter_field *f)
{
    return *(const uint64_t *)(const void *)((const uint8_t *)object + f->offset);
}

#endif
