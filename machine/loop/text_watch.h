/* Finds a text in a stream of bytes, one byte at a time (Knuth, Morris, Pratt). */
#ifndef MACHINE_TEXT_WATCH_H
#define MACHINE_TEXT_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_WATCH_MAX = 1024 };

struct text_watch {
    const char *text; /* the caller's; NULL or empty: never found */
    size_t length, matched;
    uint16_t fallback[TEXT_WATCH_MAX];
};

/* False when the text is too long. */
bool text_watch_init(struct text_watch *w, const char *text);
/* True when this byte completes the text. */
bool text_watch_byte(struct text_watch *w, uint8_t byte);

#endif
