/* ELF files made by hand, right and broken in one place each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "usermode/um_elf.h"

enum { FILE_BYTES = 0x3000, CODE_AT = 0x1000, DATA_AT = 0x2100, DATA_FILE = 0x80, BSS = 0x3000 };
#define CODE_VADDR UINT64_C(0x10000)
#define DATA_VADDR UINT64_C(0x20100)

struct image {
    Elf64_Ehdr h;
    Elf64_Phdr ph[4];
    uint8_t rest[FILE_BYTES - sizeof(Elf64_Ehdr) - 4 * sizeof(Elf64_Phdr)];
};
_Static_assert(sizeof(struct image) == FILE_BYTES, "no padding");

static struct image good(void)
{
    struct image m;
    memset(&m, 0, sizeof m);
    memcpy(m.h.e_ident, ELFMAG, SELFMAG);
    m.h.e_ident[EI_CLASS] = ELFCLASS64;
    m.h.e_ident[EI_DATA] = ELFDATA2LSB;
    m.h.e_type = ET_EXEC;
    m.h.e_machine = EM_RISCV;
    m.h.e_entry = CODE_VADDR + CODE_AT + 4;
    m.h.e_phoff = sizeof m.h;
    m.h.e_phentsize = sizeof(Elf64_Phdr);
    m.h.e_phnum = 3;
    m.ph[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, CODE_VADDR, 0, 0x1800, 0x1800, 0x1000};
    m.ph[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, DATA_AT,         DATA_VADDR,
                           0,       DATA_FILE,   DATA_FILE + BSS, 0x1000};
    m.ph[2] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
    memset((uint8_t *)&m + DATA_AT, 0xda, 0x200);
    memset((uint8_t *)&m + CODE_AT, 0xc0, 0x800);
    return m;
}

static int file_of(const void *bytes, size_t size)
{
    int fd = memfd_create("elf", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

static enum gw_status read_image(const struct image *m, size_t size, struct um_elf *elf,
                                 struct gw_error *err)
{
    int fd = file_of(m, size);
    enum gw_status s = um_elf_read(fd, "prog", EM_RISCV, elf, err);
    close(fd);
    return s;
}

static void good_program_is_mapped(void **state)
{
    (void)state;
    struct image m = good();
    struct um_elf elf;
    struct um_space s;
    struct gw_error err;
    int fd = file_of(&m, sizeof m);
    assert_int_equal(um_elf_read(fd, "prog", EM_RISCV, &elf, &err), GW_OK);
    assert_int_equal(elf.phdr_vaddr, CODE_VADDR + sizeof m.h);
    assert_false(elf.relocatable || elf.exec_stack || elf.has_interp);
    assert_int_equal(um_space_init(&s, 0, &err), GW_OK);
    assert_int_equal(um_elf_map(fd, "prog", &elf, 0, &s, &err), GW_OK);
    const uint8_t *code = um_space_ptr(&s, CODE_VADDR + CODE_AT, 4, PROT_READ | PROT_EXEC);
    assert_non_null(code);
    assert_int_equal(code[0], 0xc0);
    assert_null(um_space_ptr(&s, CODE_VADDR, 1, PROT_WRITE));
    const uint8_t *data = um_space_ptr(&s, DATA_VADDR, DATA_FILE + BSS, PROT_READ | PROT_WRITE);
    assert_non_null(data);
    for (unsigned i = 0; i < DATA_FILE; i++)
        assert_int_equal(data[i], 0xda);
    for (unsigned i = DATA_FILE; i < DATA_FILE + BSS; i++)
        assert_int_equal(data[i], 0);
    um_space_free(&s);
    close(fd);
}

/* The C library's start code takes its first memory there. */
static void page_is_zero_beyond_the_bss(void **state)
{
    (void)state;
    struct image m = good();
    struct um_elf elf;
    struct um_space s;
    m.ph[1].p_memsz = DATA_FILE + 8;
    int fd = file_of(&m, sizeof m);
    assert_int_equal(um_elf_read(fd, "prog", EM_RISCV, &elf, NULL), GW_OK);
    assert_int_equal(um_space_init(&s, 0, NULL), GW_OK);
    assert_int_equal(um_elf_map(fd, "prog", &elf, 0, &s, NULL), GW_OK);
    const uint64_t page = DATA_VADDR & ~(uint64_t)4095;
    const uint8_t *data = um_space_ptr(&s, page, UM_PAGE, PROT_READ | PROT_WRITE);
    for (uint64_t i = DATA_VADDR - page + DATA_FILE; i < UM_PAGE; i++)
        assert_int_equal(data[i], 0);
    um_space_free(&s);
    close(fd);
}

static void unaligned_segments_are_copied(void **state)
{
    (void)state;
    struct image m = good();
    struct um_elf elf;
    struct um_space s;
    m.ph[1].p_offset = DATA_AT + 8;
    memset((uint8_t *)&m + DATA_AT, 0, 8);
    int fd = file_of(&m, sizeof m);
    assert_int_equal(um_elf_read(fd, "prog", EM_RISCV, &elf, NULL), GW_OK);
    assert_int_equal(um_space_init(&s, 0, NULL), GW_OK);
    assert_int_equal(um_elf_map(fd, "prog", &elf, 0, &s, NULL), GW_OK);
    const uint8_t *data = um_space_ptr(&s, DATA_VADDR, DATA_FILE + 1, PROT_READ | PROT_WRITE);
    assert_int_equal(data[0], 0xda);
    assert_int_equal(data[DATA_FILE - 1], 0xda);
    assert_int_equal(data[DATA_FILE], 0);
    um_space_free(&s);
    close(fd);
}

static void position_independent_programs_take_a_bias(void **state)
{
    (void)state;
    struct image m = good();
    struct um_elf elf;
    struct um_space s;
    m.h.e_type = ET_DYN;
    int fd = file_of(&m, sizeof m);
    assert_int_equal(um_elf_read(fd, "prog", EM_RISCV, &elf, NULL), GW_OK);
    assert_true(elf.relocatable);
    assert_int_equal(um_space_init(&s, 0, NULL), GW_OK);
    assert_int_equal(um_elf_map(fd, "prog", &elf, 0x7000000, &s, NULL), GW_OK);
    assert_true(um_space_ok(&s, 0x7000000 + CODE_VADDR, 0x1800, PROT_EXEC));
    assert_int_not_equal(um_elf_map(fd, "prog", &elf, UM_LIMIT - UM_PAGE, &s, NULL), GW_OK);
    um_space_free(&s);
    close(fd);
}

struct breakage {
    const char *what; /* a word of the message */
    enum gw_status status;
    size_t offset, size; /* bytes of the image set to value */
    uint64_t value;
};

#define H(field) offsetof(struct image, h.field), sizeof(((struct image *)0)->h.field)
#define P(i, field)                                                                                \
    offsetof(struct image, ph) + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field),           \
        sizeof(((Elf64_Phdr *)0)->field)

static const struct breakage breakages[] = {
    {"not an ELF", GW_ERR_UNSUPPORTED, 0, 1, 0},
    {"32-bit", GW_ERR_UNSUPPORTED, EI_CLASS, 1, ELFCLASS32},
    {"big-endian", GW_ERR_UNSUPPORTED, EI_DATA, 1, ELFDATA2MSB},
    {"x86-64", GW_ERR_UNSUPPORTED, H(e_machine), EM_X86_64},
    {"aarch64", GW_ERR_UNSUPPORTED, H(e_machine), EM_AARCH64},
    {"unknown machine", GW_ERR_UNSUPPORTED, H(e_machine), 0xfffe},
    {"no program", GW_ERR_UNSUPPORTED, H(e_type), ET_REL},
    {"no program", GW_ERR_UNSUPPORTED, H(e_type), ET_CORE},
    {"0 program headers", GW_ERR_FORMAT, H(e_phnum), 0},
    {"65535 program headers", GW_ERR_FORMAT, H(e_phnum), 0xffff},
    {"of 32 bytes", GW_ERR_FORMAT, H(e_phentsize), 32},
    {"truncated", GW_ERR_FORMAT, H(e_phoff), FILE_BYTES - 56},
    {"truncated", GW_ERR_FORMAT, H(e_phoff), UINT64_MAX - 40},
    {"entry point", GW_ERR_FORMAT, H(e_entry), 0},
    {"entry point", GW_ERR_FORMAT, H(e_entry), DATA_VADDR},
    {"entry point", GW_ERR_FORMAT, H(e_entry), CODE_VADDR + 1},
    {"truncated", GW_ERR_FORMAT, P(1, p_filesz), 0x2000},
    {"more bytes in file", GW_ERR_FORMAT, P(0, p_memsz), 0x17ff},
    {"truncated", GW_ERR_FORMAT, P(0, p_offset), FILE_BYTES - 0x17ff},
    {"truncated", GW_ERR_FORMAT, P(0, p_offset), UINT64_MAX - 0xfff},
    {"broken segment", GW_ERR_FORMAT, P(1, p_vaddr), UINT64_MAX - 0xfff},
    {"broken segment", GW_ERR_FORMAT, P(1, p_vaddr), UM_LIMIT - 0x1000},
    {"broken segment", GW_ERR_FORMAT, P(1, p_memsz), UINT64_MAX},
    {"overlap", GW_ERR_FORMAT, P(1, p_vaddr), CODE_VADDR + 0x100},
    {"overlap", GW_ERR_FORMAT, P(1, p_vaddr), 0x100},
    {"broken interpreter", GW_ERR_FORMAT, P(2, p_type), PT_INTERP},
};

static void broken_programs_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof breakages / sizeof *breakages; i++) {
        const struct breakage *b = &breakages[i];
        struct image m = good();
        struct um_elf elf;
        struct gw_error err = {GW_OK, "", "", ""};
        memcpy((uint8_t *)&m + b->offset, &b->value, b->size);
        assert_int_equal(read_image(&m, sizeof m, &elf, &err), b->status);
        if (!strstr(err.message, b->what))
            fail_msg("row %u: '%s' instead of '%s'", i, err.message, b->what);
        assert_string_equal(err.object, "prog");
    }
}

static void truncation_at_every_byte_is_refused(void **state)
{
    (void)state;
    const struct image m = good();
    struct um_elf elf;
    const size_t needed = DATA_AT + DATA_FILE;
    for (size_t size = 0; size < needed; size += size < 400 ? 1 : 97)
        assert_int_not_equal(read_image(&m, size, &elf, NULL), GW_OK);
    assert_int_equal(read_image(&m, needed, &elf, NULL), GW_OK);
}

static void interpreter_must_end(void **state)
{
    (void)state;
    struct image m = good();
    struct um_elf elf;
    m.ph[2] = (Elf64_Phdr){PT_INTERP, PF_R, 0x800, 0, 0, 8, 8, 1};
    memcpy((uint8_t *)&m + 0x800, "/lib/ld", 8);
    assert_int_equal(read_image(&m, sizeof m, &elf, NULL), GW_OK);
    assert_true(elf.has_interp);
    assert_string_equal(elf.interp, "/lib/ld");
    memcpy((uint8_t *)&m + 0x800, "/lib/ld8", 8);
    assert_int_equal(read_image(&m, sizeof m, &elf, NULL), GW_ERR_FORMAT);
    m.ph[2].p_offset = FILE_BYTES - 4;
    assert_int_equal(read_image(&m, sizeof m, &elf, NULL), GW_ERR_FORMAT);
}

static void random_headers_never_map_outside(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    unsigned accepted = 0;
    for (unsigned round = 0; round < 3000; round++) {
        struct image m = good();
        struct um_elf elf;
        for (unsigned k = 0; k < 3; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            size_t at = offsetof(struct image, h.e_entry) +
                        (x >> 8) % (sizeof m.h + 3 * sizeof(Elf64_Phdr) - 32);
            ((uint8_t *)&m)[at] = (uint8_t)(x >> 40);
        }
        if (read_image(&m, sizeof m, &elf, NULL))
            continue;
        accepted++;
        for (unsigned i = 0; i < elf.load_count; i++) {
            const struct um_segment *g = &elf.load[i];
            assert_true(g->vaddr < UM_LIMIT && g->memsz <= UM_LIMIT - g->vaddr);
            assert_true(g->filesz <= g->memsz && g->offset + g->filesz <= FILE_BYTES);
        }
    }
    assert_true(accepted > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_program_is_mapped),
        cmocka_unit_test(page_is_zero_beyond_the_bss),
        cmocka_unit_test(unaligned_segments_are_copied),
        cmocka_unit_test(position_independent_programs_take_a_bias),
        cmocka_unit_test(broken_programs_are_refused_with_a_reason),
        cmocka_unit_test(truncation_at_every_byte_is_refused),
        cmocka_unit_test(interpreter_must_end),
        cmocka_unit_test(random_headers_never_map_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
