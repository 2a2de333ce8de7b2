/* What a program is given: arguments, environment, auxiliary vector. */
#include <elf.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "check.h"

int main(int argc, char **argv)
{
    const char *e = getenv("UM_TEST");
    for (int i = 0; i < argc; i++)
        printf("%d:%s\n", i, argv[i]);
    printf("env %s home %s\n", e ? e : "-", getenv("HOME") ? "set" : "unset");
    CHECK(getauxval(AT_PAGESZ) == 4096);
    CHECK(getauxval(AT_HWCAP) == 0x112d);
    CHECK(getauxval(AT_PHENT) == sizeof(Elf64_Phdr));
    CHECK(getauxval(AT_UID) == getuid());
    const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned i = 0; i < getauxval(AT_PHNUM); i++)
        loads += ph[i].p_type == PT_LOAD;
    CHECK(loads >= 2);
    CHECK(getauxval(AT_RANDOM) != 0 && getauxval(AT_EXECFN) != 0);
    CHECK((getauxval(AT_ENTRY) & 1) == 0);
    return argc;
}
