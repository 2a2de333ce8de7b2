/* What a program is given: arguments, environment, auxiliary vector. */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "check.h"

/* What /proc/self/NAME holds: its bytes. */
static size_t own_file(const char *name, void *to, size_t size)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/%s", name);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, to, size);
    CHECK(fd >= 0 && n >= 0 && close(fd) == 0);
    return (size_t)n;
}

static void proc_tells_the_same(char **argv)
{
    unsigned long aux[100];
    char words[4096], *at = words;
    size_t n = own_file("auxv", aux, sizeof aux) / sizeof *aux;
    CHECK(n >= 2 && n % 2 == 0 && aux[n - 2] == AT_NULL);
    for (size_t i = 0; i + 2 < n; i += 2)
        CHECK(getauxval(aux[i]) == aux[i + 1]);
    n = own_file("cmdline", words, sizeof words);
    for (; *argv; argv++) {
        CHECK((size_t)(at - words) < n && strcmp(at, *argv) == 0);
        at += strlen(at) + 1;
    }
    CHECK(at == words + n);
    n = own_file("comm", words, sizeof words);
    const char *file = (const char *)getauxval(AT_EXECFN), *slash = strrchr(file, '/');
    file = slash ? slash + 1 : file; /* of a script: its own name, cut off at 15 bytes */
    CHECK(n > 1 && n <= 16 && words[n - 1] == '\n' && strncmp(words, file, n - 1) == 0);
}

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
    proc_tells_the_same(argv);
    return argc;
}
