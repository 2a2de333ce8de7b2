/*
 * Text that came out of a file, from a guest or from another process, for a terminal: what a terminal would
 * take for a command, or show as something else than it is, is printed as \xNN, a byte each. That is
 * control characters (C0, DEL, C1), what turns the direction of writing or joins it invisibly, ends of lines,
 * and whatever is not UTF-8. Any thread.
 */
#ifndef GODWIT_PLAIN_H
#define GODWIT_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "godwit/status.h"

/* The character that text begins with, and its bytes; 0 of them where it is none of UTF-8. */
static inline uint32_t gw_utf8(const char *text, unsigned *bytes)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    const uint8_t *p = (const uint8_t *)text;
    uint32_t c;
    *bytes = 0;
    for (unsigned n = 0; n < 4; n++) {
        if ((p[0] & forms[n].mask) != forms[n].lead)
            continue;
        c = p[0] & (uint8_t)~forms[n].mask;
        for (unsigned i = 1; i <= n; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (p[i] & 0x3f);
        }
        if (c < forms[n].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return 0;
        *bytes = n + 1;
        return c;
    }
    return 0;
}

static inline bool gw_is_plain(uint32_t c)
{
    return c >= 0x20 && (c < 0x7f || c >= 0xa0) && c != 0xad && c != 0x61c &&
           !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2060 && c <= 0x206f) && c != 0xfeff && !(c >= 0xfff9 && c <= 0xfffb) &&
           !(c >= 0xe0000 && c < 0xe1000);
}

enum { GW_PLAIN_BYTES = 1024 };
struct gw_plain {
    char text[GW_PLAIN_BYTES];
};

/* buf->text: the text so that it can be printed, cut where it does not fit. */
static inline const char *gw_plain(struct gw_plain *buf, const char *text)
{
    size_t at = 0;
    while (*text && at + 5 < sizeof buf->text) {
        unsigned n;
        uint32_t c = gw_utf8(text, &n);
        if (n && gw_is_plain(c)) {
            memcpy(buf->text + at, text, n);
            at += n;
            text += n;
            continue;
        }
        for (n = n ? n : 1; n && at + 5 < sizeof buf->text; n--, text++, at += 4)
            snprintf(buf->text + at, 5, "\\x%02x", (unsigned)(uint8_t)*text);
    }
    buf->text[at] = 0;
    return buf->text;
}

/* In one expression: a buffer of the block that it stands in. */
#define GW_PLAIN(text_) gw_plain(&(struct gw_plain){.text = ""}, (text_))

/* "godwit: error: what failed: object: why", and the hint. */
static inline void gw_print_error(FILE *out, const struct gw_error *err)
{
    struct gw_plain message, object, hint;
    const char *text = gw_plain(&message, err->message), *colon = strstr(text, ": ");
    gw_plain(&object, err->object);
    if (!err->object[0])
        fprintf(out, "godwit: error: %s\n", text);
    else if (colon)
        fprintf(out, "godwit: error: %.*s: %s: %s\n", (int)(colon - text), text, object.text,
                colon + 2);
    else
        fprintf(out, "godwit: error: %s: %s\n", object.text, text);
    if (err->hint[0])
        fprintf(out, "hint: %s\n", gw_plain(&hint, err->hint));
}

#endif
