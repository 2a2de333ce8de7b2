/* Values of options: any text for any option. What is accepted is within its limits, and where there
 * is a text that says it, that text means the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec.h"
#include "tests/fuzzing.h"
#include "tests/spec/samples.h"

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void check_list(const struct spec_field *f, const struct machine_spec *s)
{
    for (uint32_t i = 0; f->kind == SPEC_RECORDS && i < spec_count(f, s); i++) {
        char *text = spec_option_print(spec_machine, s, f, i), *again;
        struct machine_spec other;
        if (!text)
            continue;
        spec_init(spec_machine, &other);
        must(spec_option(spec_machine, &other, f, text, NULL) == GW_OK, "its own text is refused");
        again = spec_option_print(spec_machine, &other, f, f->place ? i : 0);
        must(again && !strcmp(text, again), "its own text means something else");
        spec_clear(spec_machine, &other);
        free(again);
        free(text);
    }
}

/* A value that is nearly right: of an option's samples, changed as the input says. */
static void make_value(const struct spec_field *f, struct fz_bytes *in, char *text, size_t size)
{
    static const char *const words[] = {
        ",rw",   ",overlay=", ",bps=", ",iops=",  ",mac=",
        "file:", "unix:",     "pty",   "stdio",   "=",
        "@",     ":",         "/udp",  "/tcp",    "52:54:00:12:34:56",
        "0x10",  "80",        "insns", "0=",      "1=",
        "[",     "]",         "user",  "socket:", "save=",
        "4M",    "30s",       ","};
    const unsigned count = sizeof words / sizeof words[0];
    size_t n = 0, end;
    text[0] = 0;
    for (unsigned parts = (unsigned)fz_take(in, 1) % 6; parts; parts--) {
        unsigned which = (unsigned)fz_take(in, 1) % (count + 4);
        const char *w = which < count ? words[which] : f->value ? f->value : "x";
        n += (size_t)snprintf(text + n, size - n, "%s", w);
    }
    end = fz_edit(in, (uint8_t *)text, n, size - 1);
    text[end] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fz_bytes in = {.at = data, .end = data + size};
    struct machine_spec s, copy;
    struct gw_error err;
    spec_init(spec_machine, &s);
    while (in.at < in.end) {
        const struct spec_field *f = &spec_machine->fields[fz_take(&in, 1) % spec_machine->count];
        struct fz_bytes piece = {.at = in.at, .end = in.at};
        char text[256];
        piece.end += (size_t)(in.end - in.at) < 24 ? in.end - in.at : 24;
        in.at = piece.end;
        if (!f->option)
            continue;
        make_value(f, &piece, text, sizeof text);
        memset(&err, 0, sizeof err);
        if (spec_option(spec_machine, &s, f, text, &err) != GW_OK) {
            must(err.status != GW_OK && err.message[0], "refused without a word");
            break; /* as the command line does */
        }
        check_list(f, &s);
        must(spec_check(spec_machine, &s, &err) == GW_OK, "accepted, and out of its limits");
    }
    must(spec_copy(spec_machine, &copy, &s, NULL) == GW_OK && spec_equal(spec_machine, &copy, &s),
         "a copy differs");
    spec_clear(spec_machine, &copy);
    spec_clear(spec_machine, &s);
    return 0;
}
