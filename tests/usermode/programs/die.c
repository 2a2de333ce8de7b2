/* Dies by the signal that argv[1] names, or by a store that faults. */
#include <signal.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc < 2)
        *(volatile int *)0 = 1;
    raise(atoi(argv[1]));
    return 0;
}
