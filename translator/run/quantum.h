/* How long guest code runs between two looks at what may divert it, if nobody says otherwise. */
#ifndef TRANSLATOR_RUN_QUANTUM_H
#define TRANSLATOR_RUN_QUANTUM_H

enum { QUANTUM = 16384 /* instructions */ };

#endif
