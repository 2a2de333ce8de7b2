/* The manifest: each saved field of each record through JSON and back, made of the table; values of
 * wrong types; and a manifest as files have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

#include "snapshot/snap_int.h"
#include "tests/spec/samples.h"

static bool is_saved(const struct spec_field *f)
{
    return f->owner != SPEC_OF_RUN;
}

/* A machine with a sample in one field of its own, or of a record in each of its lists. */
static struct machine_spec *machine_with(const struct spec_field *f, const struct spec_field *list,
                                         unsigned i)
{
    struct machine_spec *s = malloc(sizeof *s);
    void *record = s;
    assert_non_null(s);
    spec_init(spec_machine, s);
    assert_int_equal(spec_say_usual(s, NULL), GW_OK);
    if (list) {
        record =
            list->place ? spec_element(list, s, (uint32_t)list->most - 1) : spec_append(list, s);
        for (unsigned k = 0; k < list->record->count; k++)
            if (list->record->fields[k].needed)
                assert_int_equal(sample_put(&list->record->fields[k], 0, record), GW_OK);
    }
    if (sample_put(f, i, record) == GW_OK)
        return s;
    spec_clear(spec_machine, s);
    free(s);
    return NULL;
}

static bool parse(const char *text, struct machine_spec *out)
{
    struct gw_error err = {0};
    return snap_manifest_parse(text, strlen(text), "x", out, &err) == GW_OK;
}

typedef void each_fn(const struct spec_field *f, const struct spec_field *list);

static void each(each_fn *fn)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        if (sample_has_value(f))
            fn(f, NULL);
        for (unsigned k = 0; f->record && is_saved(f) && k < f->record->count; k++)
            fn(&f->record->fields[k], f);
    }
}

static void round_trip(const struct spec_field *f, const struct spec_field *list)
{
    struct machine_spec *s, back;
    for (unsigned i = 0; (s = machine_with(f, list, i)); i++) {
        void *record = list ? spec_element(list, s, spec_count(list, s) - 1) : s;
        struct gw_error err = {0};
        char *text, *again;
        assert_int_equal(snap_manifest_print(s, &text, &err), GW_OK);
        if (spec_check(spec_machine, s, &err) != GW_OK) { /* it needs another, which is not there */
            assert_false(parse(text, &back));
        } else {
            assert_true(parse(text, &back));
            assert_int_equal(spec_equal(spec_machine, s, &back),
                             is_saved(f) || !spec_said(f, record));
            assert_int_equal(snap_manifest_print(&back, &again, &err), GW_OK);
            assert_string_equal(text, again);
            spec_clear(spec_machine, &back);
            free(again);
        }
        free(text);
        spec_clear(spec_machine, s);
        free(s);
    }
}

static void every_saved_field_comes_back(void **state)
{
    each(round_trip);
}

/* The object that the field is in. */
static json_t *object_of(json_t *root, const struct spec_field *list)
{
    json_t *array = list ? json_object_get(root, list->name) : NULL;
    return list ? json_array_get(array, json_array_size(array) - 1) : root;
}

static void wrong_types(const struct spec_field *f, const struct spec_field *list)
{
    struct machine_spec *s = is_saved(f) ? machine_with(f, list, 0) : NULL, back;
    json_t *root, *wrong[4];
    struct gw_error err = {0};
    char *text;
    if (!s)
        return;
    assert_int_equal(snap_manifest_print(s, &text, &err), GW_OK);
    root = json_loads(text, 0, NULL);
    free(text);
    wrong[0] = json_null();
    wrong[1] = json_object();
    wrong[2] = spec_is_number(f) && f->kind != SPEC_FLAG ? json_integer(-1) : json_integer(5);
    wrong[3] = f->kind == SPEC_TEXT || f->kind == SPEC_PATH ? json_true() : json_string("0xjunk");
    for (unsigned i = 0; i < 4; i++) {
        json_object_set_new(object_of(root, list), f->name, wrong[i]);
        text = json_dumps(root, 0);
        if (parse(text, &back))
            fail_msg("%s may be %s", f->name, text);
        free(text);
    }
    json_object_del(object_of(root, list), f->name);
    text = json_dumps(root, 0);
    if (parse(text, &back) != !f->needed)
        fail_msg("%s is needed, or not", f->name);
    if (!f->needed)
        spec_clear(spec_machine, &back);
    free(text);
    json_decref(root);
    spec_clear(spec_machine, s);
    free(s);
}

static void values_of_another_type_are_refused(void **state)
{
    each(wrong_types);
}

static void lists_that_are_too_long_are_refused(void **state)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        struct machine_spec s, back;
        struct gw_error err = {0};
        json_t *root, *array, *element = NULL;
        char *text;
        if (f->kind != SPEC_RECORDS || !is_saved(f))
            continue;
        spec_init(spec_machine, &s);
        assert_int_equal(spec_say_usual(&s, NULL), GW_OK);
        assert_int_equal(snap_manifest_print(&s, &text, &err), GW_OK);
        root = json_loads(text, 0, NULL);
        array = json_object_get(root, f->name);
        element = json_pack("{s:s}", "path", "/x");
        json_array_clear(array);
        for (uint64_t k = 0; k <= f->most; k++)
            json_array_append(array, element);
        free(text);
        text = json_dumps(root, 0);
        assert_false(parse(text, &back));
        json_array_remove(array, 0);
        free(text);
        text = json_dumps(root, 0);
        assert_true(parse(text, &back));
        assert_int_equal(spec_count(f, &back), f->most);
        spec_clear(spec_machine, &back);
        spec_clear(spec_machine, &s);
        json_decref(element);
        json_decref(root);
        free(text);
    }
}

/* As files have it; keys that nobody knows are passed over. */
static const char a_manifest[] =
    "{\"append\": \"console=ttyS0\", \"bios\": \"none\", \"clock_insns\": true, \"cpu_model\": "
    "\"max\", \"cpu_options\": \"zfh=off\", \"cpus\": 4, \"deterministic\": false, \"disks\": "
    "[{\"bytes\": 1048576, \"mode\": \"overlay\", \"mtime_ns\": 1700000000000000000, \"overlay\": "
    "\"/o\", \"overlay_mtime_ns\": \"0xfffffffffffffffe\", \"path\": \"/d\"}, {\"bytes\": 4096, "
    "\"mode\": \"rw\", \"mtime_ns\": 1, \"overlay_mtime_ns\": 0, \"path\": \"/e\"}], \"flash\": "
    "[{\"at\": 0, \"bytes\": 0, \"mtime_ns\": 0, \"rw\": false}, {\"at\": 0, \"bytes\": 33554432, "
    "\"mtime_ns\": 7, \"path\": \"/f\", \"rw\": true}], \"fw_cfg\": [{\"at\": 0, \"bytes\": 3, "
    "\"mtime_ns\": 5, \"name\": \"opt/x\", \"path\": \"/b\", \"rw\": false}], \"kernel\": \"/k\", "
    "\"loads\": [{\"at\": 2155872256, \"bytes\": 3, \"mtime_ns\": 5, \"path\": \"/b\", \"rw\": "
    "false}], \"mac\": \"52:54:00:12:34:99\", \"machine\": \"virt-1\", \"memory_bytes\": 16777216, "
    "\"mips\": 100, \"name\": \"bob\", \"net\": \"tap:tap0\", \"second_port\": true, \"seed\": "
    "\"0xffffffffffffffff\", \"later\": {\"a\": [1, 2]}}";

static void a_manifest_means_what_it_says(void **state)
{
    struct machine_spec s;
    assert_true(parse(a_manifest, &s));
    assert_string_equal(s.append, "console=ttyS0");
    assert_true(s.clock_insns && s.mips == 100 && s.cpus == 4 && s.seed == UINT64_MAX);
    assert_string_equal(s.cpu_options, "zfh=off");
    assert_int_equal(s.disks_count, 2);
    assert_int_equal(s.disks[0].mode, SPEC_DISK_OVERLAY);
    assert_string_equal(s.disks[0].overlay, "/o");
    assert_true(s.disks[0].overlay_mtime_ns == UINT64_MAX - 1);
    assert_int_equal(s.disks[1].mode, SPEC_DISK_RW);
    assert_null(s.flash[0].path);
    assert_true(s.flash[1].rw && s.flash[1].bytes == 33554432);
    assert_string_equal(s.fw_cfg[0].name, "opt/x");
    assert_int_equal(s.loads[0].at, 0x80800000);
    assert_int_equal(s.net.kind, SPEC_NET_TAP);
    assert_string_equal(s.net.to, "tap0");
    assert_int_equal(s.mac.bytes[5], 0x99);
    assert_true(s.second_port);
    spec_clear(spec_machine, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_saved_field_comes_back),
        cmocka_unit_test(values_of_another_type_are_refused),
        cmocka_unit_test(lists_that_are_too_long_are_refused),
        cmocka_unit_test(a_manifest_means_what_it_says),
    };
    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
