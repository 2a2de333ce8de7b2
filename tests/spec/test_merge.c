/* A saved machine that goes on: whose each field is, what it may use of the host, and a description as
 * lines. What holds for every field goes over the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/spec/samples.h"

struct specs {
    struct machine_spec saved, given, granted, to, withheld;
};

static void start(struct specs *s)
{
    spec_init(spec_machine, &s->saved);
    spec_init(spec_machine, &s->given);
    spec_init(spec_machine, &s->granted);
}

static void merge(struct specs *s, bool granted)
{
    assert_int_equal(
        spec_merge(&s->to, &s->withheld, &s->saved, &s->given, granted ? &s->granted : NULL, NULL),
        GW_OK);
}

static void unmerge(struct specs *s)
{
    spec_clear(spec_machine, &s->to);
    spec_clear(spec_machine, &s->withheld);
}

static void end(struct specs *s)
{
    spec_clear(spec_machine, &s->saved);
    spec_clear(spec_machine, &s->given);
    spec_clear(spec_machine, &s->granted);
}

static void option(struct machine_spec *s, const char *name, const char *value)
{
    assert_int_equal(
        spec_option(spec_machine, s, spec_find_option(spec_machine, name), value, NULL), GW_OK);
}

static bool nothing_withheld(const struct specs *s)
{
    struct machine_spec none;
    spec_init(spec_machine, &none);
    return spec_equal(spec_machine, &none, &s->withheld);
}

/* ---- each field is its owner's --------------------------------------------------------------- */

static void merged(const struct spec_field *f)
{
    const struct spec_field *net = spec_find(spec_machine, "net");
    char a[SAMPLE_BYTES], b[SAMPLE_BYTES] = "";
    struct machine_spec expected;
    struct specs s;
    bool from_given;
    start(&s);
    spec_init(spec_machine, &expected);
    for (unsigned i = 0; f->kind == SPEC_MAC && i < 2; i++) /* there is none without a card */
        assert_int_equal(spec_put(net, i ? &expected : &s.saved, "user"), GW_OK);
    assert_true(sample_value(f, 0, a));
    assert_int_equal(spec_put(f, &s.saved, a), GW_OK);
    if (sample_value(f, 1, b))
        assert_int_equal(spec_put(f, &s.given, b), GW_OK);
    from_given =
        f->owner == SPEC_OF_RUN ||
        ((f->owner == SPEC_OF_EITHER || f->owner == SPEC_OF_HOST) && spec_said(f, &s.given));
    if (!from_given || b[0])
        assert_int_equal(spec_put(f, &expected, from_given ? b : a), GW_OK);
    spec_settle(&expected);
    merge(&s, false);
    assert_true(spec_equal(spec_machine, &s.to, &expected));
    unmerge(&s);
    end(&s);
    spec_clear(spec_machine, &expected);
}

static void each_field_is_its_owners(void **state)
{
    for (unsigned i = 0; i < spec_machine->count; i++)
        if (sample_has_value(&spec_machine->fields[i]))
            merged(&spec_machine->fields[i]);
}

/* What names something of the host's is of the host; a new row cannot be forgotten. */
static void paths_and_networks_are_the_hosts(void **state)
{
    const struct spec_record *r;
    for (unsigned i = 0; (r = sample_record(i)); i++)
        for (unsigned k = 0; k < r->count; k++) {
            const struct spec_field *f = &r->fields[k];
            bool names = f->kind == SPEC_PATH || (f->kind == SPEC_TARGET && strstr(f->words, ":"));
            if (names)
                assert_true(f->owner == SPEC_OF_HOST || f->owner == SPEC_OF_RUN);
        }
}

/* ---- what is withheld ------------------------------------------------------------------------ */

static void nothing_is_opened_that_was_not_given_or_granted(void **state)
{
    struct specs s;
    start(&s);
    option(&s.saved, "kernel", "/k");
    option(&s.saved, "initrd", "/i");
    option(&s.saved, "bios", "builtin");
    option(&s.saved, "disk", "/a");
    option(&s.saved, "disk", "/b,rw");
    option(&s.saved, "flash", "0=/ro");
    option(&s.saved, "flash", "1=/vars,rw");
    option(&s.saved, "fw-cfg", "opt/x=/x");
    option(&s.saved, "load", "/l@0x80400000");
    option(&s.saved, "net", "socket:/s,mac=52:54:00:00:00:02");
    merge(&s, false);
    assert_string_equal(s.withheld.kernel, "/k");
    assert_string_equal(s.withheld.initrd, "/i");
    assert_null(s.withheld.bios); /* no file */
    assert_int_equal(s.withheld.disks_count, 2);
    assert_string_equal(s.withheld.disks[1].path, "/b");
    assert_int_equal(s.withheld.disks[1].mode, SPEC_DISK_RW);
    assert_string_equal(s.withheld.flash[1].path, "/vars");
    assert_string_equal(s.withheld.fw_cfg[0].name, "opt/x");
    assert_string_equal(s.withheld.loads[0].path, "/l");
    assert_int_equal(s.withheld.net.kind, SPEC_NET_SOCKET);
    assert_string_equal(s.to.disks[1].path, "/b"); /* it is a machine that had it */
    assert_true(spec_is_lacking(&s.withheld));
    unmerge(&s);

    option(&s.given, "disk", "/c");
    option(&s.given, "disk", "/d,rw");
    option(&s.given, "flash", "1=/mine,rw");
    option(&s.given, "fw-cfg", "opt/x=/y");
    option(&s.given, "net", "none");
    merge(&s, false);
    assert_int_equal(s.withheld.disks_count, 0);
    assert_null(s.withheld.flash[1].path);
    assert_string_equal(s.withheld.flash[0].path, "/ro");
    assert_int_equal(s.withheld.fw_cfg_count, 0);
    assert_int_equal(s.withheld.net.kind, 0);
    assert_string_equal(s.to.disks[0].path, "/c");
    assert_string_equal(s.to.flash[1].path, "/mine");
    assert_int_equal(s.to.net.kind, SPEC_NET_NONE);
    assert_int_equal(s.to.mac.bytes[5], 2); /* the card stays, and its address */
    assert_string_equal(s.withheld.kernel, "/k");
    assert_false(spec_is_lacking(&s.withheld)); /* but for a reset */
    unmerge(&s);
    end(&s);
}

static void a_grant_is_for_this_use_of_this_thing(void **state)
{
    struct specs s;
    char *grants;
    start(&s);
    option(&s.saved, "kernel", "/k");
    option(&s.saved, "disk", "/a");
    option(&s.saved, "disk", "/b,overlay=/o");
    option(&s.saved, "flash", "1=/vars,rw");
    option(&s.saved, "net", "tap:t0");
    s.saved.disks[0].mode = SPEC_DISK_TEMPORARY;
    s.saved.disks[1].mode = SPEC_DISK_OVERLAY;
    grants = spec_grants(&s.saved, NULL);
    assert_non_null(grants);
    spec_clear(spec_machine, &s.granted);
    assert_int_equal(spec_read_grants(&s.granted, grants, strlen(grants), NULL), GW_OK);
    free(grants);
    merge(&s, true);
    assert_true(nothing_withheld(&s));
    unmerge(&s);

    /* A machine that says something else of itself than it was granted. */
    s.saved.disks[0].mode = SPEC_DISK_RW;
    option(&s.saved, "kernel", "/etc/shadow");
    option(&s.saved, "net", "user");
    merge(&s, true);
    assert_string_equal(s.withheld.kernel, "/etc/shadow");
    unmerge(&s);
    option(&s.granted, "net", "user,restrict=on"); /* it was let out of less */
    merge(&s, true);
    assert_int_equal(s.withheld.net.kind, SPEC_NET_USER);
    unmerge(&s);
    option(&s.saved, "net", "user,restrict=on");
    merge(&s, true);
    assert_int_equal(s.withheld.net.kind, 0);
    unmerge(&s);
    option(&s.saved, "net", "user");
    merge(&s, true);
    assert_string_equal(s.withheld.kernel, "/etc/shadow");
    assert_int_equal(s.withheld.disks_count, 1);
    assert_string_equal(s.withheld.disks[0].path, "/a");
    assert_int_equal(s.withheld.net.kind, SPEC_NET_USER);
    assert_null(s.withheld.flash[1].path);
    assert_true(spec_is_lacking(&s.withheld));
    unmerge(&s);
    end(&s);
}

static void what_is_withheld_is_no_grant(void **state)
{
    struct specs s;
    struct machine_spec again;
    char *grants;
    start(&s);
    option(&s.saved, "kernel", "/stranger");
    option(&s.saved, "disk", "/a");
    option(&s.saved, "flash", "0=/stranger2");
    option(&s.given, "disk", "/mine");
    merge(&s, false);
    grants = spec_grants(&s.to, &s.withheld);
    assert_non_null(grants);
    assert_int_equal(spec_read_grants(&again, grants, strlen(grants), NULL), GW_OK);
    assert_null(again.kernel);
    assert_null(again.flash[0].path);
    assert_int_equal(again.disks_count, 1);
    assert_string_equal(again.disks[0].path, "/mine");
    assert_int_equal(again.disks[0].mode, SPEC_DISK_TEMPORARY);
    spec_clear(spec_machine, &again);
    free(grants);
    unmerge(&s);
    end(&s);
}

static void grants_are_found_from_everywhere(void **state)
{
    struct specs s;
    char *grants, here[4096];
    start(&s);
    option(&s.given, "disk", "no-such-file,rw");
    option(&s.given, "net", "socket:wire");
    option(&s.given, "save-at-end", "x.snap");
    grants = spec_grants(&s.given, NULL);
    assert_non_null(realpath(".", here));
    assert_non_null(strstr(grants, here));
    assert_int_equal(spec_read_grants(&s.saved, grants, strlen(grants), NULL), GW_OK);
    assert_int_equal(s.saved.disks[0].path[0], '/');
    assert_int_equal(s.saved.net.to[0], '/');
    assert_null(strstr(grants, "x.snap")); /* the run's */
    free(grants);
    end(&s);
}

/* A disk's limits are the machine's: whoever names its file again does not lift them. */
static void a_disk_that_is_named_again_keeps_its_limits(void **state)
{
    struct specs s;
    start(&s);
    option(&s.saved, "disk", "a,bps=4M,iops=7");
    option(&s.saved, "disk", "b,iops=9");
    option(&s.given, "disk", "c,iops=8,rw");
    option(&s.given, "disk", "d");
    option(&s.given, "disk", "e");
    merge(&s, false);
    assert_int_equal(s.to.disks_count, 3);
    assert_int_equal(s.to.disks[0].bps, 4 << 20);
    assert_int_equal(s.to.disks[0].iops, 8);
    assert_int_equal(s.to.disks[0].mode, SPEC_DISK_RW);
    assert_int_equal(s.to.disks[1].bps, 0);
    assert_int_equal(s.to.disks[1].iops, 9);
    assert_int_equal(s.to.disks[2].iops, 0);
    unmerge(&s);
    end(&s);
}

static void a_reset_wants_more_than_a_restore(void **state)
{
    static const struct {
        const char *field;
        bool rw, at_once;
    } rows[] = {
        {"kernel", false, false}, {"initrd", false, false}, {"bios", false, false},
        {"dtb", false, false},    {"loads", false, false},  {"flash", false, false},
        {"flash", true, true},    {"fw_cfg", false, true},  {"disks", false, true},
        {"net", false, true},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct file_spec file = {.path = "x", .rw = rows[i].rw};
        assert_int_equal(spec_wanted_at_once(spec_find(spec_machine, rows[i].field), &file),
                         rows[i].at_once);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool all(const struct spec_field *f)
{
    return true;
}

static bool none_of_the_run(const struct spec_field *f)
{
    return f->owner != SPEC_OF_RUN;
}

static void fill(struct machine_spec *s, unsigned sample)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        if (sample_has_value(f))
            sample_put(f, sample, s);
        for (uint32_t k = 0; f->kind == SPEC_RECORDS && k < f->most; k++) {
            void *e = f->place ? spec_element(f, s, k) : spec_append(f, s);
            for (unsigned n = 0; n < f->record->count; n++)
                sample_put(&f->record->fields[n], sample, e);
        }
    }
}

static void every_field_comes_back_out_of_its_line(void **state)
{
    for (unsigned sample = 0; sample < 4; sample++) {
        struct machine_spec s, again;
        char *text, *other;
        spec_init(spec_machine, &s);
        spec_init(spec_machine, &again);
        fill(&s, sample);
        text = spec_lines(spec_machine, &s, all);
        assert_int_equal(spec_read_lines(spec_machine, &again, text, strlen(text), all, NULL),
                         GW_OK);
        assert_true(spec_equal(spec_machine, &s, &again));
        other = spec_lines(spec_machine, &s, none_of_the_run);
        assert_null(strstr(other, "stop_text"));
        assert_non_null(strstr(other, "disks="));
        /* what is not wanted is not taken either */
        spec_clear(spec_machine, &again);
        assert_int_equal(
            spec_read_lines(spec_machine, &again, text, strlen(text), none_of_the_run, NULL),
            GW_ERR_FORMAT);
        free(other);
        free(text);
        spec_clear(spec_machine, &s);
        spec_clear(spec_machine, &again);
    }
}

static void a_value_may_have_lines(void **state)
{
    static const char *const values[] = {"a\nb", "\\n", "\\\\n\n", "=", "\n", "\\"};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct machine_spec s, again;
        char *text;
        spec_init(spec_machine, &s);
        spec_init(spec_machine, &again);
        option(&s, "append", values[i]);
        text = spec_lines(spec_machine, &s, all);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        assert_int_equal(spec_read_lines(spec_machine, &again, text, strlen(text), all, NULL),
                         GW_OK);
        assert_string_equal(again.append, values[i]);
        free(text);
        spec_clear(spec_machine, &s);
        spec_clear(spec_machine, &again);
    }
}

static void lines_that_make_no_sense_are_refused(void **state)
{
    static const char *const texts[] = {"kernel",
                                        "kernel=/k",
                                        "=x\n",
                                        "nosuch=1\n",
                                        "kernel.0=1\n",
                                        "disks=9\n",
                                        "disks=01\n",
                                        "disks=-1\n",
                                        "disks=1\ndisks=1\n",
                                        "disks.0.path=/a\n",
                                        "disks=1\ndisks.1.path=/a\n",
                                        "disks=1\ndisks.0=/a\n",
                                        "disks=1\ndisks.0.path.x=/a\n",
                                        "flash=1\n",
                                        "flash.2.path=/a\n",
                                        "flash.0.path\n",
                                        "cpus=x\n",
                                        "cpus=\n",
                                        "cpus=18446744073709551616\n",
                                        "deterministic=2\n",
                                        "net=carrier\n",
                                        "mac=1\n",
                                        "append=a\\q\n",
                                        "append=a\\\n",
                                        "\n",
                                        "disks=1\ndisks.0.mode=x\n"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct machine_spec s;
        struct gw_error err = {0};
        spec_init(spec_machine, &s);
        assert_int_equal(spec_read_lines(spec_machine, &s, texts[i], strlen(texts[i]), all, &err),
                         GW_ERR_FORMAT);
        assert_true(err.message[0]);
        spec_clear(spec_machine, &s);
    }
    struct machine_spec s;
    spec_init(spec_machine, &s);
    assert_int_equal(spec_read_lines(spec_machine, &s, "seed=1\0\n", 8, all, NULL), GW_ERR_FORMAT);
    assert_int_equal(spec_read_lines(spec_machine, &s, "", 0, all, NULL), GW_OK);
    spec_clear(spec_machine, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_is_its_owners),
        cmocka_unit_test(paths_and_networks_are_the_hosts),
        cmocka_unit_test(nothing_is_opened_that_was_not_given_or_granted),
        cmocka_unit_test(a_grant_is_for_this_use_of_this_thing),
        cmocka_unit_test(what_is_withheld_is_no_grant),
        cmocka_unit_test(grants_are_found_from_everywhere),
        cmocka_unit_test(a_disk_that_is_named_again_keeps_its_limits),
        cmocka_unit_test(a_reset_wants_more_than_a_restore),
        cmocka_unit_test(every_field_comes_back_out_of_its_line),
        cmocka_unit_test(a_value_may_have_lines),
        cmocka_unit_test(lines_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
