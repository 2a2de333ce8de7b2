/*
 * NS16550A serial port. Transmission takes no time; reception is fed from the host side only while
 * the guest listens (receive interrupt enabled, or line status polled), so input typed before the
 * guest's driver is up waits on the host and is not lost when a driver clears the FIFOs.
 * vCPU thread.
 */
#ifndef DEV_UART_H
#define DEV_UART_H

#include "godwit/device.h"
#include "devices/serial.h"

enum { DEV_UART_FIFO = 16 };

struct dev_uart {
    struct gw_device d;
    const struct dev_serial *serial; /* set after dev_new(); NULL: nothing connected */
    uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
    uint8_t lsr_errors;   /* OE, BI until read */
    uint8_t thre_pending; /* transmitter-empty interrupt not yet acknowledged */
    uint8_t break_pending;
    uint8_t polls; /* line status reads in a row with the receive interrupt off */
    uint8_t rx_count;
    uint8_t rx[DEV_UART_FIFO]; /* oldest first */
};

extern const struct gw_device_class dev_uart_class;

/* The host side has input, or room again. */
void dev_uart_poke(struct dev_uart *u);
/* A break condition on the line (Linux: SysRq). */
void dev_uart_break(struct dev_uart *u);

#endif
