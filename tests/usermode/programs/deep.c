/* Calls that never return, some levels deep: "spin" computes at the end of them, else it waits. */
#include <string.h>
#include <unistd.h>

static volatile unsigned long turns;

__attribute__((noinline)) static void innermost(int spin)
{
    for (;;)
        if (spin)
            turns++;
        else
            pause();
}

__attribute__((noinline)) static void middle(int spin)
{
    innermost(spin);
    turns = 1;
}

__attribute__((noinline)) static void outer(int spin)
{
    middle(spin);
    turns = 2;
}

int main(int argc, char **argv)
{
    outer(argc > 1 && !strcmp(argv[1], "spin"));
    return (int)turns;
}
