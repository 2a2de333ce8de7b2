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
};

struct state_desc {
    const char *name;
    uint32_t version;
    const struct state_field *fields;
    uint32_t field_count;
    /* Refuses values that the modelled device can't hold; NULL: any value is valid. */
    enum gw_status (*check)(const void *object, struct gw_error *err);
    /* Rebuilds what derives from the fields, after a load; may be NULL. */
    void (*post_load)(void *object);
};

#define STATE_COUNT_(a) (sizeof(a) / sizeof((a)[0]))
#define STATE_SCALAR(S, member, type_)                                                             \
    {                                                                                              \
        .name = #member, .type = (type_), .offset = offsetof(S, member), .count = 1                \
    }
#define STATE_ARRAY(S, member, type_)                                                              \
    {                                                                                              \
        .name = #member, .type = (type_), .offset = offsetof(S, member),                           \
        .count = sizeof(((S *)0)->member) / (type_)                                                \
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
