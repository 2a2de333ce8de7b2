/* See smp.h. */
#include "smp.h"

extern void (*hart_work[HARTS])(unsigned hart); /* start.S */

static unsigned set_now, present, arrived, turn;

static void (*running)(unsigned hart);

static void enter(unsigned hart)
{
    pmp_open(); /* each hart has its own */
    barrier();  /* the interrupt that woke a hart is over: the next is one of f's */
    running(hart);
}

void harts_run(unsigned set, void (*f)(unsigned hart))
{
    present = 0;
    for (unsigned h = 0; h < HARTS; h++)
        present += set >> h & 1;
    set_now = set;
    running = f;
    for (unsigned h = 1; h < HARTS; h++)
        if (set >> h & 1) {
            store(&hart_work[h], enter);
            ipi(h);
        }
    enter(0);
    for (unsigned h = 1; h < HARTS; h++)
        wait_until(!load(&hart_work[h]));
}

void barrier_asleep(void)
{
    unsigned mine = load(&turn), self = hart_id();
    if (fetch_add(&arrived, 1) + 1 == present) {
        arrived = 0;
        store(&turn, mine + 1);
        for (unsigned h = 0; h < HARTS; h++)
            if (h != self && set_now >> h & 1)
                ipi(h);
    } else {
        while (load(&turn) == mine)
            ipi_await();
    }
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
