/* Prints what a program was started with; with words behind it, starts them as another. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Takes n KiB of stack. */
__attribute__((noinline)) static unsigned deep(unsigned kib)
{
    volatile char block[1024];
    block[0] = (char)kib;
    return kib ? deep(kib - 1) + (unsigned char)block[0] : 0;
}

int main(int argc, char **argv)
{
    struct utsname u;
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    if (argc > 1) {
        if (chroot(argv[1]) || chdir("/"))
            return 2;
        execv(argv[2], argv + 2);
        perror(argv[2]);
        return 3;
    }
    uname(&u);
    printf("argv0 %s\nuname %s %s\nrandom ", argv[0], u.release, u.machine);
    for (unsigned i = 0; i < 16; i++)
        printf("%02x", random[i]);
    printf("\nsecure %lu\n", getauxval(AT_SECURE));
    printf("stack %d\n", (uintptr_t)&u < UINT64_C(1) << 32);
    fflush(stdout);
    if (getenv("DEEP"))
        printf("deep %u\n", deep(4000) != 0);
    return 0;
}
