/* Each field of each record: by text, at its limits, with junk, in copies. All of it goes over the
 * table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/spec/samples.h"

typedef void each_fn(const struct spec_record *r, const struct spec_field *f, void *record);

/* Calls fn for each field that holds a value, with a record that is as usual. */
static void each(each_fn *fn)
{
    const struct spec_record *r;
    for (unsigned i = 0; (r = sample_record(i)); i++)
        for (unsigned k = 0; k < r->count; k++) {
            void *record = malloc(r->bytes);
            assert_non_null(record);
            spec_init(r, record);
            if (sample_has_value(&r->fields[k]))
                fn(r, &r->fields[k], record);
            spec_clear(r, record);
            free(record);
        }
}

static void *new_record(const struct spec_record *r)
{
    void *record = malloc(r->bytes);
    assert_non_null(record);
    spec_init(r, record);
    return record;
}

static void free_record(const struct spec_record *r, void *record)
{
    spec_clear(r, record);
    free(record);
}

/* ---- text ----------------------------------------------------------------------------------- */

static void round_trip(const struct spec_record *r, const struct spec_field *f, void *record)
{
    char sample[SAMPLE_BYTES];
    unsigned count = 0;
    for (unsigned i = 0; sample_value(f, i, sample); i++, count++) {
        void *other = new_record(r);
        char *text;
        assert_int_equal(spec_put(f, record, sample), GW_OK);
        text = spec_print(f, record);
        assert_non_null(text);
        assert_int_equal(spec_put(f, other, text), GW_OK);
        assert_true(spec_equal(r, record, other));
        free(text);
        free_record(r, other);
    }
    assert_true(count >= 1);
}

static void every_value_is_what_its_text_says(void **state)
{
    each(round_trip);
}

static void junk(const struct spec_record *r, const struct spec_field *f, void *record)
{
    static const char *const texts[] = {"",
                                        "junk!",
                                        "-1",
                                        "0x",
                                        "1Q",
                                        "1 ",
                                        " 1",
                                        "1.5",
                                        "=",
                                        ":",
                                        "99999999999999999999999",
                                        "52:54:00:12:34",
                                        "ON",
                                        "file:"};
    void *before = new_record(r);
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if ((f->kind == SPEC_TEXT || f->kind == SPEC_PATH) && (!f->words || f->kind == SPEC_PATH))
            continue;
        if (spec_put(f, record, texts[i]) == GW_OK)
            fail_msg("%s.%s takes \"%s\"", r->name, f->name, texts[i]);
        assert_true(spec_equal(r, record, before));
    }
    free_record(r, before);
}

static void junk_is_refused_and_changes_nothing(void **state)
{
    each(junk);
}

/* ---- limits --------------------------------------------------------------------------------- */

static enum gw_status put_number(const struct spec_field *f, void *record, uint64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, v);
    return spec_put(f, record, text);
}

static void number_limits(const struct spec_field *f, void *record)
{
    if (f->kind == SPEC_FLAG || f->kind == SPEC_DURATION)
        return;
    assert_int_equal(put_number(f, record, f->least), GW_OK);
    if (f->least)
        assert_int_equal(put_number(f, record, f->least - 1), GW_ERR_LIMIT);
    if (f->most) {
        assert_int_equal(put_number(f, record, f->most), GW_OK);
        assert_int_equal(put_number(f, record, f->most + 1), GW_ERR_LIMIT);
    }
    if (f->step)
        assert_int_equal(put_number(f, record, f->least + 1), GW_ERR_LIMIT);
}

static void string_limits(const struct spec_field *f, void *record)
{
    char text[SAMPLE_BYTES];
    if (f->words || f->most >= sizeof text - 1)
        return;
    memset(text, 'x', sizeof text);
    text[f->least] = 0;
    assert_int_equal(spec_put(f, record, text), GW_OK);
    if (f->least) {
        text[f->least - 1] = 0;
        assert_int_equal(spec_put(f, record, text), GW_ERR_LIMIT);
    }
    if (f->most) {
        memset(text, 'x', sizeof text);
        text[f->most + 1] = 0;
        assert_int_equal(spec_put(f, record, text), GW_ERR_LIMIT);
        text[f->most] = 0;
        assert_int_equal(spec_put(f, record, text), GW_OK);
    }
}

static void limits(const struct spec_record *r, const struct spec_field *f, void *record)
{
    if (spec_is_number(f))
        number_limits(f, record);
    else if (f->kind == SPEC_TEXT || f->kind == SPEC_PATH)
        string_limits(f, record);
}

static void limits_hold_at_both_ends(void **state)
{
    each(limits);
}

/* What no option was checked for, as in a file: put there past the limits. */
static void out_of_limits(const struct spec_record *r, const struct spec_field *f, void *record)
{
    struct gw_error err = {0};
    if (r != spec_machine)
        return;
    if (spec_check(r, record, &err) != GW_OK)
        fail_msg("as usual: %s: %s", err.object, err.message);
    if (f->kind == SPEC_CHOICE)
        spec_put_number(f, record, 77);
    else if (spec_is_number(f) && f->most)
        spec_put_number(f, record, f->most + 1);
    else if (f->kind == SPEC_TEXT && f->words)
        assert_int_equal(spec_put_text(f, record, "no word of these"), GW_OK);
    else
        return;
    assert_int_equal(spec_check(r, record, &err), GW_ERR_ARG);
    assert_true(err.message[0] && err.object[0]);
}

static void a_check_finds_what_is_out_of_its_limits(void **state)
{
    each(out_of_limits);
}

static void a_check_looks_into_lists(void **state)
{
    struct machine_spec *s = new_record(spec_machine);
    struct gw_error err = {0};
    const struct spec_field *disks = spec_find(spec_machine, "disks");
    assert_non_null(spec_append(disks, s));
    assert_int_equal(spec_check(spec_machine, s, &err), GW_ERR_ARG); /* it has no file */
    assert_string_equal(err.object, "path");
    assert_int_equal(spec_put(spec_find(disks->record, "path"), &s->disks[0], "x"), GW_OK);
    assert_int_equal(spec_check(spec_machine, s, &err), GW_OK);
    s->disks[0].mode = SPEC_DISK_OVERLAY;
    assert_int_equal(spec_check(spec_machine, s, &err), GW_ERR_ARG);
    free_record(spec_machine, s);
}

/* ---- copies --------------------------------------------------------------------------------- */

static void copied(const struct spec_record *r, const struct spec_field *f, void *record)
{
    void *usual = new_record(r), *copy = malloc(r->bytes), *again = malloc(r->bytes);
    assert_non_null(copy);
    assert_non_null(again);
    for (unsigned i = 0; sample_put(f, i, record) == GW_OK; i++) {
        assert_int_equal(spec_copy(r, copy, record, NULL), GW_OK);
        assert_int_equal(spec_copy(r, again, copy, NULL), GW_OK);
        assert_true(spec_equal(r, copy, record));
        assert_int_equal(spec_equal(r, copy, usual), !spec_said(f, record));
        spec_clear(r, copy);
        assert_true(spec_equal(r, again, record)); /* it has strings of its own */
        assert_true(spec_equal(r, copy, usual));
        spec_clear(r, again);
    }
    free(copy);
    free(again);
    free_record(r, usual);
}

static void a_copy_is_equal_and_its_own(void **state)
{
    each(copied);
}

/* All lists with all they hold, each of its fields said. */
static void fill_lists(struct machine_spec *s)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        for (uint32_t k = 0; f->kind == SPEC_RECORDS && k < f->most; k++) {
            void *e = f->place ? spec_element(f, s, k) : spec_append(f, s);
            assert_non_null(e);
            for (unsigned n = 0; n < f->record->count; n++)
                assert_int_equal(sample_put(&f->record->fields[n], 0, e), GW_OK);
        }
        if (f->kind == SPEC_RECORDS && !f->place)
            assert_null(spec_append(f, s));
    }
}

static bool count_field(void *context, const struct spec_field *f, void *record)
{
    ++*(unsigned *)context;
    assert_true(spec_said(f, record) || f->owner != SPEC_OF_SEEN);
    return true;
}

static void lists_are_copied_and_visited_whole(void **state)
{
    struct machine_spec *s = new_record(spec_machine), copy;
    unsigned wanted = 0, seen = 0;
    fill_lists(s);
    assert_int_equal(spec_copy(spec_machine, &copy, s, NULL), GW_OK);
    assert_true(spec_equal(spec_machine, s, &copy));
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        wanted +=
            f->kind == SPEC_RECORDS ? (unsigned)f->most * f->record->count : f->kind != SPEC_SET;
    }
    assert_true(spec_each(spec_machine, &copy, count_field, &seen));
    assert_int_equal(seen, wanted);
    copy.disks[SPEC_MAX_DISKS - 1].mtime_ns++;
    assert_false(spec_equal(spec_machine, s, &copy));
    spec_clear(spec_machine, &copy);
    free_record(spec_machine, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_what_its_text_says),
        cmocka_unit_test(junk_is_refused_and_changes_nothing),
        cmocka_unit_test(limits_hold_at_both_ends),
        cmocka_unit_test(a_check_finds_what_is_out_of_its_limits),
        cmocka_unit_test(a_check_looks_into_lists),
        cmocka_unit_test(a_copy_is_equal_and_its_own),
        cmocka_unit_test(lists_are_copied_and_visited_whole),
    };
    return cmocka_run_group_tests_name("spec fields", tests, NULL, NULL);
}
