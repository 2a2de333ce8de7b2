/*
 * Which extensions a vCPU has: switched by options when it is made, named to software by the ISA
 * string (Unpriv. 20240411, chapter 27).
 */
#include <string.h>
#include <strings.h>

#include "decode.h"
#include "priv.h"

/* In the order of the ISA string. A row is a bit of cfg.ext, or a bool of struct rv_config, or
 * neither: then it is always there. */
struct extension {
    const char *name;
    uint32_t ext;
    uint16_t flag; /* offset of the bool, if has_flag */
    bool has_flag;
    bool unlisted; /* an option, but no name of the ISA string */
};

#define FLAG(member) .flag = offsetof(struct rv_config, member), .has_flag = true

static const struct extension extensions[] = {
    {.name = "zicbom", .ext = RV_EXT_ZICBOM},
    {.name = "zicbop", .ext = RV_EXT_ZICBOP},
    {.name = "zicboz", .ext = RV_EXT_ZICBOZ},
    {.name = "zicntr"},
    {.name = "zicond", .ext = RV_EXT_ZICOND},
    {.name = "zicsr"},
    {.name = "zifencei"},
    {.name = "zihintpause", .ext = RV_EXT_ZIHINTPAUSE},
    {.name = "zihpm"},
    {.name = "zba", .ext = RV_EXT_ZBA},
    {.name = "zbb", .ext = RV_EXT_ZBB},
    {.name = "zbs", .ext = RV_EXT_ZBS},
    {.name = "sstc", FLAG(sstc)},
    {.name = "svade"},
    {.name = "sv39", FLAG(sv39), .unlisted = true},
    {.name = "sv48", FLAG(sv48), .unlisted = true},
};

enum { EXTENSION_COUNT = sizeof extensions / sizeof extensions[0] };

static bool switchable(const struct extension *e)
{
    return e->ext || e->has_flag;
}

static bool is_on(const struct rv_config *cfg, const struct extension *e)
{
    if (e->ext)
        return cfg->ext & e->ext;
    return !e->has_flag || *(const bool *)((const uint8_t *)cfg + e->flag);
}

static void set_on(struct rv_config *cfg, const struct extension *e, bool on)
{
    if (e->has_flag)
        *(bool *)((uint8_t *)cfg + e->flag) = on;
    else if (on)
        cfg->ext |= e->ext;
    else
        cfg->ext &= ~(uint64_t)e->ext;
}

static enum gw_status bad_option(const char *option, size_t length, struct gw_error *err)
{
    char object[64], names[160] = "";
    snprintf(object, sizeof object, "%.*s", length > 60 ? 60 : (int)length, option);
    for (unsigned i = 0; i < EXTENSION_COUNT; i++) {
        size_t used = strlen(names);
        if (switchable(&extensions[i]))
            snprintf(names + used, sizeof names - used, " %s", extensions[i].name);
    }
    return gw_fail(err, GW_ERR_ARG, object, "CPU options are NAME=on or NAME=off, NAME one of%s",
                   names);
}

/* One "NAME=on" or "NAME=off" of length bytes. */
static enum gw_status set_option(struct rv_config *cfg, const char *option, size_t length,
                                 struct gw_error *err)
{
    const char *equals = memchr(option, '=', length);
    if (!equals)
        return bad_option(option, length, err);
    size_t name_length = (size_t)(equals - option);
    size_t value_length = length - name_length - 1;
    bool on = value_length == 2 && !memcmp(equals + 1, "on", 2);
    bool off = value_length == 3 && !memcmp(equals + 1, "off", 3);
    for (unsigned i = 0; (on || off) && i < EXTENSION_COUNT; i++) {
        const struct extension *e = &extensions[i];
        if (switchable(e) && strlen(e->name) == name_length &&
            !strncasecmp(e->name, option, name_length)) {
            set_on(cfg, e, on);
            return GW_OK;
        }
    }
    return bad_option(option, length, err);
}

enum gw_status rv_set_options(struct rv_config *cfg, const char *options, struct gw_error *err)
{
    for (const char *at = options; *at;) {
        size_t length = strcspn(at, ",");
        enum gw_status status = set_option(cfg, at, length, err);
        if (status != GW_OK)
            return status;
        at += length;
        if (*at == ',')
            at++;
    }
    /* Priv. 10.5: what has Sv48 has Sv39. */
    if (cfg->sv48 && !cfg->sv39)
        return gw_fail(err, GW_ERR_ARG, "sv39=off", "sv48 needs sv39; sv48=off goes with it");
    return GW_OK;
}

/* Written as far as the buffer goes; used counts what the whole needs. */
struct text {
    char *buf;
    size_t size, used;
};

static void put_char(struct text *t, char c)
{
    if (t->used < t->size)
        t->buf[t->used] = c;
    t->used++;
}

static void put_string(struct text *t, const char *s)
{
    while (*s)
        put_char(t, *s++);
}

static bool is_listed(const struct rv_cpu *cpu, const struct extension *e)
{
    return !e->unlisted && is_on(&cpu->cfg, e);
}

size_t rv_isa_string(const struct rv_cpu *cpu, char *buf, size_t size)
{
    struct text t = {.buf = buf, .size = size};
    put_string(&t, "rv64imafdc");
    for (unsigned i = 0; i < EXTENSION_COUNT; i++) {
        if (is_listed(cpu, &extensions[i])) {
            put_char(&t, '_');
            put_string(&t, extensions[i].name);
        }
    }
    put_char(&t, 0);
    return t.used;
}

size_t rv_isa_list(const struct rv_cpu *cpu, char *buf, size_t size)
{
    struct text t = {.buf = buf, .size = size};
    for (const char *letter = "imafdc"; *letter; letter++) {
        put_char(&t, *letter);
        put_char(&t, 0);
    }
    for (unsigned i = 0; i < EXTENSION_COUNT; i++) {
        if (is_listed(cpu, &extensions[i])) {
            put_string(&t, extensions[i].name);
            put_char(&t, 0);
        }
    }
    return t.used;
}
