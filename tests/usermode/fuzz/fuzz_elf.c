/* Programs of user mode that are broken in some places: refused, or mapped within the guest's
 * addresses. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/usermode/fuzz/elf_sample.h"
#include "tests/fuzzing.h"
#include "usermode/um_elf.h"

enum { FILE_MAX = 0x8000 };

static void map(int fd, const struct um_elf *elf, uint64_t bias)
{
    struct um_space s;
    struct gw_error err = {0};
    if (um_space_init(&s, 0, &err) != GW_OK)
        abort();
    if (um_elf_map(fd, "program", elf, bias, &s, &err) == GW_OK) {
        for (unsigned i = 0; i < elf->load_count; i++)
            if (!um_space_ok(&s, elf->load[i].vaddr + bias, elf->load[i].memsz, 0))
                abort();
    } else if (!err.message[0]) {
        abort();
    }
    um_space_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fz_bytes in = {.at = data, .end = data + size};
    uint64_t bias = fz_take(&in, 1) << 12;
    struct gw_error err = {0};
    struct um_elf elf;
    uint8_t file[FILE_MAX];
    size_t bytes;
    int fd = memfd_create("program", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    elf_sample(file, 0x10000);
    bytes = fz_edit(&in, file, ELF_SAMPLE_BYTES, FILE_MAX);
    if (write(fd, file, bytes) != (ssize_t)bytes)
        abort();
    if (um_elf_read(fd, "program", EM_RISCV, &elf, &err) == GW_OK)
        map(fd, &elf, elf.relocatable ? bias : 0);
    else if (!err.message[0])
        abort();
    close(fd);
    return 0;
}
