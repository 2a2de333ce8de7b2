/* A small ELF program, right in all places, for fuzzers to spoil. */
#ifndef TESTS_FUZZ_ELF_SAMPLE_H
#define TESTS_FUZZ_ELF_SAMPLE_H

#include <elf.h>
#include <stddef.h>
#include <string.h>

enum { ELF_SAMPLE_BYTES = 0x1800, ELF_SAMPLE_PHDRS = 5 };

struct elf_sample {
    Elf64_Ehdr h;
    Elf64_Phdr ph[ELF_SAMPLE_PHDRS];
    Elf64_Shdr sh[3];
    Elf64_Sym sym[3];
    char names[64];
};

/* text at `at`, data 0x3000 above it, both also as physical addresses. */
static inline void elf_sample(uint8_t *file, uint64_t at)
{
    struct elf_sample s = {0};
    memcpy(s.h.e_ident, ELFMAG, SELFMAG);
    s.h.e_ident[EI_CLASS] = ELFCLASS64;
    s.h.e_ident[EI_DATA] = ELFDATA2LSB;
    s.h.e_type = ET_EXEC;
    s.h.e_machine = EM_RISCV;
    s.h.e_entry = at + 0x800;
    s.h.e_phoff = offsetof(struct elf_sample, ph);
    s.h.e_phentsize = sizeof(Elf64_Phdr);
    s.h.e_phnum = ELF_SAMPLE_PHDRS;
    s.h.e_shoff = offsetof(struct elf_sample, sh);
    s.h.e_shentsize = sizeof(Elf64_Shdr);
    s.h.e_shnum = 3;
    s.ph[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, at, at, 0x1000, 0x1000, 0x1000};
    s.ph[1] =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x1000, at + 0x3000, at + 0x3000, 0x400, 0x2400, 0x1000};
    s.ph[2] = (Elf64_Phdr){PT_LOAD,     PF_R | PF_W, 0x1404, at + 0x7000,
                           at + 0x7000, 0x100,       0x200,  4}; /* to be copied */
    s.ph[3] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
    s.ph[4] = (Elf64_Phdr){PT_INTERP,
                           PF_R,
                           offsetof(struct elf_sample, names) + 8,
                           at,
                           at,
                           sizeof "/lib/ld.so",
                           sizeof "/lib/ld.so",
                           1};
    s.sh[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                           .sh_offset = offsetof(struct elf_sample, sym),
                           .sh_size = sizeof s.sym,
                           .sh_link = 2};
    s.sh[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
                           .sh_offset = offsetof(struct elf_sample, names),
                           .sh_size = sizeof s.names};
    s.sym[2] = (Elf64_Sym){.st_name = 1, .st_value = at + 0x3000};
    memcpy(s.names + 1, "tohost", 7);
    memcpy(s.names + 8, "/lib/ld.so", sizeof "/lib/ld.so");
    memset(file, 0x13, ELF_SAMPLE_BYTES);
    memcpy(file, &s, sizeof s);
}

#endif
