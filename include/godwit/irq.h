/* An interrupt line: the receiver fills it in, the device only raises and lowers it. */
#ifndef GODWIT_IRQ_H
#define GODWIT_IRQ_H

struct gw_irq {
    void (*set)(void *receiver, unsigned line, int level); /* vCPU thread, see event.h */
    void *receiver;
    unsigned line;
};

static inline void gw_irq_set(const struct gw_irq *irq, int level)
{
    if (irq->set)
        irq->set(irq->receiver, irq->line, level);
}

#endif
