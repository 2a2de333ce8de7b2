/* What devices do to memory that code and data derive from: writes to RAM with code or reservations,
 * read-only memory that is hidden. Called by the bus, on any thread. */
#ifndef TRANSLATOR_MEMORY_DEVICES_H
#define TRANSLATOR_MEMORY_DEVICES_H

#include "translator/parts.h"

/* The bus tells e from now on, on behalf of its world. */
void devices_attach(struct engine *e);
void devices_detach(struct engine *e);

#endif
