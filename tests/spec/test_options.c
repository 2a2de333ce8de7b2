/* Options: what the table says of their values, taken apart and put together again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "spec/spec_int.h"
#include "tests/spec/samples.h"

static const struct spec_field *option(const char *name)
{
    const struct spec_field *f = spec_find_option(spec_machine, name);
    assert_non_null(f);
    return f;
}

static struct machine_spec *fresh(void)
{
    struct machine_spec *s = malloc(sizeof *s);
    assert_non_null(s);
    spec_init(spec_machine, s);
    return s;
}

static void done(struct machine_spec *s)
{
    spec_clear(spec_machine, s);
    free(s);
}

/* ---- the table itself ------------------------------------------------------------------------ */

static void names_are_good_for_every_text(void **state)
{
    const struct spec_record *r;
    for (unsigned i = 0; (r = sample_record(i)); i++)
        for (unsigned k = 0; k < r->count; k++) {
            const char *name = r->fields[k].name;
            if (!name)
                continue;
            assert_ptr_equal(spec_find(r, name), &r->fields[k]); /* and no other */
            assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        }
}

static void options_are_told_apart(void **state)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *a = &spec_machine->fields[i];
        for (unsigned k = 0; a->option && k < i; k++) {
            const struct spec_field *b = &spec_machine->fields[k];
            assert_false(b->option && !strcmp(a->option, b->option));
            assert_false(a->letter && a->letter == b->letter);
        }
    }
}

/* Who sees it at a save says it; so it is never changed, nor given. */
static void what_is_seen_is_not_said(void **state)
{
    const struct spec_record *r;
    for (unsigned i = 0; (r = sample_record(i)); i++)
        for (unsigned k = 0; k < r->count; k++) {
            const struct spec_field *f = &r->fields[k];
            if (f->owner == SPEC_OF_SEEN && f->kind != SPEC_SET)
                assert_true(!f->live && !f->needed && !f->part && !f->option);
        }
}

/* What a message or a help text is made of is there, and forms name fields that there are. */
static void rows_are_whole(void **state)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i], *list;
        const struct spec_record *filled = spec_filled(spec_machine, f, &list);
        char text[SAMPLE_BYTES];
        struct spec_form form;
        if (!f->option)
            continue;
        spec_value_text(spec_machine, f, text, sizeof text);
        assert_int_equal(text[0] == 0, f->kind == SPEC_FLAG || f->kind == SPEC_COUNT);
        assert_true(!f->of || list);
        assert_true(!list || list->place || list->count_at);
        assert_true(f->kind == SPEC_TEXT || f->kind == SPEC_PATH || !f->words || f->wrong);
        if (!f->form)
            continue;
        assert_non_null(f->wrong);
        spec_read_form(filled, f->form, &form);
        assert_true(form.count >= 1);
        for (unsigned k = 0; k < form.count; k++)
            assert_non_null(form.item[k].f);
    }
}

/* ---- there and back -------------------------------------------------------------------------- */

/* Says what is in the record by the option's text, and reads that into another. */
static bool round_trip(const struct spec_field *f, const struct machine_spec *s, char **text)
{
    struct machine_spec *other = fresh();
    char *again;
    bool same;
    *text = spec_option_print(spec_machine, s, f, 0);
    if (!*text) {
        done(other);
        return false;
    }
    assert_int_equal(spec_option(spec_machine, other, f, *text, NULL), GW_OK);
    again = spec_option_print(spec_machine, other, f, 0);
    assert_non_null(again);
    assert_string_equal(again, *text);
    same = spec_equal(spec_machine, other, s);
    free(again);
    done(other);
    return same;
}

/* Does the option say this field at all? */
static bool has_place(const struct spec_field *f, const struct spec_record *filled,
                      const struct spec_field *field)
{
    struct spec_form form;
    bool found = f->tail && field->part;
    spec_read_form(filled, f->form, &form);
    for (unsigned i = 0; i < form.count; i++)
        found = found || form.item[i].f == field;
    return found;
}

/* The fields that have to be there for a value, with their i-th sample. */
static void fill_form(const struct spec_field *f, const struct spec_record *filled, unsigned i,
                      void *record)
{
    struct spec_form form;
    spec_read_form(filled, f->form, &form);
    for (unsigned k = 0; k < form.count; k++)
        if (!form.item[k].optional && sample_put(form.item[k].f, i, record) != GW_OK)
            assert_int_equal(sample_put(form.item[k].f, 0, record), GW_OK);
}

/* With each of its values once, among those that an option must have; some value of it has to come
 * back with everything else. */
static void field_of_option(const struct spec_field *f, const struct spec_field *list,
                            const struct spec_record *filled, const struct spec_field *field)
{
    unsigned said = 0;
    for (unsigned with = 0; with < 6; with++)
        for (unsigned i = 0;; i++) {
            struct machine_spec *s = fresh();
            void *record = !list         ? s
                           : list->place ? spec_element(list, s, 0)
                                         : spec_append(list, s);
            char *text = NULL;
            enum gw_status st;
            fill_form(f, filled, with, record);
            st = sample_put(field, i, record);
            if (st == GW_OK && round_trip(f, s, &text) && spec_said(field, record))
                said++;
            free(text);
            done(s);
            if (st != GW_OK)
                break;
        }
    if (!said)
        fail_msg("no value of --%s says %s", f->option, field->name);
}

static void every_part_of_a_value_comes_back(void **state)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i], *list;
        const struct spec_record *filled = spec_filled(spec_machine, f, &list);
        for (unsigned k = 0; f->form && k < filled->count; k++)
            if (has_place(f, filled, &filled->fields[k]))
                field_of_option(f, list, filled, &filled->fields[k]);
    }
}

static void every_plain_option_comes_back(void **state)
{
    char sample[SAMPLE_BYTES];
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        for (unsigned k = 0; f->option && !f->form && sample_value(f, k, sample); k++) {
            struct machine_spec *s = fresh();
            char *text = NULL;
            bool takes = f->kind != SPEC_FLAG && f->kind != SPEC_COUNT;
            assert_int_equal(spec_option(spec_machine, s, f, takes ? sample : NULL, NULL), GW_OK);
            assert_true(!spec_said(f, s) || !takes || round_trip(f, s, &text));
            free(text);
            done(s);
        }
    }
}

/* ---- what is refused -------------------------------------------------------------------------- */

/* The error names what was given, or a part of it. */
static void refused(const struct spec_field *f, const char *value, const char *why)
{
    struct machine_spec *s = fresh(), *before = fresh();
    struct gw_error err = {0};
    if (spec_option(spec_machine, s, f, value, &err) == GW_OK)
        fail_msg("--%s takes \"%s\"", f->option, value);
    assert_int_equal(err.status, GW_ERR_ARG);
    if (!strstr(err.message, why))
        fail_msg("--%s %s: %s: %s", f->option, value, err.object, err.message);
    assert_true(strstr(value, err.object) || (f->range && err.object[0] == '-'));
    if (f->kind == SPEC_RECORDS || f->of)
        assert_true(spec_equal(spec_machine, s, before));
    done(s);
    done(before);
}

static void junk_is_refused_by_its_name(void **state)
{
    static const char *const texts[] = {"",
                                        ",",
                                        "=",
                                        "@",
                                        ":",
                                        ",,,",
                                        "=,rw",
                                        "9=x,rw",
                                        "junk!:x",
                                        "-1",
                                        "99999999999999999999999"};
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        bool any = f->kind == SPEC_TEXT || f->kind == SPEC_PATH || f->kind == SPEC_FLAG ||
                   f->kind == SPEC_COUNT;
        if (!f->option || (any && !f->words) || f->kind == SPEC_PATH)
            continue;
        for (unsigned k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            struct machine_spec *s = fresh();
            struct gw_error err = {0};
            /* Some of this is a name somewhere. */
            if (spec_option(spec_machine, s, f, texts[k], &err) != GW_OK)
                refused(f, texts[k], "");
            else
                assert_true(f->form != NULL);
            done(s);
        }
    }
}

static void refusals_say_what_it_must_be(void **state)
{
    static const struct {
        const char *option, *value, *why;
    } rows[] = {
        {"disk", ",rw", "it has no file name"},
        {"disk", "x,ro", "what follows its name must be rw, overlay=FILE, bps=SIZE"},
        {"disk", "x,rw,overlay=y", "exclude one another"},
        {"disk", "x,overlay=y,rw", "exclude one another"},
        {"disk", "x,overlay=", "what follows its name"},
        {"disk", "x,bps=1,bps=2", "'bps=' is there twice"},
        {"disk", "x,rw,iops=5,rw", "'rw' is there twice"},
        {"disk", "x,format=raw,format=raw", "'format=' is there twice"},
        {"disk", "x,bps=fast", "cannot limit the disk"},
        {"disk", "x,iops=0", "cannot limit the disk"},
        {"disk", "x,format=qcow2", "format= takes raw alone"},
        {"disk", "x,format=", "format=raw"},
        {"flash", "2=x", "0=FILE or 1=FILE"},
        {"flash", "0=,rw", "0=FILE or 1=FILE"},
        {"fw-cfg", "x=", "must be NAME=FILE"},
        {"load", "x@y", "must be FILE@ADDR, such as x.bin@0x80200000"},
        {"net", "pigeon",
         "must be user, tap:NAME, socket:PATH or none, with or without ,mac=ADDR, "},
        {"net", "user,mac=01:02:03:04:05:06", "not one of a card"},
        {"net", "user,mac=52:54:00:12:34:56,mac=52:54:00:12:34:57", "must be user"},
        {"publish", "1:2/sctp", "must be [ADDR:]HOST:GUEST[/udp], such as 8080:80"},
        {"publish", "1:65536", "must be [ADDR:]HOST:GUEST[/udp]"},
        {"serial", "file:", "must be stdio, pty, file:FILE or unix:FILE"},
        {"port", "x=stdio", "NAME=pty, NAME=file:FILE or NAME=unix:FILE"},
        {"clock", "insns:0", "must be host or insns[:MIPS]"},
        {"clock", "host:5", "must be host or insns[:MIPS]"},
        {"on-panic", "save=", "must be exit, pause or save=FILE"},
        {"engine", "fast", "must be jit or interp"},
        {"machine", "virt", "must be virt-1 or virt-2"},
        {"cpus", "9", "must be 1 to 8"},
        {"memory", "4K", "16M to 1024G"},
        {"memory", "20000001", "not a multiple of 4K"},
        {"memory", "lots", "--memory takes a size"},
        {"timeout", "30", "--timeout takes a time with its unit"},
        {"timeout", "0s", "--timeout takes a time with its unit"},
        {"stop-insn", "many", "--stop-insn takes a number"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refused(option(rows[i].option), rows[i].value, rows[i].why);
}

static void lists_take_no_more_than_they_hold(void **state)
{
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i], *list;
        const struct spec_record *filled = spec_filled(spec_machine, f, &list);
        struct machine_spec *s = fresh();
        struct gw_error err = {0};
        char *text;
        if (!f->option || !list || list->place) {
            done(s);
            continue;
        }
        fill_form(f, filled, 1, spec_append(list, s));
        text = spec_option_print(spec_machine, s, f, 0);
        assert_non_null(text);
        for (uint32_t k = 1; k < list->most; k++)
            assert_int_equal(spec_option(spec_machine, s, f, text, NULL), GW_OK);
        assert_int_equal(spec_option(spec_machine, s, f, text, &err), GW_ERR_ARG);
        assert_string_equal(err.object, text);
        assert_int_equal(spec_count(list, s), list->most);
        free(text);
        done(s);
    }
}

static void a_place_is_taken_once(void **state)
{
    struct machine_spec *s = fresh();
    struct gw_error err = {0};
    const struct spec_field *flash = option("flash");
    assert_int_equal(spec_option(spec_machine, s, flash, "1=vars,with,commas,rw", &err), GW_OK);
    assert_string_equal(s->flash[1].path, "vars,with,commas");
    assert_true(s->flash[1].rw && !s->flash[0].path);
    assert_int_equal(spec_option(spec_machine, s, flash, "1=other", &err), GW_ERR_ARG);
    assert_non_null(strstr(err.message, "bank 1 has a file already"));
    assert_string_equal(s->flash[1].path, "vars,with,commas");
    done(s);
}

/* ---- what is meant ---------------------------------------------------------------------------- */

static void only_one_serial_port_has_standard_input(void **state)
{
    struct machine_spec *s = fresh();
    struct gw_error err = {0};
    assert_int_equal(spec_option(spec_machine, s, option("serial"), "stdio", &err), GW_OK);
    assert_int_equal(spec_option(spec_machine, s, option("serial"), "stdio", &err), GW_ERR_ARG);
    assert_non_null(strstr(err.message, "the first has standard input"));
    assert_int_equal(s->serial_count, 1);
    assert_int_equal(spec_option(spec_machine, s, option("serial"), "pty", &err), GW_OK);
    spec_settle(s);
    assert_true(s->second_port);
    done(s);
}

static void an_option_that_is_given_again_starts_anew(void **state)
{
    struct machine_spec *s = fresh();
    assert_int_equal(spec_option(spec_machine, s, option("clock"), "insns:5", NULL), GW_OK);
    assert_true(s->clock_insns && s->mips == 5);
    assert_int_equal(spec_option(spec_machine, s, option("clock"), "host", NULL), GW_OK);
    assert_true(!s->clock_insns && !s->mips);
    assert_int_equal(spec_option(spec_machine, s, option("cpu"), "max,zfh=off,zfa=off", NULL),
                     GW_OK);
    assert_string_equal(s->cpu_options, "zfh=off,zfa=off");
    assert_int_equal(spec_option(spec_machine, s, option("cpu"), "rv64", NULL), GW_OK);
    assert_null(s->cpu_options);
    assert_int_equal(spec_option(spec_machine, s, option("verbose"), NULL, NULL), GW_OK);
    assert_int_equal(spec_option(spec_machine, s, option("verbose"), NULL, NULL), GW_OK);
    assert_int_equal(s->verbose, 2);
    done(s);
}

static void ports_that_are_published_mean_a_network(void **state)
{
    struct machine_spec *s = fresh();
    assert_int_equal(spec_option(spec_machine, s, option("publish"), "1.2.3.4:80:8080/udp", NULL),
                     GW_OK);
    assert_string_equal(s->publish[0].address, "1.2.3.4");
    assert_true(s->publish[0].host == 80 && s->publish[0].guest == 8080);
    assert_int_equal(s->publish[0].protocol, SPEC_UDP);
    spec_settle(s);
    assert_int_equal(s->net.kind, SPEC_NET_USER);
    done(s);
    s = fresh();
    assert_int_equal(spec_option(spec_machine, s, option("publish"), "80:80", NULL), GW_OK);
    assert_int_equal(spec_option(spec_machine, s, option("net"), "none", NULL), GW_OK);
    spec_settle(s);
    assert_int_equal(s->net.kind, SPEC_NET_NONE);
    assert_false(spec_has_card(s));
    s->mac.bytes[0] = 2; /* a card of a machine that was saved: its cable is out */
    assert_true(spec_has_card(s));
    done(s);
}

static void names_with_commas_are_those_of_a_socket(void **state)
{
    struct machine_spec *s = fresh();
    assert_int_equal(
        spec_option(spec_machine, s, option("net"), "socket:/a,b,mac=52:54:00:AB:cd:ef", NULL),
        GW_OK);
    assert_string_equal(s->net.to, "/a,b");
    assert_int_equal(s->mac.bytes[3], 0xab);
    done(s);
}

static void texts_for_people_are_made_of_the_rows(void **state)
{
    static const struct {
        const char *option, *value, *complete;
    } rows[] = {
        {"disk", "FILE[,rw][,overlay=FILE][,bps=SIZE][,iops=N][,format=raw]", "file"},
        {"flash", "N=FILE[,rw]", "file"},
        {"fw-cfg", "NAME=FILE", "file"},
        {"load", "FILE@ADDR", "file"},
        {"net", "user|tap:NAME|socket:PATH|none[,mac=ADDR][,restrict=on|off][,host=on|off]",
         "user tap: socket: none"},
        {"publish", "[ADDR:]HOST:GUEST[/udp]", ""},
        {"serial", "stdio|pty|file:FILE|unix:FILE", "stdio pty file: unix:"},
        {"port", "NAME=pty|file:FILE|unix:FILE", ""},
        {"clock", "host|insns[:MIPS]", "host insns"},
        {"cpu", "MODEL[,EXT=on|off...]", "rv64 max"},
        {"dump", "LIST[=FILE]", "decode ir opt host"},
        {"kernel", "FILE", "file"},
        {"machine", "virt-1|virt-2", "virt-1 virt-2"},
        {"quiet", "", ""},
    };
    char text[SAMPLE_BYTES], small[8];
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        spec_value_text(spec_machine, option(rows[i].option), text, sizeof text);
        assert_memory_equal(text, rows[i].value, strlen(rows[i].value));
        assert_true(!text[strlen(rows[i].value)] || text[strlen(rows[i].value)] == '[');
        spec_complete_text(spec_machine, option(rows[i].option), text, sizeof text);
        assert_string_equal(text, rows[i].complete);
    }
    spec_help_text(spec_machine, option("disk"), text, sizeof text);
    assert_non_null(strstr(text, "; bps= and iops= limit bytes and requests a second"));
    spec_help_text(spec_machine, option("disk"), small, sizeof small);
    assert_string_equal(small, "disk; i");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_good_for_every_text),
        cmocka_unit_test(options_are_told_apart),
        cmocka_unit_test(what_is_seen_is_not_said),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(every_part_of_a_value_comes_back),
        cmocka_unit_test(every_plain_option_comes_back),
        cmocka_unit_test(junk_is_refused_by_its_name),
        cmocka_unit_test(refusals_say_what_it_must_be),
        cmocka_unit_test(lists_take_no_more_than_they_hold),
        cmocka_unit_test(a_place_is_taken_once),
        cmocka_unit_test(only_one_serial_port_has_standard_input),
        cmocka_unit_test(an_option_that_is_given_again_starts_anew),
        cmocka_unit_test(ports_that_are_published_mean_a_network),
        cmocka_unit_test(names_with_commas_are_those_of_a_socket),
        cmocka_unit_test(texts_for_people_are_made_of_the_rows),
    };
    return cmocka_run_group_tests_name("spec options", tests, NULL, NULL);
}
