/* What the engine is given: how helpers are called, where listings go. */
#ifndef MACHINE_HOST_CODE_H
#define MACHINE_HOST_CODE_H

#include "translator/engine.h"

/* The interpreter's way to call helpers: by libffi in builds that have it; NULL: directly. The
 * caller closes it after the engine is gone; closing NULL is fine. */
const struct interp_caller *host_code_caller_open(void);
void host_code_caller_close(const struct interp_caller *caller);

/* list: "decode,ir,opt,host"; file NULL: stderr. */
enum gw_status host_code_dump(struct engine_dump *d, const char *list, const char *file,
                              struct gw_error *err);
/* 0, or the errno for which some of it was lost. */
int host_code_dump_end(struct engine_dump *d);

#endif
