/*
 * A text as one word of a shell's command: hints are commands that people copy, and what they name came from
 * who knows where. Any thread.
 */
#ifndef GODWIT_WORD_H
#define GODWIT_WORD_H

#include <stdio.h>
#include <string.h>

#include "godwit/plain.h"

/* Bare, in quotes as any shell reads them, or, where it has characters that no terminal should see, as bash and
 * zsh do. */
enum gw_word_form { GW_WORD_BARE, GW_WORD_QUOTED, GW_WORD_ESCAPED };

static inline enum gw_word_form gw_word_form(const char *text)
{
    static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "@%+=:,./_-";
    if (*text && strspn(text, bare) == strlen(text))
        return GW_WORD_BARE;
    while (*text) {
        unsigned n;
        uint32_t c = gw_utf8(text, &n);
        if (!n || !gw_is_plain(c))
            return GW_WORD_ESCAPED;
        text += n;
    }
    return GW_WORD_QUOTED;
}

/* One byte within quotes, at most four characters. */
static inline unsigned gw_word_byte(char to[8], enum gw_word_form form, unsigned char c)
{
    const char *escaped = form == GW_WORD_ESCAPED ? "\\'" : "'\\''";
    if (form == GW_WORD_BARE || (c != '\'' && form == GW_WORD_QUOTED))
        return (unsigned)snprintf(to, 8, "%c", c);
    if (c == '\'')
        return (unsigned)snprintf(to, 8, "%s", escaped);
    if (c < 0x20 || c >= 0x7f)
        return (unsigned)snprintf(to, 8, "\\x%02x", c);
    return (unsigned)snprintf(to, 8, c == '\\' ? "\\\\" : "%c", c);
}

/* As snprintf(): at most size bytes with the zero, and the length that all of it has. */
static inline size_t gw_word(char *to, size_t size, const char *text)
{
    static const char *const before[] = {"", "'", "$'"}, *const after[] = {"", "'", "'"};
    enum gw_word_form form = gw_word_form(text);
    size_t at = (size_t)snprintf(to, size, "%s", before[form]);
    for (; *text; text++) {
        char byte[8];
        unsigned n = gw_word_byte(byte, form, (unsigned char)*text);
        if (at + n < size)
            memcpy(to + at, byte, n + 1);
        at += n;
    }
    return at + (size_t)snprintf(at < size ? to + at : NULL, at < size ? size - at : 0, "%s",
                                 after[form]);
}

enum { GW_WORD_BYTES = 512 };
struct gw_word_buf {
    char text[GW_WORD_BYTES];
};

/* buf->text; NULL where it does not fit: part of a name is none. */
static inline const char *gw_word_in(struct gw_word_buf *buf, const char *text)
{
    return gw_word(buf->text, sizeof buf->text, text) < sizeof buf->text ? buf->text : NULL;
}

/* The hint of an error (which may be NULL): a command in which each @ stands for the name. None where it would be
 * cut short. */
static inline void gw_hint_of(struct gw_error *err, const char *command, const char *name)
{
    size_t at = 0;
    if (!err)
        return;
    for (; *command && at + 1 < sizeof err->hint; command++) {
        if (*command == '@')
            at += gw_word(err->hint + at, sizeof err->hint - at, name);
        else
            err->hint[at++] = *command;
    }
    err->hint[*command || at >= sizeof err->hint ? 0 : at] = 0;
}

#endif
