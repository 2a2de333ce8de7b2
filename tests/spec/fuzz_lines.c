/* A description as lines, changed as the input says: what is taken says the same when it is said again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec.h"
#include "tests/fuzzing.h"

enum { TEXT_BYTES = 4096 };

static const char sample[] =
    "kernel=/boot/vmlinux\nappend=console=ttyS0 \\n\\\\ "
    "x\nmemory_bytes=536870912\ncpus=4\ndisks=2\n"
    "disks.0.path=/a\ndisks.0.mode=temporary\ndisks.1.path=/b\ndisks.1.overlay=/o\n"
    "disks.1.mtime_ns=1700000000000000000\nflash.1.path=/vars\nflash.1.rw=1\nfw_cfg=1\n"
    "fw_cfg.0.name=opt/x\nloads=1\nloads.0.at=2147483648\nnet=socket:/s\nmac=52:54:00:12:34:56\n"
    "clock_insns=1\nmips=1000\n";

static bool all(const struct spec_field *f)
{
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fz_bytes in = {.at = data, .end = data + size};
    struct machine_spec s, again;
    struct gw_error err = {0};
    char text[TEXT_BYTES], *one, *two;
    size_t n = sizeof sample - 1;
    memcpy(text, sample, n);
    n = fz_edit(&in, (uint8_t *)text, n, sizeof text);
    spec_init(spec_machine, &s);
    spec_init(spec_machine, &again);
    if (spec_read_lines(spec_machine, &s, text, n, all, &err) == GW_OK) {
        one = spec_lines(spec_machine, &s, all);
        if (!one || spec_read_lines(spec_machine, &again, one, strlen(one), all, &err) != GW_OK)
            abort();
        two = spec_lines(spec_machine, &again, all);
        if (!two || strcmp(one, two) != 0)
            abort();
        free(one);
        free(two);
    } else if (!err.message[0]) {
        abort();
    }
    spec_clear(spec_machine, &s);
    spec_clear(spec_machine, &again);
    return 0;
}
