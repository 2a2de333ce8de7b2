/*
 * A command whose standard input comes in frames (devices/host/console.h): the machine is saved when the
 * first one has come in part. The program stands in for the guest's init: it says that it is ready, takes
 * the frames apart, says what is in them, and tells that the command has ended. Runs in M mode.
 */
#include "say.h"

enum { LINE_STATUS = 5, DATA_READY = 1, QUIET = 20000000, FIRST_BYTES = 5 };
enum { READY = 0x400, TAKEN = 0x8000, STATUS = 0x100 };

static volatile uint8_t *const uart = (volatile uint8_t *)UART_BASE;

static void tell(uint32_t code)
{
    *(volatile uint32_t *)POWER_BASE = code << 16 | 0x3333;
}

static uint8_t get(void)
{
    while (!(uart[LINE_STATUS] & DATA_READY))
        ;
    return uart[0];
}

void guest_main(void)
{
    char text[2] = {0};
    uint32_t left = 0;
    tell(READY);
    for (unsigned n = 0;; n++) {
        uint32_t size = get(), got = 0;
        size |= (uint32_t)get() << 8;
        for (; got < size; got++) {
            text[0] = (char)get();
            put(text);
            if (n == 0 && got + 1 == FIRST_BYTES)
                for (volatile uint32_t quiet = QUIET; quiet; quiet--)
                    ;
        }
        tell(TAKEN | (size + 2));
        left += size;
        if (!size)
            break;
    }
    say("bytes", 0, left);
    tell(STATUS | 3);
}
