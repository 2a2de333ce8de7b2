/* What backend-common/place.h asks of this host. */
#ifndef A64_PLACE_H
#define A64_PLACE_H

#include "backend-aarch64/a64_block.h"

extern const struct place_target a64_place_target;

#endif
