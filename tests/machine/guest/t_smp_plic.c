/*
 * The interrupt controller's contexts, two a hart: each asserts its own hart's line by its own
 * enables and threshold; and whoever claims first has an interrupt alone (PLIC 1.0.0, chapters 7-9).
 * Sources are the serial port's (its transmitter is empty) and the clock's (its alarm is past).
 */
#include "smp.h"

enum { UART_IRQ = 10, RTC_IRQ = 11, RACES = 60 };
#define RTC_BASE UINT64_C(0x101000)
#define MAX_LATE (100 * TICKS_PER_MS)

static volatile uint32_t *plic(unsigned offset)
{
    return mmio32(PLIC_BASE + offset);
}
static volatile uint32_t *priority_of(unsigned source)
{
    return plic(4 * source);
}
static volatile uint32_t *enable_of(unsigned context)
{
    return plic(0x2000 + 0x80 * context);
}
static volatile uint32_t *threshold_of(unsigned context)
{
    return plic(0x200000 + 0x1000 * context);
}
static volatile uint32_t *claim_of(unsigned context)
{
    return plic(0x200004 + 0x1000 * context);
}

static void raise_uart(void)
{
    *(volatile uint8_t *)(uintptr_t)(UART_BASE + 1) = 2;
}
static void lower_uart(void)
{
    *(volatile uint8_t *)(uintptr_t)(UART_BASE + 1) = 0;
    (void)*(volatile uint8_t *)(uintptr_t)(UART_BASE + 2);
}
static void raise_rtc(void)
{
    *mmio32(RTC_BASE + 0x10) = 1; /* enabled */
    *mmio32(RTC_BASE + 0x0c) = 0; /* the alarm: 1 ns after the epoch */
    *mmio32(RTC_BASE + 0x08) = 1;
}
static void lower_rtc(void)
{
    *mmio32(RTC_BASE + 0x1c) = 1;
    *mmio32(RTC_BASE + 0x10) = 0;
}

static uint64_t lines(void)
{
    return csr_read(mip) & (BIT(IRQ_MEI) | BIT(IRQ_SEI));
}

static void all_off(void)
{
    lower_uart();
    lower_rtc();
    for (unsigned source = 1; source < 96; source++)
        *priority_of(source) = 0;
    for (unsigned context = 0; context < 2 * HARTS; context++) {
        for (unsigned word = 0; word < 3; word++)
            enable_of(context)[word] = 0;
        *threshold_of(context) = 0;
    }
    *priority_of(UART_IRQ) = 1;
    *priority_of(RTC_IRQ) = 1;
}

/* ---- each context by itself -------------------------------------------------------------------- */

static uint64_t expected[HARTS];

static void see_lines(unsigned hart)
{
    uint64_t end = CLINT_MTIME + MAX_LATE;
    while (lines() != expected[hart] && CLINT_MTIME < end)
        pause();
    CHECK_EQ(lines(), expected[hart]);
}

static void one_context(unsigned context)
{
    uint64_t line = BIT(context & 1 ? IRQ_SEI : IRQ_MEI);
    guest_note("context", context);
    for (unsigned h = 0; h < HARTS; h++)
        expected[h] = 0;
    all_off();
    *enable_of(context) = BIT(UART_IRQ) & UINT32_MAX;
    raise_uart(); /* then: QEMU looks at its lines only when a source moves */
    expected[context / 2] = line;
    harts_run(ALL_HARTS, see_lines);
    *threshold_of(context) = 1; /* not above it */
    expected[context / 2] = 0;
    harts_run(ALL_HARTS, see_lines);
    *threshold_of(context) = 0;
    expected[context / 2] = line;
    harts_run(ALL_HARTS, see_lines);
    for (unsigned other = 0; other < 2 * HARTS; other++)
        CHECK_EQ(*claim_of(other), other < context ? 0 : other == context ? UART_IRQ : 0);
    expected[context / 2] = 0;
    harts_run(ALL_HARTS, see_lines);
    lower_uart();
    *claim_of(context) = UART_IRQ;
    harts_run(ALL_HARTS, see_lines);
    CHECK_EQ(*claim_of(context), 0);
    for (unsigned other = 0; other < 2 * HARTS; other++) {
        CHECK_EQ(*enable_of(other), other == context ? BIT(UART_IRQ) : 0);
        CHECK_EQ(*threshold_of(other), 0);
    }
}

/* ---- races ------------------------------------------------------------------------------------- */

static uint64_t wins[HARTS], uart_wins, rtc_wins, losses;
static unsigned round_open;

/* Everybody is told and everybody claims: one has it. What he did not lower would come again. */
static void race(unsigned hart)
{
    unsigned context = 2 * hart + (hart & 1); /* M and S contexts */
    for (unsigned n = 0; n < RACES; n++) {
        unsigned got;
        if (hart == 0) {
            round_open = 2;
            raise_uart();
            raise_rtc();
        }
        barrier(); /* so that all are awake */
        while (load(&round_open)) {
            if (!lines()) {
                pause();
                continue;
            }
            got = *claim_of(context);
            if (got == UART_IRQ) {
                lower_uart();
                fetch_add(&uart_wins, 1);
            } else if (got == RTC_IRQ) {
                lower_rtc();
                fetch_add(&rtc_wins, 1);
            } else {
                CHECK_EQ(got, 0);
                fetch_add(&losses, 1);
                continue;
            }
            wins[hart]++;
            *claim_of(context) = got;
            __atomic_fetch_sub(&round_open, 1, __ATOMIC_ACQ_REL);
        }
        barrier_asleep();
        CHECK_EQ(*claim_of(context), 0);
        CHECK_EQ(lines(), 0);
        barrier_asleep();
    }
}

/* Completion by a context that has not claimed it, or has it not enabled, ends nothing. */
static void foreign_completion(void)
{
    all_off();
    *enable_of(0) = BIT(UART_IRQ) & UINT32_MAX;
    raise_uart();
    CHECK_EQ(*claim_of(0), UART_IRQ);
    *claim_of(2) = UART_IRQ; /* the source is still up: it would be pending again */
    CHECK_EQ(*claim_of(0), 0);
    *claim_of(0) = UART_IRQ;
    if (!guest_on_peer()) /* whose gateways look at edges only */
        CHECK_EQ(*claim_of(0), UART_IRQ);
    lower_uart();
    *claim_of(0) = UART_IRQ;
    CHECK_EQ(*claim_of(0), 0);
}

void guest_main(void)
{
    for (unsigned context = 0; context < 2 * HARTS; context++)
        one_context(context);
    foreign_completion();
    all_off();
    for (unsigned hart = 0; hart < HARTS; hart++)
        *enable_of(2 * hart + (hart & 1)) = BIT(UART_IRQ) | BIT(RTC_IRQ);
    harts_run(ALL_HARTS, race);
    CHECK_EQ(uart_wins, RACES);
    CHECK_EQ(rtc_wins, RACES);
    CHECK_EQ(wins[0] + wins[1] + wins[2] + wins[3], 2 * RACES);
    guest_print("claims that found nothing", losses, 2 * RACES + losses);
}
