#include <string.h>

#include "machine/loop/text_watch.h"

bool text_watch_init(struct text_watch *w, const char *text)
{
    size_t n = text ? strlen(text) : 0, k = 0;
    memset(w, 0, sizeof *w);
    if (n > TEXT_WATCH_MAX)
        return false;
    w->text = text;
    w->length = n;
    for (size_t i = 1; i < n; i++) {
        while (k && text[i] != text[k])
            k = w->fallback[k - 1];
        if (text[i] == text[k])
            k++;
        w->fallback[i] = (uint16_t)k;
    }
    return true;
}

bool text_watch_byte(struct text_watch *w, uint8_t byte)
{
    if (!w->length)
        return false;
    while (w->matched && (uint8_t)w->text[w->matched] != byte)
        w->matched = w->fallback[w->matched - 1];
    if ((uint8_t)w->text[w->matched] == byte)
        w->matched++;
    if (w->matched < w->length)
        return false;
    w->matched = w->fallback[w->length - 1];
    return true;
}
