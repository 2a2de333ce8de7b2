/* Manifests: the text of one in which the input changes what it likes. What is read is written the
 * same way again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"
#include "tests/fuzzing.h"
#include "tests/spec/samples.h"

enum { MAX_TEXT = 1 << 14 };

/* Everything said that can be. */
static char *whole_manifest(void)
{
    struct machine_spec s;
    struct gw_error err = {0};
    char *text;
    spec_init(spec_machine, &s);
    for (unsigned i = 0; i < spec_machine->count; i++) {
        const struct spec_field *f = &spec_machine->fields[i];
        void *e = f->kind != SPEC_RECORDS ? NULL
                  : f->place              ? spec_element(f, &s, 0)
                                          : spec_append(f, &s);
        sample_put(f, 1, &s);
        for (unsigned k = 0; e && k < f->record->count; k++)
            sample_put(&f->record->fields[k], 1, e);
    }
    if (snap_manifest_print(&s, &text, &err) != GW_OK)
        abort();
    spec_clear(spec_machine, &s);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *whole, text[MAX_TEXT];
    struct fz_bytes in = {.at = data, .end = data + size};
    struct machine_spec s, back;
    struct gw_error err = {0};
    char *once, *twice;
    if (!whole)
        whole = whole_manifest();
    memcpy(text, whole, strlen(whole));
    size = fz_edit(&in, (uint8_t *)text, strlen(whole), sizeof text);
    if (snap_manifest_parse(text, size, "x", &s, &err) != GW_OK)
        return 0;
    if (snap_manifest_print(&s, &once, &err) != GW_OK ||
        snap_manifest_parse(once, strlen(once), "x", &back, &err) != GW_OK ||
        snap_manifest_print(&back, &twice, &err) != GW_OK || strcmp(once, twice) != 0)
        abort();
    spec_check(spec_machine, &s, &err);
    spec_clear(spec_machine, &s);
    spec_clear(spec_machine, &back);
    free(once);
    free(twice);
    return 0;
}
