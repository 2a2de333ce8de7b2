/* struct ctx, as start.S sees it. */
#ifndef GUEST_OFFSETS_H
#define GUEST_OFFSETS_H

#define CTX_PC     256
#define CTX_MODE   264
#define CTX_SET    272
#define CTX_CLEAR  280
#define CTX_CAUSE  288
#define CTX_EPC    296
#define CTX_TVAL   304
#define CTX_STATUS 312

#endif
