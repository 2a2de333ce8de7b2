/*
 * Helper calls through libffi, so that the interpreter runs where it may call nothing else. All
 * helpers have one prototype, so one prepared interface serves them.
 */
#include <ffi.h>
#include <stdlib.h>

#include "translator/interp/interp.h"

struct ffi_caller {
    struct interp_caller base; /* first */
    ffi_cif cif;
    ffi_type *types[4];
};

static uint64_t call(const struct interp_caller *self, const struct gw_helper *helper, void *cpu,
                     uint64_t a, uint64_t b, uint64_t c)
{
    /* libffi takes its interface description as non-const, but only reads it. */
    struct ffi_caller *f = (struct ffi_caller *)(uintptr_t)self;
    void *args[4] = {&cpu, &a, &b, &c};
    uint64_t result = 0;

    ffi_call(&f->cif, FFI_FN(helper->fn), &result, args);
    return result;
}

const struct interp_caller *interp_ffi_open(void)
{
    struct ffi_caller *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->base.call = call;
    f->types[0] = &ffi_type_pointer;
    f->types[1] = f->types[2] = f->types[3] = &ffi_type_uint64;
    if (ffi_prep_cif(&f->cif, FFI_DEFAULT_ABI, 4, &ffi_type_uint64, f->types) != FFI_OK) {
        free(f);
        return NULL;
    }
    return &f->base;
}

void interp_ffi_close(const struct interp_caller *caller)
{
    free((void *)(uintptr_t)caller);
}
