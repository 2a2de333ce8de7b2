/* The table: machine_spec.inc as data, and what its columns cannot say. */
#include "spec/spec.h"

#define SPEC_DISK_LIMITS                                                                           \
    "cannot limit the disk: bps= takes bytes a second, such as 10M, and iops= a number"

#define SPEC_NET_SWITCH "cannot set up the network: restrict= and host= take on or off"

static const char *check_disk(const void *record)
{
    const struct disk_spec *d = record;
    if (d->overlay && d->mode && d->mode != SPEC_DISK_OVERLAY)
        return "cannot add the disk: rw and overlay= exclude one another";
    return d->mode == SPEC_DISK_OVERLAY && !d->overlay
               ? "cannot add the disk: its overlay has no name"
               : NULL;
}

/* A channel is no terminal. */
static const char *check_channel(const void *record)
{
    const struct channel_spec *c = record;
    return c->name && c->to.kind == SPEC_PORT_STDIO ? "" : NULL;
}

static const char *check_machine(const void *record)
{
    const struct machine_spec *s = record;
    if (s->mips && !s->clock_insns)
        return "";
    if ((s->net_restrict || s->net_host) && s->net.kind > SPEC_NET_USER)
        return "cannot set up the network: restrict= and host= are of user networking";
    for (uint32_t i = 1; i < s->serial_count; i++)
        if (s->serial[i].to.kind == SPEC_PORT_STDIO && s->serial[0].to.kind == SPEC_PORT_STDIO)
            return "cannot add the serial port: the first has standard input and output";
    return NULL;
}

enum { FIXED = false, LIVE = true };

/* Each row's attributes begin with FIXED or LIVE. */
#define SPEC_ROW(record_, member_, owner_, ...)                                                    \
    .name = #member_, .at = offsetof(struct record_##_spec, member_), .owner = SPEC_OF_##owner_,   \
    .live = __VA_ARGS__
#define SPEC_ROWS(record_, element_, member_, most_, owner_, ...)                                  \
    .kind = SPEC_RECORDS, .most = (most_), .record = &element_##_record,                           \
    SPEC_ROW(record_, member_, owner_, __VA_ARGS__)

#define SPEC_BEGIN(record_)             static const struct spec_field record_##_fields[] = {
#define SPEC_FIELD(record_, kind_, ...) {.kind = SPEC_##kind_, SPEC_ROW(record_, __VA_ARGS__)},
#define SPEC_PLACES(...)                {SPEC_ROWS(__VA_ARGS__)},
#define SPEC_LIST(record_, element_, member_, ...)                                                 \
    {.count_at = offsetof(struct record_##_spec, member_##_count),                                 \
     SPEC_ROWS(record_, element_, member_, __VA_ARGS__)},
#define SPEC_OPTION(record_, ...) {.kind = SPEC_SET, __VA_ARGS__},
#define SPEC_END(record_, check_)                                                                  \
    }                                                                                              \
    ;                                                                                              \
    static const struct spec_record record_##_record = {.name = #record_,                          \
                                                        .fields = record_##_fields,                \
                                                        .count = sizeof record_##_fields /         \
                                                                 sizeof record_##_fields[0],       \
                                                        .bytes = sizeof(struct record_##_spec),    \
                                                        .check = (check_)};

#include "godwit/machine_spec.inc"

const struct spec_record *const spec_machine = &machine_record;
