/* How many harts an interrupt controller can serve. */
#ifndef DEV_HARTS_H
#define DEV_HARTS_H

enum { DEV_MAX_HARTS = 8 };

#endif
