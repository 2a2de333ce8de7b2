/* The NS16550A as a driver sees it. */
#include "tests/devices/fakes.h"
#include "devices/board/uart.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
    struct gw_device *d;
    struct dev_uart *u;
    struct fake_peer peer;
    struct fake_line line;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    fake_peer_init(&f->peer);
    f->d = dev_new(&dev_uart_class, NULL, NULL);
    f->u = (struct dev_uart *)(void *)f->d;
    f->u->serial = &f->peer.serial;
    f->d->irq = fake_irq(&f->line);
}

static unsigned in(struct fixture *f, unsigned reg)
{
    return (unsigned)reg_read(f->d, reg, 1);
}

static void out(struct fixture *f, unsigned reg, unsigned v)
{
    reg_write(f->d, reg, 1, v);
}

static void sends_what_is_written(void **state)
{
    struct fixture f;
    setup(&f);
    for (const char *p = "hello"; *p; p++) {
        assert_int_equal(in(&f, LSR) & 0x60, 0x60);
        out(&f, DATA, (unsigned)*p);
    }
    assert_int_equal(f.peer.sent_count, 5);
    assert_memory_equal(f.peer.sent, "hello", 5);
    dev_free(f.d);
}

static void divisor_latch_hides_data(void **state)
{
    struct fixture f;
    setup(&f);
    out(&f, LCR, 0x83);
    out(&f, DATA, 12);
    out(&f, IER, 1);
    assert_int_equal(in(&f, DATA), 12);
    assert_int_equal(in(&f, IER), 1);
    out(&f, LCR, 3);
    assert_int_equal(in(&f, IER), 0);
    assert_int_equal(f.peer.sent_count, 0);
    out(&f, SCR, 0xa5);
    assert_int_equal(in(&f, SCR), 0xa5);
    dev_free(f.d);
}

/* Both probes that Linux's driver makes of a port's transmitter interrupt. */
static void thre_interrupt_comes_at_each_enable(void **state)
{
    struct fixture f;
    setup(&f);
    out(&f, IER, 2);
    assert_int_equal(f.line.level, 1);
    assert_int_equal(in(&f, IIR) & 0x3f, 2);
    assert_int_equal(f.line.level, 0); /* reading it acknowledges */
    assert_int_equal(in(&f, IIR) & 0x3f, 1);
    out(&f, IER, 0);
    out(&f, IER, 2);
    assert_int_equal(in(&f, IIR) & 0x3f, 2);
    out(&f, DATA, 'x');
    assert_int_equal(f.line.level, 1); /* empty again at once */
    dev_free(f.d);
}

static void full_peer_holds_the_transmitter(void **state)
{
    struct fixture f;
    setup(&f);
    f.peer.full = true;
    assert_int_equal(in(&f, LSR) & 0x60, 0);
    out(&f, IER, 2);
    assert_int_equal(f.line.level, 0);
    f.peer.full = false;
    dev_uart_poke(f.u);
    assert_int_equal(f.line.level, 1);
    assert_int_equal(in(&f, LSR) & 0x60, 0x60);
    dev_free(f.d);
}

static void input_waits_until_the_guest_listens(void **state)
{
    struct fixture f;
    char got[8] = "";
    setup(&f);
    f.peer.input = "abc";
    dev_uart_poke(f.u);
    out(&f, IIR, 7); /* a driver's probe clears the FIFOs and reads what is there */
    assert_int_equal(in(&f, LSR) & 1, 0);
    in(&f, DATA);
    in(&f, IIR);
    out(&f, IER, 1);
    assert_int_equal(f.line.level, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(in(&f, LSR) & 1, 1);
        got[i] = (char)in(&f, DATA);
    }
    assert_string_equal(got, "abc");
    assert_int_equal(f.line.level, 0);
    assert_int_equal(in(&f, LSR) & 1, 0);
    dev_free(f.d);
}

static void enabling_the_fifo_keeps_what_came(void **state)
{
    struct fixture f;
    setup(&f);
    f.peer.input = "ab";
    out(&f, IER, 1); /* Linux sets the interrupt up before the FIFO */
    out(&f, IIR, 0x81);
    assert_int_equal(in(&f, DATA), 'a');
    assert_int_equal(in(&f, DATA), 'b');
    f.peer.input = "cd";
    dev_uart_poke(f.u);
    out(&f, IIR, 0x83); /* told to clear it */
    assert_int_equal(in(&f, LSR) & 1, 0);
    dev_free(f.d);
}

static void polling_guest_gets_input(void **state)
{
    struct fixture f;
    unsigned polls = 0;
    setup(&f);
    f.peer.input = "xy";
    while (!(in(&f, LSR) & 1))
        assert_true(polls++ < 10);
    assert_int_equal(in(&f, DATA), 'x');
    assert_int_equal(in(&f, LSR) & 1, 1);
    assert_int_equal(in(&f, DATA), 'y');
    assert_int_equal(in(&f, LSR) & 1, 0);
    dev_free(f.d);
}

static void trigger_level_and_timeout_are_told_apart(void **state)
{
    struct fixture f;
    setup(&f);
    out(&f, IIR, 0x81); /* FIFO, trigger at 8 */
    out(&f, IER, 1);
    assert_int_equal(in(&f, IIR), 0xc1);
    f.peer.input = "0123456789abcdefghij";
    dev_uart_poke(f.u);
    assert_int_equal(in(&f, IIR), 0xc4);
    for (unsigned i = 0; i < 20; i++)
        in(&f, DATA);
    f.peer.input = "z";
    dev_uart_poke(f.u);
    assert_int_equal(in(&f, IIR), 0xcc);
    assert_int_equal(in(&f, DATA), 'z');
    assert_int_equal(in(&f, IIR), 0xc1);
    dev_free(f.d);
}

static void break_is_a_zero_with_bi(void **state)
{
    struct fixture f;
    setup(&f);
    out(&f, IIR, 1);
    out(&f, IER, 5);
    dev_uart_break(f.u);
    assert_int_equal(in(&f, IIR) & 15, 6);
    assert_int_equal(in(&f, LSR) & 0x11, 0x11);
    assert_int_equal(in(&f, LSR) & 0x11, 1); /* reading clears BI */
    assert_int_equal(in(&f, DATA), 0);
    assert_int_equal(f.line.level, 0);
    dev_free(f.d);
}

static void loopback_comes_back(void **state)
{
    struct fixture f;
    setup(&f);
    out(&f, MCR, 0x1a);
    assert_int_equal(in(&f, MSR) & 0xf0, 0x90);
    out(&f, DATA, 'q');
    assert_int_equal(f.peer.sent_count, 0);
    assert_int_equal(in(&f, LSR) & 1, 1);
    assert_int_equal(in(&f, DATA), 'q');
    assert_int_equal(in(&f, LSR) & 3, 0);
    dev_free(f.d);
}

static void overrun_replaces_or_loses_the_newest(void **state)
{
    struct fixture f;
    setup(&f);
    out(&f, MCR, 0x1a);
    out(&f, IER, 4);
    out(&f, DATA, 'q');
    assert_int_equal(f.line.level, 0);
    out(&f, DATA, 'r'); /* one register deep without the FIFO */
    assert_int_equal(f.line.level, 1);
    assert_int_equal(in(&f, LSR) & 3, 3);
    assert_int_equal(f.line.level, 0);
    assert_int_equal(in(&f, LSR) & 3, 1); /* told once */
    assert_int_equal(in(&f, DATA), 'r');
    assert_int_equal(in(&f, LSR) & 3, 0);
    out(&f, IIR, 1);
    for (unsigned i = 0; i < 18; i++)
        out(&f, DATA, 'a' + i);
    assert_int_equal(in(&f, LSR) & 3, 3);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(&f, DATA), 'a' + i);
    assert_int_equal(in(&f, LSR) & 3, 0);
    dev_free(f.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_is_written),
        cmocka_unit_test(divisor_latch_hides_data),
        cmocka_unit_test(thre_interrupt_comes_at_each_enable),
        cmocka_unit_test(full_peer_holds_the_transmitter),
        cmocka_unit_test(input_waits_until_the_guest_listens),
        cmocka_unit_test(enabling_the_fifo_keeps_what_came),
        cmocka_unit_test(polling_guest_gets_input),
        cmocka_unit_test(trigger_level_and_timeout_are_told_apart),
        cmocka_unit_test(break_is_a_zero_with_bi),
        cmocka_unit_test(loopback_comes_back),
        cmocka_unit_test(overrun_replaces_or_loses_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
