/* What backend-common asks of this target: place.h's operations, and the tests of nans.h. */
#ifndef X64_PLACE_H
#define X64_PLACE_H

#include "backend-x86_64/x64_block.h"

extern const struct place_target x64_place_target; /* code: struct x64 */
void x64_test_nans(void *code, const struct nans_test *t);
void x64_cold_nans(struct x64 *x, const struct cold_path *c);

#endif
