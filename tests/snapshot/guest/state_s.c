/*
 * Harts on the built-in firmware, without Sstc: hart 1 sleeps until its timer goes off, 2 is suspended
 * and is to go on elsewhere, 3 was not started, and 0, with a timer too, is busy while the machine is
 * saved. What becomes of them is said on the serial port. Runs in S mode.
 */
#include "say.h"

enum { EXT_TIME = 0x54494d45, EXT_IPI = 0x735049, EXT_HSM = 0x48534d, EXT_PMU = 0x504d55 };
enum { HSM_START, HSM_STOP, HSM_STATUS, HSM_SUSPEND };
enum { TICKS_PER_MS = 10000, QUIET = 2500000 };
enum { SIE_SSI = 2, SIE_STI = 32 };

extern char hart_entry[];
uint64_t hart_stacks[HARTS];
void hart_main(uint64_t hart, uint64_t opaque, uint64_t satp, uint64_t sstatus);

static volatile uint64_t opaque_of[HARTS], entries[HARTS], woken[HARTS];

static uint64_t sbi(uint64_t ext, uint64_t function, uint64_t x0, uint64_t x1, uint64_t x2,
                    uint64_t x3, uint64_t *value)
{
    register uint64_t a0 __asm__("a0") = x0;
    register uint64_t a1 __asm__("a1") = x1;
    register uint64_t a2 __asm__("a2") = x2;
    register uint64_t a3 __asm__("a3") = x3;
    register uint64_t a4 __asm__("a4") = 0;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = ext;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1)
                     : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
                     : "memory");
    if (value)
        *value = a1;
    return a0;
}

static uint64_t status_of(unsigned hart)
{
    uint64_t v;
    sbi(EXT_HSM, HSM_STATUS, hart, 0, 0, 0, &v);
    return v;
}

static uint64_t timer_ms(unsigned hart)
{
    return SETTING->exact ? 20 + hart : 1500 + 100 * hart;
}

static void set_timer(unsigned hart)
{
    sbi(EXT_TIME, 0, csr_read(time) + timer_ms(hart) * TICKS_PER_MS, 0, 0, 0, NULL);
}

static void sleep_until(uint64_t what)
{
    csr_write(sie, what);
    while (!(csr_read(sip) & what))
        __asm__ volatile("wfi" ::: "memory");
    csr_write(sie, 0);
}

void hart_main(uint64_t hart, uint64_t opaque, uint64_t satp, uint64_t sstatus)
{
    opaque_of[hart] = opaque;
    entries[hart]++;
    if (hart == 1) {
        set_timer(1);
        entries[1]++;
        sleep_until(SIE_STI);
        woken[1] = csr_read(sip) & SIE_STI;
        sbi(EXT_TIME, 0, ALL_ONES, 0, 0, 0, NULL);
        entries[1]++;
    } else if (hart == 2 && entries[2] == 1) {
        csr_write(sie, SIE_SSI);
        sbi(EXT_HSM, HSM_SUSPEND, 0x80000000, addr(hart_entry), 0xabcdef0123456789, 0, NULL);
        guest_fail(__LINE__, "suspended, and went on", 0, 1);
    }
    sbi(EXT_HSM, HSM_STOP, 0, 0, 0, 0, NULL);
    guest_fail(__LINE__, "stopped, and went on", hart, 0);
}

static void start(unsigned hart)
{
    sbi(EXT_HSM, HSM_START, hart, addr(hart_entry), 0x1111111111111111 * (hart + 1), 0, NULL);
}

static void count_events(void)
{
    uint64_t counter = 0, error;
    error = sbi(EXT_PMU, 2, 0, 0xf8, 4, 2, &counter);
    say("counter", (unsigned)error, counter);
}

static void await(volatile uint64_t *what, uint64_t value)
{
    while (*what != value)
        ;
}

void guest_main(void)
{
    for (unsigned h = 0; h < HARTS; h++)
        hart_stacks[h] = addr(page_new()) + PAGE;
    count_events();
    start(1);
    await(&entries[1], 2);
    start(2);
    while (status_of(2) != 4)
        ;
    set_timer(0);
    put("quiet\n");
    for (volatile unsigned i = 0; i < (SETTING->exact ? QUIET : 8 * QUIET); i++)
        ;
    for (unsigned h = 0; h < HARTS; h++)
        say("status", h, status_of(h));
    start(3);
    sbi(EXT_IPI, 0, 4, 0, 0, 0, NULL);
    await(&entries[2], 2);
    await(&entries[3], 1);
    await(&entries[1], 3);
    sleep_until(SIE_STI);
    for (unsigned h = 1; h < HARTS; h++) {
        say("opaque", h, opaque_of[h]);
        say("woken", h, woken[h]);
        while (status_of(h) != 1)
            ;
    }
    if (SETTING->exact) {
        say("time", 0, csr_read(time));
        say("instret", 0, csr_read(instret));
        say("counted", 0, csr_read(hpmcounter3));
    }
}
