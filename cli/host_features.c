#include <stdio.h>
#include <string.h>

#include "cli/host_features.h"
#include "backend-x86_64/x64.h"

void host_features_text(char *buf, size_t size)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {X64_F_BASE, "x86-64"}, {X64_F_POPCNT, "popcnt"}, {X64_F_LZCNT, "lzcnt"},
        {X64_F_BMI1, "bmi1"},   {X64_F_BMI2, "bmi2"},     {X64_F_AVX, "avx"},
        {X64_F_FMA, "fma"},     {X64_F_CLMUL, "pclmul"},
    };
    uint32_t have = x64_backend.detect();
    size_t used = 0;
    if (size)
        buf[0] = 0;
    for (unsigned i = 0; i < sizeof names / sizeof names[0] && used < size; i++)
        if (have & names[i].bit)
            used +=
                (size_t)snprintf(buf + used, size - used, "%s%s", used ? " " : "", names[i].name);
}
