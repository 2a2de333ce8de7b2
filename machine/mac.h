/* The address of a network card that was given none. Any thread. */
#ifndef MACHINE_MAC_H
#define MACHINE_MAC_H

#include "godwit/machine_spec.h"

/* Of the machine described, whose network is known. Behind user networking each has a wire of its own,
 * and all have the same address; on a wire that others share it follows from the wire's name and this
 * host's, so that it is the same the next time and another's elsewhere. */
void machine_usual_mac(const struct machine_spec *s, struct spec_mac *mac);

#endif
