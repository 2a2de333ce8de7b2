#include "backend-common/nans.h"

/* Tests the registers in mask, which are of one type. */
static void test_all(struct nans *n, reg_set mask, bool single)
{
    while (mask) {
        struct nans_test t = {.single = single, .pending = n->pending, .singles = n->singles};
        while (t.pairs < NANS_PAIRS && mask) {
            int a = reg_first(mask), b = a;
            mask &= mask - 1;
            if (mask) {
                b = reg_first(mask);
                mask &= mask - 1;
            }
            t.pair[t.pairs].a = (int8_t)a;
            t.pair[t.pairs++].b = (int8_t)b;
        }
        n->test(n->code, &t);
    }
}

void nans_flush(struct nans *n)
{
    if (n->check) {
        test_all(n, n->check & ~n->singles, false);
        test_all(n, n->check & n->singles, true);
    }
    n->pending = n->check = 0;
}
