/* The smallest program that says something: what starting one guest program costs. */
#include <stdio.h>

int main(void)
{
    puts("hello, world");
    return 0;
}
