/*
 * What can fail returns enum gw_status; details go into a caller-owned struct gw_error.
 * Only the command line prints or exits. Thread-safe: nothing here is shared.
 */
#ifndef GODWIT_STATUS_H
#define GODWIT_STATUS_H

#include <stdarg.h>
#include <stdio.h>

enum gw_status {
    GW_OK = 0,
    GW_ERR_ARG,         /* a wrong option or parameter */
    GW_ERR_IO,          /* the host's I/O failed */
    GW_ERR_FORMAT,      /* a file or image is broken */
    GW_ERR_NOMEM,       /* host memory or address space ran out */
    GW_ERR_UNSUPPORTED, /* well-formed, but not something we run */
    GW_ERR_NOTFOUND,    /* no such file, symbol, name */
    GW_ERR_STATE,       /* not valid in the present state */
    GW_ERR_LIMIT,       /* a configured limit was reached */
};

struct gw_error {
    enum gw_status status;
    char message[192]; /* what failed and why, lower case, no full stop */
    char object[160];  /* the file, option or address concerned; may be empty */
    char hint[512];    /* the exact next command, or empty */
};

/* Fills *err (may be NULL) and returns status, so that callers write `return gw_fail(...)`. */
__attribute__((format(printf, 4, 5))) static inline enum gw_status
gw_fail(struct gw_error *err, enum gw_status status, const char *object, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        err->status = status;
        err->hint[0] = 0;
        snprintf(err->object, sizeof err->object, "%s", object ? object : "");
        va_start(ap, fmt);
        vsnprintf(err->message, sizeof err->message, fmt, ap);
        va_end(ap);
    }
    return status;
}

#endif
