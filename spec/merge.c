/* The machine as a whole: what follows from what was said, and whose word counts where a saved one goes
 * on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec_int.h"

void spec_settle(struct machine_spec *s)
{
    if (!s->net.kind && s->publish_count)
        s->net.kind = SPEC_NET_USER;
    if (!s->net.kind)
        s->mac = (struct spec_mac){{0}};
    if (s->net.kind != SPEC_NET_USER)
        s->net_restrict = s->net_host = 0;
    s->second_port = s->second_port || s->serial_count > 1;
    s->clock_insns = s->clock_insns || s->deterministic;
}

bool spec_has_card(const struct machine_spec *s)
{
    return s->net.kind &&
           (s->net.kind != SPEC_NET_NONE || spec_said(spec_find(spec_machine, "mac"), s));
}

enum gw_status spec_say_usual(struct machine_spec *s, struct gw_error *err)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        if (f->usual_text && !spec_said(f, s) && spec_put_text(f, s, f->usual_text) != GW_OK)
            return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine's description");
    }
    return GW_OK;
}

/* ---- a saved machine that goes on ----------------------------------------------------------- */

static bool names_something(const struct spec_field *f, const void *record)
{
    const struct spec_target *t = spec_at(f, record);
    return f->kind == SPEC_TARGET ? t->kind && t->kind != SPEC_NET_NONE
                                  : spec_names_file(f, record);
}

/* What of the host two records of a list name, and how it may be used. */
static bool same_of_host(const struct spec_record *r, const void *a, const void *b)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->fields[i].owner == SPEC_OF_HOST && !spec_equal_field(&r->fields[i], a, b))
            return false;
    return true;
}

static bool names_any(const struct spec_record *r, const void *record)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->fields[i].owner == SPEC_OF_HOST && names_something(&r->fields[i], record))
            return true;
    return false;
}

static bool copy_element(const struct spec_field *f, struct machine_spec *to, const void *from,
                         uint32_t i)
{
    void *new = f->place ? spec_element(f, to, i) : spec_append(f, to);
    return new &&spec_copy(f->record, new, from, NULL) == GW_OK;
}

/* A list, or places, of things of the host's: each saved one is granted by itself. False: no memory. */
static bool merge_records(const struct spec_field *f, struct machine_spec *to,
                          const struct machine_spec *saved, const struct machine_spec *given,
                          const struct machine_spec *granted, struct machine_spec *withheld)
{
    if (!f->place && spec_said(f, given))
        return spec_copy_field(f, to, given);
    for (uint32_t i = 0; i < spec_count(f, saved); i++) {
        const void *e = spec_element(f, saved, i), *g = f->place ? spec_element(f, given, i) : NULL;
        bool is_given = g && names_any(f->record, g);
        if (!copy_element(f, to, is_given ? g : e, i))
            return false;
        if (is_given || !names_any(f->record, e) ||
            (granted && i < spec_count(f, granted) &&
             same_of_host(f->record, e, spec_element(f, granted, i))))
            continue;
        if (!copy_element(f, withheld, e, i))
            return false;
    }
    return true;
}

/* A network, and what it lets through, which is nothing by itself. */
static const char *const of_network[] = {"net", "net_restrict", "net_host"};
enum { OF_NETWORK = sizeof of_network / sizeof of_network[0] };

static bool same_network(const struct machine_spec *a, const struct machine_spec *b)
{
    bool same = true;
    for (unsigned i = 0; i < OF_NETWORK; i++)
        same = same && spec_equal_field(spec_find(spec_machine, of_network[i]), a, b);
    return same;
}

static bool withhold(const struct spec_field *f, struct machine_spec *withheld,
                     const struct machine_spec *saved)
{
    bool ok = f->kind == SPEC_TARGET || spec_copy_field(f, withheld, saved);
    for (unsigned i = 0; f->kind == SPEC_TARGET && i < OF_NETWORK; i++)
        ok = ok && spec_copy_field(spec_find(spec_machine, of_network[i]), withheld, saved);
    return ok;
}

static bool merge_field(const struct spec_field *f, struct machine_spec *to,
                        const struct machine_spec *saved, const struct machine_spec *given,
                        const struct machine_spec *granted, struct machine_spec *withheld)
{
    bool command = f->owner == SPEC_OF_RUN;
    if (f->owner == SPEC_OF_HOST && f->kind == SPEC_RECORDS)
        return merge_records(f, to, saved, given, granted, withheld);
    if (f->owner == SPEC_OF_EITHER || f->owner == SPEC_OF_HOST)
        command = spec_said(f, given);
    if (!spec_copy_field(f, to, command ? given : saved))
        return false;
    if (f->owner != SPEC_OF_HOST || command || !names_something(f, saved))
        return true;
    if (granted && (f->kind == SPEC_TARGET ? same_network(saved, granted)
                                           : spec_equal_field(f, saved, granted)))
        return true;
    return withhold(f, withheld, saved);
}

/* What the command does not say of a disk that it names, where the disk's record has such fields. */
static bool keep_disks(struct machine_spec *to, const struct machine_spec *saved)
{
    const struct spec_record *r = spec_find(spec_machine, "disks")->record;
    bool ok = true;
    for (uint32_t i = 0; i < to->disks_count && i < saved->disks_count; i++)
        for (unsigned k = 0; k < r->count; k++) {
            const struct spec_field *f = &r->fields[k];
            if (f->owner == SPEC_OF_EITHER && !spec_said(f, &to->disks[i]))
                ok = ok && spec_copy_field(f, &to->disks[i], &saved->disks[i]);
        }
    return ok;
}

enum gw_status spec_merge(struct machine_spec *to, struct machine_spec *withheld,
                          const struct machine_spec *saved, const struct machine_spec *given,
                          const struct machine_spec *granted, struct gw_error *err)
{
    bool fine = true;
    spec_init(spec_machine, to);
    spec_init(spec_machine, withheld);
    for (unsigned i = 0; fine && i < spec_machine->count; i++)
        fine = merge_field(&spec_machine->fields[i], to, saved, given, granted, withheld);
    if (!fine || !keep_disks(to, saved)) {
        spec_clear(spec_machine, to);
        spec_clear(spec_machine, withheld);
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine's description");
    }
    spec_settle(to);
    return GW_OK;
}

bool spec_is_lacking(const struct machine_spec *withheld)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        if (f->owner != SPEC_OF_HOST)
            continue;
        if (f->kind != SPEC_RECORDS && names_something(f, withheld) &&
            spec_wanted_at_once(f, withheld))
            return true;
        for (uint32_t k = 0; f->kind == SPEC_RECORDS && k < spec_count(f, withheld); k++) {
            const void *e = spec_element(f, withheld, k);
            if (names_any(f->record, e) && spec_wanted_at_once(f, e))
                return true;
        }
    }
    return false;
}

bool spec_wanted_at_once(const struct spec_field *f, const void *record)
{
    if (!f->at_reset || !f->unless)
        return !f->at_reset;
    return spec_number(spec_find(f->record, f->unless), record) != 0;
}

/* ---- names of files ------------------------------------------------------------------------- */

static char *absolute(const char *path)
{
    char *found = realpath(path, NULL), *here = NULL, *text = NULL;
    if (found || path[0] == '/')
        return found ? found : strdup(path);
    here = realpath(".", NULL); /* a file that is yet to be made, or a socket */
    if (!here || asprintf(&text, "%s/%s", strcmp(here, "/") != 0 ? here : "", path) < 0)
        text = NULL;
    free(here);
    return text ? text : strdup(path);
}

static bool make_absolute(void *context, const struct spec_field *f, void *record)
{
    struct spec_target *t = spec_at(f, record);
    const char **at = spec_names_file(f, record) ? spec_at(f, record)
                      : f->kind == SPEC_TARGET && t->to && t->kind == SPEC_NET_SOCKET ? &t->to
                                                                                      : NULL;
    char *text;
    if (f->owner == SPEC_OF_RUN || !at)
        return true;
    text = absolute(*at);
    if (!text)
        return false;
    free((void *)(uintptr_t)*at);
    *at = text;
    return true;
}

enum gw_status spec_make_absolute(struct machine_spec *s, struct gw_error *err)
{
    if (spec_each(spec_machine, s, make_absolute, NULL))
        return GW_OK;
    return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine's description");
}

/* ---- what may be opened --------------------------------------------------------------------- */

static bool is_of_host(const struct spec_field *f)
{
    return f->owner == SPEC_OF_HOST;
}

/* Takes out of s what is in withheld too: it is not what the user said. */
static void take_out(struct machine_spec *s, const struct machine_spec *withheld)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        if (!is_of_host(f))
            continue;
        if (f->kind != SPEC_RECORDS && spec_said(f, withheld))
            spec_clear_field(f, s);
        for (uint32_t k = 0; f->kind == SPEC_RECORDS && k < spec_count(f, withheld); k++)
            for (uint32_t n = 0; n < spec_count(f, s); n++) {
                void *e = spec_element(f, s, n);
                if (names_any(f->record, e) &&
                    same_of_host(f->record, e, spec_element(f, withheld, k)))
                    spec_clear(f->record, e);
            }
    }
}

char *spec_grants(const struct machine_spec *s, const struct machine_spec *withheld)
{
    struct machine_spec copy;
    char *text;
    if (spec_copy(spec_machine, &copy, s, NULL) != GW_OK)
        return NULL;
    if (withheld)
        take_out(&copy, withheld);
    for (uint32_t i = 0; i < copy.disks_count; i++) /* as a snapshot says it */
        if (copy.disks[i].path && !copy.disks[i].mode)
            copy.disks[i].mode = copy.disks[i].overlay ? SPEC_DISK_OVERLAY : SPEC_DISK_TEMPORARY;
    text = spec_make_absolute(&copy, NULL) == GW_OK ? spec_lines(spec_machine, &copy, is_of_host)
                                                    : NULL;
    spec_clear(spec_machine, &copy);
    return text;
}

enum gw_status spec_read_grants(struct machine_spec *to, const char *text, size_t bytes,
                                struct gw_error *err)
{
    spec_init(spec_machine, to);
    enum gw_status st = spec_read_lines(spec_machine, to, text, bytes, is_of_host, err);
    if (st != GW_OK)
        spec_clear(spec_machine, to);
    return st;
}
