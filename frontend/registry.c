/* The registry of guests. */
#include "frontend/guests.h"

#include <stdio.h>
#include <string.h>

#define GUEST(folder, isa) extern const struct guest_isa isa;
#include "frontend/guests.inc"
#undef GUEST

static const struct guest_isa *const guests[] = {
#define GUEST(folder, isa) &isa,
#include "frontend/guests.inc"
#undef GUEST
};

const struct guest_registry gw_guests = {
    .guest = guests,
    .count = sizeof guests / sizeof guests[0],
};

static const char *usual_name(const char *name)
{
    static const char *const others[][2] = {{"arm64", "aarch64"}, {"x86_64", "x86-64"}};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        if (!strcmp(name, others[i][0]))
            return others[i][1];
    return name;
}

const struct guest_isa *guest_by_name(const struct guest_registry *r, const char *name)
{
    name = usual_name(name);
    for (unsigned i = 0; i < r->count; i++)
        if (!strcmp(r->guest[i]->name, name))
            return r->guest[i];
    return NULL;
}

const struct guest_isa *guest_by_elf(const struct guest_registry *r, uint16_t elf_machine)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->guest[i]->elf_machine == elf_machine)
            return r->guest[i];
    return NULL;
}

const char *guest_names(const struct guest_registry *r, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = 0;
    for (unsigned i = 0; i < r->count && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "", r->guest[i]->name);
    return buf;
}

const char *guest_elf_name(uint16_t elf_machine)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {
        {3, "i386"},   {40, "arm"},   {62, "x86-64"}, {183, "aarch64"}, {243, "riscv"},
        {21, "ppc64"}, {22, "s390x"}, {8, "mips"},    {43, "sparc64"},  {258, "loongarch"},
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == elf_machine)
            return names[i].name;
    return "an unknown machine";
}
