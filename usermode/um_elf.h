/*
 * 64-bit little-endian ELF programs: checking the headers and mapping the segments. The file is
 * hostile; every number in it is checked against the file's size and the guest's address space.
 * System V gABI, chapters 4 and 5; RISC-V ELF psABI 1.0.
 */
#ifndef UM_ELF_H
#define UM_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/status.h"
#include "usermode/um_space.h"

enum { UM_ELF_MAX_LOADS = 64, UM_ELF_MAX_PHDRS = 1024 };

struct um_segment {
    uint64_t vaddr, memsz, offset, filesz;
    uint32_t prot;
};

struct um_elf {
    uint64_t entry;   /* as in the file: without bias */
    bool relocatable; /* ET_DYN: may stand at any bias */
    bool exec_stack;
    uint16_t phnum;
    uint64_t phdr_vaddr; /* of the program headers, 0 when no segment holds them */
    uint64_t low, high;  /* lowest page and end of all segments */
    struct um_segment load[UM_ELF_MAX_LOADS];
    unsigned load_count;
    bool has_interp;
    char interp[256]; /* PT_INTERP, when has_interp */
};

/* True when the first bytes are those of an ELF program for this machine (e_machine), 64 bit. */
bool um_elf_is_for(const uint8_t *head, size_t size, uint16_t machine);

/* Reads and checks the headers of fd; name is for messages. GW_ERR_FORMAT: broken;
 * GW_ERR_UNSUPPORTED: well-formed, but not for us. */
enum gw_status um_elf_read(int fd, const char *name, uint16_t machine, struct um_elf *out,
                           struct gw_error *err);
/* Maps the segments at bias + vaddr. bias is page-aligned, 0 unless relocatable. */
enum gw_status um_elf_map(int fd, const char *name, const struct um_elf *elf, uint64_t bias,
                          struct um_space *space, struct gw_error *err);

#endif
