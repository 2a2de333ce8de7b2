/* NS16550A. Source: Texas Instruments PC16550D data sheet, SNLS378, section 8 (registers). */
#include <string.h>

#include "devices/board/uart.h"

enum { REG_DATA = 0, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };
enum { IER_RDI = 1, IER_THRI = 2, IER_RLSI = 4, IER_MSI = 8 };
enum { IIR_NONE = 1, IIR_THRE = 2, IIR_DATA = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 16, LSR_THRE = 32, LSR_TEMT = 64 };
enum { MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128 };

/* So many reads of the line status in a row are polling; drivers that send read it once a byte. */
#define POLLS_THAT_LISTEN 4

static struct dev_uart *uart(struct gw_device *d)
{
    return (struct dev_uart *)(void *)d;
}

static unsigned fifo_size(const struct dev_uart *u)
{
    return u->fcr & FCR_ENABLE ? DEV_UART_FIFO : 1;
}

static bool tx_empty(const struct dev_uart *u)
{
    return !u->serial || (u->mcr & MCR_LOOP) || u->serial->room(u->serial->context);
}

/* Highest priority first: table 8-6. A receive FIFO below its trigger level reports the character
 * timeout at once, since no line time passes here. */
static unsigned interrupt_id(const struct dev_uart *u)
{
    static const uint8_t trigger[4] = {1, 4, 8, 14};
    if ((u->ier & IER_RLSI) && u->lsr_errors)
        return IIR_LINE;
    if ((u->ier & IER_RDI) && u->rx_count) {
        bool full = !(u->fcr & FCR_ENABLE) || u->rx_count >= trigger[u->fcr >> 6];
        return full ? IIR_DATA : IIR_TIMEOUT;
    }
    if ((u->ier & IER_THRI) && u->thre_pending)
        return IIR_THRE;
    return IIR_NONE;
}

static void update(struct dev_uart *u)
{
    gw_irq_set(&u->d.irq, interrupt_id(u) != IIR_NONE);
}

/* 8.6.3, LSR bit 1: without the FIFO a character that comes too early destroys the one in the buffer;
 * a full FIFO keeps what it has. */
static void receive(struct dev_uart *u, uint8_t byte)
{
    if (u->rx_count < fifo_size(u)) {
        u->rx[u->rx_count++] = byte;
        return;
    }
    u->lsr_errors |= LSR_OE;
    if (!(u->fcr & FCR_ENABLE))
        u->rx[0] = byte;
}

static void feed(struct dev_uart *u)
{
    unsigned room;
    if (!(u->ier & IER_RDI) && u->polls < POLLS_THAT_LISTEN)
        return;
    if (u->break_pending && u->rx_count == 0) {
        u->break_pending = 0;
        u->lsr_errors |= LSR_BI;
        receive(u, 0);
    }
    room = fifo_size(u) > u->rx_count ? fifo_size(u) - u->rx_count : 0;
    if (room && u->serial && !u->break_pending && !(u->mcr & MCR_LOOP))
        u->rx_count += (uint8_t)u->serial->get(u->serial->context, u->rx + u->rx_count, room);
}

static uint8_t take(struct dev_uart *u)
{
    uint8_t byte = u->rx[0];
    if (u->rx_count) {
        u->rx_count--;
        memmove(u->rx, u->rx + 1, u->rx_count);
        u->rx[u->rx_count] = 0;
    }
    feed(u);
    return byte;
}

static uint8_t modem_status(const struct dev_uart *u)
{
    uint8_t s = 0;
    if (!(u->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    s |= u->mcr & MCR_RTS ? MSR_CTS : 0;
    s |= u->mcr & MCR_DTR ? MSR_DSR : 0;
    s |= u->mcr & MCR_OUT1 ? MSR_RI : 0;
    s |= u->mcr & MCR_OUT2 ? MSR_DCD : 0;
    return s;
}

static uint8_t line_status(struct dev_uart *u)
{
    uint8_t s;
    if (!(u->ier & IER_RDI) && u->polls < POLLS_THAT_LISTEN)
        u->polls++;
    feed(u);
    s = u->lsr_errors;
    u->lsr_errors = 0;
    if (u->rx_count)
        s |= LSR_DR;
    if (tx_empty(u))
        s |= LSR_THRE | LSR_TEMT;
    return s;
}

static enum gw_bus_result uart_read(struct gw_device *d, uint64_t offset, unsigned size,
                                    uint64_t *value)
{
    struct dev_uart *u = uart(d);
    *value = 0;
    if (offset > REG_SCR)
        return GW_BUS_OK;
    if (offset != REG_LSR)
        u->polls = u->polls >= POLLS_THAT_LISTEN && offset == REG_DATA ? u->polls : 0;
    switch (offset) {
    case REG_DATA: *value = u->lcr & LCR_DLAB ? u->dll : take(u); break;
    case REG_IER: *value = u->lcr & LCR_DLAB ? u->dlm : u->ier; break;
    case REG_IIR:
        *value = interrupt_id(u) | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0u);
        if ((*value & 15) == IIR_THRE)
            u->thre_pending = 0;
        break;
    case REG_LCR: *value = u->lcr; break;
    case REG_MCR: *value = u->mcr; break;
    case REG_LSR: *value = line_status(u); break;
    case REG_MSR: *value = modem_status(u); break;
    default: *value = u->scr; break;
    }
    update(u);
    return GW_BUS_OK;
}

static void transmit(struct dev_uart *u, uint8_t byte)
{
    if (u->mcr & MCR_LOOP)
        receive(u, byte);
    else if (u->serial)
        u->serial->put(u->serial->context, byte);
    u->thre_pending = tx_empty(u);
}

static void set_fcr(struct dev_uart *u, uint8_t v)
{
    /* Switching the FIFOs off clears them. Switching them on would do so too (8.4), but drivers
     * enable the receive interrupt first: what came since then must not be lost. */
    if (!(v & FCR_ENABLE) && (u->fcr & FCR_ENABLE))
        v |= FCR_CLEAR_RX | FCR_CLEAR_TX;
    if (v & FCR_CLEAR_RX) {
        u->rx_count = 0;
        memset(u->rx, 0, sizeof u->rx);
    }
    if (v & FCR_CLEAR_TX)
        u->thre_pending = tx_empty(u);
    u->fcr = v & FCR_ENABLE ? v & 0xc9 : 0;
}

static void set_ier(struct dev_uart *u, uint8_t v)
{
    /* Enabling the transmitter interrupt while the transmitter is empty raises it. */
    if ((v & IER_THRI) && !(u->ier & IER_THRI) && tx_empty(u))
        u->thre_pending = 1;
    u->ier = v & 15;
    feed(u);
}

static enum gw_bus_result uart_write(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    struct dev_uart *u = uart(d);
    uint8_t v = (uint8_t)value;
    u->polls = 0;
    switch (offset) {
    case REG_DATA:
        if (u->lcr & LCR_DLAB)
            u->dll = v;
        else
            transmit(u, v);
        break;
    case REG_IER:
        if (u->lcr & LCR_DLAB)
            u->dlm = v;
        else
            set_ier(u, v);
        break;
    case REG_IIR: set_fcr(u, v); break;
    case REG_LCR: u->lcr = v; break;
    case REG_MCR: u->mcr = v & 31; break;
    case REG_SCR: u->scr = v; break;
    default: break;
    }
    update(u);
    return GW_BUS_OK;
}

void dev_uart_poke(struct dev_uart *u)
{
    feed(u);
    if (tx_empty(u))
        u->thre_pending = 1;
    update(u);
}

void dev_uart_break(struct dev_uart *u)
{
    u->break_pending = 1;
    feed(u);
    update(u);
}

static void uart_reset(struct gw_device *d)
{
    struct dev_uart *u = uart(d);
    u->ier = u->fcr = u->lcr = u->scr = u->dll = u->dlm = 0;
    u->mcr = MCR_OUT2;
    u->lsr_errors = u->thre_pending = u->break_pending = u->polls = u->rx_count = 0;
    memset(u->rx, 0, sizeof u->rx);
    update(u);
}

static enum gw_status uart_check(const void *object, struct gw_error *err)
{
    const struct dev_uart *u = object;
    if (u->ier > 15 || u->mcr > 31 || u->rx_count > fifo_size(u) || (u->fcr & ~0xc9) ||
        (u->lsr_errors & ~(LSR_OE | LSR_BI)) || u->thre_pending > 1 || u->break_pending > 1 ||
        u->polls > POLLS_THAT_LISTEN)
        return gw_fail(err, GW_ERR_FORMAT, "uart", "state that the device cannot hold");
    return GW_OK;
}

static void uart_post_load(void *object)
{
    update(object);
}

static const struct state_field uart_fields[] = {
    STATE_SCALAR(struct dev_uart, ier, STATE_U8),
    STATE_SCALAR(struct dev_uart, fcr, STATE_U8),
    STATE_SCALAR(struct dev_uart, lcr, STATE_U8),
    STATE_SCALAR(struct dev_uart, mcr, STATE_U8),
    STATE_SCALAR(struct dev_uart, scr, STATE_U8),
    STATE_SCALAR(struct dev_uart, dll, STATE_U8),
    STATE_SCALAR(struct dev_uart, dlm, STATE_U8),
    STATE_SCALAR(struct dev_uart, lsr_errors, STATE_U8),
    STATE_SCALAR(struct dev_uart, thre_pending, STATE_U8),
    STATE_SCALAR(struct dev_uart, break_pending, STATE_U8),
    STATE_SCALAR(struct dev_uart, polls, STATE_U8),
    STATE_SCALAR(struct dev_uart, rx_count, STATE_U8),
    STATE_ARRAY(struct dev_uart, rx, STATE_U8),
};

static const struct state_desc uart_state = {
    .name = "uart",
    .version = 1,
    .fields = uart_fields,
    .field_count = STATE_COUNT_(uart_fields),
    .check = uart_check,
    .post_load = uart_post_load,
};

const struct gw_device_class dev_uart_class = {
    .name = "uart",
    .instance_size = sizeof(struct dev_uart),
    .state = &uart_state,
    .window_bytes = 0x1000, /* 8 registers; the bus places whole pages */
    .read = uart_read,
    .write = uart_write,
    .reset = uart_reset,
};
