/*
 * What a snapshot holds, as lines that do not depend on the version of its format or its tables:
 *
 *     show FILE            "section.field value...", for each field that is not all zero
 *     show FILE manifest   the manifest
 *
 * Values are hex; V*N: N of them; zeros at the end are left out. Of a section of pages: how many
 * there are, and a hash of their contents.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snapshot.h"

static uint64_t element(const struct snap_field *f, uint32_t i)
{
    uint64_t v = 0;
    for (unsigned k = 0; k < (unsigned)f->type; k++)
        v |= (uint64_t)f->values[(size_t)i * f->type + k] << (8 * k);
    return v;
}

static void show_field(const char *section, const struct snap_field *f)
{
    uint32_t last = f->count;
    while (last && !element(f, last - 1))
        last--;
    if (!last)
        return;
    printf("%s.%s", section, f->name);
    for (uint32_t i = 0, n; i < last; i += n) {
        uint64_t v = element(f, i);
        for (n = 1; i + n < last && element(f, i + n) == v; n++)
            ;
        printf(n > 1 ? " 0x%" PRIx64 "*%" PRIu32 : " 0x%" PRIx64, v, n);
    }
    putchar('\n');
}

static enum gw_status show_fields(const struct snap_api *api, struct snap_reader *r, uint32_t i,
                                  struct gw_error *err)
{
    struct snap_fields f;
    enum gw_status st = api->fields(r, i, &f, err);
    if (st != GW_OK)
        return st;
    for (uint32_t k = 0; k < f.count; k++)
        show_field(api->section(r, i)->name, &f.field[k]);
    api->free_fields(&f);
    return GW_OK;
}

static enum gw_status show_pages(const struct snap_api *api, struct snap_reader *r, uint32_t i,
                                 struct gw_error *err)
{
    struct snap_page_hash *list;
    uint64_t pages, count, sum = 0;
    enum gw_status st = api->page_hashes(r, i, &pages, &list, &count, err);
    if (st != GW_OK)
        return st;
    for (uint64_t k = 0; k < count; k++)
        sum = (sum ^ list[k].page ^ list[k].hash) * UINT64_C(0x100000001b3);
    printf("%s.pages 0x%" PRIx64 " of 0x%" PRIx64 ", hash 0x%" PRIx64 "\n",
           api->section(r, i)->name, count, pages, sum);
    free(list);
    return GW_OK;
}

int main(int argc, char **argv)
{
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct snap_reader *r = NULL;
    enum gw_status st;
    if (argc < 2)
        return 2;
    st = api->open(&r, argv[1], &err);
    if (st == GW_OK && argc > 2)
        puts(api->manifest_text(r));
    for (uint32_t i = 0; st == GW_OK && argc == 2 && i < api->section_count(r); i++) {
        enum snap_kind kind = api->section(r, i)->kind;
        if (kind == SNAP_STATE)
            st = show_fields(api, r, i, &err);
        else if (kind == SNAP_PAGES)
            st = show_pages(api, r, i, &err);
    }
    api->close(r);
    if (st != GW_OK)
        fprintf(stderr, "%s: %s\n", err.object, err.message);
    return st != GW_OK;
}
