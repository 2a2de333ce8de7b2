/* A guest that never stops talking. */
#include "virtio.h"

void guest_main(void)
{
    say("up\n");
    for (;;)
        say("0123456789abcdefghijklmnopqrstuvwxyz\n");
}
