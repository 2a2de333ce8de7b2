/*
 * State tables: one description of architectural state that save, load, JSON dump, lockstep
 * comparison, random-state fuzzing and the layout hash all read. A table describes the device that
 * is modelled, never the implementation: no host pointer, descriptor or derived value is a field.
 */
#ifndef GODWIT_STATE_H
#define GODWIT_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "godwit/status.h"

enum state_type { STATE_U8 = 1, STATE_U16 = 2, STATE_U32 = 4, STATE_U64 = 8 };

struct state_field {
    const char *name;
    enum state_type type; /* also the element's width in bytes */
    uint32_t offset;      /* bytes from the start of the object */
    uint32_t count;       /* elements; 1 for a scalar */
    /* The version of the table in which it came; 0: whatever the table is read from has it. What has
     * it not is upgraded: see state_desc. */
    uint32_t since;
};

/*
 * What an older program saved, by the names that it gave. get() returns element i, zero-extended; 0 if
 * there is none, and then what is being loaded is refused.
 */
struct state_saved {
    uint32_t version; /* of the section that it was saved in */
    unsigned number;  /* that the name of the object's own section ends in: 3 of cpu3; 0 if none */
    uint64_t (*get)(struct state_saved *saved, const char *field, uint32_t i);
};

/*
 * The table of a kind of object. Whoever changes its fields raises the version, and sees to it that what
 * was saved before is read: a field that came with a version v says since = v, and upgrade() fills it in
 * from what is older. Fields that are gone are passed over. A table whose fields were part of another
 * section once names that one, and is filled in from it where a snapshot has no section of its own.
 */
struct state_desc {
    const char *name;
    uint32_t version; /* from 1 */
    uint32_t oldest;  /* the oldest version that is read; 0: this one alone */
    struct {
        const char *section;     /* NULL: none; %u in it stands for the number, see state_saved */
        uint32_t oldest, newest; /* its versions */
    } part_of;
    const struct state_field *fields;
    uint32_t field_count;
    /* Fills in what came since, of an object in which all other fields are in place, and these are 0.
     * Values need no check: check() follows. NULL: 0 it is. */
    void (*upgrade)(void *object, struct state_saved *from);
    /* Refuses values that the modelled device can't hold; NULL: any value is valid. */
    enum gw_status (*check)(const void *object, struct gw_error *err);
    /* Rebuilds what derives from the fields, after a load; may be NULL. */
    void (*post_load)(void *object);
};

#define STATE_COUNT_(a) (sizeof(a) / sizeof((a)[0]))
/* The type, which must be as wide as the member: a narrower one would be its wrong end on a big-endian host. */
#define STATE_AS_(type_, bytes)                                                                    \
    ((enum state_type)((type_) + 0 * sizeof(char[(bytes) == (type_) ? 1 : -1])))
#define STATE_SCALAR(S, member, type_) STATE_SCALAR_SINCE(0, S, member, type_)
#define STATE_SCALAR_SINCE(version_, S, member, type_)                                             \
    {                                                                                              \
        .name = #member, .type = STATE_AS_(type_, sizeof(((S *)0)->member)),                       \
        .offset = offsetof(S, member), .count = 1, .since = (version_)                             \
    }
#define STATE_ARRAY(S, member, type_)                                                              \
    {                                                                                              \
        .name = #member, .type = STATE_AS_(type_, __alignof__(((S *)0)->member)),                  \
        .offset = offsetof(S, member), .count = sizeof(((S *)0)->member) / (type_)                 \
    }

/* Element i of a field, zero-extended. */
static inline uint64_t state_get(const void *object, const struct state_field *f, uint32_t i)
{
    const uint8_t *p = (const uint8_t *)object + f->offset + (size_t)i * f->type;
    switch (f->type) {
    case STATE_U8: return *p;
    case STATE_U16: return *(const uint16_t *)(const void *)p;
    case STATE_U32: return *(const uint32_t *)(const void *)p;
    default: return *(const uint64_t *)(const void *)p;
    }
}

static inline void state_set(void *object, const struct state_field *f, uint32_t i, uint64_t v)
{
    uint8_t *p = (uint8_t *)object + f->offset + (size_t)i * f->type;
    switch (f->type) {
    case STATE_U8: *p = (uint8_t)v; break;
    case STATE_U16: *(uint16_t *)(void *)p = (uint16_t)v; break;
    case STATE_U32: *(uint32_t *)(void *)p = (uint32_t)v; break;
    default: *(uint64_t *)(void *)p = v; break;
    }
}

#endif
