/* Code that is written while the program runs: by FENCE.I, by the system call, by mprotect. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"

typedef long fn(void);

/* li a0, value; ret */
static void put(uint32_t *at, int value)
{
    at[0] = (uint32_t)value << 20 | 10 << 7 | 0x13;
    at[1] = 0x00008067;
}

int main(void)
{
    const int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
    uint32_t *m = mmap(NULL, 8192, rwx, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fn *call = (fn *)m;
    long sum = 0;
    CHECK(m != MAP_FAILED);
    for (int i = 0; i < 200; i++) {
        put(m, i);
        if (i & 1)
            __asm__ volatile("fence.i" ::: "memory");
        else
            __builtin___clear_cache((char *)m, (char *)(m + 2));
        sum += call();
    }
    CHECK(sum == 199 * 200 / 2);
    for (int i = 0; i < 50; i++) {
        CHECK(mprotect(m, 4096, PROT_READ | PROT_WRITE) == 0);
        put(m, 1000 + i);
        CHECK(mprotect(m, 4096, PROT_READ | PROT_EXEC) == 0);
        CHECK(call() == 1000 + i);
    }
    /* Other code at the same address, by a new mapping. */
    for (int i = 0; i < 20; i++) {
        CHECK(mmap(m, 4096, rwx, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m);
        put(m, i + 7);
        CHECK(call() == i + 7);
    }
    /* An instruction over a page border. */
    CHECK(mprotect(m, 8192, rwx) == 0);
    uint16_t *border = (uint16_t *)m + 2047;
    uint32_t code[2];
    put(code, 321);
    memcpy(border, code, sizeof code);
    __asm__ volatile("fence.i" ::: "memory");
    CHECK(((fn *)border)() == 321);
    puts("selfmod ok");
    return 0;
}
