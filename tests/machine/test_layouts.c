/*
 * The layout of every table that can be in a snapshot, against layouts.txt: its name, version and
 * hash, then a line a field. A layout that is there under its version never becomes another one, since
 * snapshots have it. GODWIT_UPDATE_GOLDEN=1 writes the file anew where tables are new or have a newer
 * version.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/host/console.h"
#include "devices/registry.h"
#include "devices/virtio/dev.h"
#include "frontend/guests.h"
#include "machine/state/loose.h"
#include "snapshot/snapshot.h"

enum { MAX_TABLES = 64, NAME_BYTES = 64 };

/* ---- the tables ------------------------------------------------------------------------------- */

struct tables {
    const struct state_desc *table[MAX_TABLES];
    unsigned count;
};

static void add(struct tables *t, const struct state_desc *d)
{
    unsigned at = t->count;
    if (!d || !d->field_count)
        return;
    assert_true(t->count < MAX_TABLES);
    while (at && strcmp(t->table[at - 1]->name, d->name) > 0) {
        t->table[at] = t->table[at - 1];
        at--;
    }
    t->table[at] = d;
    t->count++;
}

static struct tables all_tables(void)
{
    struct tables t = {.count = 0};
    for (unsigned i = 0; i < gw_devices.class_count; i++)
        add(&t, gw_devices.classes[i]->state);
    for (unsigned i = 0; i < gw_devices.kind_count; i++)
        add(&t, gw_devices.kinds[i]->state);
    for (unsigned i = 0; i < gw_guests.count; i++)
        add(&t, gw_guests.guest[i]->state);
    add(&t, &dev_console_state);
    add(&t, &engine_vcpu_state);
    add(&t, &sbi_hart_table);
    add(&t, &vm_loose_state);
    return t;
}

/* As a snapshot has it. */
static uint64_t layout_of(const struct state_desc *d)
{
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct machine_spec *spec = calloc(1, sizeof *spec);
    struct snap_writer *w;
    struct snap_reader *r;
    int fd = memfd_create("layout", MFD_CLOEXEC);
    char path[64];
    uint64_t layout;
    size_t size = 0;
    void *object;
    for (uint32_t i = 0; i < d->field_count; i++) {
        size_t end = d->fields[i].offset + (size_t)d->fields[i].count * d->fields[i].type;
        size = end > size ? end : size;
    }
    object = calloc(1, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    spec->machine = (char[]){"any"};
    spec->cpu_model = (char[]){"any"};
    spec->cpus = 1;
    assert_int_equal(api->create_on(&w, fd, NULL, "layout", &err), GW_OK);
    assert_int_equal(api->write_manifest(w, spec, &err), GW_OK);
    assert_int_equal(api->write_state(w, "state", d, object, &err), GW_OK);
    assert_int_equal(api->commit(w, &err), GW_OK);
    assert_int_equal(api->open(&r, path, &err), GW_OK);
    layout = api->find(r, "state")->layout;
    api->close(r);
    close(fd);
    free(object);
    free(spec);
    return layout;
}

static char *text_of(const struct state_desc *d)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fprintf(f, "%s %" PRIu32 " %016" PRIx64 "\n", d->name, d->version, layout_of(d));
    for (uint32_t i = 0; i < d->field_count; i++) {
        const struct state_field *s = &d->fields[i];
        fprintf(f, "    %s u%d", s->name, 8 * (int)s->type);
        fprintf(f, s->count > 1 ? " %" PRIu32 "\n" : "\n", s->count);
    }
    fclose(f);
    return text;
}

/* ---- the file --------------------------------------------------------------------------------- */

static char *read_golden(void)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(LAYOUTS, "r");
    if (f) {
        text[fread(text, 1, (1 << 20) - 1, f)] = 0;
        fclose(f);
    }
    return text;
}

/* A table's name and version, at the beginning of its text. */
static bool head_of(const char *text, char name[NAME_BYTES], uint32_t *version)
{
    return sscanf(text, "%63s %" SCNu32, name, version) == 2;
}

/* Behind a table's text. */
static const char *end_of(const char *text)
{
    do {
        text += strcspn(text, "\n");
        text += *text == '\n';
    } while (*text == ' ');
    return text;
}

static const char *find(const char *golden, const char *wanted)
{
    char name[NAME_BYTES];
    uint32_t version;
    for (const char *p = golden; *p; p = end_of(p))
        if (head_of(p, name, &version) && !strcmp(name, wanted))
            return p;
    return NULL;
}

static int line_bytes(const char *line)
{
    return (int)strcspn(line, "\n");
}

/* The first field that differs, after the heads, which always do. */
static void say_difference(const char *was, const char *is)
{
    const char *was_end = end_of(was), *is_end = end_of(is);
    do {
        was += line_bytes(was) + 1;
        is += line_bytes(is) + 1;
    } while (was < was_end && is < is_end && line_bytes(was) == line_bytes(is) &&
             !strncmp(was, is, (size_t)line_bytes(was)));
    print_error("    was: %.*s\n    is:  %.*s\n", was < was_end ? line_bytes(was) : 0, was,
                is < is_end ? line_bytes(is) : 0, is);
}

enum verdict { AS_IT_WAS, NEWER, BROKEN };

static enum verdict compare(const struct state_desc *d, const char *is, const char *golden,
                            bool say)
{
    const char *was = find(golden, d->name);
    size_t was_bytes = was ? (size_t)(end_of(was) - was) : 0;
    char name[NAME_BYTES];
    uint32_t version = 0;
    if (was)
        head_of(was, name, &version);
    if (was && was_bytes == strlen(is) && !strncmp(was, is, was_bytes))
        return AS_IT_WAS;
    if (d->version > version)
        return NEWER;
    if (!say)
        return BROKEN;
    print_error("the table %s has other fields than its version %" PRIu32 " had:\n", d->name,
                version);
    say_difference(was, is);
    print_error("Snapshots of version %" PRIu32 " are about. Give the table version %" PRIu32
                " and have it read those before\n(oldest, since and upgrade: "
                "include/godwit/state.h), then ./dev golden --update\n",
                version, version + 1);
    return BROKEN;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static unsigned tables_in(const char *text)
{
    unsigned n = 0;
    for (; *text; text = end_of(text))
        n++;
    return n;
}

static void write_golden(char *const *text, unsigned count)
{
    FILE *f = fopen(LAYOUTS, "w");
    assert_non_null(f);
    for (unsigned i = 0; i < count; i++)
        fputs(text[i], f);
    fclose(f);
}

static void tables_are_those_that_snapshots_have(void **state)
{
    struct tables t = all_tables();
    bool update = getenv("GODWIT_UPDATE_GOLDEN") != NULL;
    char *golden = read_golden(), *text[MAX_TABLES];
    unsigned known = 0, broken = 0;
    for (unsigned i = 0; i < t.count; i++) {
        enum verdict v = compare(t.table[i], text[i] = text_of(t.table[i]), golden, true);
        known += v == AS_IT_WAS;
        broken += v == BROKEN;
        if (v == NEWER && !update)
            print_error("version %" PRIu32 " of %s is new: ./dev golden --update\n",
                        t.table[i]->version, t.table[i]->name);
    }
    assert_int_equal(broken, 0);
    if (update)
        write_golden(text, t.count);
    else if (known == t.count && tables_in(golden) != t.count)
        fail_msg("layouts.txt has tables that no snapshot has any more: ./dev golden --update");
    else
        assert_int_equal(known, t.count);
    for (unsigned i = 0; i < t.count; i++)
        free(text[i]);
    free(golden);
}

static enum verdict verdict_on(const struct state_desc *d, const char *golden)
{
    char *text = text_of(d);
    enum verdict v = compare(d, text, golden, false);
    free(text);
    return v;
}

static void a_layout_of_before_never_becomes_another(void **state)
{
    struct tables t = all_tables();
    char *golden = read_golden();
    for (unsigned i = 0; i < t.count; i++) {
        struct state_desc d = *t.table[i];
        struct state_field field = d.fields[0];
        d.version--;
        assert_int_equal(verdict_on(&d, golden), BROKEN);
        d.version += 2;
        assert_int_equal(verdict_on(&d, golden), NEWER);
        d.version--;
        assert_int_equal(verdict_on(&d, golden), AS_IT_WAS);
        d.field_count--;
        assert_int_equal(verdict_on(&d, golden), BROKEN);
        d.fields = &field;
        d.field_count = 1;
        field.name = "other";
        assert_int_equal(verdict_on(&d, golden), BROKEN);
        d.name = "new";
        assert_int_equal(verdict_on(&d, golden), NEWER);
    }
    free(golden);
}

/* What a table says of itself must be possible. */
static void versions_make_sense(void **state)
{
    struct tables t = all_tables();
    for (unsigned i = 0; i < t.count; i++) {
        const struct state_desc *d = t.table[i];
        assert_true(d->version >= 1 && d->oldest <= d->version);
        assert_true(!d->part_of.section ||
                    (d->part_of.oldest >= 1 && d->part_of.oldest <= d->part_of.newest));
        assert_true(i == 0 || strcmp(t.table[i - 1]->name, d->name) != 0);
        for (uint32_t k = 0; k < d->field_count; k++) {
            const struct state_field *f = &d->fields[k];
            assert_true(f->since <= d->version && f->count >= 1);
            for (uint32_t n = 0; n < k; n++)
                assert_string_not_equal(f->name, d->fields[n].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_those_that_snapshots_have),
        cmocka_unit_test(a_layout_of_before_never_becomes_another),
        cmocka_unit_test(versions_make_sense),
    };
    return cmocka_run_group_tests_name("state layouts", tests, NULL, NULL);
}
