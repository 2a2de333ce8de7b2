/* State of older programs: tables that grew, that were split, and those that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/snapshot/sample.h"

/* What a program of before saved: one table of everything. */
struct before {
    uint32_t level, speed, gone;
    uint64_t counts[4];
};

static const struct state_field before_fields[] = {
    STATE_SCALAR(struct before, level, STATE_U32),
    STATE_SCALAR(struct before, gone, STATE_U32),
    STATE_SCALAR(struct before, speed, STATE_U32),
    STATE_ARRAY(struct before, counts, STATE_U64),
};

static const struct state_desc before_desc = {.name = "thing",
                                              .version = 2,
                                              .fields = before_fields,
                                              .field_count = STATE_COUNT_(before_fields)};

static const struct before old = {.level = 7, .speed = 300, .gone = 1, .counts = {10, 20, 30, 40}};

/* What has become of it: the speed is in other units, a level has a limit, and the counts are things
 * of their own. */
struct after {
    uint64_t speed_hz;
    uint32_t level, limit;
};

static enum gw_status after_check(const void *object, struct gw_error *err)
{
    const struct after *a = object;
    return a->level <= a->limit ? GW_OK : gw_fail(err, GW_ERR_FORMAT, "thing", "over the limit");
}

static void after_upgrade(void *object, struct state_saved *from)
{
    struct after *a = object;
    if (from->version < 3)
        a->speed_hz = from->get(from, "speed", 0) * 1000;
    a->limit = 10;
}

static const struct state_field after_fields[] = {
    STATE_SCALAR_SINCE(3, struct after, speed_hz, STATE_U64),
    STATE_SCALAR(struct after, level, STATE_U32),
    STATE_SCALAR_SINCE(4, struct after, limit, STATE_U32),
};

static const struct state_desc after_desc = {.name = "thing",
                                             .version = 4,
                                             .oldest = 2,
                                             .fields = after_fields,
                                             .field_count = STATE_COUNT_(after_fields),
                                             .check = after_check,
                                             .upgrade = after_upgrade};

/* One of the counts, and what all others together have. */
struct part {
    uint64_t own, others;
};

static void part_upgrade(void *object, struct state_saved *from)
{
    struct part *p = object;
    p->own = from->get(from, "counts", from->number);
    for (unsigned i = 0; i < 4; i++)
        p->others += i == from->number ? 0 : from->get(from, "counts", i);
}

static const struct state_field part_fields[] = {
    STATE_SCALAR_SINCE(1, struct part, own, STATE_U64),
    STATE_SCALAR_SINCE(1, struct part, others, STATE_U64),
};

static const struct state_desc part_desc = {
    .name = "part",
    .version = 1,
    .part_of = {.section = "thing", .oldest = 2, .newest = 3},
    .fields = part_fields,
    .field_count = STATE_COUNT_(part_fields),
    .upgrade = part_upgrade,
};

/* A part that is but moved: its fields are just those of before. */
struct moved {
    uint32_t level;
};

static const struct state_field moved_fields[] = {STATE_SCALAR(struct moved, level, STATE_U32)};

static const struct state_desc moved_desc = {
    .name = "moved",
    .version = 1,
    .part_of = {.section = "thing%u.of", .oldest = 1, .newest = 2},
    .fields = moved_fields,
    .field_count = STATE_COUNT_(moved_fields),
};

/* ---- one snapshot, with one section of state ------------------------------------------------- */

struct world {
    const struct snap_api *api;
    char path[64];
    struct snap_reader *r;
};

static void save(struct world *w, const char *section, const struct state_desc *desc,
                 const void *object)
{
    struct gw_error err = {0};
    struct snap_writer *out;
    assert_int_equal(w->api->create(&out, w->path, &err), GW_OK);
    assert_int_equal(w->api->write_manifest(out, &sample_manifest, &err), GW_OK);
    assert_int_equal(w->api->write_state(out, section, desc, object, &err), GW_OK);
    assert_int_equal(w->api->commit(out, &err), GW_OK);
    w->api->close(w->r);
    assert_int_equal(w->api->open(&w->r, w->path, &err), GW_OK);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    int fd;
    strcpy(w->path, "/tmp/godwit-upgrade.XXXXXX");
    fd = mkstemp(w->path);
    if (fd < 0)
        return -1;
    close(fd);
    w->api = godwit_snapshot();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    w->api->close(w->r);
    unlink(w->path);
    free(w);
    return 0;
}

static void refused(struct world *w, const char *section, const struct state_desc *desc,
                    enum gw_status want, const char *why)
{
    uint64_t room[8];
    struct gw_error err = {0};
    assert_int_equal(w->api->load_state(w->r, section, desc, room, &err), want);
    assert_non_null(strstr(err.message, why));
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void a_table_that_grew_reads_what_it_was(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct after a = {.limit = 99};
    save(w, "thing", &before_desc, &old);
    assert_int_equal(w->api->load_state(w->r, "thing", &after_desc, &a, &err), GW_OK);
    assert_int_equal(a.level, 7);
    assert_int_equal(a.speed_hz, 300000);
    assert_int_equal(a.limit, 10);
}

static void each_version_between_is_read(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct after a = {0}, was = {.speed_hz = 5, .level = 3};
    struct state_desc third = after_desc;
    third.version = 3;
    third.field_count = 2; /* without the limit */
    third.check = NULL;
    save(w, "thing", &third, &was);
    assert_int_equal(w->api->load_state(w->r, "thing", &after_desc, &a, &err), GW_OK);
    assert_int_equal(a.speed_hz, 5);
    assert_int_equal(a.level, 3);
    assert_int_equal(a.limit, 10);
}

static void its_own_version_is_not_upgraded(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct after a = {0}, was = {.speed_hz = 5, .level = 3, .limit = 4};
    save(w, "thing", &after_desc, &was);
    assert_int_equal(w->api->load_state(w->r, "thing", &after_desc, &a, &err), GW_OK);
    assert_memory_equal(&a, &was, sizeof a);
}

static void what_comes_out_of_an_upgrade_is_checked(void **state)
{
    struct world *w = *state;
    struct before high = old;
    high.level = 11;
    save(w, "thing", &before_desc, &high);
    refused(w, "thing", &after_desc, GW_ERR_FORMAT, "over the limit");
}

static void parts_come_out_of_what_they_were_part_of(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    save(w, "thing", &before_desc, &old);
    for (unsigned i = 0; i < 4; i++) {
        struct part p = {.others = 99};
        char name[8];
        snprintf(name, sizeof name, "part%u", i);
        assert_int_equal(w->api->load_state(w->r, name, &part_desc, &p, &err), GW_OK);
        assert_int_equal(p.own, old.counts[i]);
        assert_int_equal(p.others, 100 - old.counts[i]);
    }
}

static void a_part_with_a_section_of_its_own_comes_out_of_that(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct part p = {0}, was = {.own = 1, .others = 2};
    save(w, "part3", &part_desc, &was);
    assert_int_equal(w->api->load_state(w->r, "part3", &part_desc, &p, &err), GW_OK);
    assert_memory_equal(&p, &was, sizeof p);
    refused(w, "part2", &part_desc, GW_ERR_FORMAT, "missing");
}

static void a_part_of_a_numbered_section_finds_it(void **state)
{
    struct world *w = *state;
    struct gw_error err = {0};
    struct moved m = {0};
    save(w, "thing12.of", &before_desc, &old);
    assert_int_equal(w->api->load_state(w->r, "moved12", &moved_desc, &m, &err), GW_OK);
    assert_int_equal(m.level, 7);
    refused(w, "moved1", &moved_desc, GW_ERR_FORMAT, "missing");
}

static void other_versions_are_named(void **state)
{
    struct world *w = *state;
    struct state_desc d = before_desc;
    d.version = 1;
    save(w, "thing", &d, &old);
    refused(w, "thing", &after_desc, GW_ERR_UNSUPPORTED, "old version 1 of thing");
    refused(w, "part0", &part_desc, GW_ERR_UNSUPPORTED, "old version 1 of part");
    d.version = 5;
    save(w, "thing", &d, &old);
    refused(w, "thing", &after_desc, GW_ERR_UNSUPPORTED, "newer program saved version 5 of thing");
    refused(w, "part0", &part_desc, GW_ERR_UNSUPPORTED, "newer program saved version 5 of part");
}

/* A file that says it has an old table, and has another one. */
static void fields_that_an_old_table_had_must_be_there(void **state)
{
    struct world *w = *state;
    struct state_field fields[STATE_COUNT_(before_fields)];
    struct state_desc d = before_desc;
    static const struct {
        unsigned field;
        const char *name;
        enum state_type type;
        uint32_t count;
        bool part; /* who misses it */
    } changes[] = {
        {0, "other", STATE_U32, 1, false}, {0, "level", STATE_U16, 1, false},
        {0, "level", STATE_U32, 2, false}, {2, "pace", STATE_U32, 1, false},
        {3, "counts", STATE_U64, 2, true}, {3, "numbers", STATE_U64, 4, true},
    };
    d.fields = fields;
    for (unsigned i = 0; i < STATE_COUNT_(changes); i++) {
        struct state_field *f = &fields[changes[i].field];
        memcpy(fields, before_fields, sizeof fields);
        f->name = changes[i].name;
        f->type = changes[i].type;
        f->count = changes[i].count;
        save(w, "thing", &d, &old);
        refused(w, changes[i].part ? "part0" : "thing", changes[i].part ? &part_desc : &after_desc,
                GW_ERR_UNSUPPORTED, before_fields[changes[i].field].name);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_table_that_grew_reads_what_it_was),
        TEST(each_version_between_is_read),
        TEST(its_own_version_is_not_upgraded),
        TEST(what_comes_out_of_an_upgrade_is_checked),
        TEST(parts_come_out_of_what_they_were_part_of),
        TEST(a_part_with_a_section_of_its_own_comes_out_of_that),
        TEST(a_part_of_a_numbered_section_finds_it),
        TEST(other_versions_are_named),
        TEST(fields_that_an_old_table_had_must_be_there),
    };
    return cmocka_run_group_tests_name("snapshot upgrade", tests, NULL, NULL);
}
