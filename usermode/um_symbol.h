/* Names for addresses of guest code, for messages. Main thread. */
#ifndef UM_SYMBOL_H
#define UM_SYMBOL_H

#include "usermode/um_space.h"

/* "main+0x12", or "libc.so.6+0x1234" (the file's own address) where the file has no symbol for it;
 * "" where no file is behind the address. A return address belongs to what calls, which may end
 * right before it. At most size bytes, the final 0 included. */
void um_symbol(const struct um_space *space, uint64_t addr, bool is_return, char *buf, size_t size);

#endif
