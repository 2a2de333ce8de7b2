/* struct ctx as start.S sees it, and what else it shares with C. */
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
#define CTX_HOME   320

#ifndef HARTS
#define HARTS 4 /* at most; others are never woken */
#endif
#define STACK_BITS      14 /* of each hart's stack; guest.ld has room for all */
#define CLINT_BASE_ADDR 0x2000000

#endif
