/*
 * Which extensions a vCPU has: switched by options when it is made, named to software by the ISA
 * string (Unpriv. 20240411, chapter 27).
 */
#include <string.h>
#include <strings.h>

#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/priv.h"

/* In the order of the ISA string. A row is a bit of cfg.ext, or a bool of struct rv_config, or
 * neither: then it is always there, or wherever an extension of `with` is. */
struct extension {
    const char *name;
    uint64_t ext;
    uint64_t with;
    uint16_t flag; /* offset of the bool, if has_flag */
    bool has_flag;
    bool unlisted;     /* an option, but no name of the ISA string */
    bool rv64;         /* of the model rv64, not of max alone */
    bool unless_svadu; /* firmware has ADUE set for kernels that are not told of Svade */
    bool asked;        /* in no model: there if asked for */
    const char *needs; /* another row's */
};

#define FLAG(member) .flag = offsetof(struct rv_config, member), .has_flag = true
#define RV64         .rv64 = true

static const struct extension extensions[] = {
    {.name = "zicbom", .ext = RV_EXT_ZICBOM, RV64},
    {.name = "zicbop", .ext = RV_EXT_ZICBOP, RV64},
    {.name = "zicboz", .ext = RV_EXT_ZICBOZ, RV64},
    {.name = "zicntr"},
    {.name = "zicond", .ext = RV_EXT_ZICOND, RV64},
    {.name = "zicsr"},
    {.name = "zifencei"},
    {.name = "zihintntl", .ext = RV_EXT_ZIHINTNTL},
    {.name = "zihintpause", .ext = RV_EXT_ZIHINTPAUSE, RV64},
    {.name = "zihpm"},
    {.name = "zimop", .ext = RV_EXT_ZIMOP},
    {.name = "zabha", .ext = RV_EXT_ZABHA},
    {.name = "zacas", .ext = RV_EXT_ZACAS},
    {.name = "zawrs", .ext = RV_EXT_ZAWRS},
    {.name = "zfa", .ext = RV_EXT_ZFA},
    {.name = "zfh", .ext = RV_EXT_ZFH, .needs = "zfhmin"},
    {.name = "zfhmin", .ext = RV_EXT_ZFHMIN},
    {.name = "zca", .with = RV_EXT_ZCB | RV_EXT_ZCMOP},
    {.name = "zcb", .ext = RV_EXT_ZCB},
    {.name = "zcd", .with = RV_EXT_ZCB | RV_EXT_ZCMOP},
    {.name = "zcmop", .ext = RV_EXT_ZCMOP},
    {.name = "zba", .ext = RV_EXT_ZBA, RV64},
    {.name = "zbb", .ext = RV_EXT_ZBB, RV64},
    {.name = "zbc", .ext = RV_EXT_ZBC},
    {.name = "zbkb", .ext = RV_EXT_ZBKB},
    {.name = "zbkc", .ext = RV_EXT_ZBKC},
    {.name = "zbkx", .ext = RV_EXT_ZBKX},
    {.name = "zbs", .ext = RV_EXT_ZBS, RV64},
    {.name = "zknd", .ext = RV_EXT_ZKND},
    {.name = "zkne", .ext = RV_EXT_ZKNE},
    {.name = "zknh", .ext = RV_EXT_ZKNH},
    {.name = "sscofpmf", FLAG(sscofpmf)},
    {.name = "sstc", FLAG(sstc), RV64},
    {.name = "svade", .unless_svadu = true},
    {.name = "svadu", FLAG(svadu)},
    {.name = "svinval", .ext = RV_EXT_SVINVAL},
    {.name = "svnapot", FLAG(svnapot)},
    {.name = "svpbmt", FLAG(svpbmt)},
    {.name = "sv39", FLAG(sv39), .unlisted = true, RV64},
    {.name = "sv48", FLAG(sv48), .unlisted = true, RV64, .needs = "sv39"},
    {.name = "sv57", FLAG(sv57), .unlisted = true, .asked = true, .needs = "sv48"},
};

enum { EXTENSION_COUNT = sizeof extensions / sizeof extensions[0] };

static bool switchable(const struct extension *e)
{
    return e->ext || e->has_flag;
}

static bool is_on(const struct rv_config *cfg, const struct extension *e)
{
    if (e->ext || e->with)
        return cfg->ext & (e->ext | e->with);
    return !e->has_flag || *(const bool *)((const uint8_t *)cfg + e->flag);
}

static void set_on(struct rv_config *cfg, const struct extension *e, bool on)
{
    if (e->has_flag)
        *(bool *)((uint8_t *)cfg + e->flag) = on;
    else if (on)
        cfg->ext |= e->ext;
    else
        cfg->ext &= ~e->ext;
}

static const struct extension *find(const char *name, size_t length)
{
    for (unsigned i = 0; i < EXTENSION_COUNT; i++) {
        const struct extension *e = &extensions[i];
        if (switchable(e) && strlen(e->name) == length && !strncasecmp(e->name, name, length))
            return e;
    }
    return NULL;
}

enum gw_status rv_set_model(struct rv_config *cfg, const char *model, struct gw_error *err)
{
    bool max = model && !strcmp(model, "max");
    if (model && !max && strcmp(model, "rv64") != 0)
        return gw_fail(err, GW_ERR_ARG, model, "no such CPU model; riscv64 has rv64 and max");
    cfg->ext = RV_EXT_I | RV_EXT_M | RV_EXT_A | RV_EXT_F | RV_EXT_D | RV_EXT_C | RV_EXT_ZICSR |
               RV_EXT_ZIFENCEI | RV_EXT_SM | RV_EXT_SS;
    for (unsigned i = 0; i < EXTENSION_COUNT; i++)
        if (switchable(&extensions[i]))
            set_on(cfg, &extensions[i], (max || extensions[i].rv64) && !extensions[i].asked);
    return GW_OK;
}

static enum gw_status bad_option(const char *option, size_t length, struct gw_error *err)
{
    char object[64];
    snprintf(object, sizeof object, "%.*s", length > 60 ? 60 : (int)length, option);
    return gw_fail(err, GW_ERR_ARG, object,
                   "CPU options are NAME=on or NAME=off, NAME an extension as the ISA string has "
                   "it (zba, zfh), sv39, sv48 or sv57");
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
    const struct extension *e = find(option, name_length);
    if (!e || !(on || off))
        return bad_option(option, length, err);
    set_on(cfg, e, on);
    for (; on && e->needs; e = find(e->needs, strlen(e->needs)))
        set_on(cfg, find(e->needs, strlen(e->needs)), true);
    return GW_OK;
}

/* What is there has what it needs. */
static enum gw_status check_needs(const struct rv_config *cfg, struct gw_error *err)
{
    for (unsigned i = 0; i < EXTENSION_COUNT; i++) {
        const struct extension *e = &extensions[i];
        char object[32];
        if (!e->needs || !is_on(cfg, e) || is_on(cfg, find(e->needs, strlen(e->needs))))
            continue;
        snprintf(object, sizeof object, "%s=off", e->needs);
        return gw_fail(err, GW_ERR_ARG, object, "%s needs %s; %s=off goes with it", e->name,
                       e->needs, e->name);
    }
    return GW_OK;
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
    return check_needs(cfg, err);
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
    return !e->unlisted && is_on(&cpu->cfg, e) && !(e->unless_svadu && cpu->cfg.svadu);
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
