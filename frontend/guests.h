/*
 * Which guests there are. frontend/guests.inc lists them, a line each; whoever composes a machine or
 * a program finds its guest here, by name or by the machine number of an ELF file. Any thread.
 */
#ifndef FRONTEND_GUESTS_H
#define FRONTEND_GUESTS_H

#include "godwit/guest_isa.h"

struct guest_registry {
    const struct guest_isa *const *guest;
    unsigned count;
};

/* Those of guests.inc. */
extern const struct guest_registry gw_guests;

/* NULL: there is none. "arm64" is taken for "aarch64", and "x86_64" for "x86-64". */
const struct guest_isa *guest_by_name(const struct guest_registry *r, const char *name);
const struct guest_isa *guest_by_elf(const struct guest_registry *r, uint16_t elf_machine);
/* "riscv64, toy", for messages; at most size bytes, the final 0 included. Returns buf. */
const char *guest_names(const struct guest_registry *r, char *buf, size_t size);
/* What the world calls an ELF machine number, whether it is a guest's or not. */
const char *guest_elf_name(uint16_t elf_machine);

#endif
