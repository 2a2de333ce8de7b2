/* See smp.h. */
#include "smp.h"

extern void (*hart_work[HARTS])(unsigned hart); /* start.S */

static unsigned present, arrived, turn;

static void (*running)(unsigned hart);

static void enter(unsigned hart)
{
    pmp_open(); /* each hart has its own */
    running(hart);
}

void harts_run(unsigned set, void (*f)(unsigned hart))
{
    present = (unsigned)(set & 1) + (set >> 1 & 1) + (set >> 2 & 1) + (set >> 3 & 1);
    running = f;
    for (unsigned h = 1; h < HARTS; h++)
        if (set >> h & 1) {
            store(&hart_work[h], enter);
            ipi(h);
        }
    f(0);
    for (unsigned h = 1; h < HARTS; h++)
        wait_until(!load(&hart_work[h]));
}

void barrier(void)
{
    unsigned mine = load(&turn);
    if (fetch_add(&arrived, 1) + 1 == present) {
        arrived = 0;
        store(&turn, mine + 1);
    } else {
        wait_until(load(&turn) != mine);
    }
}
